"""Checksums of whole files, in a thread beside other work."""

from __future__ import annotations

import hashlib
import zlib
from types import TracebackType
from typing import Self

from patchc.storage.background import Background
from patchc.storage.stream import SLAB, Readable, slabs


class Digest:
    """SHA-256 of a file and CRC-32 of a part of it, computed from the moment this is made.

    A context manager: the thread ends with the block.

    Args:
        file: what to read; it has to stay open as long as the block.
        size: number of bytes.
        sha256: whether to compute the SHA-256; without, only the part is read.
        part: offset and length of the part whose CRC-32 is computed.
    """

    def __init__(
        self, file: Readable, size: int, *, sha256: bool = True, part: tuple[int, int] = (0, 0)
    ) -> None:
        self._file = file
        self._sha256 = hashlib.sha256() if sha256 else None
        self._part = part
        self._size = size
        self._stopped = False
        self._crc = Background(self._run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give up what is not done yet, and wait until the file is no longer read."""
        self._stopped = True
        self._crc.__exit__(kind, value, trace)

    @property
    def is_whole(self) -> bool:
        """Whether the SHA-256 of the file is computed."""
        return self._sha256 is not None

    def _run(self) -> int:
        offset, length = self._part
        self._read(0, offset)
        crc = self._read(offset, length, checked=True)
        self._read(offset + length, self._size - offset - length)
        return crc

    def _read(self, offset: int, length: int, *, checked: bool = False) -> int:
        crc = 0
        if self._sha256 is None and not checked:
            return crc
        buffer = memoryview(bytearray(min(length, SLAB)))
        for start, size in slabs(length):
            if self._stopped:
                break
            self._file.read_into(buffer[:size], offset + start)
            if self._sha256 is not None:
                self._sha256.update(buffer[:size])
            if checked:
                crc = zlib.crc32(buffer[:size], crc)
        return crc

    def hex(self) -> str | None:
        """Wait for the SHA-256; raises what reading the file raised."""
        self._crc.result()
        return self._sha256.hexdigest() if self._sha256 is not None else None

    def crc(self) -> int:
        """Wait for the CRC-32 of the part; raises what reading the file raised."""
        return self._crc.result()
