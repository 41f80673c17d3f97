"""Layers as patches write them: short, and without what Keras would fill in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.layers.arguments import accepted
from patchc.layers.base import REQUIRED, complete
from patchc.layers.infer import rule_of
from patchc.layers.objects import is_serialised
from patchc.layers.registry import rule_by_name
from patchc.model.graph import Layer
from patchc.model.initializers import KERAS_INITIALIZERS, snake_case

_NO_CONFIG = frozenset({"name", "trainable", "build_config"})
"""Keys that say nothing of what a layer computes, or that Keras notes by itself."""


def plain_config(layer: Layer) -> dict[str, Any]:
    """The configuration of a layer without name, flag, and values that are the default.

    Two layers of one class compute the same of the same weights where their
    plain configurations are equal.
    """
    plain = {k: spelled(v) for k, v in layer.config.items() if k not in _NO_CONFIG}
    rule = rule_of(layer)
    if rule is None:
        return plain
    known = accepted(rule)
    defaults = {
        key: spelled(argument.default)
        for key, argument in known.items()
        if argument.default is not REQUIRED
    }
    return {
        key: value
        for key, value in plain.items()
        if key not in defaults or not _same(key, value, defaults[key])
    }


_STANDS_FOR: Mapping[str, tuple[Any, ...]] = {
    "dtype": (None, "float32"),
    "activation": (None, "linear"),
    "data_format": (None, "channels_last"),
}
"""Values that mean the same under a key."""


def _same(key: str, value: Any, default: Any) -> bool:
    alike = _STANDS_FOR.get(key, ())
    return value == default or (value in alike and default in alike)


def completed(layer: Layer, key: str) -> Any:
    """The value of a key, Keras's default where the configuration leaves it out."""
    rule = rule_of(layer)
    config = complete(rule, layer.config) if rule is not None else layer.config
    return spelled(config.get(key))


def spelled(value: Any) -> Any:
    """A configuration value as patches write it: `glorot_uniform`, `{L2: {l2: 0.01}}`, `relu`."""
    if is_serialised(value) and not _is_custom(value):
        return _object(str(value["class_name"]), value.get("config"))
    if isinstance(value, Mapping):
        return {key: spelled(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [spelled(item) for item in value]
    return value


def _is_custom(value: Mapping[str, Any]) -> bool:
    """An object of a class that is not Keras's own; a layer's registered name may be its class."""
    return value.get("registered_name") not in {None, value["class_name"]}


def _object(name: str, config: Any) -> Any:
    if name == "function" or not isinstance(config, Mapping):
        return config if config is not None else name
    if name.endswith("DTypePolicy") and set(config) == {"name"}:
        return config["name"]
    if name in KERAS_INITIALIZERS:
        defaults = KERAS_INITIALIZERS[name]
        config = {key: item for key, item in config.items() if defaults.get(key, ...) != item}
        return {name: dict(config)} if config else snake_case(name)
    inner = {key: spelled(item) for key, item in config.items() if key != "build_config"}
    if rule_by_name(name) is not None:
        inner = {k: v for k, v in inner.items() if k not in {"trainable", "name"} and v is not None}
    return {name: inner}


def layer_text(layer: Layer, name: str | None) -> Any:
    """A new layer in the language of patches, with its name where one is given."""
    config = plain_config(layer)
    if name is not None:
        config = {**config, "name": name}
    return {layer.class_name: config} if config else layer.class_name
