"""Attention against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import CallSpec, Config, RuleError, Shape, TensorSpec, complete
from tests.layers.oracle import (
    canonical,
    check_arguments,
    check_case,
    check_saved,
    keras,
    make,
    make_and_call,
    rule_of,
)

few = settings(max_examples=40, deadline=None, derandomize=True, database=None)
HEADS = ("MultiHeadAttention", "GroupQueryAttention")


def full(name: str, config: dict[str, Any]) -> Config:
    return complete(rule_of(name), canonical(name, config))


def given_to(*shapes: Shape, **kwargs: Any) -> CallSpec:
    """The call `layer(query, value, key)`."""
    return CallSpec(tuple(TensorSpec(shape) for shape in shapes), kwargs)


def listed(*shapes: Shape, **kwargs: Any) -> CallSpec:
    """The call `layer([query, value, key])`."""
    return CallSpec(([TensorSpec(shape) for shape in shapes],), kwargs)


SIZES = st.integers(1, 4)
SHARED: dict[str, Any] = {
    "use_bias": st.booleans(),
    "use_gate": st.booleans(),
    "dropout": st.sampled_from([0.0, 0.3]),
    "kernel_initializer": st.sampled_from(["he_normal", "ones"]),
    "bias_initializer": st.sampled_from(["zeros", "ones"]),
    "sliding_window": st.sampled_from([None, 2]),
    "dtype": st.sampled_from(["float32", "mixed_float16"]),
}


@st.composite
def inputs(draw: st.DrawFn, *, same_width: bool, middle: int = 1) -> CallSpec:
    """Query, value and perhaps key, with attention scores or without."""
    batch, steps = draw(st.sampled_from([None, 2])), st.one_of(st.none(), SIZES)
    query = (batch, *(draw(steps) for _ in range(middle)), draw(SIZES))
    length = [draw(steps) for _ in range(middle)]
    width = query[-1] if same_width and draw(st.integers(0, 5)) else draw(SIZES)
    shapes: list[Shape] = [query, (batch, *length, width)]
    if draw(st.booleans()):
        shapes.append((batch, *length, draw(SIZES)))
    scores = {"return_attention_scores": True} if draw(st.booleans()) else {}
    return given_to(*shapes, **scores)


@few
@given(
    config=st.fixed_dictionaries(
        {"num_heads": SIZES, "key_dim": SIZES},
        optional={
            **SHARED,
            "value_dim": st.one_of(st.none(), SIZES),
            "output_shape": st.sampled_from([None, 5, [5], [2, 3]]),
        },
    ),
    spec=inputs(same_width=False),
)
def test_multi_head(config: dict[str, Any], spec: CallSpec) -> None:
    check_case("MultiHeadAttention", config, spec)


@few
@given(
    config=st.fixed_dictionaries(
        {"head_dim": SIZES, "num_query_heads": SIZES, "num_key_value_heads": st.integers(1, 2)},
        optional=SHARED,
    ),
    spec=inputs(same_width=True),
)
def test_group_query(config: dict[str, Any], spec: CallSpec) -> None:
    check_case("GroupQueryAttention", config, spec)


@few
@given(
    name=st.sampled_from(["Attention", "AdditiveAttention"]),
    options=st.fixed_dictionaries(
        {}, optional={"use_scale": st.booleans(), "dropout": st.sampled_from([0.0, 0.2])}
    ),
    mode=st.sampled_from(["dot", "concat"]),
    spec=inputs(same_width=True),
)
def test_without_projections(name: str, options: dict[str, Any], mode: str, spec: CallSpec) -> None:
    config = {**options, "score_mode": mode} if name == "Attention" else options
    check_case(name, config, CallSpec((list(spec.args),), spec.kwargs))


def test_attention_over_two_axes() -> None:
    shape = (None, 3, 4, 5)
    config = {"num_heads": 2, "key_dim": 3, "attention_axes": [1, 2]}
    assert check_case("MultiHeadAttention", config, given_to(shape, shape))
    assert check_case("MultiHeadAttention", {**config, "attention_axes": 2}, given_to(shape, shape))


def test_inputs_by_name() -> None:
    query, other = TensorSpec((None, 3, 4)), TensorSpec((None, 5, 6))
    spec = CallSpec((query,), {"value": other, "key": other})
    assert check_case("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, spec)


@pytest.mark.parametrize(
    ("name", "config", "spec"),
    [
        ("MultiHeadAttention", {"num_heads": 0, "key_dim": 2}, given_to((2, 3, 4), (2, 3, 4))),
        ("MultiHeadAttention", {"num_heads": 1}, given_to((2, 3, 4), (2, 3, 4))),
        ("MultiHeadAttention", {"num_heads": 1, "key_dim": 2}, given_to((2, 3, 4))),
        (
            "MultiHeadAttention",
            {"num_heads": 1, "key_dim": 2},
            given_to((2, 3, 4), (2, 3, 4), (2, 5, 4)),
        ),
        (
            "MultiHeadAttention",
            {"num_heads": 1, "key_dim": 2},
            given_to((2, 3, None), (2, 3, 4)),
        ),
        (
            "GroupQueryAttention",
            {"head_dim": 2, "num_query_heads": 3, "num_key_value_heads": 2},
            given_to((2, 3, 4), (2, 3, 4)),
        ),
        (
            "GroupQueryAttention",
            {"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 2},
            given_to((2, 3, 4), (2, 3, 5)),
        ),
        ("Attention", {}, given_to((2, 3, 4))),
        ("Attention", {"score_mode": "sum"}, listed((2, 3, 4), (2, 3, 4))),
        ("AdditiveAttention", {}, listed((2, 3, 4))),
    ],
)
def test_refuses_what_keras_refuses(name: str, config: dict[str, Any], spec: CallSpec) -> None:
    assert not check_case(name, config, spec)


GROUPED = {"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}


def test_arguments() -> None:
    check_arguments("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 3})
    check_arguments("GroupQueryAttention", GROUPED)
    check_arguments("Attention")
    check_arguments("AdditiveAttention")


PAIR = given_to((2, 3, 4), (2, 5, 4))


@pytest.mark.parametrize(
    ("name", "config", "spec"),
    [
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, PAIR),
        (
            "MultiHeadAttention",
            {"num_heads": 2, "key_dim": 3, "value_dim": 5, "use_gate": True, "dropout": 0.1},
            PAIR,
        ),
        ("GroupQueryAttention", GROUPED, PAIR),
        ("GroupQueryAttention", {**GROUPED, "use_gate": True, "use_bias": False}, PAIR),
        (
            "Attention",
            {"use_scale": True, "score_mode": "concat", "dropout": 0.1},
            listed((2, 3, 4), (2, 5, 4)),
        ),
        ("AdditiveAttention", {}, listed((2, 3, 4), (2, 5, 4))),
    ],
)
def test_is_stored_where_keras_stores_it(
    name: str, config: dict[str, Any], spec: CallSpec, tmp_path: Path
) -> None:
    check_saved(name, config, spec, tmp_path)


def test_axes_are_named_for_growth() -> None:
    config = full("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 5})
    axes = {w.name: w.axes for w in rule_of("MultiHeadAttention").weights(config, PAIR)}
    assert axes == {
        "query/kernel": ("input", "num_heads", "key_dim"),
        "query/bias": ("num_heads", "key_dim"),
        "key/kernel": ("input:key", "num_heads", "key_dim"),
        "key/bias": ("num_heads", "key_dim"),
        "value/kernel": ("input:value", "num_heads", "value_dim"),
        "value/bias": ("num_heads", "value_dim"),
        "attention_output/kernel": ("num_heads", "value_dim", "output_shape"),
        "attention_output/bias": ("output_shape",),
    }
    grouped = rule_of("GroupQueryAttention").weights(full("GroupQueryAttention", GROUPED), PAIR)
    by_name = {w.name: w.axes for w in grouped}
    assert by_name["key/kernel"] == ("input:key", "num_key_value_heads", "head_dim")
    assert by_name["attention_output/kernel"] == ("num_query_heads", "head_dim", "output_shape")


@pytest.mark.parametrize("value_dim", [None, 3, 5])
@pytest.mark.parametrize(
    ("dimension", "size"), [("num_heads", 4), ("key_dim", 7), ("value_dim", 7)]
)
def test_only_the_dimension_that_grows_changes(
    value_dim: int | None, dimension: str, size: int
) -> None:
    rule = rule_of("MultiHeadAttention")
    config = full("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": value_dim})
    grown = {**config, **rule.resized(config, dimension, size)}
    for name in rule.dimensions(config):
        expected = size if name == dimension else rule.size_of(config, name)
        assert rule.size_of(grown, name) == expected
    layer = make("MultiHeadAttention", grown)
    layer(keras.Input((3, 4)), keras.Input((5, 4)))
    shapes = [w.shape for w in rule.weights(grown, PAIR)]
    assert shapes == [tuple(v.shape) for v in layer.weights]


def test_reads_what_keras_writes_after_building() -> None:
    config = canonical("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "output_shape": 6})
    layer = make_and_call("MultiHeadAttention", config, PAIR)[0]
    weights = rule_of("MultiHeadAttention").weights(layer.get_config(), PAIR)
    assert [w.shape for w in weights] == [tuple(v.shape) for v in layer.weights]


def test_quantised_projections_are_refused() -> None:
    policies = {"class_name": "DTypePolicyMap", "config": {"policy_map": {}}}
    config = {"num_heads": 2, "key_dim": 3, "dtype": policies}
    with pytest.raises(RuleError, match="quantised"):
        rule_of("MultiHeadAttention").weights(config, PAIR)


def test_keras_forgets_that_they_are_frozen() -> None:
    assert not any(rule_of(name).freezable for name in HEADS)
    assert rule_of("Attention").freezable
