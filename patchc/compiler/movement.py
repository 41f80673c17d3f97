"""Movement: layers that move entries about, and change none.

How an axis map goes through them follows from the order of the entries alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from patchc.layers.base import Config
from patchc.model.axis import AxisMap

Change = tuple[int, AxisMap]
"""An axis, and how it changes."""


class MovementError(ValueError):
    """A change that cannot pass; the message is a clause that follows the layer's name."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What changes with a change.

    Args:
        inputs: changes of inputs by their number.
        output: change of the output.
        config: configuration keys that change.
    """

    inputs: Mapping[int, Change]
    output: Change
    config: Mapping[str, object]


def moves(class_name: str) -> bool:
    """Whether a layer class only moves entries about."""
    return class_name in {"Flatten", "Reshape", "Permute", "RepeatVector", "Concatenate"}


def move(
    class_name: str,
    config: Config,
    shapes: Sequence[tuple[int | None, ...]],
    output: tuple[int | None, ...],
    inputs: Mapping[int, Change],
    result: Change | None,
) -> Moved:
    """Work out all changes around a call from those that are known.

    Args:
        shapes: of its inputs, before.
        output: of its output, before.
        inputs: known changes of inputs.
        result: known change of the output.

    Raises:
        MovementError: where the change mixes with other entries.
    """
    if class_name == "Concatenate":
        return _concatenate(config, shapes, inputs, result)
    shape = shapes[0]
    if class_name == "Permute":
        return _permute(config, shape, inputs, result)
    if class_name == "RepeatVector":
        known = inputs.get(0) or result
        assert known is not None
        return Moved({0: (1, known[1])}, (2, known[1]), {})
    if class_name == "Flatten" and config.get("data_format") == "channels_first" and len(shape) > 2:
        raise MovementError("flattens channels first, which is not followed")
    return _regroup(class_name, config, shape, output, inputs.get(0), result)


def _permute(
    config: Config,
    shape: tuple[int | None, ...],
    inputs: Mapping[int, Change],
    result: Change | None,
) -> Moved:
    order = [0, *config["dims"]]
    if result is None:
        axis, change = inputs[0]
        return Moved({}, (order.index(axis), change), {})
    return Moved({0: (order[result[0]], result[1])}, result, {})


# ------------------------------------------------------------------- Concatenate


def _concatenate(
    config: Config,
    shapes: Sequence[tuple[int | None, ...]],
    inputs: Mapping[int, Change],
    result: Change | None,
) -> Moved:
    joined = config.get("axis", -1) % len(shapes[0])
    axes = {axis for axis, _ in inputs.values()} | ({result[0]} if result else set())
    if axes != {joined}:
        axis, change = next(iter(inputs.values()), None) or result or (0, AxisMap(()))
        same = dict.fromkeys(range(len(shapes)), (axis, change))
        return Moved(same, (axis, change), {})
    sizes = [shape[joined] for shape in shapes]
    if None in sizes:
        raise MovementError("joins inputs of unknown size")
    starts = [sum(s or 0 for s in sizes[:i]) for i in range(len(sizes))]
    if result is not None:
        parts = [
            result[1].between(start, start + (size or 0))
            for start, size in zip(starts, sizes, strict=True)
        ]
        changed = {
            i: (joined, part)
            for i, (part, size) in enumerate(zip(parts, sizes, strict=True))
            if not part.is_identity(size or 0)
        }
        return Moved(changed, result, {})
    total: list[int] = []
    for i, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        change = inputs[i][1] if i in inputs else AxisMap.identity(size or 0)
        total += [index if index < 0 else start + index for index in change.indices()]
    return Moved({}, (joined, AxisMap.of(total)), {})


# ---------------------------------------------------------------- Flatten, Reshape


def _regroup(
    class_name: str,
    config: Config,
    shape: tuple[int | None, ...],
    output: tuple[int | None, ...],
    given: Change | None,
    result: Change | None,
) -> Moved:
    """Row by row, both sides are one flat axis."""
    before, after = shape[1:], output[1:]
    if result is None:
        assert given is not None
        change = _regrouped(after, _flattened(before, given))
        return Moved({}, change, _target(class_name, config, change))
    flat = _flattened(after, result)
    return Moved({0: _regrouped(before, flat)}, result, _target(class_name, config, result))


def _sizes(shape: Sequence[int | None]) -> list[int]:
    known = [size for size in shape if size is not None]
    if len(known) != len(shape):
        raise MovementError("regroups axes of unknown size")
    return known


def _flattened(shape: Sequence[int | None], change: Change) -> AxisMap:
    sizes = _sizes(shape)
    axis, axis_map = change[0] - 1, change[1]
    outer, inner = math.prod(sizes[:axis]), math.prod(sizes[axis + 1 :])
    return axis_map.spread(outer, sizes[axis], inner)


def _regrouped(shape: Sequence[int | None], flat: AxisMap) -> Change:
    """The axis of a shape, the last first, whose change this is of the flat axis."""
    sizes = _sizes(shape)
    for axis in reversed(range(len(sizes))):
        outer, inner = math.prod(sizes[:axis]), math.prod(sizes[axis + 1 :])
        found = flat.gathered(outer, sizes[axis], inner)
        if found is not None:
            return axis + 1, found
    raise MovementError("regroups the axis so that no axis of its result could follow alone")


def _target(class_name: str, config: Config, change: Change) -> Mapping[str, object]:
    if class_name != "Reshape":
        return {}
    target = list(config["target_shape"])
    axis = change[0] - 1
    if target[axis] != -1:
        target[axis] = change[1].size
    return {"target_shape": target}
