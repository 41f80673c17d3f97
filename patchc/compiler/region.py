"""Regions of a graph: the head of an output, and a block between two layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from patchc.compiler.flow import Context, resolve
from patchc.layers.infer import feature_of
from patchc.model.graph import Call, Graph, Layer, Tensor, flatten


class RegionError(ValueError):
    """A head or block that is not there or not unique.

    Attributes:
        help: what to write instead.
    """

    def __init__(self, message: str, help_text: str) -> None:
        self.help = help_text
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Block:
    """A region with one tensor in and one tensor out.

    Args:
        layers: its layers, in the order of `model.layers`.
        entry: the tensor that enters.
        exit: the tensor that leaves.
    """

    layers: tuple[Layer, ...]
    entry: Tensor
    exit: Tensor

    @property
    def last(self) -> Layer:
        """The layer that makes what leaves."""
        return self.exit.layer


# -------------------------------------------------------------------------- head


def head_of(output: Tensor) -> Layer:
    """The layer that makes the feature axis of an output; raises as `way_to_head`."""
    return way_to_head(output)[-1]


def way_to_head(output: Tensor) -> list[Layer]:
    """The layers from an output back to the one that makes its feature axis, that one last.

    Raises:
        RegionError: as `trail_to_head`.
    """
    return [tensor.layer for tensor in trail_to_head(output)]


def trail_to_head(output: Tensor) -> list[Tensor]:
    """The tensors from an output back to the one with which its feature axis begins.

    Walks back through whatever hands features on: activations, softmax,
    dropout, normalisation, pooling, reshapes, operations with constants.

    Raises:
        RegionError: at a fork, an input, or a class that patchc does not know.
    """
    tensor, context = resolve(output, ())
    trail: list[Tensor] = []
    while True:
        layer = tensor.layer
        trail.append(tensor)
        if layer.is_input:
            raise RegionError(
                f"nothing between input `{layer.path}` and this output makes its features",
                "select the layer by name",
            )
        feature = feature_of(layer)
        if feature is not None and not feature.startswith("input"):
            return trail
        tensor, context = _only_source(tensor, context)


def _only_source(tensor: Tensor, context: Context) -> tuple[Tensor, Context]:
    layer, sources = tensor.layer, tensor.call.main_tensors()
    if layer.opaque is not None:
        raise RegionError(
            f"`{layer.path}` stands between the output and its head, and patchc cannot see"
            f" through it: {layer.opaque}",
            "select the head by name",
        )
    if len(set(sources)) != 1:
        makers = ", ".join(f"`{resolve(source, context)[0].layer.path}`" for source in sources)
        raise RegionError(
            f"`{layer.path}` ({layer.class_name}) joins several branches before this output",
            f"select one of the layers behind it by name: {makers}",
        )
    return resolve(sources[0], context)


# ------------------------------------------------------------------------- block


def block_between(first: Sequence[Layer], last: Sequence[Layer]) -> Block:
    """Every layer on a path from a layer of `first` to the one in `last`.

    Raises:
        RegionError: where there is no path, or more than one tensor enters or
            leaves; names the connections.
    """
    if not first or len(last) != 1:
        raise RegionError(
            f"`from` picks {len(first)} layers and `to` picks {len(last)}",
            "`from` must pick at least one layer, and `to` exactly one",
        )
    graph = last[0].home
    strangers = [layer for layer in first if layer.home is not graph]
    if graph is None or strangers:
        names = ", ".join(f"`{layer.path}`" for layer in [*strangers, last[0]])
        raise RegionError(f"{names} lie in different models", "choose bounds in one model")
    members = _between(graph, first, last[0])
    lost = [layer for layer in first if not members.intersection(layer.calls)]
    if lost:
        raise RegionError(
            f"no path leads from `{lost[0].path}` to `{last[0].path}`", "exchange `from` and `to`"
        )
    return _bounded(graph, members)


def _between(graph: Graph, first: Iterable[Layer], last: Layer) -> set[Call]:
    readers: dict[Call, list[Call]] = {}
    for call in graph.calls():
        for tensor in call.tensors():
            readers.setdefault(tensor.call, []).append(call)
    after = _reach([c for layer in first for c in layer.calls], lambda c: readers.get(c, []))
    before = _reach(list(last.calls), lambda c: [tensor.call for tensor in c.tensors()])
    return after & before


def _reach(start: list[Call], step: Callable[[Call], list[Call]]) -> set[Call]:
    found: set[Call] = set()
    while start:
        call = start.pop()
        if call not in found:
            found.add(call)
            start += step(call)
    return found


def _bounded(graph: Graph, members: set[Call]) -> Block:
    layers = tuple(layer for layer in graph.layers if members.intersection(layer.calls))
    shared = [layer for layer in layers if not members.issuperset(layer.calls)]
    if shared:
        raise RegionError(
            f"`{shared[0].path}` is also called outside the block", "choose other bounds"
        )
    entries = {t: None for call in members for t in call.main_tensors() if t.call not in members}
    exits = {
        tensor: None
        for call in graph.calls()
        if call not in members
        for tensor in call.tensors()
        if tensor.call in members
    } | {tensor: None for tensor in flatten(graph.outputs) if tensor.call in members}
    for name, found in (("enter", entries), ("leave", exits)):
        if len(found) != 1:
            which = ", ".join(sorted(f"`{tensor.layer.path}`" for tensor in found)) or "none"
            raise RegionError(
                f"{len(found)} tensors {name} the block, one is needed: {which}",
                "move `from` or `to` to where the branches have split or joined",
            )
    return Block(layers, next(iter(entries)), next(iter(exits)))
