"""Validated data to a Patch, and the rules between keys that need no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchc.errors import Diagnostic, Span
from patchc.language.node import Node
from patchc.language.patch import (
    AddOutput,
    Edit,
    Expand,
    Expect,
    Freeze,
    InitVerb,
    Insert,
    Patch,
    Remove,
    Rename,
    Replace,
    SetConfig,
    Shrink,
    Truncate,
    Verb,
)
from patchc.language.schema import label, listed
from patchc.language.selectors import build_chain, build_selector
from patchc.language.source import Document
from patchc.language.strategies import build_init

__all__ = ["build_edits", "build_patch"]

_EXPANDS = ("by", "to", "tokens")
_TAKES_CALL = ("add_output", "truncate")
_TAKES_INIT = ("replace", "expand", "shrink", "insert_before", "insert_after", "add_output")


def build_patch(
    document: Document,
    edits: tuple[Edit, ...],
    sha256: str,
    params: Mapping[str, Any],
    warnings: tuple[Diagnostic, ...],
) -> Patch:
    """Put the patch together from data that fits the schema and its edits."""
    data = document.data
    requires = data.get("requires", ())
    return Patch(
        id=data["id"],
        edits=edits,
        source=document.source,
        sha256=sha256,
        description=data.get("description"),
        requires=(requires,) if isinstance(requires, str) else tuple(requires),
        params=params,
        seed=data.get("seed"),
        expect=_expect(document),
        compile=data.get("compile"),
        verify=data.get("verify"),
        spans={key: document.spans[key,] for key in data},
        warnings=warnings,
    )


def build_edits(document: Document) -> tuple[tuple[Edit, ...], list[Diagnostic]]:
    """Build the edits that are not broken, and say what else is wrong with the patch."""
    problems: list[Diagnostic] = []
    edits = document.data.get("edits")
    nodes = [
        Node(edit, ("edits", index), document, problems)
        for index, edit in enumerate(edits if isinstance(edits, list) else ())
        if not document.has_broken(("edits", index))
    ]
    built = tuple(_edit(node) for node in nodes)
    if not document.has_broken(("expect",)) and "expect" in document.data:
        _check_shapes(Node(document.data["expect"], ("expect",), document, problems))
    if not document.has_broken(("requires",)) and "requires" in document.data:
        _check_requires(Node(document.data["requires"], ("requires",), document, problems))
    return built, problems


def _check_requires(node: Node) -> None:
    own = node.document.data.get("id")
    for item in node.items() if isinstance(node.value, list) else (node,):
        if item.value == own:
            item.report("PC104", "the patch requires itself", "name another patch")


# ------------------------------------------------------------------------- expect


def _check_shapes(node: Node) -> None:
    for key in ("input_shape", "output_shape"):
        shape = node.get(key) or ()
        nested = [item for item in shape if isinstance(item, list)]
        if nested and len(nested) < len(shape):
            hint = "write one shape, [null, 10], or a list of shapes, [[null, 10], [null, 1]]"
            node[key].report("PC104", f"{label((key,))} mixes dimensions and shapes", hint)
        elif len(nested) == 1:
            hint = f"write it without the outer brackets: {key}: [...]"
            node[key].report("PC104", f"{label((key,))} is a list of one shape", hint)


def _expect(document: Document) -> Expect | None:
    expected = document.data.get("expect")
    if expected is None:
        return None
    values = {
        key: _shapes(value) if isinstance(value, list) else value for key, value in expected.items()
    }
    return Expect(values, {key: document.spans["expect", key] for key in expected})


def _shapes(value: list[Any]) -> Any:
    several = bool(value) and isinstance(value[0], list)
    return [tuple(shape) for shape in value] if several else tuple(value)


# -------------------------------------------------------------------------- edits


def _edit(node: Node) -> Edit:
    verb = next((key for key in node.value if key in _VERBS), "init")
    _check_call(node, verb)
    _check_init(node, verb)
    why = node.get("why")
    return Edit(
        index=int(node.path[-1]),
        select=build_selector(node["select"]),
        verb=_verb(node, verb),
        verb_name=verb,
        span=node.span,
        verb_span=node[verb].span,
        init=build_init(node["init"], verb) if "init" in node else None,
        count=node.get("count"),
        why=why.rstrip("\n") if why is not None else None,
    )


def _check_call(node: Node, verb: str) -> None:
    if "call" in node and verb not in _TAKES_CALL:
        message = f"`call` does not go with `{verb}`"
        span = node["call"].key_span
        node.report("PC107", message, f"it goes with {listed(_TAKES_CALL)}", span=span)


def _check_init(node: Node, verb: str) -> None:
    if "init" not in node or verb == "init":
        return
    span = node["init"].key_span
    if verb not in _TAKES_INIT:
        hint = f"it goes with {listed(_TAKES_INIT)}, or alone in an edit of its own"
        node.report(
            "PC107", f"`init` does not go with `{verb}`, which makes no values", hint, span=span
        )
    elif node.value[verb] is True:
        hint = "leave it out"
        node.report("PC107", "`init` has no meaning where no layer is new", hint, span=span)
    elif verb == "expand" and "max_prob_shift" in node[verb]:
        hint = "keep one of the two"
        node.report(
            "PC107", "`max_prob_shift` sets the new entries, as `init` does", hint, span=span
        )


def _expand(node: Node) -> Verb:
    given = [key for key in node.value if key in _EXPANDS]
    if not given:
        node.report("PC102", "`expand` needs one of `by`, `to` and `tokens`", "write {by: 2}")
    elif len(given) > 1:
        span = node[given[1]].key_span
        node.report("PC107", f"{listed(given)} exclude each other", "keep one of them", span=span)
    _check_places(node)
    if "max_prob_shift" in node and node.get("preserve") is False:
        span = node["preserve"].key_span
        message = "`preserve: false` and `max_prob_shift` exclude each other"
        node.report("PC107", message, "take `preserve` out", span=span)
    at, tokens = node.get("at"), node.get("tokens")
    return Expand(
        by=node.get("by"),
        to=node.get("to"),
        axis=node.get("axis"),
        at=None if at is None else tuple(at) if isinstance(at, list) else (at,),
        preserve=node.value.get("preserve", True),
        max_prob_shift=node.get("max_prob_shift"),
        tokens=None if tokens is None else tuple(tokens),
    )


def _check_places(node: Node) -> None:
    """`at` and `by` must agree, and a vocabulary grows at its end."""
    if "tokens" in node:
        _check_distinct(node["tokens"])
        for key in ("at", "axis"):
            if key in node:
                message = f"`{key}` does not go with `tokens`, which are appended to the vocabulary"
                node.report("PC107", message, f"take `{key}` out", span=node[key].key_span)
    at, by = node.get("at"), node.get("by")
    if isinstance(at, list) and by is not None and len(at) != by:
        message = f"`at` has {len(at)} places for {by} new entries"
        node["at"].report("PC107", message, "give one place for each new entry, or one for all")


def _check_distinct(node: Node) -> None:
    seen: dict[Any, Span] = {}
    for item in node.items():
        key = (type(item.value), item.value)
        if key in seen:
            item.report("PC104", f"`{item.value}` stands twice in {label(node.path)}", "keep one")
        seen[key] = item.span


def _shrink(node: Node) -> Verb:
    given = [key for key in node.value if key in ("drop", "keep")]
    if not given:
        node.report("PC102", "`shrink` needs one of `drop` and `keep`", "write {drop: [0, 1]}")
    elif len(given) > 1:
        span = node[given[1]].key_span
        node.report("PC107", "`drop` and `keep` exclude each other", "keep one of them", span=span)
    for key in given:
        _check_distinct(node[key])
    drop, keep = node.get("drop"), node.get("keep")
    return Shrink(
        drop=None if drop is None else tuple(drop),
        keep=None if keep is None else tuple(keep),
        axis=node.get("axis"),
    )


_BUILDERS: Mapping[str, Callable[[Node], Verb]] = {
    "replace": lambda node: Replace(build_chain(node)),
    "expand": _expand,
    "shrink": _shrink,
    "freeze": lambda node: Freeze(node.value),
    "insert_before": lambda node: Insert(build_chain(node), after=False),
    "insert_after": lambda node: Insert(build_chain(node), after=True),
    "set": lambda node: SetConfig(node.value, {key: item.span for key, item in node.entries()}),
    "rename": lambda node: Rename(node.value),
}
_VERBS = (*_BUILDERS, "add_output", "remove", "truncate")


def _verb(edit: Node, verb: str) -> Verb:
    if verb == "init":
        return InitVerb()
    if verb == "remove":
        return Remove()
    if verb == "truncate":
        return Truncate(edit.get("call"))
    node = edit[verb]
    if verb == "add_output":
        return AddOutput(() if node.value is True else build_chain(node), edit.get("call"))
    return _BUILDERS[verb](node)
