"""Readable bytes that are a part of a file, or of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchc.storage.files import InputFile
from patchc.storage.publish import OutputFile
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
    """Several parts, one behind the other.

    Args:
        parts: each with its size in bytes.
    """

    parts: Sequence[tuple[Readable, int]]

    @classmethod
    def of(cls, files: Iterable[InputFile | OutputFile]) -> Joined:
        """Whole files."""
        return cls([(file, file.size) for file in files])

    @property
    def size(self) -> int:
        """Number of bytes."""
        return sum(size for _, size in self.parts)

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill the buffer from an offset."""
        view = memoryview(buffer).cast("B")
        for part, size in self.parts:
            count = min(len(view), max(size - offset, 0))
            if count:
                part.read_into(view[:count], offset)
                view, offset = view[count:], offset + count
            offset -= size
        if len(view):
            raise ValueError(f"{offset} bytes behind the last part")
