"""A graph as rows: one layer per row, with lanes for the connections between them.

As in the log of a version control system, each layer's result runs down its
lane until the last layer that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from patchc.model.graph import Graph, Layer, walk
from patchc.model.order import keras_order


@dataclass(eq=False, slots=True)
class Row:
    """One layer.

    Args:
        depth: number of models that it stands in, below the root.
        lane: column of its dot.
        sources: rows of what it reads.
    """

    layer: Layer
    depth: int
    lane: int = 0
    sources: list[Row] = field(default_factory=list)


def rows_of(root: Layer) -> list[Row]:
    """The layers of a model from the inputs to the outputs, a nested model's behind it."""
    assert root.graph is not None
    rows: list[Row] = []
    _add(root.graph, 0, 0, rows)
    return rows


def lanes(rows: list[Row]) -> int:
    """Number of lanes that the rows take."""
    return max((row.lane for row in rows), default=0) + 1


def _add(graph: Graph, depth: int, offset: int, rows: list[Row]) -> None:
    order = keras_order(graph)
    place = {layer: number for number, layer in enumerate(order)}
    last = _last_reads(order, place)
    taken: dict[int, int] = {}
    """Lane -> number of the layer up to which it is taken."""
    own: dict[Layer, Row] = {}
    for number, layer in enumerate(order):
        lane = _free_lane(taken, number)
        taken[lane] = last.get(layer, number)
        row = own[layer] = Row(layer, depth, offset + lane)
        rows.append(row)
        if layer.graph is not None and layer.alias_of is None:
            _add(layer.graph, depth + 1, offset + max(taken) + 1, rows)
    for layer, row in own.items():
        sources = (tensor.layer for call in layer.calls for tensor in call.tensors())
        row.sources = [own[source] for source in dict.fromkeys(sources) if source in own]


def _last_reads(order: list[Layer], place: dict[Layer, int]) -> dict[Layer, int]:
    """Number of the last layer that reads what a layer makes."""
    last: dict[Layer, int] = {}
    for layer in order:
        for call in layer.calls:
            for tensor in call.tensors():
                last[tensor.layer] = max(last.get(tensor.layer, 0), place[layer])
    return last


def _free_lane(taken: dict[int, int], number: int) -> int:
    lane = 0
    while taken.get(lane, -1) > number:
        lane += 1
    return lane


def params_of(layer: Layer) -> int:
    """Number of parameters of a layer, and of all inside it."""
    below = [layer, *walk(layer)] if layer.graph is not None else [layer]
    return sum(weight.size for inner in below for weight in inner.weights)
