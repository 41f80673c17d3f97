"""The module under which Keras 3 finds a class: `.keras` files name it, HDF5 files do not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from patchc.layers.opaque import OPAQUE
from patchc.layers.registry import rule_by_name
from patchc.legacy.notes import REGISTER, Notes

FUNCTIONAL = "keras.src.models.functional"
_OLD = (
    "keras.engine.",
    "keras.layers.",
    "keras.src.engine.",
    "keras.src.layers.",
    "tensorflow.",
    "tf_keras.",
)
_STACKS = frozenset({"InputLayer", "StackedRNNCells", "LSTMCell", "GRUCell", "SimpleRNNCell"})
_CUSTOM = "Custom>"  # Keras 2 registered some of its own classes like those of users
_APPLICATIONS = "keras.src.applications."
_OF_APPLICATIONS: Mapping[str, tuple[str, int, frozenset[str], str]] = {
    "CustomScaleLayer": (
        "inception_resnet_v2",
        2,
        frozenset({"scale"}),
        r"custom_scale_layer(_\d+)?",
    ),
    "LayerScale": (
        "convnext",
        1,
        frozenset({"init_values", "projection_dim"}),
        r"convnext_\w+_layer_scale",
    ),
    "StochasticDepth": (
        "convnext",
        1,
        frozenset({"drop_path_rate"}),
        r"convnext_\w+_stochastic_depth",
    ),
}
"""Layers that `keras.applications` has for itself: module, inputs, arguments, names there."""

_CALLED_BY_NAME = "a .keras file names the module of each class"
_MOVED = "Keras 3 has it there"


def is_keras_layer(name: str) -> bool:
    """Whether Keras 3 exports a layer class of this name."""
    return rule_by_name(name) is not None or name in OPAQUE or name in _STACKS


def set_module(entry: dict[str, Any], path: str, notes: Notes) -> None:
    """Write, in place, where Keras 3 finds the class of a layer; name a class that it lacks."""
    name, module = entry["class_name"], entry.get("module")
    own = module is None or module.startswith(_OLD) or module in {"keras", "keras.layers"}
    if name in {"Functional", "Sequential"} and own:
        registered = "Functional" if name == "Functional" else None
        _write(entry, FUNCTIONAL if registered else "keras", registered, path, notes)
    elif own and is_keras_layer(name):
        _write(entry, "keras.layers", None, path, notes)
    elif home := _of_applications(entry):
        entry["class_name"] = name.removeprefix(_CUSTOM)
        _write(entry, home, entry["class_name"], path, notes)
    elif not str(module).startswith("keras.src."):
        _custom(entry, path, notes)


def _of_applications(entry: Mapping[str, Any]) -> str | None:
    """The module of a layer of `keras.applications`; None where it is none of its own.

    HDF5 files name no module, so inputs, arguments and the layer's name have to be those
    that the architecture gives.
    """
    name = entry["class_name"].removeprefix(_CUSTOM)
    if name not in _OF_APPLICATIONS:
        return None
    file, inputs, arguments, names = _OF_APPLICATIONS[name]
    module, config, nodes = entry.get("module"), entry["config"], entry.get("inbound_nodes")
    if module is None and isinstance(config, Mapping) and isinstance(nodes, list):
        is_it = (
            set(config) - {"name", "trainable", "dtype"} == arguments
            and re.fullmatch(names, str(config.get("name"))) is not None
            and [len(node) for node in nodes] == [inputs]
        )
    else:
        is_it = module in {f"keras.applications.{file}", f"{_APPLICATIONS}{file}"}
    return f"{_APPLICATIONS}{file}" if is_it else None


def _write(
    entry: dict[str, Any], module: str, registered: str | None, path: str, notes: Notes
) -> None:
    old = entry.get("module")
    if old != module:
        reason = _CALLED_BY_NAME if old is None else _MOVED
        notes.repair(path, f"wrote the module `{module}`", reason)
    entry["module"], entry["registered_name"] = module, registered


def _custom(entry: dict[str, Any], path: str, notes: Notes) -> None:
    name = entry.get("registered_name") or entry["class_name"]
    entry.setdefault("module", None)
    entry["registered_name"] = name
    notes.miss(path, name, "its class is not one of Keras", REGISTER)
