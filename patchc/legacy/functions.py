"""Functions of TensorFlow, and what computes the same in Keras 3.

What is not in these tables, or is called with arguments that Keras 3 has no
words for, has no equal here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeGuard

KERAS_LAYERS = "keras.layers"
_OPS = "keras.src.ops"
_NUMPY = f"{_OPS}.numpy"


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
    "equal": "Equal",
    "floordiv": "FloorDivide",
    "floormod": "Mod",
    "greater": "Greater",
    "greater_equal": "GreaterEqual",
    "less": "Less",
    "less_equal": "LessEqual",
    "logical_and": "LogicalAnd",
    "logical_or": "LogicalOr",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "multiply": "Multiply",
    "not_equal": "NotEqual",
    "pow": "Power",
    "subtract": "Subtract",
    "truediv": "TrueDivide",
}
_UNARY: Mapping[str, tuple[str, str]] = {
    "abs": ("numpy", "Absolute"),
    "ceil": ("numpy", "Ceil"),
    "cos": ("numpy", "Cos"),
    "elu": ("nn", "Elu"),
    "erf": ("math", "Erf"),
    "exp": ("numpy", "Exp"),
    "expm1": ("numpy", "Expm1"),
    "floor": ("numpy", "Floor"),
    "log": ("numpy", "Log"),
    "log1p": ("numpy", "Log1p"),
    "logical_not": ("numpy", "LogicalNot"),
    "negative": ("numpy", "Negative"),
    "relu": ("nn", "Relu"),
    "relu6": ("nn", "Relu6"),
    "round": ("numpy", "Round"),
    "rsqrt": ("math", "Rsqrt"),
    "selu": ("nn", "Selu"),
    "sigmoid": ("nn", "Sigmoid"),
    "sign": ("numpy", "Sign"),
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
    "reduce_prod": "Prod",
    "reduce_std": "Std",
    "reduce_sum": "Sum",
    "reduce_variance": "Var",
}


def equal_of(function: str, arguments: Arguments) -> Equal | None:
    """What computes the same as a function of TensorFlow; None where Keras 3 has nothing.

    Args:
        function: its name below `tf`.
        arguments: those beside the first.
    """
    name = function.removeprefix("compat.v1.")
    name = name.rpartition(".")[2] if not name.startswith("__") else name
    if name in _BINARY and arguments.keys() == {"y"}:
        return Equal(_NUMPY, _BINARY[name], {}, {"x2": arguments["y"]})
    if name in _UNARY and not arguments:
        module, class_name = _UNARY[name]
        return Equal(f"{_OPS}.{module}", class_name)
    if name in _REDUCTIONS:
        keep = bool(arguments.get("keepdims", arguments.get("keep_dims", False)))
        config = {"axis": arguments.get("axis"), "keepdims": keep}
        return Equal(_NUMPY, _REDUCTIONS[name], config)
    special = _SPECIAL.get(name)
    return special(arguments) if special is not None else None


def _concatenate(arguments: Arguments) -> Equal | None:
    axis = arguments.get("axis")
    return Equal(KERAS_LAYERS, "Concatenate", {"axis": axis}) if isinstance(axis, int) else None


def _reshape(arguments: Arguments) -> Equal | None:
    shape = arguments.get("shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) for size in shape):
        return None
    if shape[0] == -1 and shape.count(-1) == 1:
        return Equal(KERAS_LAYERS, "Reshape", {"target_shape": shape[1:]})
    return None


def _transpose(arguments: Arguments) -> Equal | None:
    order = arguments.get("perm")
    if isinstance(order, list) and order[0] == 0 and not arguments.get("conjugate"):
        return Equal(KERAS_LAYERS, "Permute", {"dims": order[1:]})
    return None


def _clip(arguments: Arguments) -> Equal | None:
    low, high = arguments.get("clip_value_min"), arguments.get("clip_value_max")
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        return None
    return Equal(_NUMPY, "Clip", {"x_min": low, "x_max": high})


def _pad(arguments: Arguments) -> Equal | None:
    widths = arguments.get("paddings")
    constant = arguments.get("mode", "CONSTANT") == "CONSTANT"
    if not constant or arguments.get("constant_values", 0) or not isinstance(widths, list):
        return None
    if len(widths) != 4 or widths[0] != [0, 0] or widths[3] != [0, 0]:
        return None
    config = {"padding": widths[1:3], "data_format": "channels_last"}
    return Equal(KERAS_LAYERS, "ZeroPadding2D", config)


def _item(arguments: Arguments) -> Equal | None:
    spec = arguments.get("slice_spec")
    if not isinstance(spec, list):
        return None
    key = [_slice(part) for part in spec]
    return Equal(_NUMPY, "GetItem", {}, {"key": key})


def _slice(part: Any) -> Any:
    if isinstance(part, Mapping) and part.keys() >= {"start", "stop"}:
        ends = {name: part.get(name) for name in ("start", "stop", "step")}
        return {"class_name": "__slice__", "config": ends}
    if isinstance(part, Mapping):
        return {"class_name": "__ellipsis__", "config": {}}
    return part


def _leaky_relu(arguments: Arguments) -> Equal:
    slope = arguments.get("alpha", 0.2)
    return Equal(KERAS_LAYERS, "LeakyReLU", {"negative_slope": slope})


def _softmax(arguments: Arguments) -> Equal:
    axis = arguments.get("axis")
    return Equal(KERAS_LAYERS, "Softmax", {"axis": -1 if axis is None else axis})


def _identity(arguments: Arguments) -> Equal:
    return Equal(KERAS_LAYERS, "Activation", {"activation": "linear"})


def _axis_only(class_name: str) -> Callable[[Arguments], Equal | None]:
    def make(arguments: Arguments) -> Equal | None:
        return Equal(_NUMPY, class_name, {"axis": arguments.get("axis")})

    return make


def _normalize(arguments: Arguments) -> Equal:
    return Equal(KERAS_LAYERS, "UnitNormalization", {"axis": arguments.get("axis", -1)})


def _resize(arguments: Arguments) -> Equal | None:
    """Half-pixel centres, as `tf.image.resize` has them since TensorFlow 2."""
    size, method = arguments.get("size"), arguments.get("method", "bilinear")
    if not _are_integers(size, 2) or method not in _METHODS:
        return None
    if arguments.get("preserve_aspect_ratio"):
        return None
    antialias = bool(arguments.get("antialias", False))
    config = {"size": size, "interpolation": method, "antialias": antialias}
    return Equal(f"{_OPS}.image", "Resize", {**config, "data_format": "channels_last"})


_METHODS = frozenset({"bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"})


def _split(arguments: Arguments) -> Equal | None:
    parts, axis = arguments.get("num_or_size_splits"), arguments.get("axis", 0)
    if not isinstance(axis, int) or axis == 0:
        return None  # that of the batch
    if _are_integers(parts) and min(parts) >= 0:  # sizes; -1 would be what is left
        parts = list(accumulate(parts))[:-1]
    elif not isinstance(parts, int):
        return None
    return Equal(_NUMPY, "Split", {"indices_or_sections": parts, "axis": axis})


def _matmul(arguments: Arguments) -> Equal | None:
    """Transposed factors are layers of their own by now."""
    other = arguments.get("b", arguments.get("y"))
    if other is None or any(arguments.get(key) for key in arguments if key not in {"b", "y"}):
        return None
    return Equal(_NUMPY, "Matmul", {}, {"x2": other})


def _cast(arguments: Arguments) -> Equal | None:
    dtype = arguments.get("dtype")
    return Equal(f"{_OPS}.core", "Cast", {"dtype": dtype}) if dtype in _DTYPES else None


_DTYPES = frozenset({"bool", "float16", "bfloat16", "float32", "float64"}) | {
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}


def _where(arguments: Arguments) -> Equal | None:
    if arguments.get("x") is None or arguments.get("y") is None:
        return None
    return Equal(_NUMPY, "Where", {}, {"x1": arguments["x"], "x2": arguments["y"]})


def _gather(arguments: Arguments) -> Equal | None:
    indices, axis = arguments.get("indices"), arguments.get("axis")
    constant = isinstance(indices, int) or _are_integers(indices)
    if not constant or not isinstance(axis, int) or arguments.get("batch_dims"):
        return None
    return Equal(_NUMPY, "Take", {"axis": axis}, {"indices": indices})


def _tile(arguments: Arguments) -> Equal | None:
    times = arguments.get("multiples")
    return Equal(_NUMPY, "Tile", {"repeats": times}) if _are_integers(times) else None


def _unstack(arguments: Arguments) -> Equal | None:
    axis = arguments.get("axis", 0)
    if not isinstance(axis, int) or axis == 0:
        return None
    return Equal(f"{_OPS}.core", "Unstack", {"num": arguments.get("num"), "axis": axis})


def _roll(arguments: Arguments) -> Equal | None:
    shift, axis = arguments.get("shift"), arguments.get("axis")
    plain = isinstance(shift, int) and isinstance(axis, int)
    return Equal(_NUMPY, "Roll", {"shift": shift, "axis": axis}) if plain else None


def _reverse(arguments: Arguments) -> Equal | None:
    axis = arguments.get("axis")
    if not _are_integers(axis):
        return None
    return Equal(_NUMPY, "Flip", {"axis": axis[0] if len(axis) == 1 else axis})


def _cumsum(arguments: Arguments) -> Equal | None:
    axis = arguments.get("axis", 0)
    if arguments.get("exclusive") or arguments.get("reverse") or not isinstance(axis, int):
        return None
    return Equal(_NUMPY, "Cumsum", {"axis": axis})


def _norm(arguments: Arguments) -> Equal | None:
    axis = arguments.get("axis")
    if arguments.get("ord", "euclidean") not in {"euclidean", 2} or not isinstance(axis, int):
        return None
    config = {"ord": None, "axis": axis, "keepdims": bool(arguments.get("keepdims"))}
    return Equal(f"{_OPS}.linalg", "Norm", config)


def _one_hot(arguments: Arguments) -> Equal | None:
    depth, axis = arguments.get("depth"), arguments.get("axis")
    values = arguments.get("on_value"), arguments.get("off_value")
    dtype = arguments.get("dtype") or "float32"
    if not isinstance(depth, int) or values != (None, None) or dtype not in _DTYPES:
        return None
    config = {"num_classes": depth, "axis": -1 if axis is None else axis, "dtype": dtype}
    return Equal(f"{_OPS}.nn", "OneHot", config)


def _log_softmax(arguments: Arguments) -> Equal:
    axis = arguments.get("axis")
    return Equal(f"{_OPS}.nn", "LogSoftmax", {"axis": -1 if axis is None else axis})


def _gelu(arguments: Arguments) -> Equal:
    approximate = bool(arguments.get("approximate", False))
    return Equal(f"{_OPS}.nn", "Gelu", {"approximate": approximate})


def _rearranged(class_name: str) -> Callable[[Arguments], Equal | None]:
    def make(arguments: Arguments) -> Equal | None:
        size = arguments.get("block_size")
        if not isinstance(size, int) or arguments.get("data_format", "NHWC") != "NHWC":
            return None
        config = {"block_size": size, "data_format": "channels_last"}
        return Equal(f"{_OPS}.nn", class_name, config)

    return make


def _pooled(class_name: str) -> Callable[[Arguments], Equal | None]:
    def make(arguments: Arguments) -> Equal | None:
        size, strides = arguments.get("ksize"), arguments.get("strides")
        plain = all(isinstance(n, int) or _are_integers(n, 2) for n in (size, strides))
        padding = arguments.get("padding")
        if not plain or padding not in {"SAME", "VALID"}:
            return None
        if arguments.get("data_format", "NHWC") != "NHWC":
            return None
        config = {"pool_size": size, "strides": strides, "padding": str(padding).lower()}
        return Equal(KERAS_LAYERS, class_name, {**config, "data_format": "channels_last"})

    return make


def _are_integers(value: Any, count: int | None = None) -> TypeGuard[list[int]]:
    """Whether a value is a list of whole numbers, and of so many."""
    plain = isinstance(value, list) and bool(value) and all(type(n) is int for n in value)
    return plain and count in {None, len(value)}


_SPECIAL: Mapping[str, Callable[[Arguments], Equal | None]] = {
    "__operators__.getitem": _item,
    "avg_pool2d": _pooled("AveragePooling2D"),
    "cast": _cast,
    "clip_by_value": _clip,
    "concat": _concatenate,
    "convert_to_tensor": _identity,
    "cumsum": _cumsum,
    "depth_to_space": _rearranged("DepthToSpace"),
    "expand_dims": _axis_only("ExpandDims"),
    "gather": _gather,
    "gelu": _gelu,
    "identity": _identity,
    "l2_normalize": _normalize,
    "leaky_relu": _leaky_relu,
    "log_softmax": _log_softmax,
    "matmul": _matmul,
    "max_pool2d": _pooled("MaxPooling2D"),
    "norm": _norm,
    "one_hot": _one_hot,
    "pad": _pad,
    "reshape": _reshape,
    "resize": _resize,
    "reverse": _reverse,
    "roll": _roll,
    "softmax": _softmax,
    "space_to_depth": _rearranged("SpaceToDepth"),
    "split": _split,
    "squeeze": _axis_only("Squeeze"),
    "stack": _axis_only("Stack"),
    "tile": _tile,
    "transpose": _transpose,
    "unstack": _unstack,
    "where": _where,
}
