"""Which layers train once Keras has loaded a file, and how a file says so.

Keras 3 ignores the flag of a nested model, of a wrapper and of an RNN on load:
only the flags of the leaves count, and that of a Functional root (measured on 3.15.1).
Keras 2 reads that of a wrapper, and of no model (measured on 2.15).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from patchc.layers.infer import rule_of
from patchc.layers.registry import rule_by_name
from patchc.model.graph import Layer, Loading, walk

_ACTIVATIONS = frozenset({"activation", "recurrent_activation"})
"""Arguments that may be layers, but hold no weights of the layer that they are given to."""


def trains(layer: Layer, root: Layer) -> bool:
    """Whether weights of a layer will train in the result, after Keras has loaded it from a file.

    In memory and in Keras 2 every class can be frozen.
    """
    if is_shut(root):
        return False
    if layer.graph is not None:
        return any(trains(inner, root) for inner in walk(layer) if inner.graph is None)
    if root.loading is Loading.KERAS_2 and not layer.trainable:
        return False
    stubborn = root.loading is Loading.KERAS_3 and not freezable(layer)
    return any(leaf_flags(layer.config)) or stubborn


def is_shut(root: Layer) -> bool:
    """Whether the root's own flag keeps everything from training.

    From a file Keras 3 reads that of a Functional alone, a Sequential's has no
    effect (measured on 3.15.1); Keras 2 reads neither (measured on 2.15).
    """
    if root.trainable or root.loading is Loading.KERAS_2:
        return False
    return root.loading is Loading.MEMORY or root.graph is None or not root.graph.sequential


def freezable(layer: Layer) -> bool:
    """Whether Keras 3 loads a layer as frozen where the file says so."""
    rule = rule_of(layer)
    inside = (rule_by_name(str(item["class_name"])) for item in _all_layers(layer.config))
    return not any(found is not None and not found.freezable for found in (rule, *inside))


def with_flag(class_name: str, config: Mapping[str, Any], *, trainable: bool) -> dict[str, Any]:
    """A layer's configuration with the flag set on it and on all layers inside it.

    A class whose constructor takes no flag is left without: Keras would not
    load it (the SpatialDropout layers, which have no weights).
    """
    inner = {
        key: value if key in _ACTIVATIONS else _set_inside(value, trainable=trainable)
        for key, value in config.items()
    }
    rule = rule_by_name(class_name)
    takes = rule is None or "trainable" in rule.common
    return inner | {"trainable": trainable} if takes else inner


def _set_inside(value: Any, *, trainable: bool) -> Any:
    if isinstance(value, Mapping):
        changed = {key: _set_inside(item, trainable=trainable) for key, item in value.items()}
        if _is_layer(value):
            changed["config"] = with_flag(
                str(value["class_name"]), value["config"], trainable=trainable
            )
        return changed
    if isinstance(value, list):
        return [_set_inside(item, trainable=trainable) for item in value]
    return value


def leaf_flags(config: Mapping[str, Any]) -> Iterator[bool]:
    """The flags that count: those of the innermost layers."""
    inside = (value for key, value in config.items() if key not in _ACTIVATIONS)
    inner = [layer for value in inside for layer in _layers_in(value)]
    if not inner:
        yield bool(config.get("trainable", True))
    for layer in inner:
        yield from leaf_flags(layer["config"])


def _all_layers(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Layers inside a layer, at any depth."""
    for value in config.values():
        for layer in _layers_in(value):
            yield layer
            yield from _all_layers(layer["config"])


def _layers_in(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if _is_layer(value):
            yield value
        elif "class_name" not in value:  # an initialiser or policy holds no layers
            for item in value.values():
                yield from _layers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _layers_in(item)


def _is_layer(value: Mapping[str, Any]) -> bool:
    config = value.get("config")
    return "class_name" in value and isinstance(config, Mapping) and "trainable" in config
