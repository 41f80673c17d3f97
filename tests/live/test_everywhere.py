"""What holds of a model in memory on every backend of Keras: see `test_backends`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from tests.live.builders import (
    FREEZE,
    GROW,
    array,
    features,
    labels,
    out,
    patch,
    perceptron,
    same,
    stir,
    train,
    values,
)


def test_gives_a_new_model_and_a_report_that_holds() -> None:
    model = train(perceptron())
    new, report = patchc.apply(model, patch(GROW), report=True)
    assert new is not model
    assert report.ok
    assert [check.name for check in report.checks] == [
        "configuration-as-planned",
        "every-weight-accounted-for",
        "kept-weights-identical",
        "new-values-as-planned",
        "optimizer-state-as-planned",
    ]
    assert report.to_dict()["ledger"]["grown"] == 3
    np.testing.assert_allclose(out(new, features()), out(model, features()), rtol=1e-6, atol=1e-6)


def test_the_input_model_stays_as_it_is_while_the_new_one_trains() -> None:
    inputs = keras.Input((4,), dtype="int32", name="ids")
    hidden = layers.Flatten()(layers.Embedding(9, 3, name="embedding")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="head")(hidden))
    ids = np.arange(32 * 4).reshape(32, 4) % 9
    model.compile(keras.optimizers.Adam(0.1), "mse")
    target = np.ones((32, 3), "float32")
    model.train_on_batch(ids, target)
    before, objects = values(model), [id(layer) for layer in model.layers]
    new = patchc.apply(model, patch("{select: head, rename: top}"))
    for _ in range(3):
        new.train_on_batch(ids, target)
    assert same(values(model), before)
    assert [id(layer) for layer in model.layers] == objects
    after = values(new)
    model.train_on_batch(ids, target)
    assert same(values(new), after)
    shared = {id(layer) for layer in model.layers} & {id(layer) for layer in new.layers}
    assert not shared
    assert new.optimizer is not model.optimizer


def test_training_goes_on_where_it_stopped() -> None:
    model = train(perceptron(), keras.optimizers.Adam(0.01))
    new = patchc.apply(model, patch(FREEZE))
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations) == 3
    assert float(new.optimizer.learning_rate) == float(model.optimizer.learning_rate)
    assert new.train_on_batch(features(), labels()) == model.train_on_batch(features(), labels())
    assert same(
        [out(new.get_layer("d1"), np.ones((2, 8)))], [out(model.get_layer("d1"), np.ones((2, 8)))]
    )


def test_shared_layers_several_ends_and_nested_models() -> None:
    first, second = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    inner_in = keras.Input((6,))
    inner = keras.Model(inner_in, layers.Dense(4, name="deep")(inner_in), name="inner")
    shared = layers.Dense(4, name="shared")
    joined = layers.Add()([inner(first), shared(first), shared(second)])
    model = keras.Model(
        {"a": first, "b": second},
        {"p": layers.Dense(2, name="p")(joined), "q": layers.Dense(3, name="q")(joined)},
    )
    model.compile("adam", {"p": "mse", "q": None})
    given = {"a": features(), "b": features() + 1}
    freeze = patch("{select: inner/deep, freeze: true}")
    new, report = patchc.apply(stir(model), freeze, report=True)
    assert report.ok
    for key, expected in model(given).items():
        assert same([array(new(given)[key])], [array(expected)])
    assert len(new.trainable_variables) == len(model.trainable_variables) - 2


@pytest.mark.parametrize(
    "edit",
    [
        GROW,
        FREEZE,
        "{select: head, expand: {by: 2}, init: {kernel: he_normal}}",
        "{select: d0, insert_after: {Dense: {units: 8, activation: relu}}, init: identity}",
    ],
)
def test_the_result_is_that_of_the_file(edit: str, tmp_path: Path) -> None:
    model = train(perceptron(), keras.optimizers.Adam(amsgrad=True), steps=1)
    stir(model), stir(model.optimizer)
    model.save(tmp_path / "m.keras")
    patchc.apply(tmp_path / "m.keras", patch(edit), tmp_path / "out.keras")
    filed: Any = keras.models.load_model(tmp_path / "out.keras")
    assert same(values(patchc.apply(model, patch(edit))), values(filed))


def test_both_models_are_run_and_compared() -> None:
    model = stir(perceptron())
    held = patch("{select: head, expand: {by: 2, at: [0, 2]}}", verify="{outputs: extends}")
    _, report = patchc.apply(model, held, report=True)
    assert report.checks[-1].name == "outputs-extend"
    with pytest.raises(patchc.PatchError, match="outputs-same does not hold"):
        patchc.apply(model, patch("{select: d1, init: default}", verify="{outputs: same}"))
