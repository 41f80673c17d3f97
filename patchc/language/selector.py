"""A selector that stands alone, as `inspect --select` takes it."""

from __future__ import annotations

from dataclasses import replace

from patchc.errors import Diagnostic, PatchError, Source, Span
from patchc.language.node import Node
from patchc.language.patch import Selector
from patchc.language.schema import check
from patchc.language.selectors import build_selector
from patchc.language.source import Document, Path, decode, parse

__all__ = ["load_selector"]

_HOLDER = "select:\n  "
"""What makes a mapping, which `parse` wants, of the text of a selector."""
_LINE, _INDENT = 2, 2
"""Where in that text the selector begins."""
_PLACE: Path = ("edits", 0)


def load_selector(text: str, name: str = "<selector>") -> Selector:
    """Read a selector: YAML in one line, as after `select:` in a patch.

    Args:
        name: what diagnostics call it.

    Raises:
        PatchError: everything that is wrong with it.
    """
    own = decode(text.strip().encode("utf-8", "surrogatepass"), name)
    if len(own.text.splitlines()) != 1:
        whole = Span(own, 1, 1, 1, len(own.line(1)) + 1)
        hint = "write it in one line, such as '{class: Dense, last: 2}'"
        raise PatchError(Diagnostic("PC104", "a selector is one line of YAML", whole, hint))
    try:
        parsed = parse(Source(name, _HOLDER + own.text))
    except PatchError as error:
        raise PatchError(*(_moved_problem(found, own) for found in error.diagnostics)) from None
    return _build(_as_edit(parsed, own))


def _build(document: Document) -> Selector:
    problems = [*document.problems, *(found for _, found in check(document))]
    if not problems:
        value = document.data["edits"][0]["select"]
        selector = build_selector(Node(value, (*_PLACE, "select"), document, problems))
    if problems:
        raise PatchError(*problems)
    return selector


def _as_edit(parsed: Document, own: Source) -> Document:
    """A patch around the selector, so that the patch's schema speaks of it."""
    spans = {(*_PLACE, *path): _moved(span, own) for path, span in parsed.spans.items()}
    whole = spans[(*_PLACE, "select")]
    return Document(
        source=own,
        data={"patchc": 1, "id": "selector", "edits": [{**parsed.data, "freeze": True}]},
        spans={**spans, (): whole, ("edits",): whole, _PLACE: whole},
        key_spans={(*_PLACE, *path): _moved(s, own) for path, s in parsed.key_spans.items()},
        problems=tuple(_moved_problem(problem, own) for problem in parsed.problems),
        broken=frozenset((*_PLACE, *path) for path in parsed.broken),
    )


def _moved_problem(problem: Diagnostic, own: Source) -> Diagnostic:
    return replace(problem, span=_moved(problem.span, own) if problem.span else None)


def _moved(span: Span, own: Source) -> Span:
    """The place in the text as the user wrote it."""
    ends = len(own.text) + 1
    if span.line < _LINE:
        return Span(own, 1, 1, 1, ends)
    if span.line > _LINE:
        return Span(own, 1, ends, 1, ends)
    last = span.end_column - _INDENT if span.end_line == _LINE else ends
    return Span(own, 1, span.column - _INDENT, 1, min(last, ends))
