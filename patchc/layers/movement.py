"""What moving entries about takes: routes to the outputs, and what to tell anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.layers.base import Config, Shape
from patchc.layers.operands import Operand
from patchc.layers.routes import Change, Route, Step, Strand, StuckError
from patchc.model.axis import AxisMap

Changes = Mapping[int, Change]
Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Edits:
    """What an operation has to be told anew.

    Args:
        config: configuration keys.
        arguments: arguments of the call, by the names of its parameters.
    """

    config: Config
    arguments: Config


NOTHING = Edits({}, {})


def _tell_nothing(inputs: Changes, outputs: Changes) -> Edits:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Movement:
    """How an operation makes its outputs.

    Args:
        routes: one for each output.
        edit: from the changes of inputs and outputs, what it has to be told anew.
    """

    routes: tuple[Route, ...]
    edit: Callable[[Changes, Changes], Edits] = _tell_nothing


@dataclass(frozen=True, slots=True)
class Mover:
    """A class that moves entries.

    Args:
        parameters: of a call, in order.
        movement: from configuration and arguments by name, how it moves them;
            raises RuleError where patchc does not know.
    """

    parameters: tuple[str, ...]
    movement: Callable[[Config, Given], Movement]


def one_strand(x: Operand, *steps: Step) -> Route:
    """The route of an operation with one input and one output."""
    return Route((Strand(x.index, x.shape, steps),))


# ------------------------------------------------------------------- axes of one entry


@dataclass(frozen=True, slots=True)
class Axes:
    """Axes of one entry are put in or taken away; the others keep their order.

    Args:
        after: the shape behind it.
        fresh: axes of one entry that were put in.
        kept: old axes that stay, where some are taken away.
    """

    after: Shape
    fresh: tuple[int, ...] = ()
    kept: tuple[int, ...] | None = None

    def shape(self, before: Shape) -> Shape:
        """The shape it was given."""
        return self.after

    def _pairs(self, before: Shape) -> list[tuple[int, int]]:
        kept = self.kept if self.kept is not None else range(len(before))
        stay = [axis for axis in range(len(self.after)) if axis not in self.fresh]
        return list(zip(kept, stay, strict=True))

    def forward(self, before: Shape, change: Change) -> Change | None:
        """The same change of the axis in its new place."""
        places = dict(self._pairs(before))
        if change[0] not in places:
            raise StuckError("takes an axis of one entry away, which would have others")
        return places[change[0]], change[1]

    def backward(self, before: Shape, change: Change) -> Change | None:
        """The same change of the axis in its old place."""
        places = {new: old for old, new in self._pairs(before)}
        if change[0] not in places:
            raise StuckError("makes an axis of one entry, which would need others")
        return places[change[0]], change[1]


def dropping(before: Shape, kept: Sequence[int]) -> Axes:
    """The step that takes all axes away but some."""
    return Axes(tuple(before[axis] for axis in kept), (), tuple(kept))


def adding(before: Shape, axis: int) -> Axes:
    """The step that puts an axis of one entry in."""
    return Axes((*before[:axis], 1, *before[axis:]), (axis,))


# ----------------------------------------------------------------------- after a change


def renumbered(change: AxisMap, places: Sequence[int]) -> list[int]:
    """The numbers of old entries after a change, without those that went."""
    now = {old: new for new, old in enumerate(change.indices())}
    return [now[place] for place in places if place in now]


def window_after(change: AxisMap, part: AxisMap | None, start: int, stop: int) -> tuple[int, int]:
    """Where the window `start .. stop` lies after a change of the axis.

    Args:
        part: how the window itself changes; None: not at all.

    Raises:
        StuckError: where the changed axis has no such window.
    """
    wanted = (part or AxisMap.identity(stop - start)).indices()
    inside = [i if i < 0 else i + start for i in wanted]
    anchor = next((place for place, i in enumerate(inside) if i >= 0), None)
    now = change.indices()
    if anchor is None or inside[anchor] not in now:
        raise StuckError("would have nothing left to take")
    first = now.index(inside[anchor]) - anchor
    if first < 0 or now[first : first + len(inside)] != inside:
        raise StuckError("takes a part of the axis that new entries would lie across")
    return first, first + len(inside)


def part_of(changes: Changes, number: int, axis: int) -> AxisMap | None:
    """The change of a tensor where it is one along an axis."""
    found = changes.get(number)
    return found[1] if found is not None and found[0] == axis else None
