"""Patch text to data with places.

Reads the small part of YAML that a patch needs, from the event stream of
PyYAML's parser: one document, a mapping with text keys, without directives,
tags, anchors, aliases or merge keys.  Nothing is ever constructed from a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NoReturn

from yaml.error import Mark, MarkedYAMLError
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner
from yaml.tokens import DirectiveToken

from patchc.errors import Diagnostic, PatchError, Source, Span
from patchc.language.scalars import FORBIDDEN, Scalar, resolve

__all__ = ["DEPTH_LIMIT", "SIZE_LIMIT", "VALUE_LIMIT", "Document", "Path", "decode", "parse"]

Path = tuple[str | int, ...]
"""Place in the data: `("edits", 0, "select")`."""

SIZE_LIMIT = 1 << 20
"""Bytes."""
DEPTH_LIMIT = 32
"""Mappings and lists inside each other."""
VALUE_LIMIT = 50_000
"""Mappings, lists and scalars all together."""

_MOST_PROBLEMS = 200

_MOST_CHARACTERS_REPORTED = 20
_TUPLE = re.compile(r"\(\s*[-+]?[0-9.]+\s*(,[-+0-9.,\s]*\))?")
_WHOLE_TUPLE = re.compile(r"\(([^()\n]*)\)")
_PROPERTY = re.compile(r"[^\s,\[\]{}]*")

Event = Any
"""An event of PyYAML, whose stubs call the marks optional; the parser always sets them."""


@dataclass(frozen=True, slots=True)
class Document:
    """The data of one YAML document, and where each piece of it stands.

    Args:
        data: dicts, lists and core scalars.
        spans: place of each value by path, the whole document under ().
        key_spans: place of each mapping key by the path of its value.
        problems: what is wrong, where reading could go on.
        broken: paths whose data says something else than the author meant.
    """

    source: Source
    data: Any
    spans: Mapping[Path, Span]
    key_spans: Mapping[Path, Span]
    problems: tuple[Diagnostic, ...] = ()
    broken: frozenset[Path] = field(default_factory=frozenset)

    def is_broken(self, path: Path) -> bool:
        """Whether the value at `path`, or one that holds it, is broken."""
        return any(path[:length] in self.broken for length in range(len(path) + 1))

    def has_broken(self, path: Path) -> bool:
        """Whether the value at `path` is broken, holds what is, or is held by it."""
        return self.is_broken(path) or any(place[: len(path)] == path for place in self.broken)


def decode(data: bytes, name: str) -> Source:
    """Return the text of a patch file.

    Raises PatchError: too large (PC006), not UTF-8, or with characters that no
    text needs (PC001).
    """
    if len(data) > SIZE_LIMIT:
        message = f"the file is larger than {SIZE_LIMIT} bytes"
        raise PatchError(Diagnostic("PC006", message, file=name))
    try:
        source = Source(name, data.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        raise PatchError(_not_utf8(data, name, error)) from None
    problems = list(islice(_forbidden(source), _MOST_CHARACTERS_REPORTED))
    if problems:
        raise PatchError(*problems)
    return source


def _not_utf8(data: bytes, name: str, error: UnicodeDecodeError) -> Diagnostic:
    before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    source = Source(name, data.decode("utf-8", "replace").removeprefix("\ufeff"))
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    what = "the file is UTF-16" if utf16 else f"byte {error.start} is not UTF-8"
    span = Span(source, line, column, line, column + 1)
    return Diagnostic("PC001", what, span, "save the file as UTF-8")


def _forbidden(source: Source) -> Iterator[Diagnostic]:
    for number, line in enumerate(source.text.split("\n"), 1):
        for found in FORBIDDEN.finditer(line.removesuffix("\r")):
            column = found.start() + 1
            span = Span(source, number, column, number, column + 1)
            message = f"{_named(found.group())} may not stand in a patch"
            yield Diagnostic("PC001", message, span, "take the character out")


def _named(character: str) -> str:
    return f"the character U+{ord(character):04X}"


def parse(source: Source) -> Document:
    """Read the one mapping that a patch is.

    Raises PatchError where reading cannot go on: wrong syntax (PC002), too deep
    (PC006), or not exactly one mapping (PC005).  Everything else that is wrong
    is in the document's `problems`.
    """
    return _Builder(source).document()


class _Events(Reader, Scanner, Parser):
    """PyYAML's events of a text; directives are kept, and mean nothing."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        self.directives: list[Any] = []

    def process_directives(self) -> tuple[None, None]:
        while self.check_token(DirectiveToken):
            self.directives.append(self.get_token())  # type: ignore[no-untyped-call]  # as above
        self.tag_handles = dict(self.DEFAULT_TAGS)
        return None, None

    def next_event(self) -> Event:
        return Parser.get_event(self)  # type: ignore[no-untyped-call]  # the stubs leave it open


