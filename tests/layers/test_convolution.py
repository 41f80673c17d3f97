"""Convolutions against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.arrays.initializers import initialise
from patchc.layers.base import Config, RuleError, complete
from patchc.model.values import Strategy
from tests.layers import oracle
from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_feature,
    check_identity,
    check_saved,
    rule_of,
)

few = settings(max_examples=60, deadline=None, derandomize=True, database=None)
PLAIN = ("Conv1D", "Conv2D", "Conv3D")
TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
ALL = (*PLAIN, *TRANSPOSED, *DEPTHWISE, *SEPARABLE)


def rank_of(class_name: str) -> int:
    return int(next(letter for letter in class_name if letter.isdigit()))


def minimal(class_name: str) -> dict[str, Any]:
    filters = {} if class_name in DEPTHWISE else {"filters": 4}
    return {**filters, "kernel_size": 3}


def shape_of(class_name: str, size: int | None = 6, channels: int | None = 4) -> Any:
    return (None, *(size,) * rank_of(class_name), channels)


@st.composite
def cases(draw: st.DrawFn, class_names: tuple[str, ...]) -> tuple[str, dict[str, Any], Any]:
    """A class, a configuration and an input shape, not all of them fit for each other."""
    name = draw(st.sampled_from(class_names))
    rank = rank_of(name)
    small = st.one_of(st.integers(1, 3), st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    pads = ["valid", "same", "SAME", *(["causal"] if name == "Conv1D" else [])]
    options: dict[str, Any] = {
        "strides": small,
        "padding": st.sampled_from(pads),
        "dilation_rate": st.sampled_from([1, 1, 2]),
        "data_format": st.sampled_from([None, "channels_last", "channels_first"]),
        "activation": st.sampled_from([None, "relu", "softmax"]),
        "use_bias": st.booleans(),
        "bias_initializer": st.sampled_from(["ones", {"constant": {"value": 2}}]),
        "dtype": st.sampled_from(["float32", "mixed_float16", "float64"]),
    }
    required: dict[str, Any] = {"kernel_size": small}
    if name not in DEPTHWISE:
        required["filters"] = st.integers(1, 6)
    if name in PLAIN:
        options["groups"] = st.integers(1, 3)
        options["kernel_initializer"] = st.sampled_from(["he_normal", {"HeNormal": {"seed": 1}}])
    if name in TRANSPOSED:
        options["output_padding"] = st.sampled_from([None, 0, 1])
    if name in (*DEPTHWISE, *SEPARABLE):
        options["depth_multiplier"] = st.integers(1, 3)
        options["depthwise_initializer"] = st.sampled_from(["lecun_uniform", "zeros"])
    config = draw(st.fixed_dictionaries(required, optional=options))
    sizes = st.one_of(st.none(), st.integers(2, 7))
    first = config.get("data_format") == "channels_first"
    channels = draw(st.integers(1, 6))
    spatial = draw(st.lists(sizes, min_size=rank, max_size=rank))
    features = [channels, *spatial] if first else [*spatial, channels]
    return name, config, (draw(st.sampled_from([None, 2])), *features)


@few
@given(cases(PLAIN))
def test_plain(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


@few
@given(cases(TRANSPOSED))
def test_transposed(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


@few
@given(cases((*DEPTHWISE, *SEPARABLE)))
def test_depthwise_and_separable(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


@pytest.mark.parametrize(
    ("name", "config", "shape"),
    [
        ("Conv1D", {"filters": 2, "kernel_size": 5}, (None, 4, 3)),
        ("Conv1D", {"filters": 2, "kernel_size": 3, "dilation_rate": 2}, (None, 4, 3)),
        ("Conv1D", {"filters": 3, "kernel_size": 1, "groups": 2}, (None, 4, 4)),
        ("Conv1D", {"filters": 4, "kernel_size": 1, "groups": 2}, (None, 4, 3)),
        ("Conv1D", {"filters": 4, "kernel_size": 1}, (None, 4, None)),
        ("Conv1D", {"filters": 4, "kernel_size": 1}, (None, 4)),
        ("Conv2D", {"filters": 4, "kernel_size": 1, "padding": "causal"}, (None, 4, 4, 3)),
        ("Conv2D", {"filters": 4, "kernel_size": 1, "strides": 2, "dilation_rate": 2},
         (None, 4, 4, 3)),
        ("Conv2D", {"filters": 0, "kernel_size": 1}, (None, 4, 4, 3)),
        ("Conv2D", {"filters": 1, "kernel_size": [1, 2, 3]}, (None, 4, 4, 3)),
        ("Conv2D", {"filters": 1}, (None, 4, 4, 3)),
        ("Conv1DTranspose", {"filters": 1, "kernel_size": 2, "strides": 2, "output_padding": 2},
         (None, 4, 3)),
        ("DepthwiseConv1D", {"kernel_size": 2}, (None, 4, None)),
        ("DepthwiseConv2D", {"kernel_size": 5}, (None, 4, 4, 3)),
        ("SeparableConv1D", {"filters": 2, "kernel_size": 2, "depth_multiplier": 0}, (None, 4, 3)),
    ],
)  # fmt: skip
def test_refuses_what_keras_refuses(name: str, config: dict[str, Any], shape: Any) -> None:
    assert not check_case(name, config, call(shape))


def test_causal_padding_keeps_the_length() -> None:
    config = {"filters": 2, "kernel_size": 4, "padding": "causal", "dilation_rate": 3}
    assert check_case("Conv1D", config, call((None, 5, 3)))


@pytest.mark.parametrize("name", ALL)
def test_arguments(name: str) -> None:
    check_arguments(name, minimal(name))


@pytest.mark.parametrize(
    "name", ["Conv1D", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D"]
)
def test_is_stored_where_keras_stores_it(name: str, tmp_path: Path) -> None:
    check_saved(name, minimal(name), call(shape_of(name)), tmp_path)


@pytest.fixture
def own_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Identities filled with the values that patchc makes."""

    def values(strategy: Strategy, shape: tuple[int, ...]) -> Any:
        return initialise(strategy, shape, "float32", bytes(16))

    monkeypatch.setattr(oracle, "values_of", values)


