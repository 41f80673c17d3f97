"""TensorFlow's own description of an operation, in a TensorFlowOpLayer of tf.keras 2.0 to 2.3.

It names a kernel and not a function: `ResizeBilinear` with a size among its
constants, where later versions say `tf.image.resize(x, size)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

CONSTANT = "_CONSTANT_VALUE"
Called = tuple[str, dict[str, Any], list[list[Any]]]
"""Function, arguments beside the first, and the tensors that come first."""

_FUNCTIONS: Mapping[str, str] = {
    "Abs": "abs",
    "Add": "add",
    "AddV2": "add",
    "Ceil": "ceil",
    "Elu": "elu",
    "Erf": "erf",
    "Exp": "exp",
    "Expm1": "expm1",
    "Floor": "floor",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "Identity": "identity",
    "Less": "less",
    "LessEqual": "less_equal",
    "Log": "log",
    "Log1p": "log1p",
    "LogSoftmax": "log_softmax",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Mul": "multiply",
    "Neg": "negative",
    "Pow": "pow",
    "RealDiv": "truediv",
    "Relu": "relu",
    "Relu6": "relu6",
    "Round": "round",
    "Rsqrt": "rsqrt",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Sign": "sign",
    "Softmax": "softmax",
    "Sqrt": "sqrt",
    "Square": "square",
    "Sub": "subtract",
    "Tanh": "tanh",
}
"""TensorFlow's own name of an operation -> that of its function."""


def called_by_node(config: Mapping[str, Any], tensors: list[Any]) -> Called | None:
    """The call that a description stands for; None where it is none of these tables.

    Args:
        config: of the layer.
        tensors: what it reads, as connections say it.
    """
    try:
        described = config["node_def"]
        node = Node(json.loads(described) if isinstance(described, str) else described, config)
        given: list[Any] = [[*part[:3], {}] for part in tensors]
        special = _SPECIAL.get(node.operation)
        return special(node, given) if special is not None else _plain(node, given)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def operation_of(config: Mapping[str, Any]) -> str:
    """What a layer calls: the function that it names, or the operation that it describes."""
    described = config.get("node_def")
    try:
        described = json.loads(described) if isinstance(described, str) else described
    except ValueError:
        described = None
    found = described.get("op") if isinstance(described, Mapping) else None
    return str(config.get("function") or found or "an operation")


class Node:
    """A described operation.

    Args:
        described: the description as JSON has it.
        config: of the layer, with what the operation reads of constants, by place.
    """

    def __init__(self, described: Mapping[str, Any], config: Mapping[str, Any]) -> None:
        self.operation = str(described["op"])
        self.constants = {int(k): v for k, v in (config.get("constants") or {}).items()}
        self._attributes = described.get("attr") or {}

    def flag(self, name: str) -> bool:
        """A switch; off where nothing is said."""
        return bool((self._attributes.get(name) or {}).get("b", False))

    def number(self, name: str) -> int:
        """A whole number, which JSON has as a text.  Raises KeyError where there is none."""
        return int(self._attributes[name]["i"])

    def dtype(self, name: str) -> str:
        """A type, as NumPy calls it.  Raises KeyError where it is another one."""
        return _DTYPES[self._attributes[name]["type"]]


_DTYPES = {
    "DT_BOOL": "bool",
    "DT_DOUBLE": "float64",
    "DT_FLOAT": "float32",
    "DT_HALF": "float16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_UINT8": "uint8",
}


def _plain(node: Node, given: list[Any]) -> Called | None:
    """An operation of one or two operands, of which one may be a number."""
    if any(not isinstance(value, (int, float)) for value in node.constants.values()):
        return None
    operands = list(given)
    for place in sorted(node.constants):
        operands.insert(place, [CONSTANT, -1, node.constants[place], {}])
    function = _FUNCTIONS[node.operation]
    if len(operands) == 1:
        return function, {}, [operands]
    first, second = operands
    other = second[2] if second[0] == CONSTANT else second[:3]
    return function, {"y": other}, [[first]]


def _product(node: Node, given: list[Any]) -> Called | None:
    if any(node.flag(name) for name in ("adj_x", "adj_y", "transpose_a", "transpose_b")):
        return None
    first, second = given
    return "matmul", {"b": second[:3]}, [[first]]


def _resized(method: str) -> Callable[[Node, list[Any]], Called | None]:
    def call(node: Node, given: list[Any]) -> Called | None:
        if not node.flag("half_pixel_centers") or node.flag("align_corners"):
            return None  # another function, which TensorFlow 1 had
        arguments = {"size": node.constants[1], "method": method}
        return "image.resize", arguments, [given]

    return call


def _reduced(function: str) -> Callable[[Node, list[Any]], Called | None]:
    def call(node: Node, given: list[Any]) -> Called | None:
        arguments = {"axis": node.constants[1], "keepdims": node.flag("keep_dims")}
        return function, arguments, [given]

    return call


def _with_constant(function: str, name: str) -> Callable[[Node, list[Any]], Called | None]:
    """A function of one tensor, and of a constant behind it."""

    def call(node: Node, given: list[Any]) -> Called | None:
        return function, {name: node.constants[1]}, [given]

    return call


def _cast(node: Node, given: list[Any]) -> Called | None:
    return "cast", {"dtype": node.dtype("DstT")}, [given]


def _joined(node: Node, given: list[Any]) -> Called | None:
    (axis,) = (node.constants[place] for place in [len(given)] if len(node.constants) == 1)
    return "concat", {"axis": axis}, [given]


def _split(node: Node, given: list[Any]) -> Called | None:
    arguments = {"num_or_size_splits": node.number("num_split"), "axis": node.constants[0]}
    return "split", arguments, [given]


_SPECIAL: Mapping[str, Callable[[Node, list[Any]], Called | None]] = {
    "BatchMatMul": _product,
    "BatchMatMulV2": _product,
    "Cast": _cast,
    "ConcatV2": _joined,
    "ExpandDims": _with_constant("expand_dims", "axis"),
    "MatMul": _product,
    "Max": _reduced("reduce_max"),
    "Mean": _reduced("reduce_mean"),
    "Min": _reduced("reduce_min"),
    "Pad": _with_constant("pad", "paddings"),
    "Prod": _reduced("reduce_prod"),
    "Reshape": _with_constant("reshape", "shape"),
    "ResizeBicubic": _resized("bicubic"),
    "ResizeBilinear": _resized("bilinear"),
    "ResizeNearestNeighbor": _resized("nearest"),
    "Split": _split,
    "Sum": _reduced("reduce_sum"),
    "Tile": _with_constant("tile", "multiples"),
    "Transpose": _with_constant("transpose", "perm"),
}
