"""Operations of `keras.ops` that hand axes on by name: reductions, products, windows.

Each says which axes of its tensors run over the same dimension.  A dimension
whose entries meet (they are summed over, or shared out by a softmax) cannot
change unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from patchc.layers.base import Config, NoRuleError, RuleError, Shape, TensorSpec
from patchc.layers.contracts import BOTH, NONE, ONLY_ZERO, Contracts
from patchc.layers.movement import Given
from patchc.layers.operands import Operand, axes_of, axis_of, numbers, tensor_of
from patchc.layers.windows import window_size

Labels = tuple[str, ...]
"""One for each axis; "" for an axis along which nothing can change."""


@dataclass(frozen=True, slots=True)
class View:
    """Which axes of an operation's tensors belong together.

    Args:
        outputs: shape and dtype of each.
        reads: labels of each input, by its number.
        makes: labels of each output.
        meeting: labels whose entries depend on one another, and why, as a
            clause that follows the name of the operation.
    """

    outputs: Sequence[TensorSpec]
    reads: Mapping[int, Labels]
    makes: Sequence[Labels]
    meeting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Linker:
    """An operation class that hands axes on.

    Args:
        parameters: of a call, in order.
        view: from configuration and arguments by name, what belongs together;
            raises RuleError where patchc does not know.
        kept: the contracts of new entries that it hands on, where one of its
            tensors changes.
    """

    parameters: tuple[str, ...]
    view: Callable[[Config, Given], View]
    kept: Contracts = NONE


def _named(rank: int) -> Labels:
    return tuple(f"axis {axis}" for axis in range(rank))


def _float(*tensors: Operand) -> str:
    """The dtype of the operands, one and the same floating-point type."""
    dtypes = {tensor.dtype for tensor in tensors}
    if len(dtypes) != 1 or "float" not in min(dtypes):
        raise NoRuleError(f"has operands of {', '.join(sorted(dtypes))}")
    return min(dtypes)


# ------------------------------------------------------------------------- reductions


def _reduced(x: Operand, axes: Sequence[int], dtype: str, *, keep: bool) -> View:
    labels = _named(len(x.shape))
    shape: list[int | None] = []
    made: list[str] = []
    for axis, size in enumerate(x.shape):
        if axis not in axes:
            shape.append(size)
            made.append(labels[axis])
        elif keep:
            shape.append(1)
            made.append("")
    meeting = {labels[axis]: "makes one entry of all along the axis" for axis in axes}
    output = TensorSpec(tuple(shape), dtype)
    return View([output], {x.index: labels}, [tuple(made)], meeting)


def _reduction(dtype: str | None = None, key: str = "axis") -> Callable[[Config, Given], View]:
    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, "x")
        axes = axes_of(config.get(key), len(x.shape))
        return _reduced(x, axes, dtype or _float(x), keep=bool(config.get("keepdims")))

    return view


def _moments(config: Config, given: Given) -> View:
    """Mean and variance."""
    x = tensor_of(given, "x")
    axes = axes_of(config.get("axes"), len(x.shape))
    one = _reduced(x, axes, _float(x), keep=bool(config.get("keepdims")))
    return View([*one.outputs] * 2, one.reads, [*one.makes] * 2, one.meeting)


def _average(config: Config, given: Given) -> View:
    if given.get("weights") is not None:
        raise NoRuleError("weighs the entries that it averages")
    return _reduction()(config, given)


def _quantile(config: Config, given: Given) -> View:
    if not isinstance(given.get("q"), (int, float)):
        raise NoRuleError("makes several quantiles")
    return _reduction()(config, given)


def _trapezoid(config: Config, given: Given) -> View:
    if config.get("x") is not None:
        raise NoRuleError("has sample points of its own")
    y = tensor_of(given, "y")
    return _reduced(y, [axis_of(config.get("axis", -1), len(y.shape))], _float(y), keep=False)


# ---------------------------------------------------------------------- along an axis


def _sharing(
    reason: str, dtype: str | None = None, name: str = "x", default: Any = -1
) -> Callable[[Config, Given], View]:
    """An operation of one tensor in which the entries along `axis` depend on one another."""

    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, name)
        axis = config.get("axis", default)
        labels = _named(len(x.shape))
        meeting = {labels[i]: reason for i in axes_of(axis, len(x.shape))}
        output = TensorSpec(x.shape, dtype or _float(x))
        return View([output], {x.index: labels}, [labels], meeting)

    return view


_SHARED_OUT = "lets the entries along the axis depend on one another"


def _cumulated(config: Config, given: Given) -> View:
    if config.get("dtype") is not None or config.get("axis") is None:
        raise NoRuleError("works on all entries as if they lay along one axis")
    return _sharing("adds up the entries along the axis")(config, given)


def _normalised(config: Config, given: Given) -> View:
    """A normalisation with a scale or an offset of its own is known along other axes only."""
    found = _sharing(_SHARED_OUT)(config, given)
    affine = [name for name in ("gamma", "beta", "scale") if given.get(name) is not None]
    if affine:
        axes = set(found.meeting)
        labels = tuple("" if label in axes else label for label in found.makes[0])
        return View(found.outputs, dict.fromkeys(found.reads, labels), [labels])
    return found


def _normalize(config: Config, given: Given) -> View:
    """Keras notes single precision for its output, whatever it is."""
    x = tensor_of(given, "x")
    if x.dtype != "float32":
        raise NoRuleError(f"has an operand of {x.dtype}")
    return _sharing(_SHARED_OUT)(config, given)


def _batch_norm(config: Config, given: Given) -> View:
    x = tensor_of(given, "x")
    axis = axis_of(config.get("axis"), len(x.shape))
    labels = tuple("" if i == axis else label for i, label in enumerate(_named(len(x.shape))))
    return View([TensorSpec(x.shape, _float(x))], {x.index: labels}, [labels])


def _triangle(config: Config, given: Given) -> View:
    """The last two axes are those of a matrix, of which a part becomes zero."""
    x = tensor_of(given, "x")
    labels = (*_named(len(x.shape))[:-2], "", "")
    return View([TensorSpec(x.shape, x.dtype)], {x.index: labels}, [labels])


def _top_k(config: Config, given: Given) -> View:
    """The largest entries of the last axis, and where they stand."""
    x = tensor_of(given, "x")
    labels = _named(len(x.shape))
    shape = (*x.shape[:-1], int(config["k"]))
    made = (*labels[:-1], "")
    meeting = {labels[-1]: "picks the largest entries along the axis"}
    outputs = [TensorSpec(shape, _float(x)), TensorSpec(shape, "int32")]
    return View(outputs, {x.index: labels}, [made, made], meeting)


def _glimpse(name: str, key: str) -> Callable[[Config, Given], View]:
    """Ids become vectors along a new axis, whose size the operation was told."""

    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, name)
        if config.get("sparse"):
            raise NoRuleError("makes a sparse tensor")
        rank = len(x.shape) + 1
        place = axis_of(config.get("axis", -1), rank)
        labels = _named(len(x.shape))
        shape = (*x.shape[:place], int(config[key]), *x.shape[place:])
        made = (*labels[:place], "", *labels[place:])
        output = TensorSpec(shape, str(config.get("dtype") or "float32"))
        return View([output], {x.index: labels}, [made])

    return view


# --------------------------------------------------------------------------- products

_SUMMED = "sums over the axis"


def product(parts: Sequence[tuple[Operand, Labels]], made: Labels, dtype: str) -> View:
    """The sum of products over the labels that are not made.

    Axes of one entry serve all entries of the others with their label.

    Raises:
        RuleError: where sizes do not fit each other.
    """
    sizes: dict[str, int | None] = {}
    for operand, labels in parts:
        for label, size in zip(labels, operand.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known in {1, None} and size is not None:
                sizes[label] = size
            elif size not in {1, None, known}:
                raise RuleError(f"multiplies axes of {known} and {size} entries")
    reads = {
        operand.index: tuple(
            label if size == sizes[label] else ""
            for label, size in zip(labels, operand.shape, strict=True)
        )
        for operand, labels in parts
    }
    output = TensorSpec(tuple(sizes[label] for label in made), dtype)
    meeting = {label: _SUMMED for label in sizes if label not in made}
    return View([output], reads, [made], meeting)


def _einsum(config: Config, given: Given) -> View:
    subscripts = str(config.get("subscripts", "")).replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    terms = left.split(",")
    parts = [given.get(f"operand {i}") for i in range(len(terms))]
    if not arrow or "." in subscripts or not all(isinstance(p, Operand) for p in parts):
        raise NoRuleError(f"has an equation that is not followed: {subscripts}")
    pairs = [(p, tuple(term)) for p, term in zip(parts, terms, strict=True) if p is not None]
    if any(len(p.shape) != len(term) or len(set(term)) != len(term) for p, term in pairs):
        raise NoRuleError(f"has an equation that is not followed: {subscripts}")
    return product(pairs, tuple(right), _float(*(p for p, _ in pairs)))


def _matmul(config: Config, given: Given) -> View:
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    ranks = len(one.shape), len(other.shape)
    if min(ranks) < 2:
        raise NoRuleError("multiplies by a vector")
    outer = [f"outer {i}" for i in range(max(ranks) - 2)]
    first = (*outer[len(outer) - ranks[0] + 2 :], "row", "inner")
    second = (*outer[len(outer) - ranks[1] + 2 :], "inner", "column")
    return product([(one, first), (other, second)], (*outer, "row", "column"), _float(one, other))


def _tensordot(config: Config, given: Given) -> View:
    """The summed axes are as many last and first ones, or two lists of them."""
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    told = config.get("axes", 2)
    ranks = len(one.shape), len(other.shape)
    if isinstance(told, int):
        pairs = list(zip(range(ranks[0] - told, ranks[0]), range(told), strict=True))
    else:
        sides = [axes_of(side, rank) for side, rank in zip(told, ranks, strict=True)]
        pairs = list(zip(*sides, strict=True))
    first = [f"left {i}" for i in range(ranks[0])]
    second = [f"right {i}" for i in range(ranks[1])]
    for number, (i, j) in enumerate(pairs):
        first[i] = second[j] = f"inner {number}"
    made = tuple(label for label in [*first, *second] if not label.startswith("inner"))
    return product([(one, tuple(first)), (other, tuple(second))], made, _float(one, other))


def _dot(config: Config, given: Given) -> View:
    """As NumPy's: the last axis of one with the second last of the other."""
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    if min(len(one.shape), len(other.shape)) < 2:
        raise NoRuleError("multiplies by a vector or a number")
    last = len(other.shape) - 2
    return _tensordot({"axes": [[len(one.shape) - 1], [last]]}, given)


