"""Checksums of data that were read in pieces."""

from __future__ import annotations

_POLYNOMIAL = 0xEDB88320


def crc32_combine(crc1: int, crc2: int, length2: int) -> int:
    """CRC-32 of two pieces of data, one behind the other, from the CRC of each.

    Appending a byte multiplies the CRC, read as a polynomial over GF(2), by
    x^8 modulo the CRC's polynomial, so the first CRC is multiplied by
    x^(8 length2), and the second added.  Method as in zlib's crc32_combine.

    Args:
        crc1: of the first piece.
        crc2: of the second piece.
        length2: bytes of the second piece.
    """
    power = 1 << 23  # x^8: the highest bit stands for x^0
    while length2:
        if length2 & 1:
            crc1 = _multiply(power, crc1)
        power = _multiply(power, power)
        length2 >>= 1
    return crc1 ^ crc2


def _multiply(a: int, b: int) -> int:
    """Product of two polynomials over GF(2), modulo the CRC's, bits reversed."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product
