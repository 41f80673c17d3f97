"""Operations of `keras.ops` that move entries about, as routes.

What such an operation was told in numbers (a new shape, the width of a
padding) has to be told anew where an axis changes; each of them says how.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from patchc.layers.along import Copies, Merged, Padded, Spread, Stride, Turn
from patchc.layers.base import Config, RuleError, Shape
from patchc.layers.movement import (
    Axes,
    Changes,
    Edits,
    Given,
    Movement,
    Mover,
    adding,
    dropping,
    one_strand,
    window_after,
)
from patchc.layers.operands import Operand, axes_of, axis_of, numbers, tensor_of, tensors_of
from patchc.layers.routes import Order, Regroup, Route, Step, Strand, part_of

# --------------------------------------------------------------------------- shapes


def reshaped(before: Shape, target: Sequence[int]) -> Shape:
    """The shape that a reshape to `target` makes, -1 worked out where it can be.

    Source: `keras.src.ops.operation_utils.compute_reshape_output_shape`.
    """
    known = [size for size in before if size is not None]
    if len(known) != len(before):
        return tuple(None if size == -1 else size for size in target)
    rest = math.prod(size for size in target if size != -1)
    return tuple(math.prod(known) // rest if size == -1 else size for size in target)


def _reshape(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    target = numbers(config.get("newshape"))
    if target is None:
        raise RuleError("has a `newshape` that is no list of sizes")

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = outputs[0]
        new = [change.size if i == axis and size != -1 else size for i, size in enumerate(target)]
        return Edits({"newshape": new}, {})

    return Movement((one_strand(x, Regroup(reshaped(x.shape, target))),), edit)


def _ravel(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    return Movement((one_strand(x, Regroup(reshaped(x.shape, [-1]))),))


def _expand_dims(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    places = numbers(config.get("axis")) or []
    rank = len(x.shape) + len(places)
    fresh = set(axes_of(places, rank))
    sizes = iter(x.shape)
    after = tuple(1 if axis in fresh else next(sizes) for axis in range(rank))
    return Movement((one_strand(x, Axes(after, tuple(fresh))),))


def _squeeze(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    named = config.get("axis")
    gone = set(axes_of(named, len(x.shape))) if named is not None else None
    if gone is None:
        gone = {axis for axis, size in enumerate(x.shape) if size == 1}
    kept = [axis for axis in range(len(x.shape)) if axis not in gone]
    return Movement((one_strand(x, dropping(x.shape, kept)),))


# ---------------------------------------------------------------------------- order


def _transpose(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    rank = len(x.shape)
    named = config.get("axes")
    order = axes_of(named, rank) if named is not None else list(reversed(range(rank)))
    return Movement((one_strand(x, Order(tuple(order))),))


def _moveaxis(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    rank = len(x.shape)
    source = axes_of(config.get("source"), rank)
    places = dict(zip(axes_of(config.get("destination"), rank), source, strict=True))
    rest = iter(axis for axis in range(rank) if axis not in source)
    order = tuple(places[i] if i in places else next(rest) for i in range(rank))
    return Movement((one_strand(x, Order(order)),))


def _swapaxes(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    rank = len(x.shape)
    one, other = (axis_of(config.get(key), rank) for key in ("axis1", "axis2"))
    swapped = {one: other, other: one}
    return Movement((one_strand(x, Order(tuple(swapped.get(i, i) for i in range(rank)))),))


# ---------------------------------------------------------------------- along an axis


def _flip(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    axes = axes_of(config.get("axis"), len(x.shape))
    return Movement((one_strand(x, *(Stride(axis, None, None, -1) for axis in axes)),))


def _flip_along(axis: int) -> Callable[[Config, Given], Movement]:
    return lambda _, given: _flip({"axis": axis}, given)


def _roll(config: Config, given: Given) -> Movement:
    """Its shift becomes the number of entries that lie behind the cut."""
    x = tensor_of(given, "x")
    if config.get("axis") is None:
        raise RuleError("rolls all entries as if they lay along one axis")
    axes = axes_of(config["axis"], len(x.shape))
    shifts = numbers(config.get("shift")) or []
    if len(shifts) != len(axes):
        raise RuleError("rolls several axes by one shift")

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = inputs[0]
        size = x.shape[axis]
        assert size is not None  # a change has passed along it
        new = [
            change.size - part_of(change, 0, (size - shift) % size).size
            if a == axis and shift % size
            else shift
            for a, shift in zip(axes, shifts, strict=True)
        ]
        return Edits({"shift": new if isinstance(config["shift"], list) else new[0]}, {})

    turns = (Turn(axis, shift) for axis, shift in zip(axes, shifts, strict=True))
    return Movement((one_strand(x, *turns),), edit)


def _repeat(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    times = numbers(config.get("repeats")) or []
    if len(times) != 1 or config.get("axis") is None:
        raise RuleError("repeats entries by numbers of their own")
    axis = axis_of(config["axis"], len(x.shape))
    return Movement((one_strand(x, Copies(axis, times[0])),))


def _tile(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    times = numbers(config.get("repeats"))
    if times is None:
        raise RuleError("has `repeats` that are no list of numbers")
    times = [1] * (len(x.shape) - len(times)) + times
    missing = len(times) - len(x.shape)
    steps: list[Step] = []
    if missing:
        steps.append(Axes((*(1,) * missing, *x.shape), tuple(range(missing))))
    steps += [Copies(axis, count, whole=True) for axis, count in enumerate(times) if count != 1]
    return Movement((one_strand(x, *steps),))


def _pad(config: Config, given: Given) -> Movement:
    """Zeros are added as many as are asked for; what mirrors or repeats entries stays as it is."""
    x = tensor_of(given, "x")
    widths = [numbers(pair) for pair in config.get("pad_width") or ()]
    if len(widths) == 1:
        widths = widths * len(x.shape)
    if len(widths) != len(x.shape) or any(pair is None or len(pair) != 2 for pair in widths):
        raise RuleError("has a `pad_width` that is no list of pairs")
    pairs = [(pair or [0, 0])[0:2] for pair in widths]
    constant = config.get("mode", "constant") == "constant"

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = outputs[0]
        front, size = pairs[axis][0], x.shape[axis] or 0
        middle = inputs[0][1] if 0 in inputs else None
        first, last = window_after(change, middle, front, front + size)
        new = [first, change.size - last]
        return Edits({"pad_width": [*pairs[:axis], new, *pairs[axis + 1 :]]}, {})

    steps = [
        Padded(axis, pair[0], pair[1], constant) for axis, pair in enumerate(pairs) if any(pair)
    ]
    return Movement((one_strand(x, *steps),), edit)


def _broadcast_to(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    target = numbers(config.get("shape"))
    if target is None or len(target) < len(x.shape):
        raise RuleError("has a `shape` that is no list of sizes")
    missing = len(target) - len(x.shape)
    steps: list[Step] = []
    if missing:
        steps.append(Axes((*(1,) * missing, *x.shape), tuple(range(missing))))
    padded = (*(1,) * missing, *x.shape)
    steps += [
        Spread(axis, size) for axis, size in enumerate(target) if padded[axis] == 1 and size != 1
    ]

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = outputs[0]
        return Edits({"shape": [*target[:axis], change.size, *target[axis + 1 :]]}, {})

    return Movement((one_strand(x, *steps),), edit)


def _glu(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    return Movement((one_strand(x, Merged(axis_of(config.get("axis", -1), len(x.shape)), 2)),))


# --------------------------------------------------------------------------- joining


def joined(parts: Sequence[Operand], axis: int, *steps: Step) -> Movement:
    """Tensors side by side along an axis, after `steps` on each of them."""
    strands = tuple(Strand(part.index, part.shape, steps) for part in parts)
    return Movement((Route(strands, axis),))


def _concatenate(config: Config, given: Given) -> Movement:
    parts = tensors_of(given, "xs")
    return joined(parts, axis_of(config.get("axis", 0), len(parts[0].shape)))


def _append(config: Config, given: Given) -> Movement:
    parts = [tensor_of(given, name) for name in ("x1", "x2")]
    if config.get("axis") is None:
        raise RuleError("appends all entries as if they lay along one axis")
    return joined(parts, axis_of(config["axis"], len(parts[0].shape)))


def _stack(config: Config, given: Given) -> Movement:
    parts = tensors_of(given, "x")
    axis = axis_of(config.get("axis", 0), len(parts[0].shape) + 1)
    strands = tuple(Strand(p.index, p.shape, (adding(p.shape, axis),)) for p in parts)
    return Movement((Route(strands, axis),))


def _stacked(axis: int) -> Callable[[Config, Given], Movement]:
    def movement(config: Config, given: Given) -> Movement:
        parts = tensors_of(given, "xs")
        if len(parts[0].shape) <= axis:
            raise RuleError(f"joins tensors with fewer than {axis + 1} axes")
        return joined(parts, axis)

    return movement


# --------------------------------------------------------------------- depth and space


def _size(size: int | None, factor: int, divide: bool) -> int | None:
    if size is None:
        return None
    return size // factor if divide else size * factor


def _depth_to_space(config: Config, given: Given) -> Movement:
    """The features are (row, column, feature) of the block that they become."""
    x, block = tensor_of(given, "x"), int(config["block_size"])
    first = config.get("data_format") == "channels_first"
    n, h, w, c = (x.shape[i] for i in ((0, 2, 3, 1) if first else (0, 1, 2, 3)))
    tall, wide = _size(h, block, False), _size(w, block, False)
    left = _size(c, block * block, True)
    steps: list[Step] = [Order((0, 2, 3, 1))] if first else []
    steps += [
        Regroup((n, h, w, block, block, left), fixed=(3, 4)),
        Order((0, 1, 3, 2, 4, 5)),
        Regroup((n, tall, wide, left)),
    ]
    return Movement((one_strand(x, *steps, *([Order((0, 3, 1, 2))] if first else [])),))


def _space_to_depth(config: Config, given: Given) -> Movement:
    """The features become (row, column, feature) of the block that they were."""
    x, block = tensor_of(given, "x"), int(config["block_size"])
    first = config.get("data_format") == "channels_first"
    n, h, w, c = (x.shape[i] for i in ((0, 2, 3, 1) if first else (0, 1, 2, 3)))
    low, thin = _size(h, block, True), _size(w, block, True)
    steps: list[Step] = [Order((0, 2, 3, 1))] if first else []
    steps += [
        Regroup((n, low, block, thin, block, c), fixed=(2, 4)),
        Order((0, 1, 3, 2, 4, 5)),
        Regroup((n, low, thin, _size(c, block * block, False))),
    ]
    return Movement((one_strand(x, *steps, *([Order((0, 3, 1, 2))] if first else [])),))


MOVING: Mapping[tuple[str, str], Mover] = {
    ("nn", "DepthToSpace"): Mover(("x",), _depth_to_space),
    ("nn", "Glu"): Mover(("x",), _glu),
    ("nn", "SpaceToDepth"): Mover(("x",), _space_to_depth),
    ("numpy", "Append"): Mover(("x1", "x2"), _append),
    ("numpy", "BroadcastTo"): Mover(("x",), _broadcast_to),
    ("numpy", "Concatenate"): Mover(("xs",), _concatenate),
    ("numpy", "Dstack"): Mover(("xs",), _stacked(2)),
    ("numpy", "ExpandDims"): Mover(("x",), _expand_dims),
    ("numpy", "Flip"): Mover(("x",), _flip),
    ("numpy", "Fliplr"): Mover(("x",), _flip_along(1)),
    ("numpy", "Flipud"): Mover(("x",), _flip_along(0)),
    ("numpy", "Hstack"): Mover(("xs",), _stacked(1)),
    ("numpy", "Moveaxis"): Mover(("x",), _moveaxis),
    ("numpy", "Pad"): Mover(("x", "constant_values"), _pad),
    ("numpy", "Ravel"): Mover(("x",), _ravel),
    ("numpy", "Repeat"): Mover(("x",), _repeat),
    ("numpy", "Reshape"): Mover(("x",), _reshape),
    ("numpy", "Roll"): Mover(("x",), _roll),
    ("numpy", "Squeeze"): Mover(("x",), _squeeze),
    ("numpy", "Stack"): Mover(("x",), _stack),
    ("numpy", "Swapaxes"): Mover(("x",), _swapaxes),
    ("numpy", "Tile"): Mover(("x",), _tile),
    ("numpy", "Transpose"): Mover(("x",), _transpose),
    ("numpy", "Vstack"): Mover(("xs",), _stacked(0)),
}
"""(module, class) -> how it moves entries."""
