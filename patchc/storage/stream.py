"""Stream: bytes from one file into another, or compared with it, slab by slab."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from patchc.storage.publish import OutputFile

SLAB = 4 << 20
"""Bytes that are held in memory at once."""

Progress = Callable[[int], None]
"""Told how many further bytes are done."""


class Readable(Protocol):
    """What can be read by position."""

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill the buffer from an offset."""


class Sink:
    """Writes one part of an output behind the other, and keeps a CRC-32.

    Args:
        output: the file.
        position: where the next part goes.
        progress: told of every slab.
    """

    def __init__(self, output: OutputFile, progress: Progress) -> None:
        self.output = output
        self.position = 0
        self.crc = 0
        self._progress = progress
        self._buffer = memoryview(bytearray(SLAB))

    def start_member(self) -> None:
        """Begin a new CRC."""
        self.crc = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self.output.write_at(self.position, data)
        self.crc = zlib.crc32(data, self.crc)
        self.position += len(data)
        self._progress(len(data))

    def copy(self, source: Readable, offset: int, length: int) -> None:
        """Append a range of another file."""
        for start, size in slabs(length):
            part = self._buffer[:size]
            source.read_into(part, offset + start)
            self.write(part)

    def pad_to(self, position: int) -> None:
        """Append zeros up to a position."""
        self.write(bytes(position - self.position))


def slabs(length: int) -> Iterator[tuple[int, int]]:
    """Start and size of each slab of a range."""
    for start in range(0, length, SLAB):
        yield start, min(SLAB, length - start)


def same_bytes(
    first: Readable, offset: int, second: Readable, other: int, length: int, progress: Progress
) -> bool:
    """Whether two ranges of two files hold the same bytes."""
    for start, size in slabs(length):
        one, two = bytearray(size), bytearray(size)
        first.read_into(one, offset + start)
        second.read_into(two, other + start)
        progress(size)
        if one != two:
            return False
    return True
