"""Kinds of arguments, and the check of whole configurations."""

from __future__ import annotations

from typing import Any

import pytest

from patchc.layers import arguments as kinds
from patchc.layers.arguments import check_config, layer
from patchc.layers.base import RuleError, complete, policy_of, quantisation_of
from patchc.layers.registry import all_rules
from tests.layers.oracle import keras, rule_of

ACCEPTED: list[tuple[Any, Any, Any]] = [
    (kinds.positive_int, 3, 3),
    (kinds.non_negative_int, 0, 0),
    (kinds.integer, -2, -2),
    (kinds.number, 2.5, 2.5),
    (kinds.fraction, 0, 0),
    (kinds.fraction, 1.0, 1.0),
    (kinds.positive_number, 0.1, 0.1),
    (kinds.boolean, False, False),
    (kinds.string, "a", "a"),
    (kinds.optional(kinds.string), None, None),
    (kinds.one_of("valid", "same", fold=True), "SAME", "same"),
    (kinds.one_of(None, 1), None, None),
    (kinds.either(kinds.integer, kinds.string), "a", "a"),
    (kinds.list_of(kinds.integer), (1, 2), [1, 2]),
    (kinds.int_tuple(2), 3, [3, 3]),
    (kinds.int_tuple(2), [1, 2], [1, 2]),
    (kinds.int_tuple(1, minimum=0), 0, [0]),
    (kinds.shape, [None, 3], [None, 3]),
    (kinds.axes, -1, -1),
    (kinds.axes, [1, 2], [1, 2]),
    (kinds.data_format, None, "channels_last"),
    (kinds.data_format, "Channels_First", "channels_first"),
    (kinds.padding, "Valid", "valid"),
    (kinds.dtype_policy, "mixed_float16", "mixed_float16"),
    (kinds.dtype_policy, None, None),
    (kinds.tensor_dtype, "int32", "int32"),
]

REFUSED: list[tuple[Any, Any, str]] = [
    (kinds.positive_int, True, "must be a positive integer"),
    (kinds.positive_int, 0, "must be a positive integer"),
    (kinds.positive_int, 2.0, "must be a positive integer"),
    (kinds.number, "1", "must be a number"),
    (kinds.number, True, "must be a number"),
    (kinds.number, float("nan"), "must be a finite number"),
    (kinds.fraction, 1.5, "must be a number from 0 to 1"),
    (kinds.boolean, 1, "must be true or false"),
    (kinds.optional(kinds.boolean), 1, "must be true or false, or null"),
    (kinds.one_of(1, 2), True, "must be one of 1, 2"),
    (kinds.either(kinds.integer, kinds.string), None, "must be an integer or a text"),
    (kinds.list_of(kinds.integer), 3, "must be a list"),
    (kinds.list_of(kinds.integer, 2), [3], "must be a list of 2"),
    (kinds.list_of(kinds.integer), ["a"], "each entry must be an integer"),
    (kinds.int_tuple(2), [1, 2, 3], "or a list of 2 of them"),
    (kinds.int_tuple(2), 0, "must be an integer from 1"),
    (kinds.shape, [-1], "must be a list of sizes"),
    (kinds.axes, "last", "must be an axis number"),
    (kinds.data_format, "NHWC", "must be one of channels_last, channels_first"),
    (kinds.dtype_policy, "float31", "did you mean float32"),
    (kinds.dtype_policy, "int8_from_float32", "quantised"),
    (kinds.dtype_policy, ["float32"], "must be a dtype policy"),
]


@pytest.mark.parametrize(("kind", "value", "canonical"), ACCEPTED)
def test_accepted(kind: Any, value: Any, canonical: Any) -> None:
    result = kind(value)
    assert (result, type(result)) == (canonical, type(canonical))


@pytest.mark.parametrize(("kind", "value", "message"), REFUSED)
def test_refused(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        kind(value)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.class_name)
def test_defaults_are_canonical(rule: Any) -> None:
    for key, value in complete(rule, {}).items():
        assert rule.arguments[key].kind(value) == value, key


def test_config_keeps_what_was_given() -> None:
    config = {"units": 3, "kernel_regularizer": {"L2": {"l2": 0.1}}, "trainable": False}
    checked = check_config(rule_of("Dense"), config)
    assert not checked.problems
    assert list(checked.config) == list(config)
    made = keras.layers.Dense.from_config(checked.config)
    assert made.kernel_regularizer.l2 == pytest.approx(0.1)


def test_all_problems_are_found() -> None:
    checked = check_config(rule_of("Dense"), {"unit": 3, "use_bias": 1, "zzz": 0})
    assert [problem.key for problem in checked.problems] == ["unit", "use_bias", "zzz", None]
    unknown, wrong, _, missing = checked.problems
    assert unknown.help == "did you mean `units`?"
    assert wrong.message == "`use_bias` of Dense must be true or false, not `1`"
    assert missing.message == "Dense needs `units`"
    assert checked.config == {}


def test_a_set_needs_no_required_arguments() -> None:
    checked = check_config(rule_of("Dense"), {"activation": "relu"}, partial=True)
    assert not checked.problems
    assert checked.config == {"activation": "relu"}


def test_what_a_file_must_have_is_added() -> None:
    assert check_config(rule_of("Rescaling"), {"scale": 2}).config == {"scale": 2, "offset": 0.0}
    assert check_config(rule_of("Rescaling"), {"scale": 2}, partial=True).config == {"scale": 2}


def test_layer_inside_a_layer() -> None:
    written = layer({"Convolution2D": {"filters": 2, "kernel_size": 3}})
    assert written == {
        "module": "keras.layers",
        "class_name": "Conv2D",
        "config": {"filters": 2, "kernel_size": [3, 3]},
        "registered_name": None,
    }
    assert keras.layers.deserialize(written).filters == 2
    assert layer(written) == written
    assert layer("Flatten")["config"] == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Dens", "did you mean Dense"),
        ({"Dense": {}}, "Dense needs `units`"),
        ({"Dense": 3}, "configuration as a mapping"),
        ({"Dense": {}, "Flatten": {}}, "must be a layer"),
        (3, "must be a layer"),
    ],
)
def test_wrong_layer_inside_a_layer(value: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        layer(value)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (keras.dtype_policies.QuantizedDTypePolicy("int8", "float32"), "int8"),
        (keras.dtype_policies.DTypePolicyMap(), "a map of dtype policies"),
        (keras.DTypePolicy("mixed_bfloat16"), None),
    ],
)
def test_quantised_layers_are_known(policy: Any, name: str | None) -> None:
    config = {"dtype": keras.saving.serialize_keras_object(policy)}
    assert quantisation_of(config) == name
    if name is None:
        assert policy_of(config) == (policy.compute_dtype, policy.variable_dtype)
