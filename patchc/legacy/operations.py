"""Calls of TensorFlow functions inside a model, as the layers and operations of Keras 3.

tf.keras turned `tf.nn.relu(x)` or `x * 2.0` into a layer of its own: a
TFOpLambda (2.4 to 2.15), a SlicingOpLambda, or a TensorFlowOpLayer (2.0 to
2.3).  Keras 3 has none of them.  What is not in these tables is left and named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from patchc.layers.operations import all_operations
from patchc.legacy.notes import Notes

Entry = dict[str, Any]

CLASSES = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"})
_LAYERS = "keras.layers"
_CONSTANT = "_CONSTANT_VALUE"


@dataclass(frozen=True, slots=True)
class Equal:
    """What computes the same in Keras 3.

    Args:
        module, class_name: where it is found.
        config: its arguments.
        arguments: arguments of the call beside the first.
    """

    module: str
    class_name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


Arguments = Mapping[str, Any]

_BINARY: Mapping[str, str] = {
    "__operators__.add": "Add",
    "add": "Add",
    "divide": "TrueDivide",
    "floordiv": "FloorDivide",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "multiply": "Multiply",
    "pow": "Power",
    "subtract": "Subtract",
    "truediv": "TrueDivide",
}
_UNARY: Mapping[str, tuple[str, str]] = {
    "abs": ("numpy", "Absolute"),
    "cos": ("numpy", "Cos"),
    "exp": ("numpy", "Exp"),
    "log": ("numpy", "Log"),
    "negative": ("numpy", "Negative"),
    "relu": ("nn", "Relu"),
    "relu6": ("nn", "Relu6"),
    "rsqrt": ("math", "Rsqrt"),
    "sigmoid": ("nn", "Sigmoid"),
    "silu": ("nn", "Silu"),
    "sin": ("numpy", "Sin"),
    "softplus": ("nn", "Softplus"),
    "softsign": ("nn", "Softsign"),
    "sqrt": ("numpy", "Sqrt"),
    "square": ("numpy", "Square"),
    "swish": ("nn", "Silu"),
    "tanh": ("numpy", "Tanh"),
}
_REDUCTIONS: Mapping[str, str] = {
    "reduce_max": "Max",
    "reduce_mean": "Mean",
    "reduce_min": "Min",
    "reduce_sum": "Sum",
}
_NODE_OPERATIONS: Mapping[str, str] = {
    "Abs": "abs",
    "Add": "add",
    "AddV2": "add",
    "Exp": "exp",
    "Identity": "identity",
    "Log": "log",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Mul": "multiply",
    "Neg": "negative",
    "Pow": "pow",
    "RealDiv": "truediv",
    "Relu": "relu",
    "Relu6": "relu6",
    "Rsqrt": "rsqrt",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Sqrt": "sqrt",
    "Square": "square",
    "Sub": "subtract",
    "Tanh": "tanh",
}
"""TensorFlow's own name of an operation -> that of its function."""


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


def replace_operation(entry: Entry, path: str, notes: Notes) -> None:
    """Put what computes the same in Keras 3 in the place of a TensorFlow function, in place.

    Args:
        entry: of a layer of one of `CLASSES`.
    """
    called = _called(entry)
    function = called[0] if called else str(entry["config"].get("function", "an operation"))
    equal = _equal(*called[:2]) if called else None
    if equal is None:
        way_out = "replace the layer by a patch, or build the model again in Keras 3"
        notes.miss(path, f"tf.{function}", "Keras 3 has no layer that calls TensorFlow", way_out)
        entry["registered_name"] = entry["class_name"]
        entry.setdefault("module", None)
        return
    assert called is not None
    old = entry["class_name"]
    config = {"name": entry["config"]["name"], **equal.config}
    registered = None if equal.module == _LAYERS else equal.class_name
    entry.update(
        module=equal.module, class_name=equal.class_name, config=config, registered_name=registered
    )
    entry["inbound_nodes"] = [_joined(first, equal.arguments) for first in called[2]]
    what = f"`{old}` of tf.{function} became `{equal.class_name}`"
    notes.repair(path, what, "it computes the same, and Keras 3 loads it")


def _joined(tensors: list[Any], arguments: Arguments) -> list[Any]:
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
        return _called_by_node(entry["config"], node)
    arguments = {k: v for k, v in (node[0][3] if node[0][3:] else {}).items() if k != "name"}
    tensors = [[*part[:3], {}] for part in node]
    return str(entry["config"].get("function")), arguments, [tensors]


