"""What Keras 2 has words for: held against `tf_keras` itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from patchc.layers.objects import CONSTRAINTS, REGULARIZERS
from patchc.layers.registry import all_rules
from patchc.layers.training import LOSSES, METRICS, OPTIMIZERS
from patchc.legacy.dialect import Dialect, RestoreError, version_of
from patchc.model.initializers import KERAS_INITIALIZERS, snake_case

NEWEST = Dialect((2, 21), archived=True)
OF_EVERY_LAYER = {"name", "trainable", "dtype", "activity_regularizer"}
WRITTEN_OTHERWISE = {"InputLayer": {"shape", "batch_size", "dtype", "sparse", "ragged"}}
"""Arguments of the constructor that no configuration holds."""


def knows(name: str) -> bool:
    try:
        NEWEST.check_class(name)
    except RestoreError:
        return False
    return True


def arguments(class_: Any, base: type) -> set[str]:
    """What the constructors of a class take, up to a common base."""
    found: set[str] = set()
    for kind in class_.__mro__:
        if kind is base:
            break
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(kind.__init__).parameters.values()
        found |= {p.name for p in parameters}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def said(name: str, given: set[str]) -> Iterator[str]:
    """The words of Keras 2 for those arguments of today that it has a word for."""
    for argument in sorted(given):
        with suppress(RestoreError):
            yield NEWEST.argument(name, argument)


def test_every_layer_is_known_or_refused() -> None:
    from tf_keras import layers

    names = [rule.class_name for rule in all_rules()]
    assert [n for n in names if knows(n) != hasattr(layers, n)] == []


def test_every_argument_is_known_renamed_or_refused() -> None:
    from tf_keras import layers

    wrong = {}
    for rule in all_rules():
        name = rule.class_name
        if not knows(name):
            continue
        taken = arguments(getattr(layers, name), layers.Layer) | OF_EVERY_LAYER
        given = set(rule.arguments) - WRITTEN_OTHERWISE.get(name, set())
        if left := set(said(name, given)) - taken - {"batch_input_shape"}:
            wrong[name] = left
    assert wrong == {}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("optimizers", OPTIMIZERS),
        ("losses", LOSSES),
        ("metrics", METRICS),
        ("regularizers", REGULARIZERS),
        ("constraints", CONSTRAINTS),
        ("initializers", KERAS_INITIALIZERS),
    ],
)
def test_every_object_is_known_or_refused(module: str, names: Any) -> None:
    import tf_keras

    held = getattr(tf_keras, module)
    assert [n for n in names if knows(n) != hasattr(held, n)] == []
    if module in {"losses", "metrics"}:
        assert [n for n in names if knows(n) and not knows(snake_case(n))] == []


def test_every_activation_is_known_or_refused() -> None:
    import keras
    import tf_keras

    wrong = []
    for name, function in vars(keras.activations).items():
        if name.startswith("_") or not inspect.isfunction(function) or name in OTHERS:
            continue
        try:
            NEWEST.check_activation(name)
        except RestoreError:
            continue
        try:
            tf_keras.activations.get(name)
        except ValueError:
            wrong.append(name)
    assert wrong == []


OTHERS = {"deserialize", "get", "serialize"}


@pytest.mark.parametrize(
    ("version", "name", "message"),
    [
        ("2.12.0", "mish", "Keras 2.12 has no `mish`"),
        ("2.12.0", "AdamW", "Keras 2.12 has no `AdamW`"),
        ("2.15.0", "dice", "Keras 2 has no `dice`"),
    ],
)
def test_versions_differ(version: str, name: str, message: str) -> None:
    with pytest.raises(RestoreError, match=message):
        Dialect(version_of(version)).check_class(name)
    Dialect((3, 0)).check_class(name)


@pytest.mark.parametrize(
    ("text", "version"), [("2.4.0-tf", (2, 4)), ("2.21.0", (2, 21)), ("1", (1, 0)), ("", (1, 0))]
)
def test_versions_are_read(text: str, version: tuple[int, int]) -> None:
    assert version_of(text) == version
