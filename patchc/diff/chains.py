"""Chains: what stands between two tensors, as a selector or as new layers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from patchc.diff.pairs import Pairs
from patchc.diff.spell import layer_text
from patchc.layers.infer import rule_of
from patchc.model.graph import Call, Graph, Layer, Tensor, walk


class Unspeakable(Exception):  # noqa: N818 (caught where another way is tried)
    """A layer that no patch can make.

    Attributes:
        layer: the layer.
        reason: why, as the end of a sentence about it.
    """

    def __init__(self, layer: Layer, reason: str) -> None:
        self.layer = layer
        self.reason = reason
        super().__init__(f"`{layer.path}` {reason}")


@dataclass(frozen=True, slots=True)
class NewPart:
    """New layers that lead to a tensor.

    Args:
        elements: in the language of patches, first to last.
        source: the tensor, of the model after, that they start from.
        first: the first of them, where it reads several tensors.
    """

    elements: tuple[Any, ...]
    source: Tensor
    first: Layer | None = None


def new_part(pairs: Pairs, tensor: Tensor, forced: Collection[Layer] = ()) -> NewPart:
    """The new layers behind which a tensor stands.

    Args:
        forced: paired layers that count as new.

    Raises:
        Unspeakable: where one of them cannot be made by a patch.
    """
    elements: list[Any] = []
    while tensor.layer not in pairs.backward or tensor.layer in forced:
        layer = tensor.layer
        sources = list(dict.fromkeys(tensor.call.main_tensors()))
        branch = _residual(pairs, tensor.call, forced)
        if branch is not None:
            inner, tensor = branch
            elements.insert(0, {"residual": inner})
            continue
        elements.insert(0, _element(layer))
        if len(sources) != 1:
            return NewPart(tuple(elements), tensor, layer)
        tensor = sources[0]
    return NewPart(tuple(elements), tensor)


def _element(layer: Layer) -> Any:
    rule = rule_of(layer)
    if layer.graph is not None:
        raise Unspeakable(layer, "is a nested model, which a patch cannot make")
    if layer.is_operation or layer.is_input or rule is None:
        kind = "an operation" if layer.is_operation else f"a {layer.class_name}"
        raise Unspeakable(layer, f"is {kind}, which a patch cannot make")
    return layer_text(layer, layer.name)


def _residual(
    pairs: Pairs, call: Call, forced: Collection[Layer]
) -> tuple[list[Any], Tensor] | None:
    """An Add of a tensor and of what a chain of new layers makes of it."""
    if call.layer.class_name != "Add" or call.layer.is_operation or len(call.tensors()) != 2:
        return None
    skip, tensor = call.tensors()
    inner: list[Any] = []
    while tensor != skip:
        sources = list(dict.fromkeys(tensor.call.main_tensors()))
        old = tensor.layer in pairs.backward and tensor.layer not in forced
        if old or len(sources) != 1:
            return None
        inner.insert(0, _element(tensor.layer))
        tensor = sources[0]
    return (inner, skip) if inner else None


def copied_part(pairs: Pairs, tensor: Tensor) -> NewPart | None:
    """The new layers behind a tensor as a copy of old ones, told by their names.

    `conv_1` may be a copy of `conv`.  None where they are no copy, where more
    than one tensor enters, or where none of them has weights.
    """
    fresh = _new_calls(pairs, tensor.call)
    entries = {t for call in fresh for t in call.tensors() if t.call not in fresh}
    graph = tensor.layer.home
    if len(entries) != 1 or graph is None or not any(call.layer.weights for call in fresh):
        return None
    (entry,) = entries
    first = [call.layer for call in fresh if entry in call.tensors()]
    names = [_copied_from(graph, layer) for layer in (*first, tensor.layer)]
    if any(name is None for name in names):
        return None
    bounds = {"from": names[:-1] if len(first) > 1 else names[0], "to": names[-1]}
    selector: Any = {"block": bounds} if len(fresh) > 1 else names[-1]
    return NewPart(({"copy_of": selector},), entry)


def _new_calls(pairs: Pairs, call: Call) -> dict[Call, None]:
    """A call of a new layer, and those of new layers that lead to it."""
    found: dict[Call, None] = {}
    pending = [call]
    while pending:
        current = pending.pop()
        if current.layer not in pairs.backward and current not in found:
            found[current] = None
            pending += [tensor.call for tensor in current.tensors()]
    return found


def _copied_from(graph: Graph, layer: Layer) -> str | None:
    """Name of the layer that one may be a copy of: without the number that makes it unique."""
    name = layer.name.rstrip("0123456789").removesuffix("_")
    known = graph.layer(name)
    return name if known is not None and known.class_name == layer.class_name else None


def layers_between(graph: Graph, source: Tensor, end: Tensor) -> list[Layer]:
    """Every layer on a way from one tensor to another; none where no way leads there."""
    readers: dict[Call, list[Call]] = {}
    for call in graph.calls():
        for tensor in call.tensors():
            readers.setdefault(tensor.call, []).append(call)
    ahead = _reach([c for c in graph.calls() if source in c.tensors()], readers)
    behind: set[Call] = set()
    pending = [end.call]
    while pending:
        call = pending.pop()
        if call not in behind:
            behind.add(call)
            pending += [tensor.call for tensor in call.tensors() if tensor != source]
    members = ahead & behind
    return [layer for layer in graph.layers if members.intersection(layer.calls)]


def _reach(start: list[Call], step: dict[Call, list[Call]]) -> set[Call]:
    found: set[Call] = set()
    while start:
        call = start.pop()
        if call not in found:
            found.add(call)
            start += step.get(call, ())
    return found


def selector_of(root: Layer, layer: Layer) -> Any:
    """The plainest selector that picks one layer."""
    path = layer.path.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
    if "/" in path or sum(other.name == layer.name for other in walk(root)) == 1:
        return path
    return {"all": [path, {"not": {"inside": "*"}}]}


def block_of(root: Layer, layers: list[Layer], source: Tensor, end: Tensor) -> Any:
    """A selector for what stands between two tensors."""
    if len(layers) == 1:
        return selector_of(root, layers[0])
    first = [
        selector_of(root, layer)
        for layer in layers
        if any(source in call.tensors() for call in layer.calls)
    ]
    bounds = {"from": first[0] if len(first) == 1 else first, "to": selector_of(root, end.layer)}
    return {"block": bounds}
