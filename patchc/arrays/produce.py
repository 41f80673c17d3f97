"""The values of one weight of the result."""

from __future__ import annotations

from itertools import product

import numpy as np

from patchc.arrays.assemble import assemble, axis_factors, merged_entries
from patchc.arrays.bits import derive_key
from patchc.arrays.dtypes import Array, FloatArray, decode
from patchc.arrays.initializers import initialise
from patchc.model.axis import NEW, AxisMap
from patchc.model.values import Growth, Value


def produce(
    value: Value,
    shape: tuple[int, ...],
    dtype: str,
    old: Array | None,
    mirrored: Array | None = None,
) -> Array:
    """Make a weight that is not carried as it is.

    Args:
        value: where the values come from.
        shape: of the result.
        dtype: Keras's name of the weight's dtype.
        old: the stored weight, where there is one.
        mirrored: the weight that new entries are copies of, where there is one.

    Raises:
        ValuesError: where a strategy cannot make this shape or dtype.
    """
    key = derive_key(value.seed)
    if old is None:
        if mirrored is not None:
            return mirrored.copy()
        assert value.init is not None
        old = initialise(value.init, value.made or shape, dtype, key)
        key = derive_key(value.seed, "growth")  # no bits are used twice
    if mirrored is not None:
        return _over(mirrored, old, value.growths)
    return assemble(old, value.growths, dtype, key) if value.growths else old


def _over(mirrored: Array, old: Array, growths: tuple[Growth, ...]) -> Array:
    """`mirrored`, with the old entries where the growths left them."""
    places, sources = [], []
    for axis in range(old.ndim):
        new, kept = old_entries(growths, axis, old.shape[axis])
        places.append(new)
        sources.append(kept)
    result = mirrored.copy()
    result[np.ix_(*places)] = old[np.ix_(*sources)]
    return result


def composed(growths: tuple[Growth, ...], axis: int, size: int) -> AxisMap:
    """All changes of an axis of `size`, one after the other, as one."""
    change = AxisMap.identity(size)
    for growth in growths:
        if growth.axis == axis:
            change = change.then(growth.map)
    return change


def old_entries(growths: tuple[Growth, ...], axis: int, size: int) -> tuple[list[int], list[int]]:
    """Where the surviving entries of an axis of `size` are now, and where they were.

    Both in the order in which they were.
    """
    change = composed(growths, axis, size)
    pairs = [(old, new) for new, old in enumerate(change.indices()) if old != NEW]
    pairs.sort()
    return [new for _, new in pairs], [old for old, _ in pairs]


def same_old_entries(changed: Array, old: Array, growths: tuple[Growth, ...], dtype: str) -> bool:
    """Whether a changed weight still holds the entries of its base.

    Bit for bit; where they are rescaled, within the rounding of each rescaling.
    """
    if any(growth.merge for growth in growths):
        return _merged_entries(changed, old, growths, dtype)
    if any(growth.rescales for growth in growths):
        return _rescaled_entries(changed, old, growths, dtype)
    ranges = [_kept_ranges(composed(growths, axis, n)) for axis, n in enumerate(old.shape)]
    bits = f"u{old.itemsize}"
    now, before = changed.view(bits), old.view(bits)
    return all(
        np.array_equal(now[tuple(new for new, _ in part)], before[tuple(o for _, o in part)])
        for part in product(*ranges)
    )


def _merged_entries(changed: Array, old: Array, growths: tuple[Growth, ...], dtype: str) -> bool:
    """Whether the sums of what was added up are there; only of a single change."""
    if len(growths) > 1:
        return True  # the values are held against the plan all the same
    (growth,) = growths
    groups = merged_entries(growth, old.shape[growth.axis])
    values = np.moveaxis(decode(old, dtype), growth.axis, 0)
    wanted = np.stack([values[group].sum(axis=0) for group in groups])
    bound = np.stack([np.abs(values[group]).sum(axis=0) for group in groups])
    now = np.moveaxis(decode(changed, dtype), growth.axis, 0)
    return bool(np.all(np.abs(now - wanted) <= _SPACING[dtype] * bound + _TINY[dtype]))


def _rescaled_entries(changed: Array, old: Array, growths: tuple[Growth, ...], dtype: str) -> bool:
    """Whether old entries times all their factors are there, row by row of the first axis."""
    maps = [composed(growths, axis, n) for axis, n in enumerate(old.shape)]
    factors = [_composed_factors(growths, axis, n) for axis, n in enumerate(old.shape)]
    kept = [np.flatnonzero(np.array(m.indices()) != NEW) for m in maps]
    sources = [np.array(m.indices(), np.intp)[places] for m, places in zip(maps, kept, strict=True)]
    error = sum(growth.rescales for growth in growths) * _SPACING[dtype]
    for place, source in zip(kept[0], sources[0], strict=True):
        now = decode(changed[place][np.ix_(*kept[1:])], dtype)
        wanted = decode(old[source][np.ix_(*sources[1:])], dtype) * factors[0][place]
        for axis, (places, factor) in enumerate(zip(kept[1:], factors[1:], strict=True)):
            shape = [-1 if i == axis else 1 for i in range(now.ndim)]
            wanted = wanted * factor[places].reshape(shape)
        if not np.allclose(now, wanted, rtol=error, atol=_TINY[dtype], equal_nan=True):
            return False
    return True


def _composed_factors(growths: tuple[Growth, ...], axis: int, size: int) -> FloatArray:
    """What the entries of an axis have been multiplied by, all growths taken together."""
    factors = np.ones(size)
    for growth in growths:
        if growth.axis == axis:
            indices = np.array(growth.map.indices(), np.intp)
            factors = np.where(indices == NEW, 1.0, factors[indices]) * axis_factors(growth)
    return factors


_SPACING = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-51}
"""Distance of neighbouring numbers around one; wider for the dtype that is computed in."""
_TINY = {"bfloat16": 1e-37, "float16": 1e-7, "float32": 1e-37, "float64": 1e-300}
"""Below this, numbers of a dtype lie as far apart as they will."""


def _kept_ranges(change: AxisMap) -> list[tuple[slice, slice]]:
    """Runs of surviving entries: where they are now, and where they were."""
    found, place = [], 0
    for start, length in change.runs:
        if start != NEW:
            found.append((slice(place, place + length), slice(start, start + length)))
        place += length
    return found
