"""Nothing that a model or a patch says can steer a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.report.safe import padded, safe, width


def test_plain_text_stays_as_it_is() -> None:
    assert safe("conv1/kernel größe 層") == "conv1/kernel größe 層"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u202etxt", r"\u202etxt"),
        ("\u2066a\u2069", r"\u2066a\u2069"),
        ("a\u200bb", r"a\u200bb"),
        ("\x9b31m", r"\x9b31m"),
        ("\udc80", r"\udc80"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_steers_or_hides_is_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text(st.characters()))
def test_no_control_or_format_character_comes_through(text: str) -> None:
    assert not [c for c in safe(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


def test_long_text_is_cut() -> None:
    assert safe("x" * 500, 10) == "xxxxxxx..."
    assert safe("x" * 10, 10) == "x" * 10


def test_wide_characters_count_as_two_columns_and_marks_as_none() -> None:
    assert width("層a") == 3
    assert width("e\u0301") == 1
    assert padded("層", 4) == "層  "
