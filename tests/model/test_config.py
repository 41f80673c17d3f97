"""Configurations are read, refused by name, and written back as they were."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from patchc.model.config import ConfigError, check_order, read_config, write_config
from patchc.model.graph import flatten
from tests.model.tiny import find


def entry(class_name: str, name: str, reads: list[list[Any]], **config: Any) -> dict[str, Any]:
    """A layer as Keras writes it; `reads`: the history of what each call reads."""
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, **config},
        "registered_name": None,
        "build_config": {"input_shape": [None, 4]},
        "name": name,
        "inbound_nodes": [{"args": [tensor(*history)], "kwargs": {}} for history in reads],
    }


def tensor(name: str, call: int = 0, index: int = 0) -> dict[str, Any]:
    """A connection as Keras writes it."""
    config = {"shape": [None, 4], "dtype": "float32", "keras_history": [name, call, index]}
    return {"class_name": "__keras_tensor__", "config": config}


def functional(name: str, layers: list[Any], inputs: Any, outputs: Any) -> dict[str, Any]:
    """A Functional as Keras writes it."""
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": name,
            "trainable": True,
            "layers": layers,
            "input_layers": inputs,
            "output_layers": outputs,
        },
        "registered_name": "Functional",
        "compile_config": {"loss": "mse"},
    }


def shared() -> dict[str, Any]:
    """A layer that is called twice, and an output that is its second call."""
    layers = [
        entry("InputLayer", "x", [], batch_shape=[None, 4], dtype="float32"),
        entry("Dense", "d", [["x"], ["r"]], units=4),
        entry("ReLU", "r", [["d"]]),
    ]
    return functional("m", layers, [["x", 0, 0]], [["d", 1, 0], ["r", 0, 0]])


def nested() -> dict[str, Any]:
    """A Functional in a Functional, called twice: its ends are counted from 1."""
    inner = functional(
        "inner",
        [
            entry("InputLayer", "y", [], batch_shape=[None, 4], dtype="float32"),
            entry("Dense", "d", [["y"]], units=4),
        ],
        ["y", 0, 0],
        ["d", 0, 0],
    )
    nodes = [{"args": [tensor("x")], "kwargs": {}}, {"args": [tensor("inner", 0)], "kwargs": {}}]
    inner |= {"name": "inner", "inbound_nodes": nodes}
    x = entry("InputLayer", "x", [], batch_shape=[None, 4], dtype="float32")
    return functional("outer", [x, inner], {"x": ["x", 0, 0]}, {"end": ["inner", 2, 0]})


def sequential(*, with_input: bool) -> dict[str, Any]:
    """A Sequential with or without an InputLayer in the list."""
    layers = [entry("Dense", "d", [], units=4), entry("Dense", "e", [], units=4)]
    if with_input:
        layers.insert(0, entry("InputLayer", "x", [], batch_shape=[None, 4], dtype="float32"))
    for layer in layers:
        del layer["name"], layer["inbound_nodes"]
    config = {"name": "s", "layers": layers, "build_input_shape": [None, 4]}
    return {"module": "keras", "class_name": "Sequential", "config": config} | {
        "registered_name": None
    }


MODELS = [shared(), nested(), sequential(with_input=True), sequential(with_input=False)]


@pytest.mark.parametrize("data", MODELS)
def test_what_no_edit_touches_goes_back_as_it_came(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    assert write_config(read_config(data)) == before
    assert data == before


def test_calls_and_outputs_are_connected() -> None:
    root = read_config(shared())
    dense, relu = find(root, "d"), find(root, "r")
    assert root.graph is not None
    assert [t.call for t in relu.calls[0].tensors()] == [dense.calls[0]]
    assert [t.call for t in dense.calls[1].tensors()] == [relu.calls[0]]
    assert [t.call for t in flatten(root.graph.outputs)] == [dense.calls[1], relu.calls[0]]


def test_calls_of_a_nested_model_are_counted_from_one_at_the_ends() -> None:
    root = read_config(nested())
    assert root.graph is not None
    assert root.graph.outputs["end"].call is find(root, "inner").calls[1]
    assert [layer.path for layer in (find(root, "inner"), find(root, "inner/d"))] == [
        "inner",
        "inner/d",
    ]


def test_a_sequential_without_input_gets_one_that_is_not_written() -> None:
    root = read_config(sequential(with_input=False))
    assert root.graph is not None
    assert root.graph.implicit_input
    assert [layer.is_input for layer in root.graph.layers] == [True, False, False]


def _broken(change: str) -> Any:
    data: Any = shared()
    config = data["config"]
    match change:
        case "twice":
            config["layers"].append(config["layers"][1])
        case "nowhere":
            config["output_layers"] = [["gone", 0, 0]]
        case "call":
            config["output_layers"] = [["d", 7, 0]]
        case "older":
            config["layers"][1]["inbound_nodes"] = ["x"]
        case "no nodes":
            del config["layers"][1]["inbound_nodes"]
        case "no class":
            del config["layers"][1]["class_name"]
        case "no config":
            config["layers"][1]["config"] = None
        case "unbuilt":
            data = sequential(with_input=False)
            del data["config"]["build_input_shape"]
        case "end":
            config["output_layers"] = 5
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("twice", "twice"),
        ("nowhere", "'gone'"),
        ("call", "call 7"),
        ("older", "unknown format"),
        ("no nodes", "inbound_nodes"),
        ("no class", "class_name"),
        ("no config", "without a config"),
        ("unbuilt", "never built"),
        ("end", "5"),
    ],
)
def test_a_broken_configuration_is_refused_by_name(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(_broken(change))


def test_what_is_no_object_is_refused() -> None:
    broken: list[object] = [None, [], "x", 3]
    for data in broken:
        with pytest.raises(ConfigError):
            read_config(data)


def test_a_cycle_and_missing_outputs_are_refused() -> None:
    cycle = shared()
    cycle["config"]["layers"][1] = entry("Dense", "d", [["r"], ["r"]], units=4)
    with pytest.raises(ConfigError, match="cycle"):
        check_order(read_config(cycle))
    empty = shared()
    empty["config"]["output_layers"] = []
    with pytest.raises(ConfigError, match="no outputs"):
        check_order(read_config(empty))


def test_an_unknown_class_keeps_everything() -> None:
    data = shared()
    data["config"]["layers"][1] |= {"class_name": "Mine", "registered_name": "pkg>Mine", "k": [1]}
    assert write_config(read_config(data)) == data


def _older(nodes: Any) -> dict[str, Any]:
    """A model whose layer `d` is connected as Keras 2 wrote it, and of an unknown class."""
    data = shared()
    data["config"]["layers"][1] |= {"class_name": "Mine", "inbound_nodes": [nodes]}
    data["config"]["layers"][2]["inbound_nodes"] = [[["d", 0, 0, {}]]]
    data["config"]["output_layers"] = [["r", 0, 0]]
    return data


@pytest.mark.parametrize(
    "nodes",
    [[["x", 0, 0, {}]], ["x", 0, 0, {}], [["x", 0, 0]], [["x", 0, 0, {"training": False}]]],
)
def test_connections_of_older_keras_are_read(nodes: Any) -> None:
    root = read_config(_older(nodes))
    call = find(root, "d").calls[0]
    assert [tensor.layer.name for tensor in call.tensors()] == ["x"]
    assert call.args[0].layer.name == "x"
    assert call.kwargs == ({"training": False} if len(nodes[0]) == 4 and nodes[0][3] else {})


def test_tensors_among_the_arguments_of_older_connections_are_found() -> None:
    nodes = [["x", 0, 0, {"value": ["r", 0, 0], "scale": [1, 2, 3]}], ["_CONSTANT_VALUE", -1, 2.0]]
    call = find(read_config(_older(nodes)), "d").calls[0]
    assert [tensor.layer.name for tensor in call.tensors()] == ["x", "r"]
    assert call.args[0][1] == 2.0
    assert call.kwargs["scale"] == [1, 2, 3]


def test_connections_without_known_shapes_are_written_as_they_were() -> None:
    """An unknown class tells no shape, and a made-up one would be believed later."""
    data = _older([["x", 0, 0, {}]])
    assert write_config(read_config(data))["config"]["layers"][1:] == data["config"]["layers"][1:]
