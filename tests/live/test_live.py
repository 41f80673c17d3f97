from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from tests.live.builders import (
    FREEZE,
    GROW,
    Scale,
    array,
    features,
    labels,
    out,
    patch,
    perceptron,
    same,
    train,
    values,
)


def test_the_plan_of_a_model_is_that_of_its_file(tmp_path: Any) -> None:
    model = train(perceptron())
    model.save(tmp_path / "m.keras")
    live = patchc.plan(model, patch(GROW)).to_dict()
    file = patchc.plan(tmp_path / "m.keras", patch(GROW)).to_dict()
    live.pop("base"), file.pop("base")
    assert live == file


def test_a_plan_changes_nothing() -> None:
    model = train(perceptron())
    before = values(model)
    patchc.plan(model, patch(GROW, FREEZE))
    assert same(values(model), before)


def test_a_schedule_goes_on() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model = train(perceptron(), keras.optimizers.SGD(schedule, momentum=0.9))
    new = patchc.apply(model, patch(GROW))
    assert float(new.optimizer.learning_rate) == float(model.optimizer.learning_rate) < 0.1


def test_an_untrained_or_uncompiled_model_comes_out_so() -> None:
    model = perceptron()
    assert not patchc.apply(model, patch(FREEZE)).compiled
    model.compile("adam", "mse")
    new = patchc.apply(model, patch(FREEZE))
    assert new.compiled
    assert not new.optimizer.built
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def local_model() -> Any:
    """A model of classes and functions that only this process has."""

    def doubled(tensor: Any) -> Any:
        return keras.ops.relu(tensor) * 2

    def distance(true: Any, predicted: Any) -> Any:
        return keras.ops.mean((true - predicted) ** 2, -1)

    class Pull(keras.regularizers.Regularizer):  # type: ignore[misc]  # Keras has no types
        def __call__(self, weight: Any) -> Any:
            return keras.ops.sum(weight**2) * 1e-3

        def get_config(self) -> dict[str, Any]:
            return {}

    factor = 3.0
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, doubled, kernel_regularizer=Pull(), name="d0")(inputs)
    hidden = Scale(name="scale")(hidden)
    hidden = layers.Lambda(lambda tensor: tensor * factor, name="times")(hidden)
    hidden = layers.Dense(4, activation=lambda tensor: tensor + 1, name="d1")(hidden)
    model = keras.Model(inputs, layers.Dense(3, name="head")(hidden))
    model.compile("adam", distance, metrics=[keras.metrics.MeanAbsoluteError()])
    model.train_on_batch(features(), np.ones((32, 3), "float32"))
    return model


def test_classes_and_functions_of_the_process_need_no_registration() -> None:
    model = local_model()
    new, report = patchc.apply(model, patch(FREEZE), report=True)
    assert report.ok
    assert same([out(new, features())], [out(model, features())])
    assert len(patchc.apply(model, patch("{select: d1, freeze: true}")).losses) == 1
    dropped = report.to_dict()["optimizer"]["dropped"]
    assert dropped == 4  # the slots of the frozen layer alone: the others know what trains
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_two_things_of_one_name_are_refused() -> None:
    def make(power: float) -> Any:
        def act(tensor: Any) -> Any:
            return tensor * power

        return act

    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, make(1.0), name="d0")])
    model.add(layers.Dense(2, make(2.0), name="d1"))
    with pytest.raises(patchc.PatchError, match=r"2 different things called `.*act`"):
        patchc.apply(model, patch(FREEZE))


