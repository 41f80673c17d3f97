"""Where Keras stores the weights of each layer inside `model.weights.h5`.

The groups are numbered by class among the layers of one model, in the order
of `model.layers` (`keras.src.saving.saving_lib._save_container_state`).  Keras
computes them anew on every load, so a writer has to compute the same.
"""

from __future__ import annotations

from collections import Counter

from patchc.model.graph import Graph, Layer
from patchc.model.initializers import snake_case
from patchc.model.order import keras_order

_PYTHON_NAMES = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Classes that Keras exports under another name: groups are called after the class itself."""


def addresses(root: Layer) -> dict[Layer, str]:
    """Storage group of the root (""), and of every layer below it.

    A layer that is shared between two models is stored where Keras comes by
    first; its other place takes a number but holds nothing.  The group stands
    under the layer that the others are an `alias_of`.
    """
    found: dict[Layer, str] = {root: ""}
    if root.graph is not None:
        _number(root.graph, "layers/", found)
    return found


def _number(graph: Graph, prefix: str, found: dict[Layer, str]) -> None:
    seen: Counter[str] = Counter()
    for layer in keras_order(graph):
        if layer.is_operation or (layer.is_input and graph.sequential):
            continue
        name = snake_case(_PYTHON_NAMES.get(layer.class_name, layer.class_name))
        group = f"{prefix}{name}_{seen[name]}" if seen[name] else f"{prefix}{name}"
        seen[name] += 1
        stored = layer.alias_of or layer
        if stored in found:
            continue
        found[stored] = group
        if stored.graph is not None:
            _number(stored.graph, f"{group}/layers/", found)
