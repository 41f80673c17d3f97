"""The groups of an archive of Keras 2: how it numbers the weights of each layer.

All go by class, in the order of `model.layers`, which the connections give.
Until 2.14 the layers stand under an attribute that lists those with weights
twice; until 2.13 the second time takes a number too.
(`keras.src.saving.saving_lib` of Keras 2.12 to 2.15.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from patchc.legacy.containers import is_functional
from patchc.legacy.dialect import version_of
from patchc.legacy.restore import name_of
from patchc.model.graph import Graph, Layer
from patchc.model.initializers import snake_case
from patchc.model.order import keras_order

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups in which the layers of a model stand."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a version of Keras 2 calls the groups.

    Args:
        container: group in which the layers of a model stand.
        twice: whether a layer with weights takes two numbers.
    """

    container: str
    twice: bool


SCHEMES = tuple(Scheme(name, twice) for name in CONTAINERS for twice in (False, True))


def scheme_of(keras_version: str) -> Scheme:
    """The scheme of a version of Keras 2."""
    version = version_of(keras_version)
    if version >= (2, 15):
        return Scheme("layers", twice=False)
    return Scheme("_layer_checkpoint_dependencies", twice=version < (2, 14))


def group_names(
    root: Layer, scheme: Scheme, classes: Mapping[str, str], weighted: Collection[Layer]
) -> dict[Layer, str]:
    """The group of every layer below a model.

    Args:
        classes: class of each layer in the words of its file, by path.
        weighted: layers and models that have weights, themselves or below.
    """
    found: dict[Layer, str] = {}

    def number(graph: Graph, prefix: str) -> None:
        seen: Counter[str] = Counter()
        for layer in keras_order(graph):
            if layer.is_input and graph.sequential:
                continue
            kind = snake_case(classes[layer.path])
            group = f"{prefix}{kind}_{seen[kind]}" if seen[kind] else f"{prefix}{kind}"
            seen[kind] += 2 if scheme.twice and layer in weighted else 1
            found[layer] = group
            if layer.graph is not None:
                number(layer.graph, f"{group}/{scheme.container}/")

    if root.graph is not None:
        number(root.graph, f"{scheme.container}/")
    return found


def classes_in(entry: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Class of each layer of a configuration, by path."""
    config = entry["config"]
    inside = config.get("layers") if isinstance(config, Mapping) else config
    is_model = is_functional(config) or entry["class_name"] == "Sequential"
    if not is_model or not isinstance(inside, list):
        return {}
    found = {}
    for inner in inside:
        own = f"{path}/{name_of(inner)}" if path else name_of(inner)
        plain = is_functional(inner["config"]) and inner["class_name"] == "Model"
        found[own] = "Functional" if plain else str(inner["class_name"])
        found |= classes_in(inner, own)
    return found