def test_a_loss_that_cannot_be_written_is_taken_as_it_is() -> None:
    class Odd(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
        def __init__(self, weight: Any) -> None:
            super().__init__()
            self.weight = weight

        def call(self, true: Any, predicted: Any) -> Any:
            return keras.ops.mean(keras.ops.abs(true - predicted) * self.weight, -1)

    model = perceptron()
    loss = Odd(np.float32(2.0))
    model.compile("adam", loss)
    new = patchc.apply(model, patch(FREEZE))
    assert new.loss is loss
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_vocabularies_come_along() -> None:
    lookup = layers.StringLookup(name="lookup")
    lookup.adapt(np.array(["tent", "kayak", "tent"]))
    inputs = keras.Input((1,), dtype="string")
    hidden = layers.Flatten()(layers.Embedding(lookup.vocabulary_size(), 4)(lookup(inputs)))
    norm = layers.Normalization(name="norm")
    norm.adapt(features(size=4))
    model = keras.Model(inputs, layers.Dense(2, name="head")(norm(hidden)))
    new = patchc.apply(model, patch("{select: head, expand: {by: 1}}"))
    words = np.array([["kayak"], ["tent"], ["sled"]])
    assert new.get_layer("lookup").get_vocabulary() == lookup.get_vocabulary()
    np.testing.assert_allclose(out(new, words)[:, :2], out(model, words), rtol=1e-6)


def test_in_memory_attention_stays_frozen() -> None:
    inputs = keras.Input((5, 4))
    hidden = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2, name="head")(hidden))
    model.get_layer("attention").trainable = False
    model.compile("adam", "mse")
    x = np.ones((4, 5, 4), "float32")
    model.train_on_batch(x, np.zeros((4, 5, 2)))
    new, report = patchc.apply(model, patch("{select: head, rename: top}"), report=True)
    assert not new.get_layer("attention").trainable
    assert report.to_dict()["optimizer"] == {"kept": 6, "grown": 0, "new": 0, "dropped": 0}
    frozen = patchc.apply(model, patch("{select: attention, freeze: false}"))
    assert len(frozen.trainable_variables) == 10


def test_constant_arrays_and_wrong_arguments_are_refused() -> None:
    with pytest.raises(patchc.PatchError, match=r"neither a path nor a keras\.Model"):
        patchc.apply(3, patch(FREEZE))
    with pytest.raises(TypeError, match="save it with"):
        patchc.apply(perceptron(), patch(FREEZE), "out.keras")
    with pytest.raises(TypeError, match="name it with `out`"):
        patchc.apply("model.keras", patch(FREEZE))
    with pytest.raises(patchc.PatchError, match="never built"):
        patchc.apply(keras.Sequential([layers.Dense(2)]), patch(FREEZE))


def test_a_model_class_of_ones_own_keeps_its_training_step() -> None:
    class Counting(keras.Model):  # type: ignore[misc]  # Keras has no types
        steps = 0

        def train_step(self, data: Any) -> Any:
            type(self).steps += 1
            return super().train_step(data)

    base = perceptron()
    model = Counting(base.inputs, base.outputs)
    model.compile("adam", "mse", run_eagerly=True)
    new = patchc.apply(model, patch(GROW))
    assert type(new) is Counting
    new.train_on_batch(features(), np.ones((32, 3), "float32"))
    assert Counting.steps == 1


ADD = "{select: d1, add_output: {Dense: {units: 2, name: side}}}"


def test_a_new_output_trains_once_it_has_a_loss() -> None:
    model = train(perceptron())
    targets = {"head": labels(), "side": np.zeros((32, 2), "float32")}
    new, report = patchc.apply(model, patch(ADD), report=True)
    assert [(found.code, found.help) for found in report.diagnostics] == [
        ("PC906", "add `compile: {loss: {side: ...}}` to the patch")
    ]
    before = array(new.get_layer("side").kernel)
    new.train_on_batch(features(), targets)
    assert same([array(new.get_layer("side").kernel)], [before])
    wanted = "{loss: {side: mse}, metrics: {side: [mae]}, learning_rate: 0.5}"
    new, report = patchc.apply(model, patch(ADD, compile=wanted), report=True)
    assert not report.diagnostics
    assert float(new.optimizer.learning_rate) == 0.5
    assert int(new.optimizer.iterations) == 3
    told = new.train_on_batch(features(), targets, return_dict=True)
    assert {"head_loss", "side_loss", "side_mae"} <= told.keys()
    assert not same([array(new.get_layer("side").kernel)], [before])