class _Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.events = _Events(source.text)
        self.spans: dict[Path, Span] = {}
        self.key_spans: dict[Path, Span] = {}
        self.problems: list[Diagnostic] = []
        self.broken: set[Path] = set()

    # ------------------------------------------------------------ the document

    def document(self) -> Document:
        self._next()  # the start of the stream
        if isinstance(start := self._next(), StreamEndEvent):
            self._stop("PC005", "the file holds no document", start, "a patch begins `patchc: 1`")
        for token in self.events.directives:
            self._problem("PC003", "directives are not allowed", token, "take the line out")
        root = self._next()
        data, _ = self._node(root, ())
        if not isinstance(root, MappingStartEvent):
            self._stop("PC005", "a patch is a mapping", root, "a patch begins `patchc: 1`")
        self._next()  # the end of the document
        if isinstance(further := self._next(), DocumentStartEvent):
            self._stop("PC005", "a second document begins here", further, "one patch to a file")
        return Document(
            self.source,
            data,
            self.spans,
            self.key_spans,
            tuple(self.problems),
            frozenset(self.broken),
        )

    def _next(self) -> Event:
        try:
            return self.events.next_event()
        except MarkedYAMLError as error:
            raise PatchError(*self.problems, _syntax_problem(self.source, error)) from None
        except (ValueError, OverflowError):
            span = self._span(mark := self.events.get_mark(), mark)
            message = "an escape or version number is out of range"
            raise PatchError(*self.problems, Diagnostic("PC002", message, span)) from None

    # ------------------------------------------------------------------- nodes

    def _node(self, event: Event, path: Path) -> tuple[Any, Mark]:
        """The value that `event` begins, and where it ends."""
        self._refuse_properties(event, path)
        value: Any = None
        end = event.end_mark
        if len(self.spans) >= VALUE_LIMIT:
            self._stop("PC006", f"more than {VALUE_LIMIT} values", event)
        if isinstance(event, CollectionStartEvent):
            if len(path) >= DEPTH_LIMIT:
                self._stop("PC006", f"more than {DEPTH_LIMIT} levels deep", event)
            is_mapping = isinstance(event, MappingStartEvent)
            value, end = (self._mapping if is_mapping else self._sequence)(event, path)
        elif isinstance(event, ScalarEvent):
            value = self._scalar(event, path)
            end = _end_of_scalar(event, self.source.text)
        self.spans[path] = self._span(event.start_mark, end)
        return value, end

    def _sequence(self, start: Event, path: Path) -> tuple[list[Any], Mark]:
        items: list[Any] = []
        end = start.end_mark
        while not isinstance(event := self._next(), SequenceEndEvent):
            item, end = self._node(event, (*path, len(items)))
            items.append(item)
        return items, _end_of_collection(start, event, end)

    def _mapping(self, start: Event, path: Path) -> tuple[dict[str, Any], Mark]:
        entries: dict[str, Any] = {}
        end = start.end_mark
        while not isinstance(event := self._next(), MappingEndEvent):
            key = self._key(event, path)
            place = (*path, "?" if key is None else key)
            if key is not None and key in entries:
                self._duplicate(event, key, place)
            else:
                self.key_spans[place] = self._span(event.start_mark, event.end_mark)
            value_event = self._next()
            value, end = self._node(value_event, place)
            if isinstance(value_event, ScalarEvent) and _is_empty(value_event):
                self.spans[place] = self.key_spans[place]
            if key is not None:
                entries.setdefault(key, value)
        return entries, _end_of_collection(start, event, end)

    def _key(self, event: Event, path: Path) -> str | None:
        """The key that `event` begins, None (and a problem) where it is not allowed."""
        place = (*path, "?")
        known = len(self.problems)
        if not isinstance(event, ScalarEvent):
            self._node(event, place)
            if not isinstance(event, AliasEvent):
                self._problem("PC007", "a mapping or list is no key", event, "a key is text")
        else:
            self._refuse_properties(event, place)
            if event.style is None and event.value == "<<":
                self._problem("PC003", "merge keys are not allowed", event, "write the keys out")
            elif not isinstance(value := self._scalar(event, place), str):
                what = "null" if value is None else event.value
                message = f"the key `{what}` is not text"
                self._problem("PC007", message, event, f'quote it: "{event.value}"')
        if len(self.problems) == known:
            assert isinstance(event, ScalarEvent)
            return str(event.value)
        self.broken.add(path)
        return None

    def _duplicate(self, event: Event, key: str, place: Path) -> None:
        first = self.key_spans[place]
        where = f"line {first.line}, column {first.column}"
        message = f"`{key}` stands here a second time, first at {where}"
        self._problem("PC004", message, event, "keep one of the two")
        self.broken.add(place)

    def _scalar(self, event: Event, path: Path) -> Scalar:
        value: Scalar = event.value
        if found := FORBIDDEN.search(event.value):
            message = f"{_named(found.group())} may not stand in a value"
            self._break("PC007", message, event, path, "write the text without the escape")
        elif event.style is None and _TUPLE.fullmatch(event.value):
            self._tuple(event, path)
        elif event.style is None:
            try:
                value = resolve(event.value)
            except ValueError as error:
                self._break("PC007", str(error), event, path, "quote it if it is meant as text")
        return value

    def _tuple(self, event: Event, path: Path) -> None:
        whole = _WHOLE_TUPLE.match(self.source.text, event.start_mark.index)
        items = [item for item in re.split(r"[,\s]+", whole.group(1)) if item] if whole else []
        what = f"`{whole.group()}`" if whole else f"`{event.value}`"
        self._break(
            "PC007",
            f"{what} is no list in YAML",
            event,
            path[:-1],
            f"write a list: [{', '.join(items) or '...'}]",
        )

    def _refuse_properties(self, event: Event, path: Path) -> None:
        written = _PROPERTY.match(self.source.text, event.start_mark.index)
        name = written.group() if written else ""
        if isinstance(event, AliasEvent):
            hint = f'quote it if it is a pattern: "{name}"; else write the value out'
            self._break("PC003", "aliases are not allowed", event, path, hint)
            return
        if getattr(event, "anchor", None) is not None:
            self._break("PC003", "anchors are not allowed", event, path, "write the value out")
        if getattr(event, "tag", None) is not None:
            hint = f"take the tag out, or quote it: '{name}'" if name else "take the tag out"
            self._break("PC003", "tags are not allowed", event, path, hint)

    # ---------------------------------------------------------------- problems

    def _span(self, start: Mark, end: Mark) -> Span:
        return Span(self.source, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

    def _problem(self, code: str, message: str, where: Any, hint: str | None = None) -> None:
        start, end = where.start_mark, where.end_mark
        self.problems.append(Diagnostic(code, message, self._span(start, end), hint))
        if len(self.problems) >= _MOST_PROBLEMS:
            raise PatchError(*self.problems)

    def _break(self, code: str, message: str, where: Event, path: Path, hint: str) -> None:
        self._problem(code, message, where, hint)
        self.broken.add(path)

    def _stop(self, code: str, message: str, where: Event, hint: str | None = None) -> NoReturn:
        self._problem(code, message, where, hint)
        raise PatchError(*self.problems)


def _is_empty(event: Event) -> bool:
    return bool(event.start_mark.index == event.end_mark.index)


def _end_of_collection(start: Event, event: Event, last: Mark) -> Mark:
    """The closing bracket, or the end of the last entry: no blank lines or comments after it."""
    end: Mark = event.end_mark
    return end if start.flow_style else last


def _end_of_scalar(event: Event, text: str) -> Mark:
    """The end of a scalar; of a block scalar the end of its last line with text."""
    end: Mark = event.end_mark
    if event.style not in ("|", ">"):
        return end
    index = len(text[: end.index].rstrip(" \n\r"))
    line = end.line - text.count("\n", index, end.index)
    return Mark(end.name, index, line, index - (text.rfind("\n", 0, index) + 1), None, 0)


# ------------------------------------------------------------------------ syntax

_QUOTE = "a plain value cannot begin with `{}`: quote the pattern"
_SYNTAX_HELP = (
    ("undefined tag handle", "tags are not allowed: take it out, or quote it if it is text"),
    ("expected '<document start>'", "one patch to a file: nothing may follow the document"),
    ("'<stream end>'", "close the bracket"),
    ("mapping values are not allowed", "indent alike what belongs together; quote text with `: `"),
    ("expected ',' or", 'quote text that holds `[`, `]`, `{`, `}` or `?`: name: "conv_[12]"'),
    ("expected the node content", "quote text that begins with `?`, `,` or a bracket"),
    ("could not find expected ':'", "a key needs `: ` and a value; look at the indentation"),
    ("expected <block end>", "indent alike what belongs together"),
    ("unexpected end of stream", "close the quote"),
    ("unknown escape", "use single quotes where a backslash is meant"),
)


def _syntax_problem(source: Source, error: MarkedYAMLError) -> Diagnostic:
    mark = error.problem_mark or error.context_mark
    assert mark is not None, "the scanner and parser always give a place"
    problem = (error.problem or "not readable").replace("\\x00", "end of file")
    context = (error.context or "").replace("while scanning for the next token", "")
    message = f"{context}: {problem}" if context else problem
    code = "PC003" if "tag" in message else "PC002"
    line, column = mark.line + 1, mark.column + 1
    span = Span(source, line, column, line, column + 1)
    return Diagnostic(code, message, span, _syntax_help(source.text, mark.index, message))


def _syntax_help(text: str, index: int, message: str) -> str | None:
    if "scanning an alias" in message:
        return _QUOTE.format("*")
    if "cannot start any token" in message:
        is_tab = text[index : index + 1] == "\t"
        return "indent with spaces" if is_tab else _QUOTE.format(text[index : index + 1])
    return next((hint for part, hint in _SYNTAX_HELP if part in message), None)
