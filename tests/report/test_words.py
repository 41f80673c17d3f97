"""Numbers, shapes and values in words."""

from typing import Any

import pytest

from patchc.report.words import (
    changes,
    counted,
    fates,
    params_text,
    strategy_text,
    table,
    tensor_shape,
    value_text,
    weight_shape,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([1, None], "[1, null]"),
        ({"a": [False]}, "{a: [false]}"),
        ({"class_name": "L2", "config": {"l2": 0.1}}, "L2(l2=0.1)"),
        ({"class_name": "DTypePolicy", "config": {"name": "float32"}}, "float32"),
        ({"class_name": "Zeros", "config": {}}, "Zeros"),
        ("x\x1b", r"x\x1b"),
        ("y" * 100, "y" * 57 + "..."),
    ],
)
def test_values_are_written_as_in_patches(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_deep_values_end() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    assert value_text(deep) == "[[[[[[[[...]]]]]]]]"


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        ("GlorotUniform", "glorot_uniform"),
        ("mean", "mean"),
        ({"Constant": {"value": -4.6}}, "constant(value=-4.6)"),
        ({"RandomNormal": {"seed": None}}, "random_normal"),
    ],
)
def test_strategies_have_the_names_that_patches_use(strategy: Any, text: str) -> None:
    assert strategy_text(strategy) == text


def test_shapes() -> None:
    assert [weight_shape(s) for s in [(), (3,), (3, 4)]] == ["()", "(3,)", "(3, 4)"]
    assert tensor_shape([None, 10]) == "[null, 10]"
    assert tensor_shape(None) == "?"


def test_counts() -> None:
    assert counted(1, "layer") == "1 layer"
    assert counted(1_000, "layer") == "1,000 layers"
    assert fates({"kept": 4, "grown": 0, "new": 1}) == "4 kept, 1 new"
    assert fates({"kept": 0}) == "none"


def test_parameters_before_and_after() -> None:
    same = {"before": 10, "after": 10, "trainable_before": 4, "trainable_after": 4}
    assert params_text(same) == "10, trainable 4"
    fewer = {"before": 1_000, "after": 990, "trainable_before": 4, "trainable_after": 0}
    assert params_text(fewer) == "1,000 -> 990 (-10), trainable 4 -> 0"


def test_changes_of_a_configuration() -> None:
    assert changes({"rate": 0.2}, {"rate": 0.5, "seed": 1}) == "rate 0.2 -> 0.5, seed null -> 1"


def test_a_table_is_as_wide_as_its_cells() -> None:
    assert table([("a", "1"), ("bcd", "22")], right=frozenset({1})) == ["a     1", "bcd  22"]
    assert table([]) == []
