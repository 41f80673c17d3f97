import math
from fractions import Fraction
from statistics import NormalDist

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from patchc.arrays.bits import derive_key, uniforms
from patchc.arrays.elementary import (
    NORMAL_CDF_TWO,
    log,
    normal_quantile,
    ordered_sum,
    polynomial,
    turn_cosine,
)

U = uniforms(derive_key("elementary"), 20_000)


@given(st.floats(min_value=5e-324, allow_infinity=False, allow_nan=False))
def test_log_of_any_positive_number(x: float) -> None:
    assert math.isclose(log(np.array([x]))[0], math.log(x), rel_tol=1e-15)


def test_log_near_one_loses_no_digits() -> None:
    for x in (1.0 - 2.0**-53, 1.0 + 2.0**-52, 0.999, 1.001):
        assert math.isclose(log(np.array([x]))[0], math.log(x), rel_tol=1e-15)
    assert log(np.array([1.0]))[0] == 0.0


def test_the_normal_quantile_is_that_of_the_standard_library() -> None:
    edges = [2.0**-53, 1.0 - 2.0**-53, 0.5, 0.075, 0.925, 1e-12]
    for p in (U, U * 1e-4, U * 1e-13, np.array(edges)):
        expected = [NormalDist().inv_cdf(x) for x in p]
        np.testing.assert_allclose(normal_quantile(p), expected, rtol=2e-15, atol=1e-300)


def test_the_normal_quantile_is_odd() -> None:
    np.testing.assert_array_equal(normal_quantile(1.0 - U), -normal_quantile(U))


def test_the_normal_distribution_at_two() -> None:
    assert math.isclose(NORMAL_CDF_TWO, 0.5 * math.erfc(-math.sqrt(2.0)), rel_tol=2e-16)


@given(part=st.integers(-(10**9), 10**9), whole=st.integers(1, 10**6))
def test_cosine_of_parts_of_a_turn(part: int, whole: int) -> None:
    expected = math.cos(2.0 * math.pi * (part % whole) / whole)
    assert abs(turn_cosine(np.array([part]), whole)[0] - expected) < 2e-15


def test_cosine_is_exact_at_quarters() -> None:
    np.testing.assert_array_equal(turn_cosine(np.arange(-4, 5), 4), [1, 0, -1, 0, 1, 0, -1, 0, 1])


def test_polynomial() -> None:
    np.testing.assert_array_equal(polynomial([2.0, -1.0, 3.0], np.array([0.0, 2.0])), [3.0, 9.0])


@given(
    arrays.arrays(
        np.float64, arrays.array_shapes(max_dims=3, max_side=9), elements=st.floats(-1e6, 1e6)
    ),
    st.data(),
)
def test_sums_are_sums(values: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, values.ndim - 1))
    exact = np.apply_along_axis(lambda row: float(sum(map(Fraction, row))), axis, values)
    np.testing.assert_allclose(ordered_sum(values, axis), exact, rtol=0, atol=1e-8)


@given(st.integers(0, 40), st.permutations(range(3)))
def test_sums_do_not_depend_on_the_layout_in_memory(size: int, order: list[int]) -> None:
    values = uniforms(derive_key("layout"), size * 12).reshape(size, 4, 3)
    moved = np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    np.testing.assert_array_equal(ordered_sum(moved, 0), ordered_sum(values, 0))


def test_the_order_of_a_sum() -> None:
    values = np.array([1.0, 1e100, 1.0, -1e100, 1.0])
    assert ordered_sum(values, 0) == ((values[0] + values[2]) + values[4]) + (1e100 - 1e100)
    assert ordered_sum(np.zeros((0, 2)), 0).tolist() == [0.0, 0.0]
