"""Repair: an older model's configuration as Keras 3 loads it, with a note of each change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.legacy import keras1, operations
from patchc.legacy.arguments import drop_arguments, replace_class, update_arguments
from patchc.legacy.containers import (
    as_mapping,
    count_calls_from_zero,
    is_functional,
    name_states,
    repair_input,
    with_input_layer,
)
from patchc.legacy.modules import set_module
from patchc.legacy.notes import REGISTER, Missing, Notes, Repair
from patchc.legacy.objects import repair_objects
from patchc.legacy.training import repair_training

Entry = dict[str, Any]
_INSIDE = ("layer", "backward_layer", "cell")
_LAMBDA_KEYS = ("module", "function_type", "output_shape_type", "output_shape_module")


class LegacyError(ValueError):
    """A configuration that no Keras wrote; the message is one clause."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """A configuration as Keras 3 loads it.

    Args:
        config: the model's entry, as `config.json` holds it.
        repairs: every change, in the order of the layers.
        missing: what Keras cannot load without the user's code.
        layouts: old layout of a layer's weights, by path, where it is not today's.
    """

    config: Any
    repairs: tuple[Repair, ...] = ()
    missing: tuple[Missing, ...] = ()
    layouts: Mapping[str, str] = field(default_factory=dict)


def era_of(keras_version: str) -> int:
    """Major version of Keras: 1, 2 or 3.  What names none is from Keras 1."""
    found = re.match(r"\d+", keras_version)
    return int(found[0]) if found else 1


def repair_model(config: Any, training: Any = None, keras_version: str = "") -> Repaired:
    """Rewrite a model's configuration to what Keras 3 loads; weights are not its business.

    What is as it should be stays as it is; nothing that the configuration
    names is run or looked up.  What Keras 3 lacks is left in place and named.

    Args:
        config: `model_config` of an HDF5 file, or `config.json` of a `.keras`.
        training: `training_config` of an HDF5 file; a `.keras` has it inside.
        keras_version: of the Keras that wrote it, as the file says.

    Raises:
        LegacyError: where it is no model's configuration.
    """
    notes = Notes(era_of(keras_version))
    try:
        whole = (
            {"class_name": "Sequential", "config": config} if isinstance(config, list) else config
        )
        entry = _entry(_plain(whole, notes), "", notes)
        told = training if training is not None else entry.get("compile_config")
        if told is not None:
            entry["compile_config"] = repair_training(told, notes)
    except LegacyError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        raise LegacyError("has an unknown layout") from None
    return Repaired(entry, tuple(notes.repairs), tuple(notes.missing), notes.layouts)


def _plain(value: Any, notes: Notes) -> Any:
    """A configuration with its NumPy numbers as plain ones; Keras 2.12 marks them."""
    if isinstance(value, list):
        return [_plain(item, notes) for item in value]
    if not isinstance(value, Mapping):
        return value
    if notes.era < 3 and value.get("class_name") == "__numpy__":
        notes.repair("", "wrote NumPy numbers as plain ones", "Keras 3 takes no others")
        return value["config"]["value"]
    return {key: _plain(item, notes) for key, item in value.items()}


def _entry(entry: Mapping[str, Any], path: str, notes: Notes) -> Entry:
    """One layer or model with what is inside."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("class_name"), str):
        raise LegacyError("holds a layer that is no object with a class_name")
    entry = dict(entry)
    if "registered_name" in entry and notes.era >= 3 and _is_custom(entry):
        notes.miss(path, entry["registered_name"], "its class is not one of Keras", REGISTER)
        return entry
    if notes.era < 3 and entry.pop("build_config", None) is not None:
        notes.repair(path, "dropped `build_config`", "Keras 3 works the shapes out")
    if notes.era >= 3 and operations.is_operation(entry):
        operations.set_module(entry, path, notes)
        return entry
    if entry["class_name"] == "Model" and is_functional(entry["config"]):
        entry["class_name"] = "Functional"
        notes.repair(path, "class `Model` became `Functional`", "Keras 3 renamed it")
    if is_functional(entry["config"]):
        entry["config"] = _functional(dict(entry["config"]), path, notes)
    elif entry["class_name"] in operations.CLASSES:
        operations.replace_operation(entry, path, notes)
        return entry
    elif entry["class_name"] == "Sequential":
        entry["config"] = _sequential(entry["config"], path, notes)
    else:
        _leaf(entry, path, notes)
    set_module(entry, path, notes)
    return entry


def _is_custom(entry: Mapping[str, Any]) -> bool:
    registered = entry["registered_name"]
    return registered is not None and registered != entry["class_name"]


def _below(path: str, entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    inner = config.get("name") if isinstance(config, Mapping) else None
    name = str(entry.get("name") or inner or entry.get("class_name"))
    return f"{path}/{name}" if path else name


def _functional(config: Entry, path: str, notes: Notes) -> Entry:
    layers = [dict(entry) for entry in config["layers"]]
    config["layers"] = operations.insert_operations(layers, path, notes)
    count_calls_from_zero(config, path, notes)
    name_states(config, path, notes)
    config["layers"] = [_entry(entry, _below(path, entry), notes) for entry in config["layers"]]
    return config


def _sequential(config: Any, path: str, notes: Notes) -> Any:
    config = as_mapping(config, path, notes)
    if not isinstance(config.get("layers"), list):
        return config
    config = with_input_layer(dict(config), path, notes)
    config["layers"] = [_entry(entry, _below(path, entry), notes) for entry in config["layers"]]
    return config


def _leaf(entry: Entry, path: str, notes: Notes) -> None:
    config = dict(entry["config"])
    name = keras1.rename_class(entry["class_name"], path, notes)
    if name == "Merge":
        name = keras1.split_merge(config, path, notes) or name
    name = replace_class(name, config, path, notes)
    keras1.rename_arguments(name, config, path, notes)
    if notes.era == 1:
        keras1.note_layout(name, config, path, notes)
    if name == "InputLayer":
        repair_input(config, path, notes)
    if name == "Lambda":
        _lambda(config, path, notes)
    drop_arguments(name, config, path, notes)
    update_arguments(name, config, path, notes)
    repair_objects(config, path, notes)
    _inside(config, path, notes)
    entry["class_name"], entry["config"] = name, config


def _inside(config: Entry, path: str, notes: Notes) -> None:
    """Layers that a wrapper or a recurrent layer holds."""
    for key in _INSIDE:
        inner = config.get(key)
        if isinstance(inner, Mapping) and "class_name" in inner:
            config[key] = _entry(inner, _below(path, inner), notes)
    cells = config.get("cells")
    if isinstance(cells, list):
        config["cells"] = [_entry(cell, _below(path, cell), notes) for cell in cells]


def _lambda(config: Entry, path: str, notes: Notes) -> None:
    """Carry a Lambda's code through as Keras 3 writes it; nothing here runs it."""
    for key in _LAMBDA_KEYS:
        if key in config:
            del config[key]
            notes.repair(path, f"dropped `{key}`", "Keras 3 does not write it")
    function = config.get("function")
    if isinstance(function, list) and len(function) == 3:
        code, defaults, closure = function
        inner = {"code": code, "defaults": defaults, "closure": closure}
        config["function"] = {"class_name": "__lambda__", "config": inner}
        notes.repair(path, "wrote `function` as an object", "Keras 3 writes it this way")
    way_out = "replace the layer by a patch; its code runs only where the user allows it"
    notes.miss(path, "Lambda", "it runs code of its own, which Keras 3 does not load", way_out)
