"""Calls of TensorFlow functions inside a model, as the layers and operations of Keras 3.

tf.keras turned `tf.nn.relu(x)` or `x * 2.0` into a layer of its own: a
TFOpLambda (2.4 to 2.15), a SlicingOpLambda, or a TensorFlowOpLayer (2.0 to
2.3).  Keras 3 has none of them.  What is not in these tables is left and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from patchc.layers.operations import all_operations
from patchc.legacy.functions import KERAS_LAYERS, equal_of
from patchc.legacy.nodes import CONSTANT, called_by_node, operation_of
from patchc.legacy.notes import Notes

Entry = dict[str, Any]

CLASSES = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a Keras 3 HDF5 file is an operation, which is no layer.

    Some share the name of a layer's class; a layer's configuration says whether it trains.
    """
    config = entry.get("config")
    known = entry.get("module") is None and entry["class_name"] in _modules()
    return known and isinstance(config, Mapping) and "trainable" not in config


def set_module(entry: Entry, path: str, notes: Notes) -> None:
    """Write, in place, where Keras 3 finds the class of an operation."""
    entry["module"] = _modules()[entry["class_name"]]
    entry["registered_name"] = entry["class_name"]
    reason = "HDF5 files do not, and Keras does not find it then"
    notes.repair(path, f"wrote the module `{entry['module']}`", reason)


@cache
def _modules() -> Mapping[str, str]:
    """Class of an operation -> its module."""
    return {rule.class_name: module for module, rule in all_operations()}


def insert_operations(layers: list[Entry], path: str, notes: Notes) -> list[Entry]:
    """The entries of a model, with what a function of TensorFlow does beyond its equal in front.

    Keras 3 has a product without transposes, and resizes whole numbers to
    whole numbers.
    """
    taken = {str(entry.get("name")) for entry in layers}
    whole = {str(entry.get("name")) for entry in layers if _makes_integers(entry)}
    found: list[Entry] = []
    for entry in layers:
        called = _called(entry) if entry["class_name"] in CLASSES else None
        result = dict(entry)
        for key, source, new in _in_front(called, whole) if called is not None else ():
            name = _free(f"{entry['name']}_{new['class_name'].lower()}_{key}", taken)
            new["config"]["name"] = name
            nodes = [[[*source[:3], {}]]]
            found.append({**new, "registered_name": new["class_name"], "name": name})
            found[-1]["inbound_nodes"] = nodes
            _read_instead(result, key, [name, 0, 0])
            what = f"inserted `{new['class_name']}` in front of `{entry['name']}`"
            below = f"{path}/{name}" if path else name
            notes.repair(below, what, f"tf.{called[0] if called else ''} does that too")
        found.append(result)
    return found


def _makes_integers(entry: Entry) -> bool:
    config = entry.get("config") or {}
    if entry["class_name"] == "InputLayer":
        return "int" in str(config.get("dtype"))
    called = _called(entry) if entry["class_name"] in CLASSES else None
    return called is not None and called[0] == "cast" and "int" in str(called[1].get("dtype"))


def _in_front(
    called: tuple[str, dict[str, Any], list[list[Any]]], whole: set[str]
) -> Iterator[tuple[str, list[Any], Entry]]:
    """Argument, what it is now, and the operation that goes between."""
    function, arguments, (tensors,) = called
    for key, factor in _transposed(called).items():
        yield key, factor, _operation("numpy", "Swapaxes", axis1=-2, axis2=-1)
    nearest = arguments.get("method") == "nearest"
    if function == "image.resize" and not nearest and tensors and tensors[0][0] in whole:
        yield "a", tensors[0], _operation("core", "Cast", dtype="float32")


def _operation(module: str, class_name: str, **config: Any) -> Entry:
    return {"module": f"keras.src.ops.{module}", "class_name": class_name, "config": config}


def _transposed(called: tuple[str, dict[str, Any], list[list[Any]]]) -> dict[str, list[Any]]:
    """The transposed factors of a product, `a` or `b`: where each comes from."""
    function, arguments, (tensors,) = called
    factors = {"a": tensors[0][:3] if tensors else None, "b": arguments.get("b")}
    if function.rpartition(".")[2] != "matmul" or not all(_is_tensor(f) for f in factors.values()):
        return {}
    return {
        key: list(factor)
        for key, factor in factors.items()
        if factor is not None and arguments.get(f"transpose_{key}")
    }


def _is_tensor(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 3 and value[0] != CONSTANT


def _free(name: str, taken: set[str]) -> str:
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _read_instead(entry: Entry, key: str, tensor: list[Any]) -> None:
    """Let a call read another tensor, in the first place or as `b`, in place."""
    (node,) = entry["inbound_nodes"]
    nested = isinstance(node[0], list)
    name, call, index, arguments = node[0] if nested else node
    arguments = {k: v for k, v in arguments.items() if k != f"transpose_{key}"}
    if key == "b":
        arguments["b"] = tensor
    else:
        name, call, index = tensor
    new = [name, call, index, arguments]
    entry["inbound_nodes"] = [[new] if nested else new]


def replace_operation(entry: Entry, path: str, notes: Notes) -> None:
    """Put what computes the same in Keras 3 in the place of a TensorFlow function, in place.

    Args:
        entry: of a layer of one of `CLASSES`.
    """
    called = _called(entry)
    function = called[0] if called else operation_of(entry["config"])
    equal = equal_of(*called[:2]) if called else None
    if equal is None:
        way_out = "replace the layer by a patch, or build the model again in Keras 3"
        notes.miss(path, f"tf.{function}", "Keras 3 has no layer that calls TensorFlow", way_out)
        entry["registered_name"] = entry["class_name"]
        entry.setdefault("module", None)
        return
    assert called is not None
    old = entry["class_name"]
    config = {"name": entry["config"]["name"], **equal.config}
    registered = None if equal.module == KERAS_LAYERS else equal.class_name
    entry.update(
        module=equal.module, class_name=equal.class_name, config=config, registered_name=registered
    )
    entry["inbound_nodes"] = [_joined(first, equal.arguments) for first in called[2]]
    what = f"`{old}` of tf.{function} became `{equal.class_name}`"
    notes.repair(path, what, "it computes the same, and Keras 3 loads it")


def _joined(tensors: list[Any], arguments: Mapping[str, Any]) -> list[Any]:
    """A connection: the tensors that come first, and further arguments with the first of them."""
    if not tensors or not arguments:
        return tensors
    first, *rest = tensors
    return [[*first[:3], dict(arguments)], *rest]


def _called(entry: Entry) -> tuple[str, dict[str, Any], list[list[Any]]] | None:
    """Function, further arguments, and the first tensors of the one call; None where unclear."""
    nodes = entry.get("inbound_nodes")
    if not isinstance(nodes, list) or len(nodes) != 1 or not nodes[0]:
        return None
    node = nodes[0] if isinstance(nodes[0][0], list) else [nodes[0]]
    if entry["class_name"] == "TensorFlowOpLayer":
        return called_by_node(entry["config"], node)
    arguments = {k: v for k, v in (node[0][3] if node[0][3:] else {}).items() if k != "name"}
    tensors = [[*part[:3], {}] for part in node]
    return str(entry["config"].get("function")), arguments, [tensors]
