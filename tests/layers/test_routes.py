"""Parts of an axis whose entries are copied: they have to lie together."""

from __future__ import annotations

import pytest

from patchc.layers.along import Turn
from patchc.layers.routes import StuckError, part_of
from patchc.model.axis import AxisMap

BESIDE, BEHIND = AxisMap.of([0, 0, 1, 1]), AxisMap.of([0, 1, 0, 1])


def test_copies_beside_their_originals_can_be_parted() -> None:
    assert part_of(BESIDE, 0, 1).indices() == [0, 0]
    assert part_of(BESIDE, 1, 2).indices() == [0, 0]
    assert Turn(1, 1).onward(2, BESIDE) == AxisMap.of([0, 0, 1, 1])


def test_copies_behind_other_entries_cannot() -> None:
    assert part_of(BEHIND, 0, 2) == BEHIND
    for start, stop in ((0, 1), (1, 2)):
        with pytest.raises(StuckError):
            part_of(BEHIND, start, stop)
    with pytest.raises(StuckError):
        Turn(1, 1).onward(2, BEHIND)


def test_new_entries_do_not_part_what_lies_around_them() -> None:
    assert part_of(AxisMap.of([0, -1, 1, 2, -1]), 0, 2).indices() == [0, -1, 1]
    assert part_of(AxisMap.of([0, -1, 1, 2, -1]), 2, 3).indices() == [0, -1]
