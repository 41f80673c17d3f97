"""The order in which Keras lists the layers of a model.

Keras sorts a Functional model's layers anew whenever it builds it, from the
connections alone: by depth, and within a depth by the first visit of a
depth-first walk from the outputs (`keras.src.ops.function.map_graph`).  The
order of the list in the configuration does not matter, the order of the
outputs does.
"""

from __future__ import annotations

from patchc.model.graph import Call, Graph, Layer, flatten


class CycleError(ValueError):
    """The graph feeds a call's result back into itself."""


def reachable_calls(graph: Graph) -> list[Call]:
    """Calls that lead to an output, each after all calls that it reads.

    Raises:
        CycleError: where there is no such order.
    """
    return _depth_first(graph)[0]


def keras_order(graph: Graph) -> list[Layer]:
    """Layers that lead to an output, and inputs without use, in Keras's order.

    Raises:
        CycleError: where the graph has a cycle.
    """
    if graph.sequential:
        return list(graph.layers)
    calls, first_visit = _depth_first(graph)
    depths = _layer_depths(calls)
    for tensor in flatten(graph.inputs):
        if tensor.layer not in depths:
            depths[tensor.layer] = 0
            first_visit[tensor.layer] = -1
    return sorted(depths, key=lambda layer: (-depths[layer], first_visit[layer]))


def _depth_first(graph: Graph) -> tuple[list[Call], dict[Layer, int]]:
    """Calls in post-order from the outputs, and each layer's first visit."""
    finished: set[Call] = set()
    in_progress: set[Call] = set()
    post_order: list[Call] = []
    first_visit: dict[Layer, int] = {}
    for output in flatten(graph.outputs):
        stack = [(output.call, iter(output.call.tensors()))] if output.call not in finished else []
        while stack:
            call, parents = stack[-1]
            if call not in in_progress:
                in_progress.add(call)
                first_visit.setdefault(call.layer, len(first_visit))
            parent = next((t.call for t in parents if t.call not in finished), None)
            if parent is None:
                stack.pop()
                in_progress.remove(call)
                finished.add(call)
                post_order.append(call)
            elif parent in in_progress:
                raise CycleError(parent.layer.path)
            else:
                stack.append((parent, iter(parent.tensors())))
    return post_order, first_visit


def _layer_depths(calls: list[Call]) -> dict[Layer, int]:
    """Distance from the outputs: a layer counts with the deepest of its calls.

    A call that Keras has not met at a deeper place takes over the depth of its
    layer, and hands it on to what it reads.
    """
    call_depths: dict[Call, int] = {}
    layer_depths: dict[Layer, int] = {}
    for call in reversed(calls):
        depth = max(call_depths.get(call, 0), layer_depths.get(call.layer, 0))
        layer_depths[call.layer] = call_depths[call] = depth
        for tensor in call.tensors():
            call_depths[tensor.call] = max(depth + 1, call_depths.get(tensor.call, 0))
    return layer_depths
