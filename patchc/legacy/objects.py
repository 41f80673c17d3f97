"""Initialisers, regularisers, constraints, activations and dtype policies of older Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.layers.hard_sigmoid import HARD_SIGMOID, KEYS
from patchc.layers.objects import ACTIVATIONS, CONSTRAINTS, REGULARIZERS
from patchc.legacy.notes import REGISTER, Notes
from patchc.model.initializers import keras_class

Config = dict[str, Any]

_KINDS = {"initializer": "initializers", "regularizer": "regularizers", "constraint": "constraints"}
_RENAMED_ACTIVATIONS = {"softmax_v2": "softmax", "softmax_v1": "softmax", "swish_v2": "swish"}
_KERAS_1_REGULARIZERS = {"WeightRegularizer": "L1L2", "L1L2Regularizer": "L1L2"}
_CONSTRAINTS = {"maxnorm": "MaxNorm", "nonneg": "NonNeg", "unitnorm": "UnitNorm"}
_ARRAY = "it was written for TensorFlow"


def repair_objects(config: Config, path: str, notes: Notes) -> None:
    """Repair, in place, the Keras objects in a layer's configuration."""
    for key, value in list(config.items()):
        kind = _KINDS.get(key.rpartition("_")[2])
        if key == "dtype":
            config[key] = _policy(value, path, notes)
        elif kind is not None and isinstance(value, dict):
            config[key] = _object(key, kind, value, path, notes)
        elif key in KEYS:
            config[key] = _activation(key, value, path, notes)


def _object(key: str, kind: str, value: Mapping[str, Any], path: str, notes: Notes) -> Any:
    if kind == "regularizers" and set(value) >= {"name"} and "class_name" not in value:
        value = _keras_1_regularizer(key, value, path, notes)
    elif kind == "constraints" and "name" in value and "class_name" not in value:
        value = _keras_1_constraint(key, value, path, notes)
    name, inner = value.get("class_name"), value.get("config")
    if not isinstance(name, str) or not isinstance(inner, Mapping):
        return value
    known = _known(kind, name)
    if known is None:
        if value.get("registered_name") is None or notes.era < 3:
            notes.miss(path, name, f"`{key}` is not one of Keras", REGISTER)
        return value
    inner = dict(inner)
    if kind == "initializers" and "dtype" in inner:
        del inner["dtype"]
        notes.repair(path, f"dropped `dtype` of `{key}`", "Keras 3 asks the layer for it")
    old = notes.era < 3 or value.get("module") is None
    if kind == "initializers" and known == "Orthogonal" and old:
        known = "OrthogonalInitializer"  # the name that every Keras 3 knows
    elif value.get("module") == f"keras.{kind}":
        known = name
    return {
        "module": f"keras.{kind}",
        "class_name": known,
        "config": inner,
        "registered_name": None,
    }


def _known(kind: str, name: str) -> str | None:
    if kind == "initializers":
        return keras_class(name)
    table = REGULARIZERS if kind == "regularizers" else CONSTRAINTS
    return name if name in table else None


def _keras_1_regularizer(
    key: str, value: Mapping[str, Any], path: str, notes: Notes
) -> Mapping[str, Any]:
    name = _KERAS_1_REGULARIZERS.get(value["name"], value["name"])
    notes.repair(path, f"`{key}` became `{name}`", "Keras 2 writes classes this way")
    config = {key: value[key] for key in ("l1", "l2") if value.get(key) is not None}
    return {"class_name": name, "config": config}


def _keras_1_constraint(
    key: str, value: Mapping[str, Any], path: str, notes: Notes
) -> Mapping[str, Any]:
    name = _CONSTRAINTS.get(str(value["name"]).lower(), value["name"])
    config = {("max_value" if k == "m" else k): v for k, v in value.items() if k != "name"}
    notes.repair(path, f"`{key}` became `{name}`", "Keras 2 writes classes this way")
    return {"class_name": name, "config": config}


def _policy(value: Any, path: str, notes: Notes) -> Any:
    if not isinstance(value, Mapping) or value.get("class_name") not in {"Policy", "PolicyV1"}:
        return value
    name = (value.get("config") or {}).get("name", "float32")
    new = "float32" if name in {"infer", "_infer", None} else name
    notes.repair(path, f"`dtype` became `{new}`", f"Keras 3 has no class `{value['class_name']}`")
    return new


def _activation(key: str, value: Any, path: str, notes: Notes) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "function":
        name = value.get("config")
        value = name if name in ACTIVATIONS or value.get("module") == "builtins" else value
    if not isinstance(value, str):
        return value
    new = _RENAMED_ACTIVATIONS.get(value, value)
    if new != value:
        notes.repair(path, f"`{key}: {value}` became `{new}`", _ARRAY)
    if new == "hard_sigmoid" and notes.era < 3:
        reason = "Keras 3 calls another function hard_sigmoid, which gives other outputs"
        notes.repair(path, f"`{key}: hard_sigmoid` became `clip(0.2 x + 0.5, 0, 1)`", reason)
        return dict(HARD_SIGMOID)
    if new not in ACTIVATIONS:
        notes.miss(path, new, f"`{key}` is not one of Keras", REGISTER)
    return new
