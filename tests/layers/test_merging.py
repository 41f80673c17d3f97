"""Merging layers against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import CallSpec, Shape, TensorSpec
from tests.layers.oracle import (
    call,
    check_arguments,
    check_case,
    check_elementwise,
    check_feature,
    check_saved,
)

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
ELEMENTWISE = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
sizes = st.sampled_from([None, 1, 2, 3])
shapes = st.lists(sizes, max_size=3).map(tuple)


def listed(shapes: list[Shape], dtype: str = "float32") -> CallSpec:
    return CallSpec(([TensorSpec(shape, dtype) for shape in shapes],))


@few
@given(
    name=st.sampled_from(ELEMENTWISE),
    batch=st.sampled_from([None, 2]),
    parts=st.lists(shapes, min_size=1, max_size=3),
)
def test_elementwise(name: str, batch: int | None, parts: list[Shape]) -> None:
    check_case(name, {}, listed([(batch, *shape) for shape in parts]))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_each(name: str) -> None:
    assert check_case(name, {}, listed([(None, 2, 3), (None, 1, 3)]))
    assert check_case(name, {}, listed([(None, 3), (2, 3)], dtype="int32"))
    assert not check_case(name, {}, listed([(None, 2), (None, 3)]))
    assert not check_case(name, {}, listed([(2, 3), (4, 3)]))
    assert not check_case(name, {}, call((None, 3)))
    assert check_elementwise(name, {}, listed([(None, 2, 3), (None, 2, 3)]))
    assert check_feature(name, {}, listed([(None, 2, 3), (None, 1, 3)]))
    check_arguments(name)


def test_number_of_inputs() -> None:
    assert check_case("Add", {}, listed([(None, 3)]))
    assert not check_case("Subtract", {}, listed([(None, 3)]))
    assert not check_case("Subtract", {}, listed([(None, 3)] * 3))


@few
@given(
    axis=st.integers(-4, 3),
    first=st.lists(sizes, min_size=1, max_size=3),
    change=st.integers(0, 2),
    size=sizes,
)
def test_concatenate(axis: int, first: list[int | None], change: int, size: int | None) -> None:
    second = list(first)
    second[change % len(first)] = size
    check_case("Concatenate", {"axis": axis}, listed([(None, *first), (None, *second)]))


@pytest.mark.parametrize(
    ("shapes", "axis"),
    [
        ([(None, 2), (None, 3)], -1),
        ([(None, 2), (None, None)], 1),
        ([(2, 3), (4, 3)], 0),
        ([(None, 2)], -1),
        ([(None, 2), (None, 3), (None, 4)], -1),
        ([(None, 4, 2), (None, 5, 2)], -1),
        ([(None, 2), (None, 2, 2)], -1),
    ],
)
def test_concatenations(shapes: list[Shape], axis: int) -> None:
    check_case("Concatenate", {"axis": axis}, listed(shapes))


@pytest.mark.parametrize(
    ("axes", "shapes"),
    [
        (1, [(None, 3), (None, 3)]),
        (-1, [(None, 2, 3), (None, 4, 3)]),
        ([1, 2], [(None, 3, 2), (None, 4, 3)]),
        ([2, 1], [(None, 5, 3), (None, 3)]),
        ([2, 1], [(None, 3), (None, 3)]),
        ([2, 2], [(None, 2, 5, 3), (None, 4, 5)]),
        ([-1, 1], [(None, 2, 3), (None, 3, 4)]),
        (1, [(None, 3), (None, 4)]),
        (1, [(None, None), (None, 4)]),
        (1, [(None, 3)]),
        ([1, 2, 3], [(None, 3), (None, 3)]),
    ],
)
@pytest.mark.parametrize("normalize", [False, True])
def test_dot(axes: Any, shapes: list[Shape], normalize: bool) -> None:
    check_case("Dot", {"axes": axes, "normalize": normalize}, listed(shapes))


def test_arguments() -> None:
    check_arguments("Concatenate")
    check_arguments("Dot", {"axes": 1})


def test_saved(tmp_path: Path) -> None:
    check_saved("Concatenate", {}, listed([(None, 2), (None, 3)]), tmp_path)
