"""How far the values of a stored weight have moved from one file to another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np

from patchc.arrays.dtypes import Array
from patchc.diff.difference import Magnitude
from patchc.storage.attach import find
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.keras_file import KerasFile
from patchc.storage.stream import slabs
from patchc.storage.values import raw_bytes


def magnitude(one: KerasFile, address: str, other: KerasFile, place: str) -> Magnitude | None:
    """Compare the entries that two stored weights share, slab by slab.

    Shared are the entries with the same index: those of the smaller shape.

    Returns None for weights of another rank, or that hold no numbers.
    """
    before, after = find(one.tree, address), find(other.tree, place)
    assert isinstance(before, Dataset)
    assert isinstance(after, Dataset)
    types = _numpy_type(before), _numpy_type(after)
    if types[0] is None or types[1] is None or len(before.shape) != len(after.shape):
        return None
    total = squares = largest = 0.0
    for start, stop, length in _runs(before.shape, after.shape):
        for offset, size in slabs(length * 8):
            first, count = offset // 8, size // 8
            old = _read(one, before, types[0], start + first, count)
            new = _read(other, after, types[1], stop + first, count)
            change = np.abs(new - old)
            largest = max(largest, float(np.max(change, initial=0.0)))
            total += float(np.sum(change * change))
            squares += float(np.sum(old * old))
    if math.isnan(total):
        return Magnitude(math.inf, None)
    return Magnitude(largest, math.sqrt(total / squares) if squares else None)


def _numpy_type(stored: Dataset) -> np.dtype[np.generic] | None:
    name = "uint16" if stored.dtype_name == "bfloat16" else stored.dtype_name
    try:
        found = np.dtype(name)
    except TypeError:
        return None
    return found if found.kind in "biuf" else None


def _runs(one: tuple[int, ...], other: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Shared entries as runs: where each begins in either weight, and its length.

    Trailing axes of the same size are one run.
    """
    if one == other:
        yield 0, 0, math.prod(one)
        return
    shared = [min(sizes) for sizes in zip(one, other, strict=True)]
    last = max(axis for axis, sizes in enumerate(zip(one, other, strict=True)) if len({*sizes}) > 1)
    tail = math.prod(shared[last:])
    for index in product(*map(range, shared[:last])):
        yield _flat(index, one), _flat(index, other), tail


def _flat(index: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Number of the entry at which a partial index begins, in C order."""
    return sum(i * math.prod(shape[axis + 1 :]) for axis, i in enumerate(index))


def _read(
    file: KerasFile, stored: Dataset, dtype: np.dtype[np.generic], start: int, count: int
) -> Array:
    """A run of entries as float64."""
    values = np.empty(count, dtype)
    if values.nbytes:
        offset = (stored.offset or 0) + start * dtype.itemsize
        file.data.read_into(raw_bytes(values), offset)
    if stored.dtype_name == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return values.astype(np.float64)
