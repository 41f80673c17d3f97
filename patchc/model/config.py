"""Keras's configuration (`config.json`) to Graph, and back.

What no edit touches goes back as it came: entries keep their keys, their order
and their values, unknown classes included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.model.graph import Call, Graph, Layer, Tensor, TensorSpec, flatten, map_tensors, walk
from patchc.model.order import CycleError, keras_order

_GRAPH_KEYS = ("layers", "input_layers", "output_layers")
_ENTRY_KEYS = ("module", "class_name", "config", "registered_name", "name", "inbound_nodes")


_CONSTANT = "_CONSTANT_VALUE"


class ConfigError(ValueError):
    """A configuration that patchc does not understand; the message is one clause."""


# ----------------------------------------------------------------------- reading


def read_config(data: Any) -> Layer:
    """Turn a model's configuration into its root layer.

    Raises:
        ConfigError: where it is not the configuration of a Keras 3 model.
    """
    if not isinstance(data, dict):
        raise ConfigError("is not an object")
    root = _read_layer(data)
    if root.graph is not None:
        _link_aliases(root)
        for layer in walk(root):
            layer.origin = layer.path
    root.origin = ""
    return root


def _read_layer(entry: Any) -> Layer:
    if not isinstance(entry, dict) or not isinstance(entry.get("class_name"), str):
        raise ConfigError("holds a layer that is no object with a class_name")
    config = entry.get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"holds a {entry['class_name']} without a config object")
    name = entry.get("name", config.get("name"))
    layer = Layer(
        name=name if isinstance(name, str) else entry["class_name"],
        class_name=entry["class_name"],
        module=entry.get("module"),
        registered_name=entry.get("registered_name"),
        config=config,
        extra={key: value for key, value in entry.items() if key not in _ENTRY_KEYS},
    )
    if all(key in config for key in _GRAPH_KEYS):
        layer.graph = _read_functional(layer, config)
    elif layer.class_name == "Sequential" and isinstance(config.get("layers"), list):
        layer.graph = _read_sequential(layer, config)
    if layer.graph is not None:
        layer.config = {key: None if key in _GRAPH_KEYS else config[key] for key in config}
    return layer


def _read_functional(owner: Layer, config: Mapping[str, Any]) -> Graph:
    entries = config["layers"]
    layers = [_read_layer(entry) for entry in entries]
    by_name = {layer.name: layer for layer in layers}
    if len(by_name) != len(layers):
        raise ConfigError(f"uses a layer name twice in {owner.name!r}")
    graph = Graph(sequential=False, layers=layers, inputs=None, outputs=None, owner=owner)
    for layer, entry in zip(layers, entries, strict=True):
        layer.home = graph
        nodes = entry.get("inbound_nodes")
        if not isinstance(nodes, list):
            raise ConfigError(f"has no inbound_nodes for layer {layer.name!r}")
        for _ in range(len(nodes) or 1):
            layer.call([])
    for layer, entry in zip(layers, entries, strict=True):
        for call, node in zip(layer.calls, entry["inbound_nodes"], strict=False):
            _read_node(call, node, by_name)
    graph.inputs = _read_ends(config["input_layers"], by_name)
    graph.outputs = _read_ends(config["output_layers"], by_name)
    return graph


def _read_node(call: Call, node: Any, by_name: Mapping[str, Layer]) -> None:
    if not isinstance(node, dict) or not isinstance(node.get("args"), list):
        _read_old_node(call, node, by_name)
        return
    call.args = [_read_argument(arg, by_name) for arg in node["args"]]
    kwargs = node.get("kwargs") or {}
    call.kwargs = {key: _read_argument(arg, by_name) for key, arg in kwargs.items()}


def _read_argument(value: Any, by_name: Mapping[str, Layer]) -> Any:
    if isinstance(value, list):
        return [_read_argument(item, by_name) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") != "__keras_tensor__":
        return {key: _read_argument(item, by_name) for key, item in value.items()}
    config = value["config"]
    name, node, index = config["keras_history"]
    tensor = _tensor(by_name, name, node, index)
    if config["shape"]:  # what is written for a tensor of unknown shape has none
        _record(tensor, TensorSpec(tuple(config["shape"]), config["dtype"]))
    return tensor


def _read_old_node(call: Call, node: Any, by_name: Mapping[str, Layer]) -> None:
    """Connections as Keras 1 and 2 wrote them: `[[name, node, index, arguments], ...]`.

    They record no shapes.  Keras 3 reads them too.
    """

    def read(value: Any) -> Any:
        if _is_old_tensor(value):
            name, node_index, index, *kwargs = value
            for key, item in (kwargs[0] if kwargs else {}).items():
                call.kwargs[key] = argument(item)
            return index if name == _CONSTANT else _tensor(by_name, name, node_index, index)
        if isinstance(value, dict):
            return {key: read(item) for key, item in value.items()}
        if isinstance(value, list):
            return [read(item) for item in value]
        raise ConfigError(f"has connections of an unknown format at layer {call.layer.name!r}")

    def argument(value: Any) -> Any:
        if _is_old_tensor(value) and value[0] in by_name:
            return read(value)
        if isinstance(value, dict):
            return {key: argument(item) for key, item in value.items()}
        return [argument(item) for item in value] if isinstance(value, list) else value

    inputs = read(node)
    single = isinstance(inputs, list) and len(inputs) == 1
    call.args = [] if inputs == [] else [inputs[0] if single else inputs]


def _is_old_tensor(value: Any) -> bool:
    if not isinstance(value, list) or len(value) not in {3, 4} or not isinstance(value[0], str):
        return False
    if not isinstance(value[1], int) or not isinstance(value[3] if value[3:] else {}, dict):
        return False
    return isinstance(value[2], int) or value[0] == _CONSTANT


def _tensor(by_name: Mapping[str, Layer], name: Any, node: Any, index: Any) -> Tensor:
    layer = by_name.get(name)
    if layer is None or not isinstance(node, int) or not 0 <= node < len(layer.calls):
        raise ConfigError(f"connects to {name!r} (call {node}), which is not there")
    if not isinstance(index, int) or index < 0:
        raise ConfigError(f"connects to output {index!r} of {name!r}")
    return Tensor(layer.calls[node], index)


def _record(tensor: Tensor, spec: TensorSpec) -> None:
    """Keep the shape that the file gives for a tensor, gaps filled with None."""
    outputs = tensor.call.outputs or []
    outputs += [TensorSpec((), "")] * (tensor.index + 1 - len(outputs))
    outputs[tensor.index] = spec
    tensor.call.outputs = outputs


def _read_ends(structure: Any, by_name: Mapping[str, Layer]) -> Any:
    """Read `input_layers` or `output_layers`.

    Keras counts the calls of a nested Functional from 1 here and from 0
    everywhere else: it keeps a call that the model makes of itself.
    """
    if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
        name, node, index = structure
        layer = by_name.get(name)
        shift = 1 if layer is not None and _counts_from_one(layer) else 0
        return _tensor(by_name, name, node - shift, index)
    if isinstance(structure, dict):
        return {key: _read_ends(item, by_name) for key, item in structure.items()}
    if isinstance(structure, list):
        return [_read_ends(item, by_name) for item in structure]
    raise ConfigError(f"has {structure!r} among its inputs or outputs")


def _counts_from_one(layer: Layer) -> bool:
    return layer.graph is not None and not layer.graph.sequential


def _read_sequential(owner: Layer, config: Mapping[str, Any]) -> Graph:
    layers = [_read_layer(entry) for entry in config["layers"]]
    implicit = not (layers and layers[0].is_input)
    if implicit:
        shape = config.get("build_input_shape")
        if not isinstance(shape, list):
            raise ConfigError(f"has a Sequential {owner.name!r} that was never built")
        layers.insert(0, _implicit_input(shape))
    graph = Graph(
        sequential=True,
        layers=layers,
        inputs=None,
        outputs=None,
        owner=owner,
        implicit_input=implicit,
    )
    link_chain(graph)
    return graph


def _implicit_input(shape: list[int | None]) -> Layer:
    config = {"batch_shape": shape, "dtype": "float32", "name": "input_layer"}
    return Layer("input_layer", "InputLayer", "keras.layers", None, config)


def link_chain(graph: Graph) -> None:
    """Connect the layers of a Sequential one behind the other."""
    previous: Tensor | None = None
    for layer in graph.layers:
        layer.home = graph
        layer.calls = []
        previous = Tensor(layer.call([previous] if previous else []))
    graph.inputs = Tensor(graph.layers[0].calls[0])
    last = graph.layers[-1]
    count = len(flatten(last.graph.outputs)) if last.graph is not None else 1
    graph.outputs = previous if count == 1 else [Tensor(last.calls[0], i) for i in range(count)]


def _link_aliases(root: Layer) -> None:
    """Find layers that two models share: Keras marks them with one id."""
    first: dict[Any, Layer] = {}
    for layer in walk(root):
        shared = layer.extra.get("shared_object_id")
        if shared is not None:
            layer.alias_of = first.get(shared)
            first.setdefault(shared, layer)


# ----------------------------------------------------------------------- writing


def write_config(root: Layer) -> dict[str, Any]:
    """Turn a root layer back into the model's configuration."""
    return _write_layer(root)


