"""Models of older Keras: what their configurations say of layers, inputs and connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.legacy.notes import Notes, shown

Config = dict[str, Any]
Entry = dict[str, Any]

GRAPH = ("layers", "input_layers", "output_layers")
_WITH_STATES = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM2D", "Bidirectional"})
_BEFORE = "Keras 3 takes the shape from an InputLayer only"


def is_functional(config: Any) -> bool:
    """Whether a configuration holds layers with connections."""
    return isinstance(config, Mapping) and all(key in config for key in GRAPH)


def as_mapping(config: Any, path: str, notes: Notes) -> Any:
    """A Sequential's configuration, which was a bare list of layers until Keras 2.2."""
    if not isinstance(config, list):
        return config
    notes.repair(path, "put the list of layers into a configuration", "Keras 3 takes no list")
    return {"name": "sequential", "layers": config}


def repair_input(config: Config, path: str, notes: Notes) -> None:
    """Rewrite the configuration of an InputLayer, in place."""
    if "batch_input_shape" in config:
        shape = config.pop("batch_input_shape")
        config.setdefault("batch_shape", shape)
        notes.repair(path, "`batch_input_shape` became `batch_shape`", "Keras 3 renamed it")
    dtype = config.pop("input_dtype", None)
    if dtype is not None:
        config["dtype"] = dtype
        notes.repair(path, "`input_dtype` became `dtype`", "Keras 2 renamed it")
    if config.get("ragged") is False:
        del config["ragged"]
        notes.repair(path, "dropped `ragged`", "Keras 3 has no ragged inputs; false is none")
    elif config.get("ragged"):
        way_out = "load the model with the Keras that wrote it"
        notes.miss(path, "a ragged input", "Keras 3 does not run on ragged tensors", way_out)


def with_input_layer(config: Config, path: str, notes: Notes) -> Config:
    """A Sequential's configuration with the InputLayer that Keras 3 wants."""
    layers = config.get("layers")
    if not isinstance(layers, list) or not layers or _class(layers[0]) == "InputLayer":
        return config
    found = _first_shape(layers[0])
    if found is None:
        return config
    shape, dtype = found
    name = f"{_name(layers[0])}_input".replace("/", "_")
    fields = {"batch_shape": shape, "dtype": dtype, "name": name}
    entry = {"class_name": "InputLayer", "config": fields}
    what = f"added the InputLayer `{name}` of shape {shown(shape)}"
    notes.repair(path, what, _BEFORE)
    return config | {"layers": [entry, *layers]}


def _first_shape(entry: Any) -> tuple[list[Any], str] | None:
    """Input shape and dtype that a Sequential's first layer records, itself or further inside."""
    config = entry.get("config") if isinstance(entry, Mapping) else None
    if isinstance(config, list):
        return _first_shape(config[0]) if config else None
    if not isinstance(config, Mapping):
        return None
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if isinstance(shape, list):
        dtype = config.get("input_dtype") or config.get("dtype")
        return shape, dtype if isinstance(dtype, str) else "float32"
    inner = config.get("layers")
    if isinstance(inner, list) and inner:
        return _first_shape(_first_input(config))
    return _first_shape(config["layer"]) if isinstance(config.get("layer"), Mapping) else None


def _first_input(config: Mapping[str, Any]) -> Any:
    """The layer at which the data enter a model inside."""
    layers = config["layers"]
    ends = config.get("input_layers")
    if not isinstance(ends, list) or not ends:
        return layers[0]
    wanted = ends[0][0] if isinstance(ends[0], list) else ends[0]
    return next((entry for entry in layers if _name(entry) == wanted), layers[0])


def count_calls_from_zero(config: Config, path: str, notes: Notes) -> None:
    """Number the calls of nested models as Keras 3 does, in place.

    Keras 2 kept a call that a nested model makes of itself, and counted on
    from there; Keras 3 does so for a Functional among the outputs only.
    """
    entries = {_name(entry): entry for entry in config["layers"] if isinstance(entry, Mapping)}
    shifted = {
        name: entry
        for name, entry in entries.items()
        if _is_model(entry) and _highest(config, name) >= len(entry.get("inbound_nodes") or [])
    }
    if not shifted or notes.era >= 3:
        return
    for entry in config["layers"]:
        nodes = entry.get("inbound_nodes")
        entry["inbound_nodes"] = _lowered(nodes, set(shifted))
    sequential = {name for name, entry in shifted.items() if _class(entry) == "Sequential"}
    config["output_layers"] = _lowered(config["output_layers"], sequential)
    for name in shifted:
        reason = "Keras 2 counted a call that a model makes of itself"
        notes.repair(f"{path}/{name}" if path else name, "counted its calls from 0", reason)


def name_states(config: Config, path: str, notes: Notes) -> None:
    """Hand initial states to recurrent layers by name, in place.

    Keras 2 put them behind the input, into one list; Keras 3 takes the input alone.
    """
    for entry in config["layers"]:
        nodes = entry.get("inbound_nodes")
        if entry.get("class_name") not in _WITH_STATES or not isinstance(nodes, list):
            continue
        new = [_with_states(node) for node in nodes]
        if new != nodes:
            entry["inbound_nodes"] = new
            where = f"{path}/{_name(entry)}" if path else _name(entry)
            reason = "Keras 2 put the states behind the input"
            notes.repair(where, "passed the initial states by name", reason)


def _with_states(node: Any) -> Any:
    if not isinstance(node, list) or len(node) < 2 or not all(_is_history(part) for part in node):
        return node
    (name, call, index, *rest), *states = node
    arguments = dict(rest[0]) if rest else {}
    arguments["initial_state"] = [state[:3] for state in states]
    return [[name, call, index, arguments]]


def _is_model(entry: Mapping[str, Any]) -> bool:
    config = entry.get("config")
    return is_functional(config) or entry.get("class_name") == "Sequential"


def _highest(config: Mapping[str, Any], name: str) -> int:
    """The highest number of a call of layer `name` that others read; -1 without any."""
    found = [-1]

    def look(node: Any) -> None:
        if _is_history(node) and node[0] == name:
            found.append(node[1])
        for item in node.values() if isinstance(node, Mapping) else node:
            if isinstance(item, (list, Mapping)):
                look(item)

    for entry in config["layers"]:
        look(entry.get("inbound_nodes") or [])
    return max(found)


def _lowered(node: Any, names: set[str]) -> Any:
    if _is_history(node) and node[0] in names:
        return [node[0], node[1] - 1, *(_lowered(item, names) for item in node[2:])]
    if isinstance(node, list):
        return [_lowered(item, names) for item in node]
    if isinstance(node, Mapping):
        return {key: _lowered(item, names) for key, item in node.items()}
    return node


def _is_history(node: Any) -> bool:
    return (
        isinstance(node, list)
        and len(node) in {3, 4}
        and isinstance(node[0], str)
        and all(isinstance(number, int) for number in node[1:3])
    )


def _class(entry: Any) -> Any:
    return entry.get("class_name") if isinstance(entry, Mapping) else None


def _name(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return "layer"
    config = entry.get("config")
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(entry.get("name") or inner or entry.get("class_name") or "layer")
