"""Operations of `keras.ops` along axes: reductions, softmax, sorting, normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from patchc.layers.base import Config, NoRuleError, TensorSpec
from patchc.layers.contracts import Contract, Norm
from patchc.layers.movement import Given
from patchc.layers.operands import Operand, axes_of, axis_of, tensor_of
from patchc.layers.views import View, float_of, named


def _reduced(
    x: Operand, axes: Sequence[int], dtype: str, *, keep: bool, wants: Contract | None = None
) -> View:
    labels = named(len(x.shape))
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
    asks = dict.fromkeys(meeting, Norm(wants)) if wants is not None else {}
    output = TensorSpec(tuple(shape), dtype)
    return View([output], {x.index: labels}, [tuple(made)], meeting, asks)


def reduction_view(
    dtype: str | None = None, wants: Contract | None = None
) -> Callable[[Config, Given], View]:
    """A reduction along `axis`; under a contract for new entries it makes what it made."""

    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, "x")
        axes = axes_of(config.get("axis"), len(x.shape))
        keep = bool(config.get("keepdims"))
        return _reduced(x, axes, dtype or float_of(x), keep=keep, wants=wants)

    return view


def norm_view(config: Config, given: Given) -> View:
    """Zeros make a vector no longer."""
    x = tensor_of(given, "x")
    axes = axes_of(config.get("axis"), len(x.shape))
    vector = len(axes) == 1 and config.get("ord") in {None, 1, 2}
    keep = bool(config.get("keepdims"))
    return _reduced(x, axes, float_of(x), keep=keep, wants="zero" if vector else None)


def moments_view(config: Config, given: Given) -> View:
    """Mean and variance."""
    x = tensor_of(given, "x")
    axes = axes_of(config.get("axes"), len(x.shape))
    one = _reduced(x, axes, float_of(x), keep=bool(config.get("keepdims")))
    return View([*one.outputs] * 2, one.reads, [*one.makes] * 2, one.meeting)


def average_view(config: Config, given: Given) -> View:
    """A mean without weights."""
    if given.get("weights") is not None:
        raise NoRuleError("weighs the entries that it averages")
    return reduction_view()(config, given)


def quantile_view(config: Config, given: Given) -> View:
    """One quantile."""
    if not isinstance(given.get("q"), (int, float)):
        raise NoRuleError("makes several quantiles")
    return reduction_view()(config, given)


def trapezoid_view(config: Config, given: Given) -> View:
    """An integral over evenly spaced points."""
    if config.get("x") is not None:
        raise NoRuleError("has sample points of its own")
    y = tensor_of(given, "y")
    return _reduced(y, [axis_of(config.get("axis", -1), len(y.shape))], float_of(y), keep=False)


def sharing_view(
    reason: str, dtype: str | None = None, name: str = "x", default: Any = -1
) -> Callable[[Config, Given], View]:
    """An operation of one tensor in which the entries along `axis` depend on one another."""

    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, name)
        axis = config.get("axis", default)
        labels = named(len(x.shape))
        meeting = {labels[i]: reason for i in axes_of(axis, len(x.shape))}
        output = TensorSpec(x.shape, dtype or float_of(x))
        return View([output], {x.index: labels}, [labels], meeting)

    return view


SHARED_OUT = "lets the entries along the axis depend on one another"


def cumulated_view(config: Config, given: Given) -> View:
    """Running sums or products along one axis."""
    if config.get("dtype") is not None or config.get("axis") is None:
        raise NoRuleError("works on all entries as if they lay along one axis")
    return sharing_view("adds up the entries along the axis")(config, given)


def normalised_view(config: Config, given: Given) -> View:
    """A normalisation with a scale or an offset of its own is known along other axes only."""
    found = sharing_view(SHARED_OUT)(config, given)
    affine = [name for name in ("gamma", "beta", "scale") if given.get(name) is not None]
    if affine:
        axes = set(found.meeting)
        labels = tuple("" if label in axes else label for label in found.makes[0])
        return View(found.outputs, dict.fromkeys(found.reads, labels), [labels])
    return found


def normalize_view(config: Config, given: Given) -> View:
    """Keras notes single precision for its output, whatever it is."""
    x = tensor_of(given, "x")
    if x.dtype != "float32":
        raise NoRuleError(f"has an operand of {x.dtype}")
    return sharing_view(SHARED_OUT)(config, given)


def batch_norm_view(config: Config, given: Given) -> View:
    """A normalisation with statistics of its own: known along the other axes."""
    x = tensor_of(given, "x")
    axis = axis_of(config.get("axis"), len(x.shape))
    labels = tuple("" if i == axis else label for i, label in enumerate(named(len(x.shape))))
    return View([TensorSpec(x.shape, float_of(x))], {x.index: labels}, [labels])


def triangle_view(config: Config, given: Given) -> View:
    """The last two axes are those of a matrix, of which a part becomes zero."""
    x = tensor_of(given, "x")
    labels = (*named(len(x.shape))[:-2], "", "")
    return View([TensorSpec(x.shape, x.dtype)], {x.index: labels}, [labels])


def top_k_view(config: Config, given: Given) -> View:
    """The largest entries of the last axis, and where they stand."""
    x = tensor_of(given, "x")
    labels = named(len(x.shape))
    shape = (*x.shape[:-1], int(config["k"]))
    made = (*labels[:-1], "")
    meeting = {labels[-1]: "picks the largest entries along the axis"}
    outputs = [TensorSpec(shape, float_of(x)), TensorSpec(shape, "int32")]
    return View(outputs, {x.index: labels}, [made, made], meeting)


def glimpse_view(name: str, key: str) -> Callable[[Config, Given], View]:
    """Ids become vectors along a new axis, whose size the operation was told."""

    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, name)
        if config.get("sparse"):
            raise NoRuleError("makes a sparse tensor")
        rank = len(x.shape) + 1
        place = axis_of(config.get("axis", -1), rank)
        labels = named(len(x.shape))
        shape = (*x.shape[:place], int(config[key]), *x.shape[place:])
        made = (*labels[:place], "", *labels[place:])
        output = TensorSpec(shape, str(config.get("dtype") or "float32"))
        return View([output], {x.index: labels}, [made])

    return view
