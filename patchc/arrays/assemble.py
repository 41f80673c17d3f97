"""A changed weight from a stored one: kept entries and new ones.

Kept entries are moved as bits.  How the new ones are made is part of the
format: the same patch on the same weight gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchc.arrays.bits import derive_key, uniforms
from patchc.arrays.dtypes import (
    CHUNK,
    Array,
    FloatArray,
    ValuesError,
    decode,
    encode,
    encode_constant,
    storage_dtype,
)
from patchc.arrays.elementary import normal_quantile, ordered_sum
from patchc.arrays.initializers import constant_of, initialise, stream_key, transform_of
from patchc.model.axis import NEW, AxisMap
from patchc.model.values import Growth, Strategy

Indices = NDArray[np.intp]
Tile = tuple[slice, Indices, slice]
"""Entries of a weight that is seen as (before the axis, axis, after the axis)."""

_SUM_ROWS = 1024  # entries along the axis that are summed at once


def assemble(old: Array, growths: Sequence[Growth], dtype: str, key: bytes) -> Array:
    """Build a changed weight.

    Args:
        old: the stored weight, in any byte order; bfloat16 as uint16 or two
            bytes of void.
        growths: changes of axes.  Where new entries of two axes cross, the first
            growth says how they are made; its `mean`, `sample` and `copy` then
            look at what the later ones made.  A further growth of the same axis
            begins anew with the weight that those before it have made.
        dtype: Keras's name of the weight's dtype.
        key: 16 bytes, see `derive_key`.

    How the fills work:

    * An initialiser makes the values of the whole new shape, of which the new
      entries are taken, so that fans are those of the new layer.
    * `mean`, at each position of the other axes: the mean of the kept entries,
      within their block, plus `offset` where that is given.
    * `sample`: normal, with that mean and the kept entries' standard deviation
      (of the population: divided by their number).
    * `copy`: the new entry number `i` of a block is the kept entry number
      `i mod n`, or `index` where that is given.

    Returns:
        An array of `old`'s dtype.  Kept entries have the bits that they had,
        unless their growth rescales them.

    Raises:
        ValuesError: a map does not fit the weight, or a fill its shape or dtype.
    """
    for number, changes in enumerate(_passes(growths)):
        stream = derive_key(key, "pass", str(number)) if number else key
        old = _grow(old, changes, dtype, stream)
    return old.copy() if not growths else old


def _passes(growths: Sequence[Growth]) -> list[list[Growth]]:
    """Growths in runs that change each axis once."""
    passes: list[list[Growth]] = []
    for growth in growths:
        if not passes or any(growth.axis == other.axis for other in passes[-1]):
            passes.append([])
        passes[-1].append(growth)
    return passes


def _grow(old: Array, growths: Sequence[Growth], dtype: str, key: bytes) -> Array:
    shape = list(old.shape)
    for growth in growths:
        _check(growth, old.shape)
        shape[growth.axis] = growth.map.size
    bits = _bits_dtype(old.dtype.itemsize)
    grown = np.zeros(shape, bits)
    _carry(old.view(bits), grown, growths)
    for growth in growths:
        if growth.merge and grown.size:
            _merge(old, grown, growth, dtype)
        elif growth.rescales and grown.size:
            _rescale(grown.view(_working_dtype(old.dtype, dtype)), growth, dtype)
    for growth in reversed(growths):
        if growth.map.new and grown.size:
            with np.errstate(over="ignore", invalid="ignore"):  # old entries may be infinite
                _fill(grown.view(_working_dtype(old.dtype, dtype)), growth, dtype, key)
    return grown.view(old.dtype)


def _check(growth: Growth, shape: tuple[int, ...]) -> None:
    axis, runs = growth.axis, growth.map.runs
    if not 0 <= axis < len(shape):
        raise ValuesError(f"has shape {shape}, and no axis {axis}")
    if any(start != NEW and not 0 <= start <= start + n <= shape[axis] for start, n in runs):
        raise ValuesError(f"has shape {shape}, and fewer entries on axis {axis} than are kept")
    if growth.map.size % growth.blocks:
        blocks = f"{growth.blocks} equal blocks"
        raise ValuesError(f"would get {growth.map.size} entries on axis {axis}, not {blocks}")


def _bits_dtype(itemsize: int) -> np.dtype[Any]:
    """A dtype whose entries are copied bit for bit, NaNs too."""
    return np.dtype(f"u{itemsize}" if itemsize in (1, 2, 4, 8) else f"V{itemsize}")


def _working_dtype(stored: np.dtype[Any], dtype: str) -> np.dtype[Any]:
    """The dtype in which new values are assigned, the byte order as it is stored."""
    expected = storage_dtype(dtype)
    if dtype == "bfloat16" and stored == np.dtype("V2"):
        return expected
    if stored.newbyteorder("=") != expected:
        raise ValuesError(f"is stored as {stored}, and not as {dtype}")
    return stored


def _carry(old: Array, grown: Array, growths: Sequence[Growth]) -> None:
    """Copy what is kept, run by run."""
    for runs in product(*(_kept_runs(growth.map) for growth in growths)):
        source, target = [slice(None)] * old.ndim, [slice(None)] * old.ndim
        for growth, (place, start, length) in zip(growths, runs, strict=True):
            source[growth.axis] = slice(start, start + length)
            target[growth.axis] = slice(place, place + length)
        grown[tuple(target)] = old[tuple(source)]


def _kept_runs(axis_map: AxisMap) -> list[tuple[int, int, int]]:
    """New index, old index and length of each run of kept entries."""
    places = np.cumsum([0, *(length for _, length in axis_map.runs)])
    return [
        (int(place), start, length)
        for place, (start, length) in zip(places, axis_map.runs, strict=False)
        if start != NEW
    ]


def merged_entries(growth: Growth, size: int) -> list[list[int]]:
    """For each entry that stays, itself and those that are added to it, by old index."""
    kept = growth.map.indices()
    groups = [[index] for index in kept]
    gone = sorted(set(range(size)) - set(kept))
    for number, index in enumerate(gone):
        groups[number % len(groups)].append(index)
    return groups


def _merge(old: Array, grown: Array, growth: Growth, dtype: str) -> None:
    """Add entries that go to those that stay, in the order of their indices, rounded once."""
    source = _as_cube(old.view(_working_dtype(old.dtype, dtype)), growth.axis)
    target = _as_cube(grown.view(_working_dtype(old.dtype, dtype)), growth.axis)
    if source.shape[0] != target.shape[0] or source.shape[2] != target.shape[2]:
        raise ValuesError("changes along several axes at once, where entries are added up")
    for place, group in enumerate(merged_entries(growth, old.shape[growth.axis])):
        if len(group) > 1:
            for before, after in _positions(source.shape, len(group)):
                values = decode(source[before, group, after], dtype)
                target[before, place, after] = encode(ordered_sum(values, 1), dtype)


def axis_factors(growth: Growth) -> FloatArray:
    """What each entry of a changed axis is multiplied by."""
    return growth.scale * np.array(growth.map.shares()) ** growth.split


def _rescale(weight: Array, growth: Growth, dtype: str) -> None:
    """Multiply kept entries by their factors; each is rounded once."""
    factors = axis_factors(growth)
    cube = _as_cube(weight, growth.axis)
    places = np.flatnonzero((np.array(growth.map.indices()) != NEW) & (factors != 1.0))
    for before, after in _positions(cube.shape, len(places)):
        for piece in _slices(len(places), _SUM_ROWS):
            rows = places[piece]
            values = decode(cube[before, rows, after], dtype)
            cube[before, rows, after] = encode(values * factors[rows, np.newaxis], dtype)


def _as_cube(weight: Array, axis: int) -> Array:
    """The weight as (before the axis, axis, after the axis)."""
    shape = weight.shape
    return weight.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


def _fill(weight: Array, growth: Growth, dtype: str, key: bytes) -> None:
    """Make the new entries of one axis, at all positions of the others."""
    axis, fill, shape = growth.axis, growth.fill, weight.shape
    cube = _as_cube(weight, axis)
    new = np.flatnonzero(np.array(growth.map.indices()) == NEW)
    stream = stream_key(fill, key)
    if fill.name == "copy":
        cube[:, new] = cube[:, _sources(growth)]
    elif fill.name == "mean":
        blocks = new // (shape[axis] // growth.blocks)
        means = _means(cube, growth, dtype) + float(fill.arguments.get("offset", 0.0))
        cube[:, new] = encode(means, dtype)[:, blocks]
    elif fill.name == "sample":
        _fill_sample(cube, growth, new, dtype, stream)
    elif (constant := constant_of(fill)) is not None:
        cube[:, new] = encode_constant(constant, dtype)
    elif (transform := transform_of(fill, shape)) is not None:
        for tile, numbers in _random_tiles(cube.shape, new, stream):
            cube[tile] = encode(transform(numbers), dtype)
    else:
        cube[:, new] = initialise(fill, shape, dtype, key).reshape(cube.shape)[:, new]


def _by_block(growth: Growth) -> Iterator[tuple[Indices, Indices]]:
    """Kept and new entries of each block, by their new indices."""
    is_new = np.array(growth.map.indices()) == NEW
    size = len(is_new) // growth.blocks
    for first in range(0, len(is_new), size):
        flags = is_new[first : first + size]
        kept = first + np.flatnonzero(~flags)
        if not len(kept):
            raise ValuesError(f"keeps no entry on axis {growth.axis} for `{growth.fill.name}`")
        yield kept, first + np.flatnonzero(flags)


def _sources(growth: Growth) -> Indices:
    """For each new entry the one that it copies, by new indices."""
    index = _copied_index(growth.fill)
    sources = []
    for kept, new in _by_block(growth):
        if index is not None and index >= len(kept):
            raise ValuesError(f"has {len(kept)} entries on axis {growth.axis}, and no {index}")
        order = np.arange(len(new)) % len(kept) if index is None else np.full(len(new), index)
        sources.append(kept[order])
    return np.concatenate(sources)


def _copied_index(fill: Strategy) -> int | None:
    unknown = set(fill.arguments) - {"index"}
    index = fill.arguments.get("index")
    if unknown or not (index is None or (type(index) is int and index >= 0)):
        raise ValuesError(f"cannot be filled: `copy` takes the index of an entry, got {index!r}")
    return index


def _means(
    cube: Array, growth: Growth, dtype: str, centres: FloatArray | None = None
) -> FloatArray:
    """Mean of the kept entries of each block, or of their squared distances from `centres`.

    Both are (before the axis, block, after the axis).
    """
    means = np.empty((cube.shape[0], growth.blocks, cube.shape[2]))
    for block, (kept, _) in enumerate(_by_block(growth)):
        for before, after in _positions(cube.shape, len(kept)):
            centre = None if centres is None else centres[before, block, after]
            total = _total(cube[before, :, after], kept, dtype, centre)
            means[before, block, after] = total / len(kept)
    return means


def _positions(shape: tuple[int, ...], entries: int) -> Iterator[tuple[slice, slice]]:
    """Slices before and after the axis that hold about one chunk of entries."""
    area = max(1, CHUNK // min(entries, _SUM_ROWS))
    for before in _slices(shape[0], max(1, area // max(1, shape[2]))):
        for after in _slices(shape[2], area):
            yield before, after


def _slices(size: int, step: int) -> Iterator[slice]:
    return (slice(i, min(i + step, size)) for i in range(0, size, step))


def _total(part: Array, rows: Indices, dtype: str, centre: FloatArray | None) -> FloatArray:
    """Sum over `rows` of the axis, or of the squared distances from `centre`."""
    sums = []
    for piece in _slices(len(rows), _SUM_ROWS):
        values = decode(part[:, rows[piece]], dtype)
        if centre is not None:
            values -= centre[:, np.newaxis]
            values *= values
        sums.append(ordered_sum(values, 1))
    return ordered_sum(np.stack(sums), 0)


def _fill_sample(cube: Array, growth: Growth, new: Indices, dtype: str, key: bytes) -> None:
    mean = _means(cube, growth, dtype)
    spread = np.sqrt(_means(cube, growth, dtype, mean))
    size = cube.shape[1] // growth.blocks
    for tile, numbers in _random_tiles(cube.shape, new, key):
        before, rows, after = tile
        of_rows = (before, rows // size, after)
        cube[tile] = encode(mean[of_rows] + spread[of_rows] * normal_quantile(numbers), dtype)


def _random_tiles(
    shape: tuple[int, ...], new: Indices, key: bytes
) -> Iterator[tuple[Tile, FloatArray]]:
    """The new entries by tiles, with the uniform numbers that belong to their places."""
    outer, size, inner = shape
    if size * inner <= CHUNK:
        for before in _slices(outer, max(1, CHUNK // max(1, size * inner))):
            count = (before.stop - before.start) * size * inner
            numbers = uniforms(key, count, before.start * size * inner)
            yield (before, new, slice(0, inner)), numbers.reshape(-1, size, inner)[:, new]
        return
    runs = np.split(new, np.flatnonzero(np.diff(new) != 1) + 1)
    for before, run in product(_slices(outer, 1), runs):
        for piece in _slices(len(run), max(1, CHUNK // inner)):
            for after in _slices(inner, CHUNK):
                rows = run[piece]
                start = (before.start * size + int(rows[0])) * inner + after.start
                numbers = uniforms(key, len(rows) * (after.stop - after.start), start)
                yield (before, rows, after), numbers.reshape(1, len(rows), -1)
