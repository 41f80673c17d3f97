"""Operations of `keras.ops` that move windows over images, or resize them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchc.layers.base import Config, NoRuleError, RuleError, Shape, TensorSpec
from patchc.layers.movement import Given
from patchc.layers.operands import Operand, numbers, tensor_of
from patchc.layers.views import View, float_of
from patchc.layers.windows import window_size


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


def pool_view(config: Config, given: Given) -> View:
    """A pooling window."""
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
    return _windowed(sizes, x, float_of(x), channel)


def image_view(sizes: Callable[[Config, Shape, range], Mapping[int, int | None]]) -> Any:
    """An operation on a batch of images, with the sizes that it makes."""

    def view(config: Config, given: Given) -> View:
        x = tensor_of(given, "images")
        if len(x.shape) != 4:
            raise NoRuleError("works on a single image")
        axes, channel = _spatial(4, config)
        return _windowed(sizes(config, x.shape, axes), x, float_of(x), channel)

    return view


def resized_view(config: Config, shape: Shape, axes: range) -> Mapping[int, int | None]:
    """The height and width that the operation was told."""
    return dict(zip(axes, _per_axis(config.get("size"), 2), strict=True))


def same_view(config: Config, shape: Shape, axes: range) -> Mapping[int, int | None]:
    """The sizes that the images have."""
    return {}


def edges_view(low: str, sign: int) -> Callable[[Config, Shape, range], Mapping[int, int | None]]:
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
