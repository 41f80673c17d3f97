"""Data to diagnostics: holds a patch against the published JSON Schema.

`patchc.language.validator` finds what is wrong; every sentence that a user
reads is from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any

from patchc.errors import Diagnostic, Span
from patchc.language.scalars import resolve
from patchc.language.source import Document, Path
from patchc.language.validator import Failure, definition, failures, read_schema

__all__ = ["Finding", "check", "first_line", "label", "listed", "near", "read_schema"]

Finding = tuple[Path, Diagnostic]
"""A diagnostic and the path of the value that it is about."""

_MOST_KEYS = 20
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


def check(document: Document) -> list[Finding]:
    """Hold the data of a patch, its parameters filled in, against the schema.

    What lies in a broken part of the document is not reported again.
    """
    findings = (
        finding for failure in failures(document.data) for finding in _translate(failure, document)
    )
    return [(path, found) for path, found in findings if not document.is_broken(path)]


# ------------------------------------------------------------------------ the messages


def label(path: Path) -> str:
    """How messages call the value at `path`: `edits[0]`, `by`."""
    last = next((i for i in reversed(range(len(path))) if isinstance(path[i], str)), None)
    if last is None:
        return "the patch"
    return f"`{path[last]}{''.join(f'[{index}]' for index in path[last + 1 :])}`"


def near(word: str, known: Iterable[str]) -> str | None:
    """A help line with the nearest of the `known` names, None where none is near."""
    found = _nearest(word, known)
    return f"did you mean `{found}`?" if found else None


def _nearest(word: str, known: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(word[:100], list(known), n=1)), None)


def first_line(span: Span) -> Span:
    """The part of a span that lies on its first line."""
    if span.line == span.end_line:
        return span
    end = len(span.source.line(span.line)) + 1
    return Span(span.source, span.line, span.column, span.line, end)


def _translate(failure: Failure, document: Document) -> Iterator[Finding]:
    path = failure.path
    if failure.keyword == "additionalProperties":
        yield from _unknown_keys(failure, document)
    elif failure.keyword == "required":
        yield from _missing_keys(failure, document)
    elif failure.keyword == "oneOf":
        yield from _verbs(failure, document)
    elif failure.about_key:
        message = f"the key `{failure.value}` must be {failure.schema['title']}"
        yield path, Diagnostic("PC104", message, document.key_spans[*path, failure.value])
    elif failure.keyword == "maxProperties":
        yield path, _several_keys(failure, document)
    else:
        yield path, _value(failure, document)


_MISPLACED = {
    "delete": "the verb is called `remove`",
    "grow": "the verb is called `expand`",
    "unfreeze": "write `freeze: false`",
    "trainable": "write `freeze: true` or `freeze: false`",
    "insert": "the verbs are called `insert_before` and `insert_after`",
    "append": "the verb is called `insert_after`",
    "initializer": "the key is called `init`",
}


def _unknown_keys(failure: Failure, document: Document) -> Iterator[Finding]:
    known = failure.schema["properties"]
    unknown = [key for key in failure.value if key not in known]
    for key in unknown[:_MOST_KEYS]:
        place = (*failure.path, key)
        message = f"unknown key `{key}` in {label(failure.path)}"
        hint = _misplaced(key, failure) or near(key, known) or f"allowed are {listed(known)}"
        yield place, Diagnostic("PC101", message, document.key_spans[place], hint)


def _misplaced(key: str, failure: Failure) -> str | None:
    if failure.schema.get("title") != "edit":
        return None
    for holder, owner in (
        ("select", "selector_mapping"),
        ("expand", "expand"),
        ("shrink", "shrink"),
    ):
        if key in definition(owner)["properties"] and key not in _MISPLACED:
            return f"`{key}` stands inside `{holder}`"
    return _MISPLACED.get(key)


_MISSING = {
    "patchc": "begin with `patchc: 1`",
    "id": "give the patch a name, such as `id: add-two-classes`",
    "edits": "list what to change under `edits:`",
    "select": "say which layers, such as `select: {head: 0}`",
    "type": "give `type: integer`, `number`, `string` or `boolean`",
}


def _missing_keys(failure: Failure, document: Document) -> Iterator[Finding]:
    path = failure.path
    known = failure.schema["properties"]
    unknown = [key for key in failure.value if key not in known][:_MOST_KEYS]
    mistyped = {_nearest(key, known) for key in unknown}
    for key in failure.limit:
        if key not in failure.value and key not in mistyped:
            message = f"`{key}` is missing in {label(path)}"
            span = first_line(document.spans[path])
            yield path, Diagnostic("PC102", message, span, _MISSING.get(key))


def _verbs(failure: Failure, document: Document) -> Iterator[Finding]:
    path = failure.path
    verbs = [branch["required"][0] for branch in failure.limit]
    found = [key for key in failure.value if key in verbs and key != "init"]
    if found:
        message = f"one edit, {len(found)} verbs: {listed(found)}"
        span = document.key_spans[*path, found[1]]
        yield path, Diagnostic("PC105", message, span, "make one edit of each")
    elif all(key in failure.schema["properties"] for key in failure.value):
        message = f"{label(path)} has no verb"
        span = first_line(document.spans[path])
        yield path, Diagnostic("PC105", message, span, f"add one of {listed(verbs)}")


def _several_keys(failure: Failure, document: Document) -> Diagnostic:
    keys = list(failure.value)
    message = f"one mapping, {len(keys)} keys: {listed(keys)}"
    if len([key for key in keys if key[:1].isupper()]) > 1:
        hint = f"write a list: [{', '.join(keys[:_MOST_KEYS])}]"
    else:
        hint = f"indent the arguments further than `{keys[0]}`"
    return Diagnostic("PC107", message, document.key_spans[*failure.path, keys[1]], hint)


_VALUE_MESSAGES = {
    "type": "{what} is {found}, allowed is {allowed}",
    "anyOf": "{what} is {found}, allowed is {allowed}",
    "enum": "{what} is {found}, allowed is {allowed}",
    "minimum": "{what} is {value}, the least allowed is {limit}",
    "maximum": "{what} is {value}, the most allowed is {limit}",
    "exclusiveMinimum": "{what} is {value}, it must be greater than {limit}",
    "exclusiveMaximum": "{what} is {value}, it must be less than {limit}",
    "minItems": "{what} is empty",
    "minLength": "{what} is empty",
    "minProperties": "{what} is empty",
    "maxLength": "{what} is longer than {limit} characters",
    "pattern": "{what} is {found}, it must be {title}",
}
"""Sentence by keyword of JSON Schema; a test holds the list against the schema."""


def _value(failure: Failure, document: Document) -> Diagnostic:
    message = _VALUE_MESSAGES[failure.keyword].format(
        what=label(failure.path),
        value=failure.value,
        limit=failure.limit,
        found=_found(failure.value),
        allowed=_alternatives(_allowed(failure.schema)),
        title=failure.schema.get("title"),
    )
    code, hint = "PC104", None
    if failure.keyword in ("type", "anyOf"):
        code, hint = "PC103", _type_help(failure, document)
    elif failure.path == ("patchc",):
        hint = "this version of patchc reads format 1"
    elif failure.keyword == "enum":
        hint = near(str(failure.value), map(str, failure.limit))
    return Diagnostic(code, message, first_line(document.spans[failure.path]), hint)


def _found(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= 60 else f'the text "{value[:57]}..."'
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a mapping"


def _allowed(schema: Any) -> list[str]:
    """What a schema takes, in words."""
    if "$ref" in schema:
        return _allowed(definition(schema["$ref"]))
    if "anyOf" in schema:
        return [word for branch in schema["anyOf"] for word in _allowed(branch)]
    if "enum" in schema:
        return [_literal(value) for value in schema["enum"]]
    types = schema.get("type", [])
    return [_TYPES[name] for name in ([types] if isinstance(types, str) else types)]


def _literal(value: Any) -> str:
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


def _alternatives(words: list[str]) -> str:
    return _joined(list(dict.fromkeys(words)), "or")


def listed(names: Iterable[str]) -> str:
    """Names as messages list them: `a`, `b` and `c`."""
    return _joined([f"`{name}`" for name in islice(names, _MOST_KEYS)], "and")


def _joined(words: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


# ------------------------------------------------------------------------------- help

_SHAPE_OF = {
    "expand": "write `expand: {by: 2}` or `expand: {to: 12}`",
    "shrink": "write `shrink: {drop: [0, 1]}` or `shrink: {keep: [0, 1]}`",
    "set": "write `set: {rate: 0.5}`",
    "block": "write `block: {from: SELECTOR, to: SELECTOR}`",
    "where": "write `where: {activation: relu}`",
    "edits": "begin each edit with `- select:`",
}


def _type_help(failure: Failure, document: Document) -> str | None:
    value, path, allowed = failure.value, failure.path, _allowed(failure.schema)
    shape = _SHAPE_OF.get(str(path[-1])) if path else None
    written = _written(document.spans[path])
    if written.startswith(("$", '"$', "'$")):
        return f"this is the value of {written}"
    if value is None:
        return _null_help(path, document)
    if isinstance(value, str):
        return _text_help(value, allowed) or shape
    if isinstance(value, float) and value.is_integer() and _TYPES["integer"] in allowed:
        return f"write {int(value)}"
    if isinstance(value, (bool, int, float)) and _TYPES["string"] in allowed:
        or_nth = ", or use nth" if failure.schema.get("title") == "selector" else ""
        return f'quote it: "{written}"{or_nth}'
    return shape


def _written(span: Span) -> str:
    """The text of a value as it stands in the file, its first line."""
    start = first_line(span)
    return start.source.line(start.line)[start.column - 1 : start.end_column - 1]


def _null_help(path: Path, document: Document) -> str:
    """The value is missing; a `#` right behind the key has made a comment of it."""
    span = document.key_spans.get(path)
    if span is not None:
        rest = span.source.line(span.end_line)[span.end_column - 1 :]
        if comment := re.match(r"\s*:\s+(#\S*)", rest):
            return f'`#` starts a comment, quote it: "{comment.group(1)}"'
    return "give a value, or take the key out"


def _text_help(value: str, allowed: list[str]) -> str | None:
    if _TYPES["boolean"] in allowed and value.lower() in ("yes", "no", "on", "off", "y", "n"):
        return "write true or false"
    if not {_TYPES["integer"], _TYPES["number"]} & set(allowed):
        return None
    try:
        number = resolve(value.replace("_", "").strip())
    except ValueError:
        return None
    return f"write {number} without quotes" if isinstance(number, (int, float)) else None
