"""Normalisations against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import Config, RuleError, complete
from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_feature,
    check_identity,
    check_saved,
    keras,
    make_and_call,
    rule_of,
)

few = settings(max_examples=60, deadline=None, derandomize=True, database=None)
AFFINE = ("BatchNormalization", "LayerNormalization", "GroupNormalization")
ALL = (*AFFINE, "RMSNormalization", "UnitNormalization", "Normalization")


def full(name: str, config: dict[str, Any]) -> Config:
    return complete(rule_of(name), canonical(name, config))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, dict[str, Any], Any]:
    name = draw(st.sampled_from(ALL))
    one = st.integers(-4, 3)
    several = st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True)
    listed = name not in {"BatchNormalization", "GroupNormalization"}
    options: dict[str, Any] = {
        "axis": st.one_of(one, several) if listed else one,
        "dtype": st.sampled_from(["float32", "mixed_float16", "float64"]),
    }
    if name in AFFINE:
        options |= {
            "scale": st.booleans(),
            "center": st.booleans(),
            "gamma_initializer": st.sampled_from(["ones", {"Constant": {"value": 2.0}}]),
        }
    if name == "BatchNormalization":
        options["renorm"] = st.booleans()
        options["moving_variance_initializer"] = st.sampled_from(
            ["ones", {"constant": {"value": 4}}]
        )
    if name == "GroupNormalization":
        options["groups"] = st.sampled_from([-1, 1, 2, 3])
    if name == "Normalization":
        options["invert"] = st.booleans()
    config = draw(st.fixed_dictionaries({}, optional=options))
    size = st.one_of(st.none(), st.integers(1, 6), st.integers(1, 6))
    shape = draw(st.lists(size, min_size=1, max_size=3))
    return name, config, (draw(st.sampled_from([None, 2])), *shape)


@few
@given(cases())
def test_shapes_and_weights(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


@pytest.mark.parametrize(
    ("name", "config", "shape"),
    [
        ("BatchNormalization", {"axis": 3}, (None, 4, 3)),
        ("BatchNormalization", {}, (None, 4, None)),
        ("LayerNormalization", {"axis": [1, 3]}, (None, 4, 3)),
        ("GroupNormalization", {"groups": 0}, (None, 4, 4)),
        ("GroupNormalization", {"groups": 3}, (None, 4, 4)),
        ("GroupNormalization", {}, (None, 4, 4)),
        ("GroupNormalization", {"groups": 2}, (None, 4, None)),
        ("RMSNormalization", {"axis": 2}, (None, 4)),
        ("UnitNormalization", {"axis": "last"}, (None, 4)),
        ("Normalization", {"mean": 1.0}, (None, 4)),
        ("Normalization", {}, (None, None)),
    ],
)
def test_refuses_what_keras_refuses(name: str, config: dict[str, Any], shape: Any) -> None:
    assert not check_case(name, config, call(shape))


@pytest.mark.parametrize("name", ALL)
def test_arguments(name: str) -> None:
    check_arguments(name, {"groups": 2} if name == "GroupNormalization" else {})


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("BatchNormalization", {}),
        ("BatchNormalization", {"renorm": True, "center": False}),
        ("LayerNormalization", {"axis": [1, 2]}),
        ("GroupNormalization", {"groups": -1}),
        ("RMSNormalization", {}),
        ("UnitNormalization", {}),
        ("Normalization", {}),
    ],
)
def test_is_stored_where_keras_stores_it(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    check_saved(name, config, call((None, 4, 6)), tmp_path)


@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization", "GroupNormalization"])
def test_reads_what_keras_writes_after_building(name: str) -> None:
    layer = make_and_call(
        name, {"groups": -1} if name.startswith("Group") else {}, call((None, 6))
    )[0]
    written = layer.get_config()
    assert written.get("axis") in ([-1], -1)
    weights = rule_of(name).weights(written, call((None, 6)))
    assert [w.shape for w in weights] == [tuple(v.shape) for v in layer.weights]
    assert {w.axes for w in weights} == {("input",)}


def test_instance_normalisation_comes_back_with_a_group_per_feature() -> None:
    layer = make_and_call("GroupNormalization", {"groups": -1}, call((None, 3, 6)))[0]
    assert layer.get_config()["groups"] == 6
    rule, spec = rule_of("GroupNormalization"), call((None, 3, 6))
    assert not rule.couples_features(full("GroupNormalization", {"groups": -1}), spec)
    assert not rule.couples_features(full("GroupNormalization", {"groups": 6}), spec)
    assert rule.couples_features(full("GroupNormalization", {"groups": 3}), spec)


def test_rms_scaling_of_older_files_has_gamma_only() -> None:
    config = {"rms_scaling": True, "scale": False}
    weights = rule_of("LayerNormalization").weights(config, call((None, 3)))
    made = keras.layers.LayerNormalization(**config)
    made.build((None, 3))
    assert [w.name for w in weights] == [v.name for v in made.weights] == ["gamma"]


def test_a_list_of_one_axis_is_that_axis() -> None:
    rule = rule_of("BatchNormalization")
    [gamma, *_] = rule.weights({"axis": [3]}, call((None, 4, 5, 6)))
    assert gamma.shape == (6,)
    with pytest.raises(RuleError, match="2 axes"):
        rule.weights({"axis": [1, 2]}, call((None, 4, 5, 6)))


def test_axes_say_which_axis_of_the_input_they_follow() -> None:
    spec = call((None, 4, 5, 6))
    [gamma, *_] = rule_of("BatchNormalization").weights({"axis": 1}, spec)
    assert gamma.axes == ("input[1]",)
    [gamma, _] = rule_of("LayerNormalization").weights({"axis": [2, 3]}, spec)
    assert gamma.axes == ("input[2]", "input")


def test_normalisation_with_given_statistics_has_no_weights() -> None:
    assert check_case("Normalization", {"mean": 1.0, "variance": 2.0}, call((None, 3)))


@pytest.mark.parametrize(
    "config", [{}, {"renorm": True}, {"scale": False, "center": False}, {"epsilon": 0.01}]
)
def test_batch_normalisation_has_an_identity(config: dict[str, Any]) -> None:
    assert check_identity("BatchNormalization", config, call((2, 4, 3)))


@pytest.mark.parametrize("name", ["LayerNormalization", "RMSNormalization", "UnitNormalization"])
def test_features_of_one_entry_hang_together(name: str) -> None:
    rule, spec = rule_of(name), call((2, 4, 3))
    assert rule.couples_features(full(name, {}), spec)
    assert not rule.couples_features(full(name, {"axis": 1}), spec)
    assert rule.identity(full(name, {}), spec) is None


def test_batch_normalisation_keeps_features_apart() -> None:
    assert check_feature("BatchNormalization", {}, call((2, 4, 3)))
    assert not rule_of("BatchNormalization").couples_features({}, call((2, 4, 3)))


def test_renorm_that_starts_from_an_unknown_root_is_refused() -> None:
    config = {"renorm": True, "moving_variance_initializer": "random_normal"}
    with pytest.raises(RuleError, match="square root"):
        rule_of("BatchNormalization").weights(config, call((2, 3)))
