"""Steps of a route along one axis: parts, copies, turns and paddings of it."""

from __future__ import annotations

from dataclasses import dataclass

from patchc.layers.base import Shape
from patchc.layers.routes import Change, StuckError, part_of
from patchc.layers.shapes import replaced
from patchc.model.axis import NEW, AxisMap


@dataclass(frozen=True, slots=True)
class Along:
    """A step along one axis; changes of the others pass."""

    axis: int

    def shape(self, before: Shape) -> Shape:
        """The shape with another size along the axis."""
        size = before[self.axis]
        return replaced(before, {self.axis: None if size is None else self.count(size)})

    def count(self, size: int) -> int:
        """Number of entries behind it."""
        return size

    def forward(self, before: Shape, change: Change) -> Change | None:
        """What a change becomes."""
        if change[0] != self.axis:
            return change
        found = self.onward(self._size(before), change[1])
        return None if found is None else (self.axis, found)

    def backward(self, before: Shape, change: Change) -> Change | None:
        """What makes a change."""
        if change[0] != self.axis:
            return change
        found = self.back(self._size(before), change[1])
        return None if found is None else (self.axis, found)

    def _size(self, before: Shape) -> int:
        size = before[self.axis]
        if size is None:
            raise StuckError("takes parts of an axis of unknown size")
        return size

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """What a change along the axis becomes; None: nothing of it is left."""
        raise StuckError("works along the axis")

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """What makes a change along the axis; None: nothing needs to."""
        raise StuckError("works along the axis")


@dataclass(frozen=True, slots=True)
class Window(Along):
    """The entries `start .. stop`."""

    start: int
    stop: int

    def count(self, size: int) -> int:
        """Number of entries in it."""
        return self.stop - self.start

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """The part of the change that lies in it."""
        if change.repeats:
            raise StuckError("takes a part of an axis whose entries would be copied")
        part = change.between(self.start, self.stop)
        if not part.size:
            raise StuckError("would have nothing left to take")
        return None if part.is_identity(self.count(size)) else part

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """The change between untouched entries."""
        return change.joined(self.start, self.count(size), size - self.stop)


@dataclass(frozen=True, slots=True)
class Entries(Along):
    """Single entries by their number."""

    numbers: tuple[int, ...]

    def count(self, size: int) -> int:
        """Number of entries taken."""
        return len(self.numbers)

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """Without those that went; new ones are not taken."""
        kept = set(change.indices())
        left = [i for i, number in enumerate(self.numbers) if number in kept]
        if not left:
            raise StuckError("would have nothing left to take")
        return None if len(left) == len(self.numbers) else AxisMap.of(left)

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """Refuses: entries are taken by number."""
        raise StuckError("takes entries by their number, of which it would need others")


@dataclass(frozen=True, slots=True)
class Stride(Along):
    """Every so manieth entry, as a slice takes them whatever the size."""

    start: int | None
    stop: int | None
    step: int

    def taken(self, size: int) -> list[int]:
        """The entries it takes of so many."""
        return list(range(size))[slice(self.start, self.stop, self.step)]

    def count(self, size: int) -> int:
        """Number of entries it takes."""
        return len(self.taken(size))

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """What the same slice takes of the changed axis, where that is what it took before."""
        places = {old: place for place, old in enumerate(self.taken(size))}
        now = [change.indices()[i] for i in self.taken(change.size)]
        if any(old != NEW and old not in places for old in now):
            raise StuckError(f"takes every {self.step}th entry, which would be others")
        found = AxisMap.of(NEW if old == NEW else places[old] for old in now)
        kept = {places[old] for old in change.indices() if old in places}
        if {i for i in found.indices() if i != NEW} != kept:
            raise StuckError(f"takes every {self.step}th entry, which would be others")
        return None if found.is_identity(len(places)) else found

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """For a whole axis backwards, the change backwards."""
        if (self.start, self.stop, self.step) != (None, None, -1):
            raise StuckError(f"takes every {self.step}th entry, of which it would need others")
        return self.onward(size, change)


