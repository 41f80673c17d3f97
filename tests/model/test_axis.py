"""AxisMap: growing, shrinking and regrouping compose, and can be told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.model.axis import NEW, AxisMap

maps = st.lists(st.integers(NEW, 6), max_size=12).map(AxisMap.of)


def applied(change: AxisMap, entries: list[int]) -> list[int]:
    """An axis with these entries after the change."""
    return [NEW if i == NEW else entries[i] for i in change.indices()]


@given(st.lists(st.integers(NEW, 6), max_size=12))
def test_runs_hold_every_index(indices: list[int]) -> None:
    change = AxisMap.of(indices)
    assert change.indices() == indices
    assert change.size == len(indices)
    assert change.new == indices.count(NEW)
    assert AxisMap.from_json(change.to_json()) == change


@given(st.integers(0, 9))
def test_the_identity_changes_nothing(size: int) -> None:
    assert AxisMap.identity(size).indices() == list(range(size))
    assert AxisMap.identity(size).is_identity(size)
    assert not AxisMap.identity(size).is_identity(size + 1)


def test_new_entries_go_to_the_end_or_where_they_are_told() -> None:
    assert AxisMap.grown(3, 2).indices() == [0, 1, 2, NEW, NEW]
    assert AxisMap.grown(3, 2, [0, 2]).indices() == [NEW, 0, 1, NEW, 2]
    assert AxisMap.grown(2, 2, [2, 2]).indices() == [0, 1, NEW, NEW]


@pytest.mark.parametrize("at", [[1, 0], [0, 1]])
def test_the_order_of_places_does_not_matter(at: list[int]) -> None:
    assert AxisMap.grown(2, 2, at).indices() == [NEW, 0, NEW, 1]


@given(maps, st.data())
def test_one_change_after_another_is_one_change(first: AxisMap, data: st.DataObject) -> None:
    places = st.integers(NEW, first.size - 1) if first.size else st.just(NEW)
    second = AxisMap.of(data.draw(st.lists(places, max_size=8)))
    entries = list(range(100, 107))
    both = first.then(second)
    assert applied(both, entries) == applied(second, applied(first, entries))


@given(maps, st.integers(1, 3), st.integers(1, 3))
def test_spread_follows_a_flattened_array(change: AxisMap, outer: int, inner: int) -> None:
    values = np.arange(outer * 7 * inner).reshape(outer, 7, inner)
    moved = np.full((outer, change.size, inner), NEW)
    for place, index in enumerate(change.indices()):
        if index != NEW:
            moved[:, place] = values[:, index]
    flat = change.spread(outer, 7, inner)
    assert applied(flat, values.ravel().tolist()) == moved.ravel().tolist()
    assert flat.gathered(outer, 7, inner) == change


@given(maps, st.integers(1, 4))
def test_blocks_and_neighbours_are_spreads(change: AxisMap, times: int) -> None:
    entries = list(range(7))
    gates = [100 * block + i for block in range(times) for i in entries]
    expected = [
        NEW if i == NEW else 100 * block + i for block in range(times) for i in change.indices()
    ]
    assert applied(change.repeated(times, 7), gates) == expected
    assert change.stretched(times) == change.spread(1, 7, times)


def test_what_mixes_groups_is_no_spread() -> None:
    assert AxisMap.of([0, 1, 3, 2]).gathered(1, 2, 2) is None
    assert AxisMap.of([0, 1, 2]).gathered(1, 2, 2) is None


@given(maps, st.integers(0, 3), st.integers(0, 3))
def test_joined_entries_lie_between_untouched_ones(
    change: AxisMap, before: int, after: int
) -> None:
    whole = change.joined(before, 7, after)
    left, right = list(range(before)), list(range(before + 7, before + 7 + after))
    inner = [NEW if i == NEW else before + i for i in change.indices()]
    assert whole.indices() == left + inner + right


def test_a_part_keeps_the_new_entries_behind_its_own() -> None:
    change = AxisMap.of([NEW, 0, 1, NEW, 2, 3, NEW])
    assert change.between(0, 2).indices() == [NEW, 0, 1, NEW]
    assert change.between(2, 4).indices() == [0, 1, NEW]
