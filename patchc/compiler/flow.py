"""Flow: the graph with its nested models unfolded.

A node is one call of a layer in one context: the calls of the models around
it.  Whoever asks what lies up or down stream, or which layer makes an output,
sees straight through nested models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from patchc.model.graph import Call, Layer, Tensor, flatten

Context = tuple[Call, ...]
Node = tuple[Call, Context]
Place = tuple[Tensor, Context]


@dataclass(slots=True)
class Flow:
    """The unfolded graph below a root.

    Args:
        parents, children: neighbours of each node, nested models and their
            inputs left out.
        entries: the nodes that feed each call of a nested model.
        exits: the nodes that make its outputs.
    """

    parents: dict[Node, list[Node]] = field(default_factory=dict)
    children: dict[Node, list[Node]] = field(default_factory=lambda: defaultdict(list))
    by_layer: dict[Layer, list[Node]] = field(default_factory=lambda: defaultdict(list))
    entries: dict[Layer, list[Node]] = field(default_factory=lambda: defaultdict(list))
    exits: dict[Layer, list[Node]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, root: Layer) -> Flow:
        """Unfold the graph below `root`, in linear time."""
        flow = cls()
        for call, context in _calls(root, ()):
            sources = [_node(resolve(tensor, context)) for tensor in call.tensors()]
            if call.layer.graph is not None:
                flow.entries[call.layer] += sources
                outputs = flatten(call.layer.graph.outputs)
                flow.exits[call.layer] += [_node(resolve(t, (*context, call))) for t in outputs]
            elif not (call.layer.is_input and context):
                flow.parents[call, context] = sources
                flow.by_layer[call.layer].append((call, context))
                for source in sources:
                    flow.children[source].append((call, context))
        return flow

    def upstream(self, layers: Iterable[Layer]) -> set[Layer]:
        """The layers that any of `layers` depends on."""
        start = [
            node
            for layer in layers
            for node in (
                self.entries[layer]
                if layer.graph is not None
                else [p for n in self.by_layer[layer] for p in self.parents[n]]
            )
        ]
        return {call.layer for call, _ in _closure(start, self.parents)}

    def downstream(self, layers: Iterable[Layer]) -> set[Layer]:
        """The layers that depend on any of `layers`."""
        start: list[Node] = []
        inside: set[Layer] = set()
        for layer in layers:
            nodes = self.exits[layer] if layer.graph is not None else self.by_layer[layer]
            start += [child for node in nodes for child in self.children[node]]
            if layer.graph is not None:
                inside.update(child for child in layer.graph.layers)
        return {call.layer for call, _ in _closure(start, self.children)} - inside


def _calls(model: Layer, context: Context) -> Iterator[Node]:
    if model.graph is None:
        return
    for call in model.graph.calls():
        yield call, context
        yield from _calls(call.layer, (*context, call))


def resolve(tensor: Tensor, context: Context) -> Place:
    """Follow a tensor into nested models, and out of their inputs, to its maker."""
    while True:
        graph = tensor.layer.graph
        home = tensor.layer.home
        if graph is not None:
            context = (*context, tensor.call)
            tensor = flatten(graph.outputs)[tensor.index]
        elif tensor.layer.is_input and context and home is not None:
            position = flatten(home.inputs).index(tensor)
            tensor = context[-1].tensors()[position]
            context = context[:-1]
        else:
            return tensor, context


def _node(place: Place) -> Node:
    return place[0].call, place[1]


def _closure(start: Iterable[Node], neighbours: dict[Node, list[Node]]) -> set[Node]:
    found: set[Node] = set()
    pending = list(start)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += neighbours.get(node, ())
    return found
