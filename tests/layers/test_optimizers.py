"""The layout of optimizers' variables, held against Keras."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers, optimizers

from patchc.layers.optimizers import Trained, layout, own_count, slot_shape

SCHEDULE = optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
CASES: dict[str, Any] = {
    "sgd": lambda: optimizers.SGD(),
    "sgd momentum": lambda: optimizers.SGD(momentum=0.9),
    "rmsprop": lambda: optimizers.RMSprop(),
    "rmsprop centered": lambda: optimizers.RMSprop(momentum=0.5, centered=True),
    "adam": lambda: optimizers.Adam(),
    "adam amsgrad": lambda: optimizers.Adam(amsgrad=True),
    "adam averages": lambda: optimizers.Adam(use_ema=True, gradient_accumulation_steps=2),
    "adam schedule": lambda: optimizers.Adam(SCHEDULE),
    "adamw": lambda: optimizers.AdamW(),
    "nadam": lambda: optimizers.Nadam(),
    "adamax": lambda: optimizers.Adamax(),
    "adagrad": lambda: optimizers.Adagrad(),
    "adadelta": lambda: optimizers.Adadelta(),
    "ftrl": lambda: optimizers.Ftrl(),
    "lion": lambda: optimizers.Lion(),
    "adafactor": lambda: optimizers.Adafactor(),
    "lamb": lambda: optimizers.Lamb(),
    "muon": lambda: optimizers.Muon(),
    "schedule free": lambda: optimizers.ScheduleFreeAdamW(),
    "loss scale": lambda: optimizers.LossScaleOptimizer(optimizers.Adam()),
}


def _weights() -> list[Any]:
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            layers.Embedding(6, 3),
            layers.Conv1D(2, 2),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    return list(model.trainable_variables)


@pytest.mark.parametrize("name", CASES)
def test_every_variable_is_where_the_table_says(name: str) -> None:
    optimizer = CASES[name]()
    data = keras.saving.serialize_keras_object(optimizer)
    assert own_count(data) == len(optimizer.variables) or name == "loss scale"
    variables = _weights()
    optimizer.build(variables)
    weights = [Trained(v.path, tuple(v.shape)) for v in variables]
    found = layout(data, weights)
    assert found is not None
    assert len(found) == len(optimizer.variables)
    for place, real in zip(found, optimizer.variables, strict=True):
        if place.slot is None or place.weight is None:
            assert tuple(real.shape) == ()
        else:
            assert tuple(real.shape) == slot_shape(place.slot, weights[place.weight].shape)
        if place.name in {"momentum", "velocity", "average", "iteration", "learning_rate"}:
            assert real.path.endswith(place.name), (place, real.path)


def test_every_class_of_keras_is_known_or_named() -> None:
    known = {
        name
        for name in dir(optimizers)
        if isinstance(getattr(optimizers, name), type)
        and issubclass(getattr(optimizers, name), optimizers.Optimizer)
    }
    without = {"Optimizer", "MultiOptimizer", "LossScaleOptimizer"}
    for name in known - without:
        assert layout({"class_name": name, "config": {"learning_rate": 0.1}}, []), name


def test_a_custom_class_has_no_layout() -> None:
    assert layout({"class_name": "Mine", "config": {}}, []) is None


def test_a_pattern_in_a_file_is_not_run() -> None:
    config = {"learning_rate": 0.1, "exclude_layers": ["(a+)+$"]}
    assert layout({"class_name": "Muon", "config": config}, []) is None