def _inner(config: Config, given: Given) -> View:
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    if not one.shape or not other.shape:
        raise NoRuleError("multiplies by a number")
    return _tensordot({"axes": [[len(one.shape) - 1], [len(other.shape) - 1]]}, given)


def _attention(config: Config, given: Given) -> View:
    """Query (batch, steps, heads, size) against key and value (batch, steps, heads, size)."""
    query, key, value = (tensor_of(given, name) for name in ("query", "key", "value"))
    if any(given.get(name) is not None for name in ("bias", "mask")):
        raise NoRuleError("has a mask or a bias")
    grouped = query.shape[2] != key.shape[2]
    heads, read = ("", "") if grouped else ("heads", "heads")
    output = TensorSpec(query.shape, _float(query, key, value))
    reads = {
        query.index: ("batch", "steps", heads, "size"),
        key.index: ("batch", "keys", read, "size"),
        value.index: ("batch", "keys", read, "size"),
    }
    meeting = {
        "size": "divides the scores by the square root of their number",
        "keys": _SHARED_OUT,
    }
    return View([output], reads, [("batch", "steps", heads, "size")], meeting)


# ---------------------------------------------------------------------------- windows


def _spatial(rank: int, config: Config) -> tuple[range, int]:
    first = config.get("data_format") == "channels_first"
    return (range(2, rank), 1) if first else (range(1, rank - 1), rank - 1)


