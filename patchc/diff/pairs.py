"""Pairs: which layer of one model is which of another.

By path first.  What is left over is held against what it reads, its class, its
configuration and the shapes of its weights: that finds layers that were
renamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from patchc.diff.spell import plain_config
from patchc.model.graph import Graph, Layer, Tensor, flatten


@dataclass(slots=True)
class Pairs:
    """Layers of two models that are the same one.

    Args:
        forward: layer before -> layer after.
        backward: layer after -> layer before.
    """

    forward: dict[Layer, Layer] = field(default_factory=dict)
    backward: dict[Layer, Layer] = field(default_factory=dict)

    def add(self, before: Layer, after: Layer) -> None:
        """Note a pair."""
        self.forward[before] = after
        self.backward[after] = before

    def tensor_before(self, after: Tensor) -> Tensor | None:
        """What a tensor of the model after is in the model before; None where it is new."""
        before = self.backward.get(after.layer)
        if before is None:
            return None
        number = after.layer.calls.index(after.call)
        if number >= len(before.calls):
            return None
        return Tensor(before.calls[number], after.index) if _has(before, after.index) else None


def _has(layer: Layer, index: int) -> bool:
    """Whether a call of the layer makes a tensor of that number."""
    return layer.graph is None or index < len(flatten(layer.graph.outputs))


def pair_layers(before: Layer, after: Layer) -> Pairs:
    """Pair two root models, and every layer below them as far as there is a counterpart."""
    pairs = Pairs()
    pairs.add(before, after)
    _pair_inside(pairs, before, after)
    return pairs


def _pair_inside(pairs: Pairs, before: Layer, after: Layer) -> None:
    if before.graph is None or after.graph is None:
        return
    one, other = before.graph, after.graph
    fresh = _by_name(pairs, one, other)
    fresh += _by_likeness(pairs, one, other)
    for layer in fresh:
        _pair_inside(pairs, layer, pairs.forward[layer])


def _by_name(pairs: Pairs, one: Graph, other: Graph) -> list[Layer]:
    names = {layer.name: layer for layer in other.layers}
    found = []
    for layer in one.layers:
        match = names.get(layer.name)
        if match is not None and _same_kind(layer, match):
            pairs.add(layer, match)
            found.append(layer)
    return found


def _same_kind(one: Layer, other: Layer) -> bool:
    """One class; a Sequential that has become a Functional is still the same model."""
    if one.graph is not None or other.graph is not None:
        return one.graph is not None and other.graph is not None
    return (one.class_name, one.registered_name) == (other.class_name, other.registered_name)


_Alike = Callable[["_Left", Layer, Layer], bool]


@dataclass(slots=True)
class _Left:
    """What two graphs have left over, by what the layers themselves tell.

    Args:
        before, after: layers that may be one another, by their common make.
    """

    pairs: Pairs
    one: Graph
    other: Graph
    before: dict[str, list[Layer]]
    after: dict[str, list[Layer]]


def _by_likeness(pairs: Pairs, one: Graph, other: Graph) -> list[Layer]:
    left = _Left(
        pairs,
        one,
        other,
        _by_make(layer for layer in one.layers if layer not in pairs.forward),
        _by_make(layer for layer in other.layers if layer not in pairs.backward),
    )
    return [
        before
        for alike in (_reads_the_same, _is_the_only_one)
        for make, layers in left.after.items()
        for after in layers
        if (before := _counterpart(left, make, after, alike)) is not None
    ]


def _counterpart(left: _Left, make: str, after: Layer, alike: _Alike) -> Layer | None:
    if after in left.pairs.backward:
        return None
    for before in left.before.get(make, ()):
        if before not in left.pairs.forward and alike(left, before, after):
            left.pairs.add(before, after)
            return before
    return None


def _by_make(layers: Iterable[Layer]) -> dict[str, list[Layer]]:
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        found.setdefault(_make(layer), []).append(layer)
    return found


def _make(layer: Layer) -> str:
    """What a layer is, whatever it is called."""
    shapes = [(w.name, w.shape, w.dtype) for w in layer.weights]
    kind = "model" if layer.graph is not None else layer.class_name
    return repr((kind, layer.registered_name, shapes, sorted(plain_config(layer).items())))


def _reads_the_same(left: _Left, before: Layer, after: Layer) -> bool:
    if before.is_input:
        return _place(left.one, before) == _place(left.other, after)
    return len(before.calls) == len(after.calls) and all(
        [left.pairs.tensor_before(tensor) for tensor in new.tensors()] == old.tensors()
        for old, new in zip(before.calls, after.calls, strict=True)
    )


def _place(graph: Graph, layer: Layer) -> int:
    """Number of an input among the inputs of its model."""
    return [tensor.layer for tensor in flatten(graph.inputs)].index(layer)


def _is_the_only_one(left: _Left, before: Layer, after: Layer) -> bool:
    """No other layer that is left over could be meant, on either side."""
    make = _make(after)
    rivals = [layer for layer in left.before[make] if layer not in left.pairs.forward]
    others = [layer for layer in left.after[make] if layer not in left.pairs.backward]
    return len(rivals) == len(others) == 1 and bool(before.weights)
