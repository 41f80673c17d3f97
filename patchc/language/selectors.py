"""Selectors and layers: mappings to the nouns of `patchc.language.patch`."""

from __future__ import annotations

from typing import Any

from patchc.language.node import Node
from patchc.language.patch import (
    AnySelector,
    BlockBounds,
    CopyOf,
    Element,
    KeySelector,
    LayerSpec,
    NameSelector,
    Residual,
    Selector,
)
from patchc.language.schema import listed

__all__ = ["build_chain", "build_selector"]

_POSITIONS = ("first", "last", "nth")


def build_selector(node: Node) -> Selector:
    """Build the selector that a text, list or mapping writes."""
    if isinstance(node.value, str):
        return NameSelector(node.value, node.span)
    if isinstance(node.value, list):
        return AnySelector(_selectors(node), node.span)
    positions = [key for key in node.value if key in _POSITIONS]
    if len(positions) > 1:
        message = f"{listed(positions)} exclude each other"
        node.report("PC107", message, "keep one of them", span=node[positions[1]].key_span)
    keys = {key: _key(key, value) for key, value in node.entries()}
    return KeySelector(keys, {key: value.span for key, value in node.entries()}, node.span)


def _selectors(node: Node) -> tuple[Selector, ...]:
    return tuple(build_selector(item) for item in node.items())


def _key(key: str, node: Node) -> Any:
    """The value of one key, in the form that `KeySelector` promises."""
    match key:
        case "name" | "class":
            return (node.value,) if isinstance(node.value, str) else tuple(node.value)
        case "inside" | "before" | "after" | "not":
            return build_selector(node)
        case "any" | "all":
            return _selectors(node)
        case "block":
            bounds = build_selector(node["from"]), build_selector(node["to"])
            return BlockBounds(*bounds, node.span)
        case _:
            return node.value


def build_chain(node: Node) -> tuple[Element, ...]:
    """Build the layers that a name, a mapping or a list of them writes."""
    if isinstance(node.value, list):
        return tuple(_element(item) for item in node.items())
    return (_element(node),)


def _element(node: Node) -> Element:
    if isinstance(node.value, str):
        if node.value in ("residual", "copy_of"):
            what = "a chain" if node.value == "residual" else "a selector"
            node.report("PC104", f"`{node.value}` needs {what}", f"write {{{node.value}: ...}}")
        return LayerSpec(node.value, {}, node.span)
    ((name, value),) = node.entries()
    if name == "residual":
        return Residual(build_chain(value), node.span)
    if name == "copy_of":
        return CopyOf(build_selector(value), node.span)
    config = value.value or {}
    keys = {key: value[key].key_span for key in config}
    return LayerSpec(name, config, node.span, {key: value[key].span for key in config}, keys)
