"""From float64 to the dtypes that weights are stored in, and back.

bfloat16, which NumPy does not know, stands in arrays of uint16: its bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
FloatArray = NDArray[np.float64]

FLOATS = ("bfloat16", "float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

CHUNK = 1 << 18
"""Values that are worked on at once: their temporaries stay in the cache."""


class ValuesError(ValueError):
    """Values that cannot be made.

    The message is one clause, in lower case, that can follow a weight's name.
    """


def storage_dtype(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype of arrays of Keras's `dtype`.

    Raises:
        ValuesError: patchc makes no values of this dtype.
    """
    if dtype == "bfloat16":
        return np.dtype(np.uint16)
    if dtype in FLOATS or dtype in INTEGERS or dtype == "bool":
        return np.dtype(dtype)
    raise ValuesError(f"has dtype {dtype}, of which patchc makes no values")


def encode(values: FloatArray, dtype: str) -> Array:
    """Round float64 to a floating dtype, once, to nearest with ties to even.

    Raises:
        ValuesError: a finite value lies beyond the range of `dtype`, or `dtype`
            is no floating dtype.
    """
    if dtype not in FLOATS:
        raise ValuesError(f"has dtype {dtype}, which holds no fractions")
    flat = values.reshape(-1)
    stored = np.empty(flat.size, storage_dtype(dtype))
    for start in range(0, flat.size, CHUNK):
        stored[start : start + CHUNK] = _encode_chunk(flat[start : start + CHUNK], dtype)
    return stored.reshape(values.shape)


def _encode_chunk(values: FloatArray, dtype: str) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        stored = _to_bfloat16(values) if dtype == "bfloat16" else values.astype(dtype)
    infinite = (stored & 0x7FFF) == 0x7F80 if dtype == "bfloat16" else np.isinf(stored)
    if infinite.any() and np.isfinite(values[infinite]).any():
        raise ValuesError(f"would get values beyond the range of {dtype}")
    return stored


def _to_bfloat16(values: FloatArray) -> NDArray[np.uint16]:
    """Bits of the nearest bfloat16: through a float32 that is rounded to odd.

    Such a float32 remembers in its last bit whether anything was cut off, so
    that the second rounding sees what the first one saw (Boldo and Melquiond:
    "When double rounding is odd", 2005).
    """
    single = values.astype(np.float32)
    bits = single.view(np.uint32)
    widened = single.astype(np.float64)
    bits = bits - (np.abs(widened) > np.abs(values))
    bits |= widened != values
    bits += np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = (bits >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def decode(stored: Array, dtype: str) -> FloatArray:
    """Float64 of stored floats, exactly; `stored` may have any byte order.

    Raises:
        ValuesError: `dtype` is no floating dtype.
    """
    if dtype not in FLOATS:
        raise ValuesError(f"has dtype {dtype}, of which no mean or spread is taken")
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32).astype(np.float64)
    return stored.astype(np.float64)


def encode_constant(value: float, dtype: str) -> Array:
    """One value in a dtype of any kind, as an array without axes.

    Raises:
        ValuesError: the value does not fit the dtype.
    """
    target = storage_dtype(dtype)
    if dtype in FLOATS:
        try:
            return encode(np.array([float(value)]), dtype)[0, ...]
        except OverflowError:
            raise ValuesError(f"would get values beyond the range of {dtype}") from None
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(target).min, np.iinfo(target).max)
    if not low <= value <= high or value != int(value):
        raise ValuesError(f"has dtype {dtype}, which cannot hold {value}")
    return np.array(int(value), dtype=target)
