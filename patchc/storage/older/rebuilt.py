"""A base file rebuilt from an undo file and a model: read like the file that it was."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from patchc.arrays.dtypes import Array, storage_dtype
from patchc.arrays.restore import restored
from patchc.storage.attach import find
from patchc.storage.files import InputFile
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.keras_file import KerasFile
from patchc.storage.stream import crc32_of
from patchc.storage.undo_file import Carried, Undo, UndoFile
from patchc.storage.values import raw_bytes, stored_values


class Rebuilt(InputFile):
    """The bytes of a base file, those of its listed weights taken from a model.

    Does not close the undo file, whose descriptor it shares.

    Args:
        kept: the undo file.
        model: what the patch made of the base, trained since or not.

    Attributes:
        present: whether the model holds each listed weight, by its address in
            the base; one that it lacks reads as zeros.
    """

    def __init__(self, kept: UndoFile, model: KerasFile) -> None:
        super().__init__(model.file.path, kept.file.fileno())
        self.size = kept.undo.size
        self._kept = kept
        self._model = model
        self._segments = list(_segments(kept.undo))
        self._starts = [segment[0] for segment in self._segments]
        self._made: tuple[str, Array] | None = None
        self.present: Mapping[str, bool] = {
            weight.address: self._holds(weight) for weight in kept.undo.weights
        }

    def _holds(self, weight: Carried) -> bool:
        found = find(self._model.tree, weight.now)
        if not isinstance(found, Dataset):
            return False
        kind = (found.shape, found.dtype_name, prod(weight.shape) * found.datatype.itemsize)
        return kind == (weight.now_shape, weight.dtype, weight.nbytes)

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; PatchError PC403 where the file ends before."""
        buffer = bytearray(length)
        self.read_into(buffer, offset)
        return bytes(buffer)

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill `buffer` from `offset`; PatchError PC403 where the file ends before."""
        view = memoryview(buffer).cast("B")
        self._check_range(offset, len(view))
        for start, length, weight, position in self._pieces(offset, len(view)):
            piece = view[start : start + length]
            if weight is None:
                self._kept.literal_into(piece, position)
            else:
                self._weight_into(piece, weight, position)

    def _pieces(self, offset: int, length: int) -> Iterator[tuple[int, int, Carried | None, int]]:
        """Ranges of a read: start in the buffer, length, weight, and position in its source."""
        first = max(bisect_right(self._starts, offset) - 1, 0)
        for start, size, weight, source in self._segments[first:]:
            low, high = max(start, offset), min(start + size, offset + length)
            if low < high:
                yield low - offset, high - low, weight, source + low - start
            elif start >= offset + length:
                return

    def _weight_into(self, view: memoryview, weight: Carried, position: int) -> None:
        if not self.present[weight.address]:
            view[:] = bytes(len(view))
        elif weight.changes is None:
            stored = find(self._model.tree, weight.now)
            assert isinstance(stored, Dataset)
            self._model.data.read_into(view, (stored.offset or 0) + position)
        else:
            view[:] = raw_bytes(self._restored(weight))[position : position + len(view)]

    def _restored(self, weight: Carried) -> Array:
        """A changed weight of before; the last one is kept, as it is read in slabs."""
        if self._made is not None and self._made[0] == weight.address:
            return self._made[1]
        old = np.zeros(weight.shape, storage_dtype(weight.dtype))
        if weight.kept is not None:
            self._kept.literal_into(raw_bytes(old), weight.kept)
        values = restored(stored_values(self._model, weight.now), weight.changes or (), old)
        self._made = (weight.address, np.ascontiguousarray(values))
        return self._made[1]

    def trained(self) -> list[Carried]:
        """The listed weights whose bytes are not those of the base any more."""
        return [
            weight
            for weight in self._kept.undo.weights
            if not self.present[weight.address]
            or crc32_of(self, weight.offset, weight.nbytes) != weight.crc32
        ]


def _segments(undo: Undo) -> Iterator[tuple[int, int, Carried | None, int]]:
    """The base file piece by piece: offset, length, its weight, and where its source begins."""
    literal = 0
    for (offset, length), weight in zip(undo.literals(), (*undo.weights, None), strict=True):
        yield offset, length, None, literal
        literal += length
        if weight is not None:
            yield weight.offset, weight.nbytes, weight, 0
