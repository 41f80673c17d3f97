"""Random bits that can be called up by number.

The stream of a key is Philox-4x64-10 (Salmon, Moraes, Dror and Shaw: "Parallel
random numbers: as easy as 1, 2, 3", 2011) as NumPy's bit generator gives it,
which NumPy keeps the same from version to version (NEP 19).
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

KEY_BYTES = 16
_WORDS_PER_COUNT = 4  # Philox-4x64 makes four words for each value of its counter


def derive_key(*parts: str | bytes) -> bytes:
    """The 128-bit key that stands for `parts`, such as a seed text and a weight's path.

    Each part counts with its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    digest = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()[:KEY_BYTES]


def words(key: bytes, count: int, start: int = 0) -> NDArray[np.uint64]:
    """Words `start .. start + count` of the key's stream, 64 random bits each.

    Args:
        key: 16 bytes.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, got {len(key)}")
    first, skip = divmod(start, _WORDS_PER_COUNT)
    stream = np.random.Philox(key=int.from_bytes(key, "little"), counter=first)
    return stream.random_raw(skip + count)[skip:]


def uniforms(key: bytes, count: int, start: int = 0) -> FloatArray:
    """Numbers `start .. start + count` of the key's stream, uniform in (0, 1).

    They are the odd multiples of 2**-53: neither 0 nor 1 is among them, `1 - u`
    is exact, and so is the conversion.
    """
    odd = words(key, count, start)
    odd >>= np.uint64(11)
    odd |= np.uint64(1)
    numbers = odd.astype(np.float64)
    numbers *= 2.0**-53
    return numbers
