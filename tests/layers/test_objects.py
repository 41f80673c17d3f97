"""Keras objects as patches write them, against Keras."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest

from patchc.layers.base import REQUIRED, RuleError
from patchc.layers.objects import (
    ACTIVATIONS,
    CONSTRAINTS,
    INITIALIZERS,
    REGULARIZERS,
    activation,
    constraint,
    initializer,
    initializer_strategy,
    regularizer,
)
from patchc.model.initializers import snake_case
from patchc.model.values import Strategy
from tests.layers.oracle import keras

TABLES = [
    ("regularizers", "Regularizer", REGULARIZERS, regularizer),
    ("constraints", "Constraint", CONSTRAINTS, constraint),
    ("initializers", "Initializer", INITIALIZERS, initializer),
]


@pytest.mark.parametrize(("module", "base", "table", "kind"), TABLES)
def test_tables_are_those_of_keras(module: str, base: str, table: Any, kind: Any) -> None:
    known = import_module(f"keras.src.{module}").ALL_OBJECTS
    assert set(table) == {found.__name__ for found in known} - {base}
    for found in known:
        if found.__name__ == base:
            continue
        parameters = inspect.signature(found).parameters.values()
        expected = {p.name: p.default for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
        arguments = table[found.__name__]
        assert {key: argument.default for key, argument in arguments.items()} == expected
        assert REQUIRED not in expected.values()


@pytest.mark.parametrize(("module", "base", "table", "kind"), TABLES)
def test_names_are_kept_and_read_by_keras(module: str, base: str, table: Any, kind: Any) -> None:
    get = getattr(keras, module).get
    for class_name in table:
        for name in (class_name, snake_case(class_name)):
            assert kind(name) == name or class_name == "Constant"
            assert type(get(kind(name))).__name__ == class_name


@pytest.mark.parametrize(("module", "base", "table", "kind"), TABLES)
def test_arguments_become_keras_serialised_form(
    module: str, base: str, table: Any, kind: Any
) -> None:
    for class_name, arguments in table.items():
        config = {key: argument.default for key, argument in arguments.items()}
        written = kind({class_name: config})
        made = getattr(keras, module).get(written)
        again = getattr(keras, module).serialize(made)
        for key, value in again.pop("config").items():
            assert config[key] == (pytest.approx(value) if isinstance(value, float) else value)
        assert again == {key: written[key] for key in again}
        short = kind({snake_case(class_name): None})
        assert type(getattr(keras, module).get(short)).__name__ == class_name
        assert kind(written) == written
    assert kind(None) is None


def test_activations_are_those_of_keras() -> None:
    known = set(import_module("keras.src.activations").ALL_OBJECTS_DICT)
    assert set(ACTIVATIONS) == known - {"threshold"}
    assert activation(None) == "linear"
    assert activation("relu") == "relu"


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (regularizer, "L3", "must be a keras regularizer, not `L3`"),
        (regularizer, {"L2": {"l2": -1}}, "wrong `l2`, which must be a number from 0"),
        (regularizer, {"L2": {"l1": 1}}, "unknown argument `l1`"),
        (regularizer, {"L2": [1]}, "arguments of L2 by name"),
        (regularizer, {"L1": {}, "L2": {}}, "one name with its arguments"),
        (regularizer, 3, "must be the name of a keras regularizer"),
        (constraint, "max_norms", "did you mean max_norm"),
        (initializer, "glorot", "must be a keras initializer"),
        (initializer, {"TruncatedNormal": {"seed": 1.5}}, "wrong `seed`"),
        (activation, "rellu", "did you mean relu"),
        (activation, {"LeakyReLU": {}}, "must be the name of an activation"),
    ],
)
def test_what_is_wrong_is_named(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        kind(value)


@pytest.mark.parametrize(
    ("value", "strategy"),
    [
        ("zeros", Strategy("Zeros")),
        ("normal", Strategy("RandomNormal")),
        (None, Strategy("GlorotUniform")),
        (initializer({"constant": {"value": 2}}), Strategy("Constant", {"value": 2})),
        (
            keras.initializers.serialize(keras.initializers.HeNormal(seed=3)),
            Strategy("HeNormal", {"seed": 3}),
        ),
        (keras.initializers.serialize(keras.initializers.Orthogonal()), Strategy("Orthogonal")),
        ({"class_name": "Zeros", "config": {"dtype": "float32"}}, Strategy("Zeros")),
    ],
)
def test_strategies(value: Any, strategy: Strategy) -> None:
    assert initializer_strategy(value) == strategy


@pytest.mark.parametrize(
    "value",
    [
        "mine",
        {"class_name": "Mine", "config": {}},
        {"class_name": "Zeros", "config": {}, "registered_name": "my>Zeros"},
        {"class_name": "Zeros", "config": {"value": 1}},
        ["zeros"],
    ],
)
def test_custom_initialisers_have_no_strategy(value: Any) -> None:
    with pytest.raises(RuleError):
        initializer_strategy(value)
