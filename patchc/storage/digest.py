"""SHA-256 of whole files, in a thread beside other work."""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import Self

from patchc.storage.background import Background
from patchc.storage.stream import SLAB, Readable, slabs


class Digest:
    """SHA-256 of a file, computed from the moment this is made.

    A context manager: the thread ends with the block.

    Args:
        file: what to read; it has to stay open as long as the block.
        size: number of bytes.
        wanted: whether to compute it at all.
    """

    def __init__(self, file: Readable, size: int, *, wanted: bool = True) -> None:
        self._file = file
        self._size = size
        self._stopped = False
        self._result = Background(self._run) if wanted else None

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
        if self._result is not None:
            self._result.__exit__(kind, value, trace)

    @property
    def wanted(self) -> bool:
        """Whether it is computed."""
        return self._result is not None

    def _run(self) -> str:
        sha256 = hashlib.sha256()
        buffer = memoryview(bytearray(min(self._size, SLAB)))
        for start, size in slabs(self._size):
            if self._stopped:
                break
            self._file.read_into(buffer[:size], start)
            sha256.update(buffer[:size])
        return sha256.hexdigest()

    def hex(self) -> str | None:
        """Wait for it; None where it is not wanted.  Raises what reading the file raised."""
        return None if self._result is None else self._result.result()
