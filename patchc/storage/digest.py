"""Checksums of whole files, in a thread beside other work."""

from __future__ import annotations

import hashlib
import zlib
from threading import Thread
from types import TracebackType
from typing import Self

from patchc.storage.stream import Readable, slabs


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
        self._crc = 0
        self._part = part
        self._size = size
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

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
        self._thread.join()

    def _run(self) -> None:
        offset, length = self._part
        try:
            self._read(0, offset)
            self._read(offset, length, checked=True)
            self._read(offset + length, self._size - offset - length)
        except BaseException as error:  # noqa: BLE001 (handed to the caller by the results)
            self._error = error

    def _read(self, offset: int, length: int, *, checked: bool = False) -> None:
        if self._sha256 is None and not checked:
            return
        for start, size in slabs(length):
            if self._stopped:
                return
            buffer = bytearray(size)
            self._file.read_into(buffer, offset + start)
            if self._sha256 is not None:
                self._sha256.update(buffer)
            if checked:
                self._crc = zlib.crc32(buffer, self._crc)

    def _wait(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error

    def hex(self) -> str | None:
        """Wait for the SHA-256; raises what reading the file raised."""
        self._wait()
        return self._sha256.hexdigest() if self._sha256 is not None else None

    def crc(self) -> int:
        """Wait for the CRC-32 of the part; raises what reading the file raised."""
        self._wait()
        return self._crc