@dataclass(frozen=True, slots=True)
class Turn(Along):
    """Moved on by `shift` entries, those that fall out at the end come in at the start."""

    shift: int

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """Both parts of the change in their new order."""
        cut = (size - self.shift) % size
        if not cut:
            return change
        first, second = part_of(change, 0, cut), part_of(change, cut, size)
        moved = [i if i == NEW else i + cut for i in second.indices()] + first.indices()
        return AxisMap.of(i if i == NEW else (i + self.shift) % size for i in moved)

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """Turned the other way."""
        return Turn(self.axis, -self.shift).onward(size, change)


@dataclass(frozen=True, slots=True)
class Copies(Along):
    """Each entry `times` times: side by side, or (`whole`) the axis as a whole."""

    times: int
    whole: bool = False

    def count(self, size: int) -> int:
        """Number of entries."""
        return size * self.times

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """The change of every copy."""
        if self.whole:
            return change.repeated(self.times, size)
        return change.stretched(self.times)

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """The change that all copies share."""
        outer, inner = (self.times, 1) if self.whole else (1, self.times)
        found = change.gathered(outer, size, inner)
        if found is None:
            where = [self.times] if self.whole else [size]
            raise StuckError("copies the axis, whose copies would have to change alike", where)
        return found


@dataclass(frozen=True, slots=True)
class Merged(Along):
    """`parts` equal parts of the axis become one, entry by entry, as in a gated linear unit."""

    parts: int

    def count(self, size: int) -> int:
        """Number of entries in a part."""
        return size // self.parts

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """The change that all parts share."""
        found = change.gathered(self.parts, size // self.parts, 1)
        if found is None:
            raise StuckError(
                f"reads the axis in {self.parts} parts, which would have to change alike",
                [self.parts],
            )
        return found

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """The change in every part."""
        return change.repeated(self.parts, size // self.parts)


@dataclass(frozen=True, slots=True)
class Padded(Along):
    """With `before` and `after` further entries; `constant` ones can be more or fewer."""

    before: int
    after: int
    constant: bool

    def count(self, size: int) -> int:
        """Number of entries."""
        return self.before + size + self.after

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """The change between what is added."""
        if not self.constant and (self.before or self.after):
            raise StuckError("adds entries that depend on the others")
        return change.joined(self.before, size, self.after)

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """What the added entries cannot make: the part in the middle."""
        part = self.middle(size, change)
        if not self.constant and change != part.joined(self.before, size, self.after):
            raise StuckError("adds entries that depend on the others")
        return None if part.is_identity(size) else part

    def middle(self, size: int, change: AxisMap) -> AxisMap:
        """The part of a change that is not of the added entries.

        New entries at the end are made by adding more, where it adds any there.
        """
        inside = part_of(change, self.before, self.before + size)
        if not (self.constant and self.after):
            return inside
        indices = inside.indices()
        while indices and indices[-1] == NEW:
            indices.pop()
        return AxisMap.of(indices)


@dataclass(frozen=True, slots=True)
class Spread(Along):
    """One entry, `times` times; how many times may change."""

    times: int

    def count(self, size: int) -> int:
        """Number of copies."""
        return self.times

    def shape(self, before: Shape) -> Shape:
        """The shape with so many along the axis."""
        return replaced(before, {self.axis: self.times})

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """Refuses: there is one entry, and that is copied."""
        raise StuckError("copies the one entry of the axis")

    def back(self, size: int, change: AxisMap) -> AxisMap | None:
        """Nothing has to change in front of it."""
        return None


@dataclass(frozen=True, slots=True)
class Blur(Along):
    """Takes a part of an axis whose size is not known."""

    def shape(self, before: Shape) -> Shape:
        """The shape with an unknown size along the axis."""
        return replaced(before, {self.axis: None})

    def onward(self, size: int, change: AxisMap) -> AxisMap | None:
        """Refuses."""
        raise StuckError("takes a part of an axis of unknown size")

    back = onward
