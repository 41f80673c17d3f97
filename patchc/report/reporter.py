"""Reporters: one for each output format, all with the same calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from patchc.report.paint import Paint

if TYPE_CHECKING:
    from patchc.codes import Code
    from patchc.compiler.plan import Plan
    from patchc.conversion import Conversion
    from patchc.diff.difference import Difference
    from patchc.errors import Diagnostic
    from patchc.history import Log
    from patchc.inspect import Inspection
    from patchc.language.patch import Patch
    from patchc.results import Report, Written


class Reporter(Protocol):
    """Says in one format what a command found; every call gives the text to print."""

    is_data: bool
    """Whether all it says is one piece of data, refusals included, for stdout."""

    def validated(
        self,
        patches: Sequence[Patch],
        warnings: Sequence[Diagnostic],
        independent: Sequence[tuple[str, str]] = (),
    ) -> str:
        """Patches that are valid, and neighbours whose order does not matter."""

    def inspected(self, found: Inspection) -> str:
        """What is inside a model."""

    def planned(self, plan: Plan) -> str:
        """What would be done."""

    def reported(self, report: Report) -> str:
        """What was done, or checked."""

    def converted(self, found: Conversion) -> str:
        """What was repaired in an older model."""

    def differed(self, found: Difference) -> str:
        """How two models differ."""

    def logged(self, log: Log) -> str:
        """Which patches are in a model."""

    def written(self, written: Written) -> str:
        """What a command wrote that compiles no patch."""

    def explained(self, codes: Mapping[str, Code]) -> str:
        """What diagnostic codes mean."""

    def refused(self, command: str, diagnostics: Sequence[Diagnostic]) -> str:
        """Why a command was refused."""


def reporter(name: str, paint: Paint) -> Reporter:
    """The reporter of a format: `text`, `concise`, `json`, `github` or `sarif`.

    Each is imported on use, so that a small command starts fast.
    """
    if name == "text":
        from patchc.report.text import Text  # noqa: PLC0415 (one of five is used)

        return Text(paint)
    module, kind = _OTHERS[name]
    found: Reporter = getattr(import_module(f"patchc.report.{module}"), kind)()
    return found


_OTHERS = {
    "concise": ("concise", "Concise"),
    "json": ("data", "Data"),
    "github": ("github", "GitHub"),
    "sarif": ("sarif", "Sarif"),
}
"""Format -> module and class of its reporter."""