def _write_layer(layer: Layer, nodes: list[Any] | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "module": layer.module,
        "class_name": layer.class_name,
        "config": _write_graph(layer) if layer.graph else dict(layer.config),
        "registered_name": layer.registered_name,
        **layer.extra,
    }
    if nodes is not None:
        entry |= {"name": layer.name, "inbound_nodes": nodes}
    return entry


def _write_graph(layer: Layer) -> dict[str, Any]:
    graph = layer.graph
    assert graph is not None
    config = dict(layer.config)
    if graph.sequential:
        kept = graph.layers[1:] if graph.implicit_input else graph.layers
        return config | {"layers": [_write_layer(child) for child in kept]}
    number = {call: i for child in graph.layers for i, call in enumerate(child.calls)}
    entries = [
        _write_layer(child, [_write_node(call, number) for call in child.calls if call.tensors()])
        for child in graph.layers
    ]
    return config | {
        "layers": entries,
        "input_layers": map_tensors(lambda t: _write_end(t, number), graph.inputs),
        "output_layers": map_tensors(lambda t: _write_end(t, number), graph.outputs),
    }


def _write_node(call: Call, number: Mapping[Call, int]) -> Any:
    old = _old_node(call, number) if any(t.spec is None for t in call.tensors()) else None
    if old is not None:
        return old

    def tensor(tensor: Tensor) -> dict[str, Any]:
        spec = tensor.spec or TensorSpec(())
        history = [tensor.layer.name, number[tensor.call], tensor.index]
        config = {"shape": list(spec.shape), "dtype": spec.dtype, "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": config}

    return {
        "args": map_tensors(tensor, call.args),
        "kwargs": map_tensors(tensor, call.kwargs),
    }


def _old_node(call: Call, number: Mapping[Call, int]) -> list[Any] | None:
    """Connections without shapes, for tensors whose shape is not known.

    None where the call takes more than one tensor or one list of them.
    """
    if len(call.args) != 1 or call.kwargs:
        return None
    tensors = call.args[0] if isinstance(call.args[0], list) else [call.args[0]]
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        return None
    return [[t.layer.name, number[t.call], t.index, {}] for t in tensors]


def _write_end(tensor: Tensor, number: Mapping[Call, int]) -> list[Any]:
    shift = 1 if _counts_from_one(tensor.layer) else 0
    return [tensor.layer.name, number[tensor.call] + shift, tensor.index]


def check_order(root: Layer) -> None:
    """Refuse connections that feed back, and outputs that hang in the air.

    Raises:
        ConfigError: with the name of a layer on the cycle.
    """
    for model in [root, *walk(root)]:
        if model.graph is not None:
            try:
                keras_order(model.graph)
            except CycleError as error:
                raise ConfigError(f"has a cycle through {error}") from None
            if not flatten(model.graph.outputs):
                raise ConfigError(f"has no outputs in {model.name!r}")
