"""Readable bytes that are a part of a file, or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from patchc.storage.stream import Readable


@dataclass(frozen=True, slots=True)
class Window:
    """A file from an offset on."""

    file: Readable
    offset: int

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill the buffer from an offset of the window."""
        self.file.read_into(buffer, self.offset + offset)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory, read like a file."""

    data: bytes

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill the buffer from an offset."""
        view = memoryview(buffer).cast("B")
        view[:] = self.data[offset : offset + len(view)]


@dataclass(frozen=True, slots=True)
class Joined:
    """Several parts, one behind the other; a read never crosses from one into the next.

    Args:
        parts: each with its size in bytes.
    """

    parts: Sequence[tuple[Readable, int]]

    def start(self, number: int) -> int:
        """Where a part begins."""
        return sum(size for _, size in self.parts[:number])

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill the buffer from an offset."""
        for part, size in self.parts:
            if offset < size:
                part.read_into(buffer, offset)
                return
            offset -= size
        if memoryview(buffer).nbytes:
            raise ValueError(f"{offset} bytes behind the last part")
