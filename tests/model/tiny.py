"""Graphs in a few words, for tests that need no file and no Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchc.model.graph import Graph, Layer, Tensor, TensorSpec

Wiring = Mapping[str, Sequence[Any]]
"""Layer name -> what it reads, or a list of that for several calls; inputs read nothing.

A source is a name (`a`), or a name and the number of its call (`a:1`).
"""


def model(
    wiring: Wiring,
    outputs: Any,
    *,
    name: str = "root",
    classes: Mapping[str, str] | None = None,
    nested: Mapping[str, Layer] | None = None,
    inputs: Sequence[str] = (),
) -> Layer:
    """A Functional model; layers are Identity, Add where they join, or as `classes` says.

    Args:
        outputs: a source, or a list or dict of them.
        nested: models that stand under their names in `wiring`.
        inputs: names of the inputs in their order, where it is not that of `wiring`.
    """
    owner = Layer(name, "Functional", None, "Functional", {"name": name})
    graph = Graph(sequential=False, layers=[], inputs=None, outputs=None, owner=owner)
    owner.graph = graph
    given = classes or {}
    layers: dict[str, Layer] = {}
    for key, sources in wiring.items():
        layer = (nested or {}).get(key) or _layer(key, given.get(key) or _class(sources))
        layer.home = graph
        for _ in _calls(sources):
            layer.call([]).outputs = [TensorSpec((None, 4))]
        layers[key] = layer
    for key, sources in wiring.items():
        for call, reads in zip(layers[key].calls, _calls(sources), strict=True):
            tensors = [tensor(layers, source) for source in reads]
            call.args = [tensors] if len(tensors) > 1 else list[Any](tensors)
    graph.layers = list(layers.values())
    ends = inputs or [key for key, sources in wiring.items() if not sources]
    graph.inputs = [Tensor(layers[key].calls[0]) for key in ends]
    graph.outputs = _ends(layers, outputs)
    return owner


def _calls(sources: Sequence[Any]) -> Sequence[Sequence[str]]:
    """What each call reads."""
    return sources if sources and isinstance(sources[0], list) else [sources]


def _class(sources: Sequence[Any]) -> str:
    if not sources:
        return "InputLayer"
    return "Add" if len(_calls(sources)[0]) > 1 else "Identity"


def _layer(name: str, class_name: str) -> Layer:
    config: dict[str, Any] = {"name": name}
    if class_name == "InputLayer":
        config |= {"batch_shape": [None, 4], "dtype": "float32"}
    if class_name == "Dense":
        config["units"] = 4
    return Layer(name, class_name, "keras.layers", None, config)


def tensor(layers: Mapping[str, Layer], source: str) -> Tensor:
    """The tensor that a source names."""
    name, _, call = source.partition(":")
    return Tensor(layers[name].calls[int(call or 0)])


def _ends(layers: Mapping[str, Layer], ends: Any) -> Any:
    if isinstance(ends, dict):
        return {key: _ends(layers, end) for key, end in ends.items()}
    if isinstance(ends, list):
        return [_ends(layers, end) for end in ends]
    return tensor(layers, ends)


def find(root: Layer, path: str) -> Layer:
    """The layer at a path below a model."""
    for part in path.split("/"):
        assert root.graph is not None
        found = root.graph.layer(part)
        assert found is not None, path
        root = found
    return root
