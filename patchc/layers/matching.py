"""Comparing what a user writes with what Keras has stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.layers.registry import canonical_class_name
from patchc.model.graph import Layer
from patchc.model.initializers import snake_case


def class_matches(layer: Layer, name: str) -> bool:
    """Whether `name` is the layer's class, its registered name, or Keras's alias for it."""
    return name in {layer.class_name, layer.registered_name} or (
        canonical_class_name(name) == layer.class_name
    )


def same_value(given: Any, stored: Any) -> bool:
    """Whether a configuration value is what the user wrote.

    A number stands for as many equal ones (`kernel_size: 3`), a name or
    `{Class: {argument: value}}` for a serialised Keras object of that class
    with at least those arguments.
    """
    if given == stored and isinstance(given, bool) == isinstance(stored, bool):
        return True
    if isinstance(stored, Mapping) and "class_name" in stored:
        return _same_object(given, stored)
    if isinstance(stored, (list, tuple)):
        if isinstance(given, (list, tuple)):
            return len(given) == len(stored) and all(map(same_value, given, stored))
        return bool(stored) and all(same_value(given, item) for item in stored)
    return False


def _same_object(given: Any, stored: Mapping[str, Any]) -> bool:
    config = stored.get("config")
    names = {stored["class_name"], snake_case(str(stored["class_name"]))}
    if isinstance(config, str):  # a function, such as an activation
        names = {config}
    elif isinstance(config, Mapping) and set(config) == {"name"}:  # a dtype policy
        names.add(config["name"])
    if isinstance(given, str):
        return given in names
    if isinstance(given, Mapping) and len(given) == 1 and isinstance(config, Mapping):
        name, arguments = next(iter(given.items()))
        return name in names and all(
            key in config and same_value(value, config[key])
            for key, value in (arguments or {}).items()
        )
    return False
