"""Models that are no graph: subclasses of `keras.Model` with a `call` of their own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from tests.live.builders import Net, array, features, out, patch, same, values


def net() -> Any:
    keras.utils.set_random_seed(2)
    model = Net()
    model.compile("adam", "mse", run_eagerly=keras.backend.backend() == "tensorflow")
    model.train_on_batch(features(), np.ones((32, 3), "float32"))
    return model


@pytest.mark.parametrize(
    ("edit", "frozen"),
    [
        ("{select: e0, freeze: true}", 2),
        ("{select: m1, freeze: true}", 2),
        ("{select: {class: Dense}, freeze: true}", 10),
        ("{select: e0, expand: {by: 2}}", 0),
        ("{select: e0, insert_after: {Dense: {units: 8, activation: relu}}, init: identity}", 0),
        ("{select: encoder/e1, insert_after: {Dropout: {rate: 0.1}}}", 0),
    ],
)
def test_parts_of_a_subclassed_model(edit: str, frozen: int) -> None:
    model = net()
    before = values(model)
    new, report = patchc.apply(model, patch(edit), report=True)
    assert report.ok
    assert type(new) is Net
    assert same(values(model), before)
    np.testing.assert_allclose(out(new, features()), out(model, features()), rtol=1e-5, atol=1e-6)
    added = report.to_dict()["ledger"]["new"]
    assert len(new.trainable_variables) == len(model.trainable_variables) - frozen + added
    assert int(new.optimizer.iterations) == 1
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_init_in_a_subclassed_model() -> None:
    model = net()
    new = patchc.apply(model, patch("{select: head, init: {kernel: zeros}}"))
    assert not array(new.head.kernel).any()
    assert same([array(new.norm.gamma)], [array(model.norm.gamma)])


@pytest.mark.parametrize(
    "edit",
    [
        "{select: head, expand: {by: 1}}",
        "{select: e1, expand: {by: 1}}",
        "{select: {head: 0}, expand: {by: 1}}",
        "{select: {after: norm}, freeze: true}",
        "{select: norm, insert_after: {Dropout: {rate: 0.1}}}",
        "{select: norm, remove: true}",
        "{select: head, rename: top}",
        "{select: e0, add_output: true}",
        "{select: m0, truncate: true}",
    ],
)
def test_the_rest_of_a_subclassed_model_is_refused(edit: str) -> None:
    with pytest.raises(patchc.PatchError, match=r"Net\.call") as refused:
        patchc.apply(net(), patch(edit))
    assert refused.value.diagnostics[0].code == "PC308"


def test_a_class_without_a_configuration_is_named() -> None:
    class Wrap(keras.Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function, self.dense = function, layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.function(self.dense(inputs))

    model = Wrap(lambda tensor: tensor)
    model(features())
    with pytest.raises(patchc.PatchError, match="Wrap has no configuration") as refused:
        patchc.apply(model, patch("{select: '*', freeze: true}"))
    assert refused.value.diagnostics[0].code == "PC308"
