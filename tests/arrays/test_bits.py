import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.arrays.bits import derive_key, uniforms, words

KEY = derive_key("seed", "dense/kernel")


@given(start=st.integers(0, 10_000), count=st.integers(0, 50))
def test_the_middle_of_a_stream_needs_no_beginning(start: int, count: int) -> None:
    whole = words(KEY, start + count)
    np.testing.assert_array_equal(words(KEY, count, start), whole[start:])
    np.testing.assert_array_equal(uniforms(KEY, count, start), uniforms(KEY, start + count)[start:])


def test_places_beyond_32_bits_are_other_places() -> None:
    near, far = words(KEY, 8), words(KEY, 8, 1 << 40)
    assert not np.intersect1d(near, far).size


def test_uniforms_lie_inside_the_open_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    extremes = np.array([0, (1 << 64) - 1], np.uint64)
    monkeypatch.setattr("patchc.arrays.bits.words", lambda *_: extremes.copy())
    low, high = uniforms(KEY, 2)
    assert low == 2.0**-53
    assert high == 1.0 - 2.0**-53


def test_uniforms_are_uniform() -> None:
    numbers = np.sort(uniforms(KEY, 100_000))
    distance = np.abs(numbers - (np.arange(100_000) + 0.5) / 100_000).max()
    assert distance < 1.95 / np.sqrt(100_000)


@pytest.mark.parametrize("other", [("a", "bc"), ("abc",), ("ab", "c", ""), ("AB", "c")])
def test_a_key_stands_for_its_parts(other: tuple[str, ...]) -> None:
    assert derive_key("ab", "c") == derive_key(b"ab", "c")
    assert derive_key("ab", "c") != derive_key(*other)
    assert len(derive_key(*other)) == 16


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        words(b"short", 1)
