"""Names and arguments of optimizers, schedules, losses and metrics, held against Keras."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import pytest

from patchc.layers import training
from patchc.layers.base import RuleError

BASES = {"Optimizer", "MultiOptimizer", "OptimizerMap", "LossScaleOptimizer",
         "LearningRateSchedule", "Loss", "Metric", "MeanMetricWrapper"}  # fmt: skip
TABLES: list[tuple[Any, dict[str, str]]] = [
    (keras.optimizers, training.OPTIMIZERS),
    (keras.optimizers.schedules, training.SCHEDULES),
    (keras.losses, training.LOSSES),
    (keras.metrics, training.METRICS),
]


@pytest.mark.parametrize(("module", "table"), TABLES)
def test_tables_are_those_of_keras(module: Any, table: dict[str, str]) -> None:
    classes = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and name not in BASES
    }
    assert set(table) == set(classes)
    for name, cls in classes.items():
        parameters = inspect.signature(cls.__init__).parameters
        own = {
            p.name for p in parameters.values() if p.kind is not p.VAR_KEYWORD and p.name != "self"
        }
        assert set(table[name].split()) <= own | _inherited(cls), name


def _inherited(cls: Any) -> set[str]:
    return {name for base in cls.__mro__ for name in inspect.signature(base.__init__).parameters}


def test_default_learning_rates_are_those_of_keras() -> None:
    for name in training.OPTIMIZERS:
        rate = inspect.signature(getattr(keras.optimizers, name)).parameters["learning_rate"]
        assert training.DEFAULT_LEARNING_RATES.get(name, 0.001) == rate.default


def test_names_are_understood_by_keras() -> None:
    for name in sorted(training.LOSS_NAMES):
        assert keras.losses.get(name) is not None
    for name in sorted(training.METRIC_NAMES - {"acc", "ce", "crossentropy", "accuracy"}):
        if name not in {"mean_io_u", "io_u", "one_hot_io_u", "one_hot_mean_io_u"} | {
            n for n in training.METRIC_NAMES if "_at_" in n
        }:
            assert keras.metrics.get(name) is not None


def test_what_is_written_keras_reads() -> None:
    data = training.optimizer(
        {"SGD": {"momentum": 0.9, "learning_rate": {"ExponentialDecay": {
            "initial_learning_rate": 0.1, "decay_steps": 5, "decay_rate": 0.5}}}}, None
    )  # fmt: skip
    optimizer = keras.saving.deserialize_keras_object(data)
    assert optimizer.momentum == 0.9
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    loss = keras.saving.deserialize_keras_object(
        training.loss({"SparseCategoricalCrossentropy": {"from_logits": True}})
    )
    assert loss.get_config()["from_logits"] is True


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: training.optimizer("Adamm", None), "did you mean `Adam`"),
        (lambda: training.optimizer({"Adam": {"beta1": 0.9}}, None), "did you mean `beta_1`"),
        (lambda: training.loss("mean_squared"), "must be a loss"),
        (lambda: training.metric({"AUC": {"thresh": 1}}), "`thresh`"),
        (lambda: training.learning_rate("fast"), "schedule"),
    ],
)
def test_what_keras_does_not_have_is_refused(make: Any, words: str) -> None:
    with pytest.raises(RuleError, match=words.replace("`", ".")):
        make()
