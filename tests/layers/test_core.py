"""Dense, EinsumDense, Identity, Masking and inputs against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import CallSpec, RuleError, TensorSpec, complete
from tests.layers.oracle import (
    REFUSALS,
    call,
    canonical,
    check_arguments,
    check_case,
    check_elementwise,
    check_feature,
    check_identity,
    check_saved,
    keras,
    make,
    rule_of,
)

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
sizes = st.integers(1, 5)
unknown = st.one_of(st.none(), sizes)
shapes = st.lists(unknown, min_size=1, max_size=3).map(tuple)
activations = st.sampled_from(["relu", "softmax", "linear", None, "gelu"])
initializers = st.sampled_from(
    ["zeros", "HeNormal", {"TruncatedNormal": {"stddev": 0.02}}, {"constant": {"value": 2}}]
)
regularizers = st.sampled_from([None, "l2", {"L1L2": {"l1": 0.1}}])


@few
@given(
    shape=shapes,
    last=unknown,
    config=st.fixed_dictionaries(
        {"units": sizes},
        optional={
            "activation": activations,
            "use_bias": st.booleans(),
            "kernel_initializer": initializers,
            "bias_initializer": initializers,
            "kernel_regularizer": regularizers,
            "bias_constraint": st.sampled_from([None, "non_neg", {"MaxNorm": {"max_value": 3}}]),
            "trainable": st.booleans(),
            "dtype": st.sampled_from(["float32", "mixed_float16", "float64"]),
        },
    ),
)
def test_dense(shape: tuple[int | None, ...], last: int | None, config: dict[str, Any]) -> None:
    check_case("Dense", config, call((*shape, last)))


def test_dense_refuses_a_vector_without_batch() -> None:
    assert not check_case("Dense", {"units": 2}, call((3,)))
    assert not check_case("Dense", {"units": 2}, call((None, None)))


EQUATIONS: list[tuple[str, Any, str | None, tuple[int | None, ...]]] = [
    ("ab,bc->ac", 4, "c", (None, 3)),
    ("ab,bc->ac", 4, None, (None, None)),
    ("abc,cd->abd", [None, 4], "d", (None, 5, 3)),
    ("abc,cd->abd", [6, 4], "bd", (None, 6, 3)),
    ("abc,cd->abd", [7, 4], "d", (None, 6, 3)),
    ("...x,xy->...y", 4, "y", (None, 5, 3)),
    ("...x,xy->...y", [4], None, (None, 2, 5, 3)),
    ("abc,cde->abde", [None, 2, 3], "de", (None, 4, 5)),
    ("abde,dec->abc", [None, 7], "c", (None, 4, 2, 3)),
    ("ab...,bc->ac...", 3, "c", (None, 4, 5)),
    ("abc,c->abc", [None, 3], None, (None, 2, 3)),
    ("abc,bcd->abd", [3, 2], "bd", (None, 3, 4)),
    ("abc,cd->abd", 4, None, (None, 2, 3)),
    ("ab,bc->ac", 4, "b", (None, 3)),
]


@pytest.mark.parametrize(("equation", "shape", "bias", "given_shape"), EQUATIONS)
def test_einsum_dense(
    equation: str, shape: Any, bias: str | None, given_shape: tuple[int | None, ...]
) -> None:
    config = {"equation": equation, "output_shape": shape, "bias_axes": bias}
    for initializer in ("glorot_uniform", "ones", {"HeNormal": {"seed": 1}}):
        check_case("EinsumDense", {**config, "kernel_initializer": initializer}, call(given_shape))


@pytest.mark.parametrize("equation", ["ab->ac", "ab,bc->ad", "ab,bcd->ac", "...ab,bc->ac"])
def test_einsum_dense_refuses_what_keras_refuses(equation: str) -> None:
    assert not check_case("EinsumDense", {"equation": equation, "output_shape": 3}, call((None, 4)))


def test_einsum_dense_names_its_axes_by_letter() -> None:
    rule = rule_of("EinsumDense")
    config = complete(
        rule,
        canonical(
            "EinsumDense",
            {"equation": "abc,cde->abde", "output_shape": [None, 2, 3], "bias_axes": "de"},
        ),
    )
    spec = call((None, 4, 5))
    assert [weight.axes for weight in rule.weights(config, spec)] == [
        ("input", "d", "e"),
        ("d", "e"),
    ]
    assert rule.dimensions(config) == ("e", "d")
    assert rule.feature_of(config, spec) == "e"
    assert rule.size_of(config, "d") == 2
    grown = {**config, **rule.resized(config, "d", 7)}
    assert rule.outputs(grown, spec) == ((None, None, 7, 3),)


@pytest.mark.parametrize("shape", [(None, 3), (2, None, 4), ()])
def test_identity(shape: tuple[int | None, ...]) -> None:
    assert check_case("Identity", {}, call(shape))
    assert check_case("Identity", {"dtype": "mixed_float16"}, call(shape))
    assert check_case("Identity", {"autocast": False, "dtype": "float16"}, call(shape))
    assert check_case("Identity", {}, call(shape, dtype="int32"))


@pytest.mark.parametrize("value", [0.0, 1, -2.5])
def test_masking(value: float) -> None:
    assert check_case("Masking", {"mask_value": value}, call((None, 4, 3)))


@pytest.mark.parametrize(
    "config",
    [
        {"shape": [3]},
        {"shape": [None, 3], "batch_size": 2},
        {"batch_shape": [None, 3], "dtype": "int64"},
        {"shape": [3], "batch_shape": [None, 3]},
        {"batch_size": 2, "batch_shape": [None, 3]},
        {},
    ],
)
def test_input_layer(config: dict[str, Any]) -> None:
    rule = rule_of("InputLayer")
    full = complete(rule, canonical("InputLayer", config))
    try:
        tensor = make("InputLayer", config).output
    except REFUSALS:
        with pytest.raises(RuleError):
            rule.outputs(full, CallSpec())
        return
    assert rule.outputs(full, CallSpec()) == (tensor.shape,)
    assert rule.output_dtype(full, CallSpec()) == tensor.dtype


def test_arguments() -> None:
    check_arguments("Dense", {"units": 3})
    check_arguments("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 3})
    check_arguments("Identity")
    check_arguments("Masking")


def test_identities() -> None:
    assert check_identity("Dense", {"units": 3}, call((None, 3)))
    assert check_identity("Dense", {"units": 3, "use_bias": False}, call((None, 2, 3)))
    assert not check_identity("Dense", {"units": 4}, call((None, 3)))
    assert not check_identity("Dense", {"units": 3, "activation": "relu"}, call((None, 3)))
    assert check_identity("Identity", {}, call((None, 3)))


def test_axes() -> None:
    assert check_elementwise("Identity", {}, call((None, 3)))
    assert check_feature("Identity", {}, call((None, 2, 3)))


def test_saved(tmp_path: Path) -> None:
    check_saved("Dense", {"units": 3}, call((None, 4)), tmp_path)
    check_saved("Dense", {"units": 3, "use_bias": False}, call((None, 4)), tmp_path)
    config = {"equation": "abc,cde->abde", "output_shape": [None, 2, 3], "bias_axes": "de"}
    check_saved("EinsumDense", config, call((None, 4, 5)), tmp_path)
    check_saved("Masking", {}, call((None, 4, 5)), tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"units": 3, "lora_rank": 2},
        {"units": 3, "dtype": "int8_from_float32"},
        {"units": 3, "activation": keras.saving.serialize_keras_object(keras.layers.PReLU())},
    ],
)
def test_weights_of_unusual_layers_are_refused(config: dict[str, Any]) -> None:
    rule = rule_of("Dense")
    with pytest.raises(RuleError, match=r"LoRA|quantised|PReLU"):
        rule.weights(complete(rule, config), CallSpec((TensorSpec((None, 4)),)))
