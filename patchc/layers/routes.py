"""Routes: how the entries of a tensor move through a layer or an operation.

A layer that moves entries about and changes none is a chain of a few plain
steps on each tensor that it reads, and at most one joining of them.  Each step
says how the shape, and how a change of one axis, goes through it either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from patchc.layers.base import RuleError, Shape
from patchc.layers.shapes import replaced, written
from patchc.model.axis import NEW, AxisMap

Change = tuple[int, AxisMap]
"""An axis, and how it changes."""


class StuckError(ValueError):
    """A change that cannot pass; the message is a clause that follows the layer's name.

    Attributes:
        blocks: numbers of equal blocks of the axis at whose ends new entries
            could pass.
    """

    def __init__(self, message: str, blocks: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.blocks = tuple(blocks)


def part_of(change: AxisMap, start: int, stop: int) -> AxisMap:
    """The part of a change that the old entries `start .. stop` have, see `AxisMap.between`.

    Raises:
        StuckError: they do not lie together, as copies of them stand behind other entries.
    """
    indices = change.indices()
    places = [place for place, old in enumerate(indices) if start <= old < stop]
    run = indices[places[0] : places[-1] + 1] if places else []
    if any(old != NEW and not start <= old < stop for old in run):
        raise StuckError("takes parts of the axis, and copies of one would lie behind another")
    return change.between(start, stop)


class Step(Protocol):
    """One plain movement of all entries of a tensor."""

    def shape(self, before: Shape) -> Shape:
        """The shape behind the step.  Raises RuleError where it does not fit."""

    def forward(self, before: Shape, change: Change) -> Change | None:
        """What a change in front of it becomes; None where nothing of it is left.

        Raises:
            StuckError: where it cannot pass.
        """

    def backward(self, before: Shape, change: Change) -> Change | None:
        """The change in front of it that makes this one behind it; None where it needs none.

        Raises:
            StuckError: where none does.
        """


@dataclass(frozen=True, slots=True)
class Strand:
    """One tensor on its way.

    Args:
        source: number of the input; None for a constant.
        start: its shape.
        steps: what happens to it, in order.
    """

    source: int | None
    start: Shape
    steps: tuple[Step, ...] = ()

    def shapes(self) -> list[Shape]:
        """The shape before each step, and behind the last one."""
        shapes = [self.start]
        for step in self.steps:
            shapes.append(step.shape(shapes[-1]))
        return shapes

    def forward(self, change: Change | None) -> Change | None:
        """The change behind the last step."""
        for step, before in zip(self.steps, self.shapes(), strict=False):
            change = step.forward(before, change) if change is not None else None
        return change

    def backward(self, change: Change | None) -> Change | None:
        """The change of the input that makes a change behind the last step."""
        shapes = self.shapes()
        for step, before in reversed(list(zip(self.steps, shapes, strict=False))):
            change = step.backward(before, change) if change is not None else None
        return change


@dataclass(frozen=True, slots=True)
class Route:
    """How one output is made.

    Args:
        strands: the tensors it is made of.
        axis: along which they are joined, where there are several.
    """

    strands: tuple[Strand, ...]
    axis: int = 0

    def shape(self) -> Shape:
        """Shape of the output."""
        ends = [strand.shapes()[-1] for strand in self.strands]
        if len({len(end) for end in ends}) != 1:
            raise RuleError("joins tensors of unlike numbers of axes")
        sizes = [end[self.axis] for end in ends]
        known = [size for size in sizes if size is not None]
        return replaced(ends[0], {self.axis: sum(known) if len(known) == len(sizes) else None})


# ------------------------------------------------------------------------- regroup


@dataclass(frozen=True, slots=True)
class Regroup:
    """Row by row into another shape.

    Args:
        after: the shape.
        fixed: axes of it whose size cannot change.
    """

    after: Shape
    fixed: tuple[int, ...] = ()

    def shape(self, before: Shape) -> Shape:
        """The shape it was given."""
        return self.after

    def forward(self, before: Shape, change: Change) -> Change | None:
        """The axis, the last first, whose change makes the same change of the flat axis."""
        return _regrouped(before, self.after, change, self.fixed)

    def backward(self, before: Shape, change: Change) -> Change | None:
        """The same the other way round."""
        return _regrouped(self.after, before, change)


def _regrouped(before: Shape, after: Shape, change: Change, fixed: Sequence[int] = ()) -> Change:
    axis, axis_map = change
    ours, theirs = next(pair for pair in _groups(before, after) if axis in pair[0])
    sizes = [before[i] for i in ours]
    targets = [after[i] for i in theirs]
    if len(ours) == len(theirs) == 1 and theirs[0] not in fixed:
        return theirs[0], axis_map
    flat = _flattened(sizes, ours.index(axis), axis_map)
    found = _factored(targets, flat, [theirs.index(axis) for axis in fixed if axis in theirs])
    if found is None:
        raise StuckError(
            f"regroups {written(before)} as {written(after)}, so that no axis could follow alone",
            _inner_blocks(targets),
        )
    return theirs[found[0]], found[1]


def _inner_blocks(sizes: Sequence[int | None]) -> list[int]:
    """Blocks of a flat axis in which its last axes could grow, the innermost first."""
    known = [size for size in sizes if size is not None]
    found = [math.prod(known[:count]) for count in range(len(known) - 1, 0, -1)]
    return [count for count in found if count > 1]


def _groups(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Neighbouring axes of both sides that hold the same entries, as small as they can be."""
    left, right = list(range(len(before))), list(range(len(after)))
    groups = []
    for end in (-1, 0):
        while pair := _group_at(before, after, left, right, end):
            groups.append(pair)
            left = [axis for axis in left if axis not in pair[0]]
            right = [axis for axis in right if axis not in pair[1]]
    if left or right:
        groups.append((left, right))
    return groups


