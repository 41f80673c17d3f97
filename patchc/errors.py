"""What can be wrong, where, and what to do about it.

A `Diagnostic` is one finding about a patch, a model or a file.  A `PatchError`
carries all findings of one run.  Anything else that is raised is a bug in
patchc and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """A text that diagnostics point into.

    Args:
        name: file name as the user wrote it, or `<string>`.
        text: the whole text.
    """

    name: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Return line `number` (from 1) without its line break, "" past the end."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A region of a source: lines and columns from 1, the end is exclusive."""

    source: Source
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: stable code, message, place, and the way out.

    Args:
        code: `PC` and three digits, explained in `patchc.codes`.
        message: what was found; lower case, no final full stop.
        span: where in a patch, if it is about a patch.
        help: what to do.
        severity: `error` or `warning`.
        file: the file it is about, where that is not a patch.
    """

    code: str
    message: str
    span: Span | None = None
    help: str | None = None
    severity: str = "error"
    file: str | None = None

    @property
    def line(self) -> int | None:
        """The line in the patch, from 1; None where it is not about a patch."""
        return self.span.line if self.span else None

    @property
    def column(self) -> int | None:
        """The column in the patch, from 1; None where it is not about a patch."""
        return self.span.column if self.span else None

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnostic as the JSON object of the report format."""
        span = self.span
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": span.source.name if span else self.file,
            "line": span.line if span else None,
            "column": span.column if span else None,
            "end_line": span.end_line if span else None,
            "end_column": span.end_column if span else None,
            "help": self.help,
        }

    @property
    def position(self) -> tuple[str, int, int, str]:
        """The key that diagnostics are sorted by: file, line, column, code."""
        if self.span is None:
            return (self.file or "", 0, 0, self.code)
        return (self.span.source.name, self.span.line, self.span.column, self.code)


class PatchError(Exception):
    """A patch, model or file was refused.

    Attributes:
        diagnostics: everything that was found, sorted by position.
    """

    def __init__(self, *diagnostics: Diagnostic) -> None:
        self.diagnostics = tuple(sorted(diagnostics, key=lambda d: d.position))
        super().__init__("\n".join(map(_one_line, self.diagnostics)))


def _one_line(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    where = f"{span.source.name}:{span.line}:{span.column}: " if span else ""
    if span is None and diagnostic.file:
        where = f"{diagnostic.file}: "
    text = f"{where}{diagnostic.code} {diagnostic.message}"
    return f"{text} (help: {diagnostic.help})" if diagnostic.help else text