def _windowed(sizes: Mapping[int, int | None], x: Operand, dtype: str, channel: int) -> View:
    """Batch and features are handed on, the other axes have sizes of their own."""
    shape = tuple(sizes.get(axis, size) for axis, size in enumerate(x.shape))
    names = {0: "batch", channel: "features"}
    labels = tuple(names.get(axis, "") for axis in range(len(x.shape)))
    return View([TensorSpec(shape, dtype)], {x.index: labels}, [labels])


def _per_axis(value: Any, count: int) -> list[int]:
    found = numbers(value) or []
    found = found * count if len(found) == 1 else found
    if len(found) != count:
        raise RuleError("has a window with another number of axes than its input")
    return found


def _pool(config: Config, given: Given) -> View:
    x = tensor_of(given, "inputs")
    axes, channel = _spatial(len(x.shape), config)
    window = _per_axis(config.get("pool_size"), len(axes))
    steps = config.get("strides")
    strides = window if steps is None else _per_axis(steps, len(axes))
    padding = str(config.get("padding", "valid")).lower()
    sizes = {
        axis: window_size(x.shape[axis], extent, stride, padding)
        for axis, extent, stride in zip(axes, window, strides, strict=True)
    }
    return _windowed(sizes, x, _float(x), channel)


def _image(sizes: Callable[[Config, Shape, range], Mapping[int, int | None]]) -> Any:
    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, "images")
        if len(x.shape) != 4:
            raise NoRuleError("works on a single image")
        axes, channel = _spatial(4, config)
        return _windowed(sizes(config, x.shape, axes), x, _float(x), channel)

    return view


def _resized(config: Config, shape: Shape, axes: range) -> Mapping[int, int | None]:
    return dict(zip(axes, _per_axis(config.get("size"), 2), strict=True))


def _same(config: Config, shape: Shape, axes: range) -> Mapping[int, int | None]:
    return {}


