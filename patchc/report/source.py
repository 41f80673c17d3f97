"""Diagnostics as text: the code, the place, the line with carets, the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchc.errors import Diagnostic, Source, Span
from patchc.report.paint import PLAIN, Paint
from patchc.report.safe import safe, width
from patchc.report.words import counted

_LONGEST_LINE = 120
_LONGEST_MESSAGE = 1_000


def full(diagnostics: Iterable[Diagnostic], paint: Paint = PLAIN) -> str:
    """All diagnostics with their source lines, sorted by place, and how many there are."""
    found = sorted(diagnostics, key=lambda d: d.position)
    return "\n\n".join([*(one(diagnostic, paint) for diagnostic in found), counts(found)])


def one(diagnostic: Diagnostic, paint: Paint = PLAIN) -> str:
    """One diagnostic, in several lines.

    ```text
    PC201 no layer of small is called `predicitons`
     --> p.yaml:7:13
      |
    6 | edits:
    7 |   - select: predicitons
      |             ^^^^^^^^^^^
      |
    help: did you mean `predictions`?
    ```
    """
    is_warning = diagnostic.severity == "warning"
    code = paint.yellow(diagnostic.code) if is_warning else paint.red(diagnostic.code)
    kind = "warning: " if is_warning else ""
    lines = [f"{code} {kind}{paint.bold(safe(diagnostic.message, _LONGEST_MESSAGE))}"]
    if diagnostic.span is not None:
        lines += _excerpt(diagnostic.span, paint, is_warning=is_warning)
    elif diagnostic.file:
        lines.append(f"{paint.blue(' -->')} {safe(diagnostic.file)}")
    if diagnostic.help:
        lines.append(f"{paint.bold('help:')} {safe(diagnostic.help, _LONGEST_MESSAGE)}")
    return "\n".join(lines)


def brief(diagnostic: Diagnostic) -> str:
    """One diagnostic in one line: `p.yaml:7:13: PC201 ...`."""
    kind = "warning: " if diagnostic.severity == "warning" else ""
    where = f"{place(diagnostic)}: " if place(diagnostic) else ""
    return f"{where}{diagnostic.code} {kind}{safe(diagnostic.message, _LONGEST_MESSAGE)}"


def place(diagnostic: Diagnostic) -> str:
    """`p.yaml:7:13`, or the file alone, or nothing."""
    span = diagnostic.span
    if span is None:
        return safe(diagnostic.file) if diagnostic.file else ""
    return f"{safe(span.source.name)}:{span.line}:{span.column}"


def counts(diagnostics: Sequence[Diagnostic]) -> str:
    """The closing line: `Found 2 errors and 1 warning.`."""
    errors = sum(d.severity == "error" for d in diagnostics)
    warnings = len(diagnostics) - errors
    told = [counted(n, noun) for n, noun in ((errors, "error"), (warnings, "warning")) if n]
    return f"Found {' and '.join(told) or 'nothing'}."


# ------------------------------------------------------------------------- excerpts


def _excerpt(span: Span, paint: Paint, *, is_warning: bool) -> list[str]:
    gutter = len(str(span.line))
    margin = " " * gutter
    bar = paint.blue(f"{margin} |")
    lines = [f"{paint.blue(f'{margin}-->')} {_where(span)}", bar]
    before = span.source.line(span.line - 1)
    if before.strip():
        lines.append(f"{paint.blue(f'{span.line - 1:>{gutter}} |')} {safe(before, _LONGEST_LINE)}")
    text, start, length = _marked(span.source, span)
    colour = paint.yellow if is_warning else paint.red
    lines.append(f"{paint.blue(f'{span.line} |')} {text}".rstrip())
    lines.append(f"{bar} {' ' * start}{colour('^' * length)}")
    return [*lines, bar]


def _where(span: Span) -> str:
    return f"{safe(span.source.name)}:{span.line}:{span.column}"


def _marked(source: Source, span: Span) -> tuple[str, int, int]:
    """The first line of a span as it is shown, and the columns of its carets."""
    line = source.line(span.line)
    end = span.end_column if span.end_line == span.line else len(line) + 1
    first, last = span.column - 1, max(end - 1, span.column)
    cut = max(first - _LONGEST_LINE // 2, 0) if len(line) > _LONGEST_LINE else 0
    lead = "..." if cut else ""
    rest = len(line) - cut > _LONGEST_LINE
    visible = cut + _LONGEST_LINE if rest else len(line)
    before, marked = safe(line[cut:first]), safe(line[first : min(last, visible)])
    after = safe(line[last:visible]) if last < visible else ""
    text = f"{lead}{before}{marked}{after}{'...' if rest else ''}"
    return text, width(lead + before), max(width(marked), 1)
