"""The format `sarif`: findings as SARIF 2.1.0, which code scanning services read.

OASIS Static Analysis Results Interchange Format, version 2.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import patchc
from patchc.codes import CODES

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


class Sarif:
    """Says what was found; a result without findings is a log without results."""

    is_data = True

    def validated(
        self,
        patches: Sequence[Patch],
        warnings: Sequence[Diagnostic],
        independent: Sequence[tuple[str, str]] = (),
    ) -> str:
        """The lints."""
        return _log(warnings)

    def inspected(self, found: Inspection) -> str:
        """Why a selector picks nothing."""
        return _log(found.diagnostics)

    def planned(self, plan: Plan) -> str:
        """The warnings of a plan."""
        return _log(plan.warnings)

    def reported(self, report: Report) -> str:
        """The warnings, and the checks that do not hold."""
        return _log(report.diagnostics)

    def converted(self, found: Conversion) -> str:
        """What Keras cannot load without the user's code."""
        return _log(found.diagnostics)

    def differed(self, found: Difference) -> str:
        """A difference is no finding."""
        return _log(())

    def logged(self, log: Log) -> str:
        """A history is no finding."""
        return _log(())

    def written(self, written: Written) -> str:
        """What could not be done."""
        return _log(written.warnings)

    def explained(self, codes: Mapping[str, Code]) -> str:
        """The codes as rules."""
        return _log((), codes)

    def refused(self, command: str, diagnostics: Sequence[Diagnostic]) -> str:
        """Why a command was refused."""
        return _log(diagnostics)


def _log(diagnostics: Iterable[Diagnostic], rules: Iterable[str] = ()) -> str:
    found = sorted(diagnostics, key=lambda d: d.position)
    codes = sorted({*rules, *(diagnostic.code for diagnostic in found)})
    driver = {
        "name": "patchc",
        "semanticVersion": patchc.__version__,
        "rules": [_rule(code) for code in codes],
    }
    results = [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in found]
    # columns are counted in characters, as Python counts them
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    known = CODES[code]
    return {
        "id": code,
        "shortDescription": {"text": known.title},
        "fullDescription": {"text": known.explanation},
        "help": {"text": f"{known.explanation}\n\npatchc explain {code}"},
    }


def _result(diagnostic: Diagnostic, rule: int) -> dict[str, Any]:
    text = diagnostic.message
    if diagnostic.help:
        text += f"\nhelp: {diagnostic.help}"
    return {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": text},
        "locations": [_location(diagnostic)] if diagnostic.span or diagnostic.file else [],
    }


def _location(diagnostic: Diagnostic) -> dict[str, Any]:
    span = diagnostic.span
    name = span.source.name if span else str(diagnostic.file)
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(name)}}
    if span is not None:
        place["region"] = {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        }
    return {"physicalLocation": place}


def _uri(name: str) -> str:
    """A relative reference, or a file URI for an absolute path."""
    path = quote(name.encode("utf-8", "surrogateescape"), safe="/")
    return f"file://{path}" if path.startswith("/") else path
