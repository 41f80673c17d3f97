"""`init`: names of initialisers and patchc's own ways to strategies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.language.node import Node
from patchc.language.patch import Init
from patchc.language.schema import listed, near
from patchc.model.initializers import (
    KERAS_INITIALIZERS,
    OWN_STRATEGIES,
    keras_class,
    snake_case,
)
from patchc.model.values import Strategy

__all__ = ["build_init"]

_OWN = {
    **OWN_STRATEGIES,
    "repeat": "the existing entries over and over, scaled by old/new size",
    "sum": "the dropped entries, added to the kept ones",
}
_VERBS_OF = {
    "copy": ("expand",),
    "identity": ("insert_before", "insert_after"),
    "keep": ("replace",),
    "mean": ("expand",),
    "repeat": ("expand",),
    "sample": ("expand",),
    "sum": ("shrink",),
}
"""Verbs that a way of patchc's goes with; what is not here goes with all."""


def build_init(node: Node, verb: str) -> Init:
    """Build the strategies of an edit's `init`, and hold them against its verb."""
    if isinstance(node.value, str) or _is_strategy(node.value):
        strategy = _fitting(node, verb)
        return Init({"": strategy}, node.span, {"": node.span}, {"": node.span})
    return Init(
        {key: _fitting(value, verb) for key, value in node.entries()},
        node.span,
        {key: value.span for key, value in node.entries()},
        {key: value.key_span for key, value in node.entries()},
    )


def _is_strategy(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is one strategy with arguments, not strategies by weight.

    A weight may be called as a strategy is (`mean` of Normalization); then a
    name or a mapping of arguments by strategy stands under it.
    """
    if len(value) != 1:
        return False
    ((name, arguments),) = value.items()
    takes_arguments = name == "copy" or (name not in _OWN and keras_class(name) is not None)
    return takes_arguments and not isinstance(arguments, str)


def _fitting(node: Node, verb: str) -> Strategy:
    strategy = _strategy(node)
    verbs = _VERBS_OF.get(strategy.name)
    if verbs is not None and verb not in verbs:
        hint = f"it goes with {listed(verbs)}"
        node.report("PC305", f"`{strategy.name}` does not go with `{verb}`", hint)
    elif verb == "shrink" and strategy.name != "sum":
        hint = "`init: sum` adds what an input loses to what it keeps"
        node.report(
            "PC305", f"`shrink` makes no values, `{_name(strategy)}` has none to make", hint
        )
    return strategy


def _name(strategy: Strategy) -> str:
    return snake_case(strategy.name)


def _strategy(node: Node) -> Strategy:
    value = node.value
    if isinstance(value, str):
        return _bare(node, value)
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, arguments),) = node.entries()
        return _with_arguments(name, arguments)
    hint = "write a name such as zeros, or {constant: -4.6}"
    what = "a mapping of several keys" if isinstance(value, Mapping) else f"`{value}`"
    node.report("PC106", f"{'null' if value is None else what} is no strategy", hint)
    return Strategy("default")


def _bare(node: Node, name: str) -> Strategy:
    if name in _OWN:
        return Strategy(name)
    known = keras_class(name)
    if known is None:
        _report_unknown(node, name)
    return Strategy(known or name)


def _report_unknown(node: Node, name: str) -> None:
    names = [*_OWN, *map(snake_case, KERAS_INITIALIZERS), *KERAS_INITIALIZERS]
    hint = near(name, names) or f"patchc's own are {listed(_OWN)}; else a Keras initialiser"
    span = node.key_span if node.path[-1] == name else node.span
    node.report("PC106", f"unknown strategy `{name}`", hint, span=span)


def _with_arguments(name: str, node: Node) -> Strategy:
    if name == "copy":
        return _copy(node)
    known = None if name in _OWN else keras_class(name)
    if known is None:
        if name in _OWN:
            node.report("PC106", f"`{name}` takes no arguments", f"write `{name}`")
        else:
            _report_unknown(node, name)
        return Strategy(name)
    if node.value is None:
        return Strategy(known)
    if isinstance(node.value, Mapping):
        return Strategy(known, _arguments(known, node))
    if known == "Constant" and _is_number(node.value):
        return Strategy(known, {"value": node.value})
    takes = listed(KERAS_INITIALIZERS[known]) if KERAS_INITIALIZERS[known] else "none"
    node.report("PC106", f"`{name}` takes its arguments by name", f"its arguments: {takes}")
    return Strategy(known)


def _copy(node: Node) -> Strategy:
    value = node.value
    if isinstance(value, Mapping) and list(value) == ["index"]:
        value = value["index"]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Strategy("copy", {"index": value})
    node.report("PC106", "`copy` takes the index of an existing entry", "write {copy: 3}, or copy")
    return Strategy("copy")


def _arguments(known: str, node: Node) -> dict[str, Any]:
    defaults = KERAS_INITIALIZERS[known]
    for key, value in node.entries():
        if key not in defaults:
            takes = f"its arguments: {listed(defaults)}" if defaults else "it has no arguments"
            message = f"`{snake_case(known)}` has no argument `{key}`"
            node.report("PC106", message, near(key, defaults) or takes, span=value.key_span)
        elif wanted := _unfit(value.value, defaults[key]):
            value.report("PC106", f"`{key}` of `{snake_case(known)}` must be {wanted}")
    return dict(node.value)


def _unfit(value: Any, default: Any) -> str | None:
    """What an argument with this default must be, None where `value` is that."""
    if isinstance(default, bool):
        return None if isinstance(value, bool) else "true or false"
    if isinstance(default, float):
        return None if _is_number(value) else "a number"
    if isinstance(default, str):
        return None if isinstance(value, str) else "text"
    return None  # seed and axes: whoever makes the values looks at them


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
