"""The module under which Keras 3 finds a class: `.keras` files name it, HDF5 files do not."""

from __future__ import annotations

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
_APPLICATIONS = {
    "CustomScaleLayer": ("inception_resnet_v2", {"scale"}),
    "LayerScale": ("convnext", {"init_values", "projection_dim"}),
    "StochasticDepth": ("convnext", {"drop_path_rate"}),
}
"""Layers that `keras.applications` has for its own models: module, and arguments of their own."""
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
    elif _is_of_applications(entry):
        entry["class_name"] = name = name.removeprefix(_CUSTOM)
        _write(entry, f"keras.src.applications.{_APPLICATIONS[name][0]}", name, path, notes)
    elif not str(module).startswith("keras.src."):
        _custom(entry, path, notes)


def _is_of_applications(entry: dict[str, Any]) -> bool:
    """Whether a class is that of `keras.applications`, by its name and arguments."""
    name = entry["class_name"].removeprefix(_CUSTOM)
    config = entry.get("config")
    if name not in _APPLICATIONS or not isinstance(config, Mapping):
        return False
    return set(config) - _COMMON == _APPLICATIONS[name][1]


_CUSTOM = "Custom>"
_COMMON = {"name", "trainable", "dtype"}


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
