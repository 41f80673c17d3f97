"""What is known of a model file without loading it."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from keras import layers

from patchc.errors import PatchError
from patchc.inspect import inspect_file


class Doubled(layers.Layer):  # type: ignore[misc]  # Keras has no types
    def call(self, x: object) -> object:
        return 2 * x  # type: ignore[operator]  # a tensor


class Free(keras.Model):  # type: ignore[misc]  # Keras has no types
    def __init__(self, **config: object) -> None:
        super().__init__(**config)
        self.dense = layers.Dense(2)

    def call(self, x: object) -> object:
        return self.dense(x)


def save(model: keras.Model, folder: Path) -> Path:
    path = folder / "m.keras"
    model.save(path)
    return path


def test_counts_agree_with_keras(tmp_path: Path) -> None:
    shared = layers.Dense(3, name="shared")
    x = keras.Input((3,), name="x")
    frozen = layers.Dense(3, trainable=False, name="frozen")
    y = layers.BatchNormalization(name="norm")(frozen(shared(shared(x))))
    model = keras.Model(x, {"out": Doubled(name="doubled")(y)})
    found = inspect_file(save(model, tmp_path)).model
    assert found.params == model.count_params()
    assert found.trainable_params == sum(v.value.numpy().size for v in model.trainable_variables)
    by_name = {layer.name: layer for layer in found.layers}
    assert list(by_name) == [layer.name for layer in model.layers]
    assert by_name["shared"].calls == 2
    assert (by_name["x"].trainable, by_name["frozen"].trainable) == (None, False)
    assert [w.trainable for w in by_name["norm"].weights] == [True, True, False, False]
    assert by_name["doubled"].opaque is not None
    assert found.outputs[0]["name"] == "out"


def test_a_model_whose_layers_stand_in_code_has_none(tmp_path: Path) -> None:
    model = Free(name="free")
    model(keras.ops.zeros((1, 3)))
    path = save(model, tmp_path)
    found = inspect_file(path).model
    assert (found.layers, found.params) == ((), 8)
    with pytest.raises(PatchError) as caught:
        inspect_file(path, "dense")
    assert caught.value.diagnostics[0].code == "PC308"


def test_a_selection_speaks_of_every_layer(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="a"), layers.ReLU()])
    found = inspect_file(save(model, tmp_path), "a")
    assert found.selection is not None
    assert found.selection.picked == ("a",)
    assert {*found.selection.picked, *found.selection.rejected} == {
        layer.path for layer in found.model.layers
    }