def _edges(low: str, sign: int) -> Callable[[Config, Shape, range], Mapping[int, int | None]]:
    """Images that are padded or cropped at their edges."""

    def sizes(config: Config, shape: Shape, axes: range) -> Mapping[int, int | None]:
        found: dict[int, int | None] = {}
        for axis, (ends, target) in zip(axes, _EDGES, strict=True):
            told = [numbers(config.get(f"{end}_{low}")) for end in ends]
            size = shape[axis]
            if config.get(target) is not None:
                found[axis] = int(config[target])
            elif size is None or None in told:
                found[axis] = None
            else:
                found[axis] = size + sign * sum(pair[0] for pair in told if pair)
        return found

    return sizes


_EDGES = ((("top", "bottom"), "target_height"), (("left", "right"), "target_width"))
_X, _IMAGES, _INPUTS = ("x",), ("images",), ("inputs",)
_OPERANDS = tuple(f"operand {i}" for i in range(8))
_REDUCTIONS = "Amax Amin Max Mean Median Min Nanmax Nanmean Nanmedian Nanmin Nanprod Nanstd Nansum"
_FLOAT_REDUCTIONS = f"{_REDUCTIONS} Nanvar Prod Ptp Std Sum Var"

LINKED: Mapping[tuple[str, str], Linker] = {
    **{("numpy", name): Linker(_X, _reduction()) for name in _FLOAT_REDUCTIONS.split()},
    **{("numpy", name): Linker(_X, _reduction(), BOTH) for name in ("Mean", "Sum")},
    **{("numpy", name): Linker(_X, _reduction(), ONLY_ZERO) for name in ("Amax", "Max", "Min")},
    **{("numpy", name): Linker(_X, _reduction("bool")) for name in ("All", "Any")},
    **{
        ("numpy", name): Linker(_X, _reduction("int32"))
        for name in ("Argmax", "Argmin", "CountNonzero", "Nanargmax", "Nanargmin")
    },
    **{
        ("numpy", name): Linker(("x", "q"), _quantile)
        for name in ("Nanpercentile", "Nanquantile", "Percentile", "Quantile")
    },
    ("linalg", "Norm"): Linker(_X, _reduction()),
    ("math", "Logsumexp"): Linker(_X, _reduction()),
    ("nn", "Moments"): Linker(_X, _moments),
    ("numpy", "Average"): Linker(("x", "weights"), _average),
    ("numpy", "Trapezoid"): Linker(("y",), _trapezoid),
    **{
        ("nn", name): Linker(_X, _sharing(_SHARED_OUT))
        for name in ("LogSoftmax", "Softmax", "Sparsemax")
    },
    ("nn", "Normalize"): Linker(_X, _normalize),
    ("numpy", "Sort"): Linker(_X, _sharing("sorts the entries along the axis")),
    ("numpy", "Argsort"): Linker(_X, _sharing("sorts the entries along the axis", "int32")),
    **{
        ("numpy", name): Linker(_X, _cumulated)
        for name in ("Cumprod", "Cumsum", "Nancumprod", "Nancumsum")
    },
    ("math", "TopK"): Linker(_X, _top_k),
    ("nn", "BatchNorm"): Linker(("x", "mean", "variance", "offset", "scale"), _batch_norm),
    ("nn", "LayerNorm"): Linker(("x", "gamma", "beta"), _normalised),
    ("nn", "OneHot"): Linker(_X, _glimpse("x", "num_classes")),
    ("nn", "RMSNorm"): Linker(("x", "scale"), _normalised),
    ("numpy", "Tril"): Linker(_X, _triangle),
    ("numpy", "Triu"): Linker(_X, _triangle),
    ("nn", "DotProductAttention"): Linker(
        ("query", "key", "value", "bias", "mask", "scale"), _attention
    ),
    ("numpy", "Dot"): Linker(("x1", "x2"), _dot, BOTH),
    ("numpy", "Einsum"): Linker(_OPERANDS, _einsum, BOTH),
    ("numpy", "Inner"): Linker(("x1", "x2"), _inner, BOTH),
    ("numpy", "Matmul"): Linker(("x1", "x2"), _matmul, BOTH),
    ("numpy", "Tensordot"): Linker(("x1", "x2"), _tensordot, BOTH),
    ("image", "CropImages"): Linker(_IMAGES, _image(_edges("cropping", -1))),
    ("image", "GaussianBlur"): Linker(_IMAGES, _image(_same)),
    ("image", "PadImages"): Linker(_IMAGES, _image(_edges("padding", 1))),
    ("image", "Resize"): Linker(_IMAGES, _image(_resized)),
    ("nn", "AveragePool"): Linker(_INPUTS, _pool, BOTH),
    ("nn", "MaxPool"): Linker(_INPUTS, _pool, ONLY_ZERO),
}
"""(module, class) -> which of its axes belong together."""
