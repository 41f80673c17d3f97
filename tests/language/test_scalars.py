from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.language.scalars import LONGEST_NUMBER, resolve

TEXTS = [
    "yes",
    "no",
    "on",
    "off",
    "Yes",
    "NO",
    "On",
    "OFF",
    "y",
    "n",
    "tRUE",
    "fALSE",
    "nULL",
    "nil",
    "None",
    "1_000",
    "0b1",
    "0o8",
    "0o",
    "0x",
    "0xg",
    "-0x1",
    "+0o7",
    "0X1F",
    "0O7",
    "1:30",
    "190:20:30",
    "2026-01-01",
    "2026-13-45",
    "2001-12-14t21:59:43",
    "1.2.3",
    "1e",
    "1e+",
    "e5",
    ".e5",
    ".",
    "+",
    "-",
    "-.",
    "+.",
    "++1",
    "1-1",
    "0.1.0",
    "1,000",
    "1/2",
    "5%",
    "$x",
    "inf",
    "nan",
    "infinity",
    "NaN",
    ".INFINITY",
    ".infx",
    "=",
    "<<",
    "!",
    "conv5_*",
    ".hidden",
    "3x3",
    "1f",
    "0x1.8p1",
    "1e1.5",
    "١٢",
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((null, None) for null in ("", "~", "null", "Null", "NULL")),
        *((true, True) for true in ("true", "True", "TRUE")),
        *((false, False) for false in ("false", "False", "FALSE")),
        ("0", 0),
        ("-0", 0),
        ("+5", 5),
        ("-17", -17),
        ("012", 12),
        ("-012", -12),
        ("0o17", 15),
        ("0x1f", 31),
        ("0xFF", 255),
        ("9" * LONGEST_NUMBER, int("9" * LONGEST_NUMBER)),
    ],
)
def test_words_and_whole_numbers(text: str, value: object) -> None:
    resolved = resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1e+3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1.10", 1.1),
        ("1.0e-4", 1e-4),
        ("+12.3", 12.3),
        ("685.230e+03", 685230.0),
        ("0.0", 0.0),
        ("1e-400", 0.0),
    ],
)
def test_numbers_with_a_fraction(text: str, value: float) -> None:
    resolved = resolve(text)
    assert resolved == value
    assert isinstance(resolved, float)


@pytest.mark.parametrize("text", TEXTS)
def test_everything_else_is_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    "text",
    [".nan", ".NaN", ".NAN", ".inf", "-.inf", "+.Inf", ".INF", "1e999", "-1.0e+999999"],
)
def test_what_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"finite|too large"):
        resolve(text)


@pytest.mark.parametrize("text", ["9" * 65, "9" * 5000, "0x" + "f" * 100, "0." + "0" * 100])
def test_a_long_number_is_refused_before_it_is_converted(text: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        resolve(text)


@given(st.integers(min_value=-(2**63), max_value=2**64))
def test_integers_come_back(value: int) -> None:
    assert resolve(str(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back(value: float) -> None:
    assert resolve(repr(value)) == value
