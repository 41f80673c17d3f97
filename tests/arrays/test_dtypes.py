from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patchc.arrays import dtypes
from patchc.arrays.dtypes import FLOATS, ValuesError, decode, encode, encode_constant, storage_dtype

GREATEST_BFLOAT16 = 3.3895313892515355e38


def bfloat16(value: float) -> int:
    return int(encode(np.array([value]), "bfloat16")[0])


def value_of(bits: int) -> float:
    return float(decode(np.array([bits], np.uint16), "bfloat16")[0])


@given(st.floats(-GREATEST_BFLOAT16, GREATEST_BFLOAT16))
@example(1.0 + 2.0**-8 + 2.0**-40)
@example(1.0 + 2.0**-8)
@example(1.0 + 3 * 2.0**-8)
@example(1.5 * 2.0**-133)
@example(2.0**-134 + 2.0**-180)
@example(2.0**-134)
@example(5e-324)
def test_bfloat16_is_the_nearest_with_ties_to_even(value: float) -> None:
    bits = bfloat16(value)
    assert (bits >> 15) == np.signbit(value)
    distance = abs(Fraction(value) - Fraction(value_of(bits)))
    for other in (bits - 1, bits + 1):
        if other & 0x7FFF < 0x7F80 and other & 0x8000 == bits & 0x8000:
            further = abs(Fraction(value) - Fraction(value_of(other)))
            assert distance < further or (distance == further and bits % 2 == 0)


@given(st.integers(0, 0xFFFF).filter(lambda bits: bits & 0x7F80 != 0x7F80 or not bits & 0x7F))
def test_bfloat16_survives_the_way_there_and_back(bits: int) -> None:
    assert bfloat16(value_of(bits)) == bits


def test_bfloat16_of_what_is_no_number() -> None:
    assert np.isnan(value_of(bfloat16(np.nan)))
    assert bfloat16(np.inf) == 0x7F80
    assert bfloat16(-np.inf) == 0xFF80
    assert bfloat16(-0.0) == 0x8000


@pytest.mark.parametrize("dtype", FLOATS)
def test_pieces_do_not_show(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.linspace(-3.0, 3.0, 210).reshape(7, 5, 6).transpose(2, 0, 1)
    whole = encode(values, dtype)
    monkeypatch.setattr(dtypes, "CHUNK", 11)
    np.testing.assert_array_equal(encode(values, dtype), whole)
    assert whole.shape == values.shape
    assert whole.dtype == storage_dtype(dtype)
    np.testing.assert_allclose(decode(whole, dtype), values, rtol=2.0**-8)


@pytest.mark.parametrize(("dtype", "value"), [("float16", 65520.0), ("bfloat16", 3.4e38)])
def test_a_value_beyond_the_range_is_refused(dtype: str, value: float) -> None:
    with pytest.raises(ValuesError, match=f"beyond the range of {dtype}"):
        encode(np.array([1.0, value]), dtype)
    assert np.isinf(decode(encode(np.array([np.inf]), dtype), dtype))


def test_decoding_minds_the_byte_order() -> None:
    assert decode(np.array([1.5], ">f4"), "float32").tolist() == [1.5]


@pytest.mark.parametrize(
    ("value", "dtype", "stored"),
    [(True, "bool", True), (7, "int8", 7), (7.0, "uint64", 7), (-4.6, "float64", -4.6)],
)
def test_constants(value: float, dtype: str, stored: object) -> None:
    made = encode_constant(value, dtype)
    assert made.shape == ()
    assert made.dtype == storage_dtype(dtype)
    assert made.item() == stored


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (0.5, "int32"),
        (128, "int8"),
        (-1, "uint8"),
        (2, "bool"),
        (float("nan"), "int32"),
        (float("inf"), "int32"),
        (10**400, "float64"),
        (1e39, "float32"),
    ],
)
def test_constants_that_do_not_fit(value: float, dtype: str) -> None:
    with pytest.raises(ValuesError, match=dtype):
        encode_constant(value, dtype)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "string", "complex64", "int4"])
def test_dtypes_without_values(dtype: str) -> None:
    with pytest.raises(ValuesError, match=f"has dtype {dtype}"):
        storage_dtype(dtype)
    with pytest.raises(ValuesError, match=f"has dtype {dtype}"):
        encode(np.zeros(1), dtype)
    with pytest.raises(ValuesError, match=f"has dtype {dtype}"):
        decode(np.zeros(1), dtype)