def full(name: str, config: dict[str, Any]) -> Config:
    return complete(rule_of(name), canonical(name, config))


def test_axes_are_named_for_growth() -> None:
    def axes(name: str, **config: Any) -> list[tuple[str, ...]]:
        settled = full(name, {**minimal(name), **config})
        return [w.axes for w in rule_of(name).weights(settled, call(shape_of(name)))]

    assert axes("Conv2D") == [("", "", "input", "filters"), ("filters",)]
    assert axes("Conv2D", groups=2)[0] == ("", "", "input/groups", "filters")
    assert axes("Conv1DTranspose") == [("", "filters", "input"), ("filters",)]
    assert axes("DepthwiseConv1D") == [
        ("", "input", "depth_multiplier"),
        ("input*depth_multiplier",),
    ]
    assert axes("SeparableConv1D", use_bias=False) == [
        ("", "input", "depth_multiplier"),
        ("", "input*depth_multiplier", "filters"),
    ]


@pytest.mark.usefixtures("own_values")
@pytest.mark.parametrize("name", [*PLAIN, *DEPTHWISE])
@pytest.mark.parametrize(
    "config",
    [{}, {"kernel_size": 2}, {"dilation_rate": 2}, {"use_bias": False}, {"data_format": None}],
)
def test_identity(name: str, config: dict[str, Any]) -> None:
    settled = {**minimal(name), "padding": "same", **config}
    assert check_identity(name, settled, call(shape_of(name)))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Conv2D", {"padding": "valid"}),
        ("Conv2D", {"strides": 2}),
        ("Conv2D", {"filters": 5}),
        ("Conv2D", {"activation": "relu"}),
        ("Conv2D", {"kernel_size": 2, "dilation_rate": 2}),
        ("Conv1D", {"padding": "causal"}),
        ("DepthwiseConv1D", {"depth_multiplier": 2}),
        ("Conv2DTranspose", {}),
        ("SeparableConv1D", {}),
    ],
)
def test_has_no_identity(name: str, config: dict[str, Any]) -> None:
    settled = full(name, {**minimal(name), "padding": "same", **config})
    assert rule_of(name).identity(settled, call(shape_of(name))) is None


def test_a_kernel_of_one_is_an_identity_without_padding() -> None:
    assert check_identity("Conv2D", {"filters": 4, "kernel_size": 1}, call((2, 3, 3, 4)))


def test_which_features_come_out() -> None:
    assert rule_of("Conv2D").feature == "filters"
    assert rule_of("DepthwiseConv2D").feature == "input*depth_multiplier"
    assert not check_feature("Conv1D", minimal("Conv1D"), call(shape_of("Conv1D")))


def test_softmax_couples_filters() -> None:
    rule, spec = rule_of("Conv2D"), call(shape_of("Conv2D"))
    assert rule.couples_features(
        full("Conv2D", {**minimal("Conv2D"), "activation": "softmax"}), spec
    )
    assert not rule.couples_features(full("Conv2D", minimal("Conv2D")), spec)


@pytest.mark.parametrize(
    ("special", "word"),
    [
        ({"lora_rank": 2}, "LoRA"),
        ({"dtype": "int8_from_float32"}, "quantised"),
        ({"activation": {"class_name": "PReLU", "config": {}}}, "PReLU"),
        ({"filters": "many"}, "filters"),
    ],
)
def test_weights_that_no_rule_knows(special: dict[str, Any], word: str) -> None:
    config = {**full("Conv2D", minimal("Conv2D")), **special}
    with pytest.raises(RuleError, match=word):
        rule_of("Conv2D").weights(config, call(shape_of("Conv2D")))
