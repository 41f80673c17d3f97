"""The format `json`: one object for each command, refusals included.

Plans follow `schemas/plan.v1.schema.json`, everything else
`schemas/report.v1.schema.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from patchc.storage.jsontext import finite

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

_VERSION = "1.0"


class Data:
    """Says everything in JSON, in ASCII."""

    is_data = True

    def validated(
        self,
        patches: Sequence[Patch],
        warnings: Sequence[Diagnostic],
        independent: Sequence[tuple[str, str]] = (),
    ) -> str:
        """The patches that are valid, and the lints."""
        told = [
            {"id": p.id, "sha256": p.sha256, "file": p.source.name, "edits": len(p.edits)}
            for p in patches
        ]
        return _object("validate", warnings, patches=told, independent=list(map(list, independent)))

    def inspected(self, found: Inspection) -> str:
        """The model, and what a selector picks."""
        return _text(found.to_dict())

    def planned(self, plan: Plan) -> str:
        """The plan."""
        return _text(plan.to_dict())

    def reported(self, report: Report) -> str:
        """The report."""
        return _text(report.to_dict())

    def converted(self, found: Conversion) -> str:
        """The conversion."""
        return _text(found.to_dict())

    def differed(self, found: Difference) -> str:
        """The difference."""
        return _text(found.to_dict())

    def logged(self, log: Log) -> str:
        """The history."""
        return _text(log.to_dict())

    def written(self, written: Written) -> str:
        """The result."""
        return _text(written.to_dict())

    def explained(self, codes: Mapping[str, Code]) -> str:
        """Codes with title and explanation."""
        told = [
            {"code": name, "title": code.title, "explanation": code.explanation}
            for name, code in codes.items()
        ]
        return _object("explain", (), codes=told)

    def refused(self, command: str, diagnostics: Sequence[Diagnostic]) -> str:
        """Why a command was refused."""
        found = sorted(diagnostics, key=lambda d: d.position)
        return _object(command, found, ok=False)


def _object(
    command: str, diagnostics: Sequence[Diagnostic], *, ok: bool = True, **more: Any
) -> str:
    return _text(
        {
            "format_version": _VERSION,
            "command": command,
            "ok": ok,
            **more,
            "diagnostics": [diagnostic.to_dict() for diagnostic in diagnostics],
        }
    )


def _text(data: Any) -> str:
    return json.dumps(finite(data), indent=2, allow_nan=False)
