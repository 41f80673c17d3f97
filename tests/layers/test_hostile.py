"""Configurations of any kind give an answer or a RuleError, never another exception."""

from __future__ import annotations

from typing import Any

import pytest

from patchc.layers.base import CallSpec, Rule, RuleError, TensorSpec, complete
from patchc.layers.registry import all_rules, rule_by_name

SERIALISED: dict[str, Any] = {"module": "keras.layers", "config": {}, "registered_name": None}
JUNK: list[Any] = [None, True, -1, 0, 3, 0.5, 1e400, "x", "", [], [0], [None, "x"], {}, {"a": 1}]
JUNK += [{"class_name": "X", "config": None}, {"class_name": 3}, [[1]], [[1, 2], [3]], 10**30]
VALUES: dict[str, Any] = {
    "activation": "relu",
    "axes": 1,
    "cell": {**SERIALISED, "class_name": "LSTMCell", "config": {"units": 2}},
    "cells": [{**SERIALISED, "class_name": "LSTMCell", "config": {"units": 2}}],
    "dims": [2, 1],
    "equation": "abc,cd->abd",
    "kernel_size": 1,
    "layer": {**SERIALISED, "class_name": "Dense", "config": {"units": 2}},
    "output_shape": [None, 2],
    "output_size": 2,
    "pool_size": 1,
    "rate": 0.5,
    "scale": 0.5,
    "stddev": 0.5,
    "target_shape": [-1],
}
CALLS = [CallSpec((TensorSpec((None, *[4] * rank)),)) for rank in range(5)]
CALLS += [CallSpec(), CallSpec((3,)), CallSpec(([TensorSpec((None, 4)), TensorSpec((None, 4))],))]
CALLS += [CallSpec((TensorSpec(()),)), CallSpec((TensorSpec((None, None, None)),))]
CALLS += [CallSpec((TensorSpec((None, 4, 4)), TensorSpec((None, 4, 4))))]


def ask(rule: Rule, config: dict[str, Any]) -> int:
    """Asks a rule everything about a configuration; how many answers there were."""
    questions = [
        lambda full, _: rule.groups(full),
        lambda full, _: rule.is_elementwise(full),
        lambda full, _: rule.dimensions(full),
        rule.weights,
        rule.outputs,
        rule.output_dtype,
        rule.feature_of,
        rule.couples_features,
        rule.identity,
    ]
    answers = 0
    for call in CALLS:
        for question in questions:
            try:
                question(complete(rule, config), call)
            except RuleError:
                continue
            answers += 1
    return answers


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.class_name)
def test_junk_in_every_argument(rule: Rule) -> None:
    sound = {key: VALUES.get(key, 2) for key in rule.arguments if key not in complete(rule, {})}
    assert ask(rule, sound) > 0
    ask(rule, {})
    for key in [*rule.arguments, "dtype", "autocast"]:
        for value in JUNK:
            ask(rule, {**sound, key: value})


def test_the_values_are_sound() -> None:
    dense = rule_by_name("Dense")
    assert dense is not None
    assert dense.weights(complete(dense, {"units": 2}), CALLS[1])
