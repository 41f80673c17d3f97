"""AxisMap: where the entries of one axis come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

NEW = -1
_LEAN = 1 / 32
"""How far the shares of copies lean from equal ones, a power of two."""


@dataclass(frozen=True, slots=True)
class AxisMap:
    """New index -> old index, or new, for one axis.

    Growing, shrinking, inserting in the middle and reordering are all such
    maps, and maps compose.  Stored as runs so that a map of an axis of any
    length is small and prints well.

    Args:
        runs: `(start, length)` for old entries `start .. start + length`,
            `(NEW, length)` for new ones.  Neighbouring runs never join up.
    """

    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, indices: Iterable[int]) -> AxisMap:
        """Build the map from one old index, or NEW, per new entry."""
        runs: list[tuple[int, int]] = []
        for index in indices:
            if runs:
                start, length = runs[-1]
                follows = start == index == NEW or (start != NEW and start + length == index)
                if follows:
                    runs[-1] = (start, length + 1)
                    continue
            runs.append((index, 1))
        return cls(tuple(runs))

    @classmethod
    def identity(cls, size: int) -> AxisMap:
        """The map that keeps an axis of `size` as it is."""
        return cls(((0, size),) if size else ())

    @classmethod
    def grown(cls, size: int, by: int, at: Sequence[int] | None = None) -> AxisMap:
        """Grow an axis of `size` by `by` new entries.

        Args:
            at: for each new entry the old entry before which it goes, in
                ascending order; left out, all go to the end.
        """
        places = sorted(at) if at is not None else [size] * by
        indices: list[int] = []
        for old in range(size + 1):
            while places and places[0] == old:
                indices.append(NEW)
                places.pop(0)
            if old < size:
                indices.append(old)
        return cls.of(indices)

    @property
    def size(self) -> int:
        """Number of entries after the change."""
        return sum(length for _, length in self.runs)

    @property
    def new(self) -> int:
        """Number of entries that are new."""
        return sum(length for start, length in self.runs if start == NEW)

    @property
    def repeats(self) -> bool:
        """Whether an old entry stands in several places: the others are its copies."""
        kept = sorted((start, length) for start, length in self.runs if start != NEW)
        return any(a + n > b for (a, n), (b, _) in pairwise(kept))

    def is_even(self, size: int) -> bool:
        """Whether every old entry of an axis of `size` stands equally often, and nothing is new."""
        count = Counter(self.indices())
        return len(count) == size and NEW not in count and len(set(count.values())) == 1

    def shares(self) -> list[float]:
        """For each place the part of an old entry that falls to it.

        An entry in one place has all of it, and so has a new one.  The m
        places of a copied entry have 1/m each, the earlier ones a little more
        than the later ones: training could never tell equal ones apart.
        """
        indices = self.indices()
        count = Counter(indices)
        rank: Counter[int] = Counter()
        shares = []
        for index in indices:
            places = 1 if index == NEW else count[index]
            lean = (places - 1 - 2 * rank[index]) / (places - 1) if places > 1 else 0.0
            shares.append((1.0 + lean * _LEAN) / places)
            rank[index] += 1
        return shares

    def is_identity(self, size: int) -> bool:
        """Whether the map leaves an axis of `size` as it is."""
        return self == AxisMap.identity(size)

    def indices(self) -> list[int]:
        """One old index, or NEW, per new entry."""
        return [
            NEW if start == NEW else start + i for start, length in self.runs for i in range(length)
        ]

    def then(self, later: AxisMap) -> AxisMap:
        """The map of this change followed by `later`."""
        mine = self.indices()
        return AxisMap.of(NEW if i == NEW else mine[i] for i in later.indices())

    def repeated(self, times: int, old_size: int) -> AxisMap:
        """The map of `times` blocks that lie one behind the other, each changed alike.

        This is how the gates of a recurrent kernel follow its `units`.
        """
        return self.spread(times, old_size, 1)

    def stretched(self, by: int) -> AxisMap:
        """The map of an axis on which each old entry stands for `by` neighbours.

        This is how the output of a depthwise convolution follows its input.
        """
        return self.spread(1, 0, by)

    def joined(self, before: int, size: int, after: int) -> AxisMap:
        """The map of an axis in which this one, of `size`, lies between untouched entries.

        Args:
            before, after: number of untouched entries on either side.
        """
        shifted = (NEW if i == NEW else before + i for i in self.indices())
        rest = range(before + size, before + size + after)
        return AxisMap.of(chain(range(before), shifted, rest))

    def between(self, start: int, stop: int) -> AxisMap:
        """The part of the map that the old entries `start .. stop` have, from 0.

        New entries belong to the part of the old entry in front of them, those
        at the very beginning to the first.
        """
        part: list[int] = []
        inside = start == 0
        for index in self.indices():
            if index != NEW:
                inside = start <= index < stop
            if inside:
                part.append(NEW if index == NEW else index - start)
        return AxisMap.of(part)

    def spread(self, outer: int, old_size: int, inner: int) -> AxisMap:
        """The map of the flat axis that `outer` x this axis x `inner` make, row by row.

        This is how a flattened axis follows one of the axes it was made of.
        """
        indices = self.indices()
        return AxisMap.of(
            NEW if i == NEW else (o * old_size + i) * inner + j
            for o in range(outer)
            for i in indices
            for j in range(inner)
        )

    def gathered(self, outer: int, old_size: int, inner: int) -> AxisMap | None:
        """The map whose `spread` this is; None where there is none."""
        count, rest = divmod(self.size, outer * inner)
        if rest:
            return None
        first = self.indices()[: count * inner : inner]
        found = AxisMap.of(NEW if i == NEW else i // inner for i in first)
        fits = all(i == NEW or i % inner == 0 for i in first)
        return found if fits and found.spread(outer, old_size, inner) == self else None

    def to_json(self) -> list[list[int] | int]:
        """Runs as JSON: `[start, length]` for old entries, a number for new ones."""
        return [length if start == NEW else [start, length] for start, length in self.runs]

    @classmethod
    def from_json(cls, data: Iterable[list[int] | int]) -> AxisMap:
        """Read what `to_json` wrote."""
        return cls(tuple((NEW, r) if isinstance(r, int) else (r[0], r[1]) for r in data))
