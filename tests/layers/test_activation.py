"""Activation layers against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import complete
from patchc.layers.objects import ACTIVATIONS
from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_elementwise,
    check_feature,
    check_identity,
    check_saved,
    rule_of,
)

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
sizes = st.integers(1, 5)
shapes = st.lists(st.one_of(st.none(), sizes), max_size=3).map(lambda rest: (None, *rest))
numbers = st.sampled_from([0, 0.5, 2, -0.5])
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Activation", {"activation": "gelu"}),
    ("ReLU", {"max_value": 6, "negative_slope": 0.1, "threshold": 0.2}),
    ("LeakyReLU", {}),
    ("ELU", {"alpha": 0.5}),
    ("PReLU", {}),
]


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_is_elementwise_or_not_as_the_table_says(name: str) -> None:
    if name == "glu":
        return  # halves its axis, so that no entry has a place in the output
    assert check_case("Activation", {"activation": name}, call((None, 4)))
    claimed = check_elementwise("Activation", {"activation": name}, call((None, 4)))
    assert claimed == (name not in {"softmax", "log_softmax", "sparsemax"})


@few
@given(
    shape=shapes,
    config=st.fixed_dictionaries(
        {}, optional={"max_value": numbers, "negative_slope": numbers, "threshold": numbers}
    ),
)
def test_relu(shape: tuple[int | None, ...], config: dict[str, Any]) -> None:
    check_case("ReLU", config, call(shape))


@few
@given(shape=shapes, slope=numbers, alpha=numbers)
def test_leaky_relu_and_elu(shape: tuple[int | None, ...], slope: float, alpha: float) -> None:
    check_case("LeakyReLU", {"negative_slope": slope}, call(shape, dtype="int32"))
    check_case("ELU", {"alpha": alpha, "dtype": "mixed_float16"}, call(shape))


@few
@given(
    shape=shapes,
    shared=st.one_of(st.none(), st.integers(1, 3), st.lists(st.integers(1, 3), max_size=3)),
    initializer=st.sampled_from(["zeros", "ones", "glorot_uniform"]),
)
def test_prelu(shape: tuple[int | None, ...], shared: Any, initializer: str) -> None:
    config = {"shared_axes": shared, "alpha_initializer": initializer}
    check_case("PReLU", config, call(shape))


def test_prelu_shares_axes() -> None:
    rule = rule_of("PReLU")
    spec = call((None, 7, 7, 3))
    for shared, shape, axes in (
        (None, (7, 7, 3), ("", "", "input")),
        ([1, 2], (1, 1, 3), ("", "", "input")),
        ([1, 2, 3], (1, 1, 1), ("", "", "")),
    ):
        config = complete(rule, canonical("PReLU", {"shared_axes": shared}))
        (alpha,) = rule.weights(config, spec)
        assert (alpha.shape, alpha.axes) == (shape, axes)


@pytest.mark.parametrize(("axis", "couples"), [(-1, True), (1, False), ([1, 2], True), (2, True)])
def test_softmax(axis: Any, couples: bool) -> None:
    spec = call((None, 4, 3))
    assert check_case("Softmax", {"axis": axis}, spec)
    rule = rule_of("Softmax")
    assert rule.couples_features({"axis": axis}, spec) == couples
    if not couples:
        assert check_feature("Softmax", {"axis": axis}, spec)


@pytest.mark.parametrize(("class_name", "config"), CASES)
def test_axes(class_name: str, config: dict[str, Any]) -> None:
    assert check_elementwise(class_name, config, call((None, 4, 3)))
    assert check_feature(class_name, config, call((None, 4, 3)))


def test_identities() -> None:
    assert check_identity("Activation", {"activation": "linear"}, call((None, 3)))
    assert not check_identity("Activation", {"activation": "relu"}, call((None, 3)))
    assert check_identity("PReLU", {"shared_axes": 1}, call((None, 2, 3)))
    assert not check_identity("ReLU", {}, call((None, 3)))


def test_arguments() -> None:
    check_arguments("Activation", {"activation": "relu"})
    for name in ("ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"):
        check_arguments(name)


def test_saved(tmp_path: Path) -> None:
    check_saved("PReLU", {"shared_axes": [1]}, call((None, 2, 3)), tmp_path)
    check_saved("Softmax", {}, call((None, 2, 3)), tmp_path)
