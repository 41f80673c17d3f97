"""CRC of data that were read in pieces, with zlib as oracle."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from patchc.storage.checksum import crc32_combine


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_crc_of_pieces(first: bytes, second: bytes) -> None:
    combined = crc32_combine(zlib.crc32(first), zlib.crc32(second), len(second))
    assert combined == zlib.crc32(first + second)


def test_crc_of_a_large_piece() -> None:
    zeros = bytes(5 << 20)
    combined = crc32_combine(zlib.crc32(b"abc"), zlib.crc32(zeros), len(zeros))
    assert combined == zlib.crc32(zeros, zlib.crc32(b"abc"))
    assert crc32_combine(1, 2, 1 << 45) != crc32_combine(1, 2, (1 << 45) + 1)
