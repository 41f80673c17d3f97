"""Streams: what is copied arrives, with the checksums of what went by."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest

from patchc.storage.files import open_regular
from patchc.storage.publish import OutputFile
from patchc.storage.stream import SLAB, Comparison, Sink, crc_of

SIZE = 7 * SLAB + 1234


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_checksums_of_output_and_source_come_from_one_pass(source: Path, tmp_path: Path) -> None:
    data = source.read_bytes()
    ranges = [(SLAB + 7, 3 * SLAB), (0, 100), (4 * SLAB + 50, 2 * SLAB), (SLAB + 7, 3 * SLAB)]
    with open_regular(source) as file, open(tmp_path / "out", "w+b") as out:
        with Sink(OutputFile(out.fileno(), "out", "out"), lambda _: None) as sink:
            sink.write(b"header")
            sink.start_member()
            sink.write(b"begin")
            for offset, length in ranges:
                sink.copy(file, offset, length)
            sink.write(b"end")
            found = sink.crc()
        written = b"begin" + b"".join(data[o : o + n] for o, n in ranges) + b"end"
        assert (tmp_path / "out").read_bytes() == b"header" + written
        assert found == zlib.crc32(written)
        assert [piece.offset for piece in sink.pieces] == [SLAB + 7, 4 * SLAB + 50, SLAB + 7]
        assert crc_of(file, SIZE, sink.pieces) == zlib.crc32(data)
        assert crc_of(file, SIZE - 3, ()) == zlib.crc32(data[:-3])


def test_a_difference_is_found_wherever_it_is(tmp_path: Path) -> None:
    size = 40 * SLAB + 5
    data = bytearray(size)
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(data)
    with open_regular(tmp_path / "one") as one, open_regular(tmp_path / "two") as two:
        compare = Comparison(lambda _: None)
        assert compare.same(one, 0, two, 0, size)
        for place in (0, SLAB - 1, size // 2 - 1, size // 2, size - 1):
            with open(tmp_path / "two", "r+b") as file:
                file.seek(place)
                file.write(b"x")
            assert not compare.same(one, 0, two, 0, size)
            assert compare.same(one, place + 1, two, place + 1, size - place - 1)
            with open(tmp_path / "two", "r+b") as file:
                file.seek(place)
                file.write(b"\0")