def _group_at(
    before: Shape, after: Shape, left: list[int], right: list[int], end: int
) -> tuple[list[int], list[int]] | None:
    """The smallest group at one end of both sides; None where sizes are not known."""
    ours, theirs = list(left), list(right)
    taken: tuple[list[int], list[int]] = ([], [])
    sizes = [1, 1]
    while not (taken[0] and taken[1] and sizes[0] == sizes[1]):
        side = 0 if (sizes[0] <= sizes[1] and ours and not (taken[0] and not taken[1])) else 1
        axes, shape = (ours, before) if side == 0 else (theirs, after)
        size = shape[axes[end]] if axes else None
        if size is None:
            return _unknown_pair(before, after, left, right, end) if not any(taken) else None
        taken[side].append(axes.pop(end))
        sizes[side] *= size
    return sorted(taken[0]), sorted(taken[1])


def _unknown_pair(
    before: Shape, after: Shape, left: list[int], right: list[int], end: int
) -> tuple[list[int], list[int]] | None:
    """Axes of unknown size are one where as many axes stand on either side of them."""
    if not left or not right or len(left) != len(right):
        return None
    same = [before[i] for i in left] == [after[i] for i in right]
    return ([left[end]], [right[end]]) if same else None


def _flattened(sizes: Sequence[int | None], axis: int, change: AxisMap) -> AxisMap:
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes):
        raise StuckError("regroups axes of unknown size")
    return change.spread(math.prod(known[:axis]), known[axis], math.prod(known[axis + 1 :]))


def _factored(sizes: Sequence[int | None], flat: AxisMap, fixed: Sequence[int]) -> Change | None:
    """The axis, the last first, whose change this is of the flat axis; none of the fixed ones."""
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes):
        raise StuckError("regroups axes of unknown size")
    for axis in reversed(range(len(known))):
        outer, inner = math.prod(known[:axis]), math.prod(known[axis + 1 :])
        found = flat.gathered(outer, known[axis], inner)
        if found is not None and axis not in fixed:
            return axis, found
    return None


# --------------------------------------------------------------------------- order


@dataclass(frozen=True, slots=True)
class Order:
    """The axes in another order: axis `i` is the old axis `axes[i]`."""

    axes: tuple[int, ...]

    def shape(self, before: Shape) -> Shape:
        """The sizes in the new order."""
        if sorted(self.axes) != list(range(len(before))):
            raise RuleError(f"orders the axes of {written(before)} as {written(self.axes)}")
        return tuple(before[axis] for axis in self.axes)

    def forward(self, before: Shape, change: Change) -> Change | None:
        """The same change of the axis in its new place."""
        return self.axes.index(change[0]), change[1]

    def backward(self, before: Shape, change: Change) -> Change | None:
        """The same change of the axis in its old place."""
        return self.axes[change[0]], change[1]
