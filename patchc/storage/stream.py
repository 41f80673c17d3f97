"""Stream: bytes from one file into another, or compared with it, slab by slab."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Protocol, Self

from patchc.storage.background import Background
from patchc.storage.checksum import crc32_combine
from patchc.storage.publish import OutputFile

SLAB = 1 << 19
"""Bytes that are moved at once: what stays in a processor's cache between two steps."""
_BUFFERS = 4
_PIECE = 2 * SLAB
"""Bytes from which a CRC of their own costs less than reading them again."""
_WORTH_A_THREAD = 16 * SLAB

Progress = Callable[[int], None]
"""Told how many further bytes are done."""


class Readable(Protocol):
    """What can be read by position."""

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill the buffer from an offset."""


@dataclass(slots=True)
class Piece:
    """A large range that was copied from a source.

    Args:
        crc: CRC-32 of its bytes, once the sink is done with them.
    """

    source: Readable
    offset: int
    length: int
    crc: int = 0


class Sink:
    """Writes one part of an output behind the other, and keeps a CRC-32.

    The CRC is computed in a thread of its own, while the next slab is copied.
    A context manager: the thread ends with the block.

    Args:
        output: the file.
        progress: told of every slab.
        checksum: whether a CRC is wanted.

    Attributes:
        position: where the next part goes.
        pieces: the large ranges that were copied; their CRC spares whoever
            checks the source to read them a second time.
    """

    def __init__(self, output: OutputFile, progress: Progress, *, checksum: bool = True) -> None:
        self.output = output
        self._is_wanted = checksum
        self.position = 0
        self.pieces: list[Piece] = []
        self._progress = progress
        self._crc = 0
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(SLAB)))
        self._filled: SimpleQueue[tuple[memoryview, int, Piece | None] | None] = SimpleQueue()
        self._settled: SimpleQueue[None] = SimpleQueue()
        self._thread = Thread(target=self._checksum, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._filled.put(None)
        self._thread.join()

    def _checksum(self) -> None:
        open_piece: Piece | None = None
        while (part := self._filled.get()) is not None:
            buffer, size, piece = part
            if open_piece is not None and piece is not open_piece:
                self._crc = crc32_combine(self._crc, open_piece.crc, open_piece.length)
            open_piece = piece
            if not size:
                self._settled.put(None)
                continue
            if piece is None:
                self._crc = zlib.crc32(buffer[:size], self._crc)
            else:
                piece.crc = zlib.crc32(buffer[:size], piece.crc)
            self._free.put(buffer)

    def start_member(self) -> None:
        """Begin a new CRC."""
        self.crc()
        self._crc = 0

    def crc(self) -> int:
        """CRC-32 of what was written since `start_member`."""
        self._filled.put((memoryview(b""), 0, None))
        self._settled.get()
        return self._crc

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        view = memoryview(data)
        for start, size in slabs(len(view)):
            buffer = self._free.get()
            buffer[:size] = view[start : start + size]
            self._append(buffer, size, None)

    def copy(self, source: Readable, offset: int, length: int) -> None:
        """Append a range of another file."""
        large = length >= _PIECE and self._is_wanted
        piece = Piece(source, offset, length) if large else None
        if piece is not None:
            self.pieces.append(piece)
        for start, size in slabs(length):
            buffer = self._free.get()
            source.read_into(buffer[:size], offset + start)
            self._append(buffer, size, piece)

    def pad_to(self, position: int) -> None:
        """Append zeros up to a position."""
        self.write(bytes(position - self.position))

    def _append(self, buffer: memoryview, size: int, piece: Piece | None) -> None:
        self.output.write_at(self.position, buffer[:size])
        self.position += size
        if self._is_wanted:
            self._filled.put((buffer, size, piece))
        else:
            self._free.put(buffer)
        self._progress(size)


def crc_of(source: Readable, size: int, pieces: Iterable[Piece]) -> int:
    """CRC-32 of the first `size` bytes of a source, of which some pieces are known."""
    buffer = memoryview(bytearray(SLAB))
    crc, position = 0, 0
    known = {piece.offset: piece for piece in pieces if piece.source is source}
    for piece in [*sorted(known.values(), key=lambda p: p.offset), Piece(source, size, 0)]:
        for start, length in slabs(piece.offset - position):
            source.read_into(buffer[:length], position + start)
            crc = zlib.crc32(buffer[:length], crc)
        crc = crc32_combine(crc, piece.crc, piece.length)
        position = piece.offset + piece.length
    return crc


def crc32_of(data: Readable, offset: int, length: int) -> int:
    """CRC-32 of a range."""
    crc, buffer = 0, memoryview(bytearray(min(length, SLAB)))
    for start, size in slabs(length):
        data.read_into(buffer[:size], offset + start)
        crc = zlib.crc32(buffer[:size], crc)
    return crc


def slabs(length: int) -> Iterator[tuple[int, int]]:
    """Start and size of each slab of a range."""
    for start in range(0, length, SLAB):
        yield start, min(SLAB, length - start)


class Comparison:
    """Compares ranges of two files, large ones by halves at the same time."""

    def __init__(self, progress: Progress) -> None:
        self._lanes = [(bytearray(SLAB), bytearray(SLAB)) for _ in range(2)]
        self._progress = progress

    def same(self, first: Readable, offset: int, second: Readable, other: int, size: int) -> bool:
        """Whether `size` bytes at the two offsets are the same."""

        def part(lane: int, start: int, end: int) -> bool:
            buffers = self._lanes[lane]
            return self._same(buffers, first, offset + start, second, other + start, end - start)

        if size < _WORTH_A_THREAD:
            return part(0, 0, size)
        half = size // 2
        with Background(lambda: part(1, half, size)) as rest:
            return part(0, 0, half) & rest.result()

    def _same(
        self,
        buffers: tuple[bytearray, bytearray],
        first: Readable,
        offset: int,
        second: Readable,
        other: int,
        size: int,
    ) -> bool:
        for start, length in slabs(size):
            one, two = (memoryview(buffer)[:length] for buffer in buffers)
            first.read_into(one, offset + start)
            second.read_into(two, other + start)
            self._progress(length)
            if not _equal(*buffers, length):
                return False
        return True


def _equal(first: bytearray, second: bytearray, length: int) -> bool:
    """Compare beginnings; whole buffers without a copy, by memcmp."""
    if length == len(first):
        return first == second
    return first[:length] == second[:length]