def _called_by_node(
    config: Mapping[str, Any], tensors: list[Any]
) -> tuple[str, dict[str, Any], list[list[Any]]] | None:
    """The same for a TensorFlowOpLayer, which keeps TensorFlow's description of the operation."""
    try:
        described = config["node_def"]
        described = json.loads(described) if isinstance(described, str) else described
        operation = str(described["op"])
    except (ValueError, KeyError, TypeError):
        return None
    function = _NODE_OPERATIONS.get(operation, operation)
    constants = config.get("constants") or {}
    if any(not isinstance(value, (int, float)) for value in constants.values()):
        return None
    operands: list[Any] = [[*part[:3], {}] for part in tensors]
    for place in sorted(constants, key=int):
        operands.insert(int(place), [_CONSTANT, -1, constants[place], {}])
    if len(operands) == 1:
        return function, {}, [operands]
    first, second, *more = operands
    if more:
        return None
    other = second[2] if second[0] == _CONSTANT else second[:3]
    return function, {"y": other}, [[first]]


def _equal(function: str, arguments: Arguments) -> Equal | None:
    name = function.removeprefix("compat.v1.")
    name = name.rpartition(".")[2] if not name.startswith("__") else name
    if name in _BINARY and arguments.keys() == {"y"}:
        return Equal("keras.src.ops.numpy", _BINARY[name], {}, {"x2": arguments["y"]})
    if name in _UNARY and not arguments:
        module, class_name = _UNARY[name]
        return Equal(f"keras.src.ops.{module}", class_name)
    if name in _REDUCTIONS:
        keep = bool(arguments.get("keepdims", arguments.get("keep_dims", False)))
        config = {"axis": arguments.get("axis"), "keepdims": keep}
        return Equal("keras.src.ops.numpy", _REDUCTIONS[name], config)
    special = _SPECIAL.get(name)
    return special(arguments) if special is not None else None


def _concatenate(arguments: Arguments) -> Equal | None:
    axis = arguments.get("axis")
    return Equal(_LAYERS, "Concatenate", {"axis": axis}) if isinstance(axis, int) else None


def _reshape(arguments: Arguments) -> Equal | None:
    shape = arguments.get("shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        return None
    if shape[0] == -1 and shape.count(-1) == 1:
        return Equal(_LAYERS, "Reshape", {"target_shape": shape[1:]})
    return None


def _transpose(arguments: Arguments) -> Equal | None:
    order = arguments.get("perm")
    if isinstance(order, list) and order[0] == 0 and not arguments.get("conjugate"):
        return Equal(_LAYERS, "Permute", {"dims": order[1:]})
    return None


def _clip(arguments: Arguments) -> Equal | None:
    low, high = arguments.get("clip_value_min"), arguments.get("clip_value_max")
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        return None
    return Equal("keras.src.ops.numpy", "Clip", {"x_min": low, "x_max": high})


def _pad(arguments: Arguments) -> Equal | None:
    widths = arguments.get("paddings")
    constant = arguments.get("mode", "CONSTANT") == "CONSTANT"
    if not constant or arguments.get("constant_values", 0) or not isinstance(widths, list):
        return None
    if len(widths) != 4 or widths[0] != [0, 0] or widths[3] != [0, 0]:
        return None
    config = {"padding": widths[1:3], "data_format": "channels_last"}
    return Equal(_LAYERS, "ZeroPadding2D", config)


def _item(arguments: Arguments) -> Equal | None:
    spec = arguments.get("slice_spec")
    if not isinstance(spec, list):
        return None
    key = [_slice(part) for part in spec]
    return Equal("keras.src.ops.numpy", "GetItem", {}, {"key": key})


def _slice(part: Any) -> Any:
    if isinstance(part, Mapping) and part.keys() >= {"start", "stop"}:
        ends = {name: part.get(name) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": ends}
    if isinstance(part, Mapping):
        return {"class_name": "__ellipsis__", "config": {}}
    return part


def _leaky_relu(arguments: Arguments) -> Equal:
    slope = arguments.get("alpha", 0.2)
    return Equal(_LAYERS, "LeakyReLU", {"negative_slope": slope})


def _softmax(arguments: Arguments) -> Equal:
    axis = arguments.get("axis")
    return Equal(_LAYERS, "Softmax", {"axis": -1 if axis is None else axis})


def _identity(arguments: Arguments) -> Equal:
    return Equal(_LAYERS, "Activation", {"activation": "linear"})


def _axis_only(class_name: str) -> Callable[[Arguments], Equal | None]:
    def make(arguments: Arguments) -> Equal | None:
        return Equal("keras.src.ops.numpy", class_name, {"axis": arguments.get("axis")})

    return make


def _normalize(arguments: Arguments) -> Equal:
    return Equal(_LAYERS, "UnitNormalization", {"axis": arguments.get("axis", -1)})


_SPECIAL: Mapping[str, Callable[[Arguments], Equal | None]] = {
    "__operators__.getitem": _item,
    "clip_by_value": _clip,
    "concat": _concatenate,
    "convert_to_tensor": _identity,
    "expand_dims": _axis_only("ExpandDims"),
    "identity": _identity,
    "l2_normalize": _normalize,
    "leaky_relu": _leaky_relu,
    "pad": _pad,
    "reshape": _reshape,
    "softmax": _softmax,
    "squeeze": _axis_only("Squeeze"),
    "stack": _axis_only("Stack"),
    "transpose": _transpose,
}
