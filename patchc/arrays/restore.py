"""A stored weight as it was before its axes changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from patchc.arrays.dtypes import Array
from patchc.model.axis import NEW, AxisMap


def survivors(change: AxisMap) -> tuple[list[int], list[int]]:
    """Where the surviving entries of an axis are after a change, and where they were."""
    pairs = [(new, old) for new, old in enumerate(change.indices()) if old != NEW]
    return [new for new, _ in pairs], [old for _, old in pairs]


def is_complete(changes: Sequence[AxisMap], shape: Sequence[int]) -> bool:
    """Whether every entry of a weight of `shape` survived the changes of its axes."""
    return all(
        len(set(survivors(change)[1])) == size for change, size in zip(changes, shape, strict=True)
    )


def restored(now: Array, changes: Sequence[AxisMap], kept: Array) -> Array:
    """The weight of before: entries that survived from `now`, the others from `kept`.

    Args:
        now: the changed weight.
        changes: of each axis, from the old weight to `now`.
        kept: of the old shape; its entries count where none survived.
    """
    places = [survivors(change) for change in changes]
    result = kept.copy()
    old = np.ix_(*(before for _, before in places))
    result[old] = now[np.ix_(*(after for after, _ in places))]
    return result
