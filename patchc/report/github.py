"""The format `github`: annotations, which GitHub shows beside the lines of a pull request.

Workflow commands of GitHub Actions: `::error file=...,line=...::message`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from patchc.report.concise import Concise, item_line
from patchc.report.plan_text import edits_of
from patchc.report.safe import safe

if TYPE_CHECKING:
    from patchc.compiler.plan import Plan
    from patchc.errors import Diagnostic
    from patchc.inspect import Inspection

_LONGEST = 1_000


class GitHub(Concise):
    """Says findings as annotations, and everything else as `concise` does."""

    is_data = True

    def line(self, diagnostic: Diagnostic) -> str:
        """One diagnostic as an annotation of its place."""
        level = "warning" if diagnostic.severity == "warning" else "error"
        message = safe(diagnostic.message, _LONGEST)
        if diagnostic.help:
            message += f"\nhelp: {safe(diagnostic.help, _LONGEST)}"
        return _annotation(level, _place(diagnostic), diagnostic.code, message)

    def changes(self, plan: Plan) -> Iterator[str]:
        """What each edit does, as a notice beside it."""
        for label, items in edits_of(plan):
            told = "\n".join(map(item_line, items)) or "nothing to do"
            place: dict[str, str | int] = {"file": label.file, "line": label.line}
            yield _annotation("notice", place, safe(label.text), told)

    def inspected(self, found: Inspection) -> str:
        """The layers, and why a selector picks none."""
        return "\n".join([super().inspected(found), *map(self.line, found.diagnostics)])


def _place(diagnostic: Diagnostic) -> dict[str, str | int]:
    span = diagnostic.span
    if span is None:
        return {"file": diagnostic.file} if diagnostic.file else {}
    place: dict[str, str | int] = {"file": span.source.name, "line": span.line}
    if span.end_line == span.line:
        place |= {"col": span.column, "endColumn": span.end_column}
    else:
        place["endLine"] = span.end_line
    return place


def _annotation(level: str, place: dict[str, str | int], title: str, message: str) -> str:
    properties = {**place, "title": title}
    told = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{level} {told}::{_data(message)}"


def _data(text: str) -> str:
    """The text with what would end a command escaped."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
