"""The bytes of an HDF5 file, in which every structure has a place of its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from patchc.storage.hdf5.tree import Hdf5Error

_MAX_BLOCK = 64 << 20
# Headers are small and lie close together: they are read by pages that overlap,
# so that most structures lie within one.
_PAGE = 8192
_OVERLAP = 1024
_PAGES = 4096


class Blocks:
    """Reads structures of a file, and keeps account of what lies where.

    No byte may belong to two structures, so all that is read together is no
    larger than the file, whatever the file says.

    Args:
        read_at: returns bytes of the file by offset and length.
        size: of the file in bytes.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size: int) -> None:
        self.size = size
        self._read_at = read_at
        self._pages: dict[int, bytes] = {}
        self._claims: dict[int, int] = {}
        self._claimed = 0

    def at(self, offset: int, length: int) -> tuple[bytes, int]:
        """Return a buffer, and where in it the `length` bytes from `offset` on stand."""
        if offset + length > self.size:
            raise Hdf5Error("is damaged: it points behind its end")
        number = offset // _PAGE
        inside = offset - number * _PAGE
        if inside + length > _PAGE + _OVERLAP:
            return self._fetch(offset, length), 0
        page = self._pages.get(number)
        if page is None:
            if len(self._pages) >= _PAGES:
                self._pages.clear()
            start = number * _PAGE
            page = self._fetch(start, min(_PAGE + _OVERLAP, self.size - start))
            self._pages[number] = page
        return page, inside

    def _fetch(self, offset: int, length: int) -> bytes:
        if length > _MAX_BLOCK:
            raise Hdf5Error(f"is damaged: a structure of {length} bytes is too large")
        data = self._read_at(offset, length)
        if len(data) != length:
            raise Hdf5Error("is truncated")
        return data

    def claim(self, start: int, length: int) -> None:
        """Note that a structure, or the data of a dataset, lies there.

        Raises Hdf5Error where that cannot be, or something else begins there.
        """
        self._claimed += length
        if start in self._claims:
            raise Hdf5Error("is linked twice, or overlaps with something else")
        if start + length > self.size or self._claimed > self.size:
            raise Hdf5Error("is damaged: it points behind the end of the file, or overlaps")
        self._claims[start] = length

    def check_overlaps(self) -> None:
        """Refuse a file in which noted places overlap; for the end of reading."""
        for (start, length), (following, _) in pairwise(sorted(self._claims.items())):
            if start + length > following:
                raise Hdf5Error(f"is damaged: structures or data overlap at byte {following}")
