"""Where Keras's own tools go wrong without a word, and patchc does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from patchc.inspect import inspect_file

Array = np.ndarray[Any, Any]


def patched(base: Path, edit: str, out: Path) -> Path:
    name = out.name.partition(".")[0]
    patch = patchc.loads(f"patchc: 1\nid: {name}\nedits:\n  - {edit}\n")
    assert patchc.apply(base, patch, out).ok
    return out


def nested(*, frozen: bool) -> Any:
    inside = keras.Input((4,))
    x = layers.Dense(4, name="d1")(inside)
    inner = keras.Model(inside, layers.Dense(4, name="d2")(x), name="inner")
    inner.get_layer("d1").trainable = not frozen
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2, name="out")(inner(inputs)))


def kernels(model: Any) -> dict[str, Array]:
    inner = model.get_layer("inner")
    return {name: np.asarray(inner.get_layer(name).kernel) for name in ("d1", "d2")}


def test_weights_of_a_nested_model_are_not_swapped(tmp_path: Path) -> None:
    """`load_weights` of a file that was saved with other flags swaps `d1` and `d2`."""
    model, base = nested(frozen=True), tmp_path / "frozen.h5"
    model.save(base)
    wrong = nested(frozen=False)
    wrong.load_weights(base)
    assert (kernels(wrong)["d1"] == kernels(model)["d2"]).all()  # the trap

    x = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    for name in ("free.h5", "free.keras"):
        out = patched(base, "{select: inner/d1, freeze: false}", tmp_path / name)
        loaded = keras.models.load_model(out)
        assert loaded.get_layer("inner").get_layer("d1").trainable
        for layer, kernel in kernels(model).items():
            np.testing.assert_array_equal(kernels(loaded)[layer], kernel)
        np.testing.assert_array_equal(loaded(x), model(x))


def composites() -> Any:
    inputs = keras.Input((5, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(inputs)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.TimeDistributed(layers.Dense(4), name="each")(x)
    x = keras.Sequential([layers.GRU(3, name="gru")], name="part")(x)
    return keras.Model(inputs, layers.Dense(2, name="out")(x))


@pytest.mark.parametrize("name", ["m.weights.h5", "m.h5", "m.keras"])
def test_composite_layers_are_not_dropped(tmp_path: Path, name: str) -> None:
    """`KerasFileEditor` sees no weight of an LSTM, an attention, a wrapper or a nested model."""
    model, base = composites(), tmp_path / name
    if name == "m.weights.h5":
        model.save_weights(base)
        (tmp_path / "m.json").write_text(model.to_json())
        editor = keras.saving.KerasFileEditor(str(base))
        assert len(keras.tree.flatten(editor.weights_dict)) < len(model.weights)  # the trap
    else:
        model.save(base)
    facts = inspect_file(base).model
    assert facts.params == model.count_params()
    assert not [layer.path for layer in facts.layers if layer.opaque]
    out = patched(base, "{select: out, expand: {by: 1}}", tmp_path / "grown.keras")
    loaded = keras.models.load_model(out)
    before = {weight.path: np.asarray(weight) for weight in model.weights}
    assert len(loaded.weights) == len(before)
    for (path, old), new in zip(before.items(), loaded.weights, strict=True):
        array = np.asarray(new)
        if path.startswith("out/"):
            array = array[..., : old.shape[-1]]
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_momentum_stays_with_its_layer(tmp_path: Path, ending: str) -> None:
    """Keras reads an optimizer's variables by number, whatever weights they were for.

    (Of an HDF5 model Keras 3 itself restores none of them.)
    """
    chain = [layers.Dense(4, name=f"d{number}") for number in range(3)]
    model = keras.Sequential([keras.Input((4,)), *chain])
    chain[0].trainable = False
    model.compile(keras.optimizers.Adam(0.01), "mean_squared_error")
    rng = np.random.default_rng(2)
    model.fit(rng.normal(size=(16, 4)), rng.normal(size=(16, 4)), verbose=0)
    base = tmp_path / f"base.{ending}"
    model.save(base)
    middle = patched(base, "{select: d0, freeze: false}", tmp_path / f"middle.{ending}")
    out = patched(middle, "{select: d2, freeze: true}", tmp_path / "out.keras")
    loaded = keras.models.load_model(out)
    assert [layer.trainable for layer in loaded.layers] == [True, True, False]
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations)
    old, new = momenta(model), momenta(loaded)
    np.testing.assert_array_equal(new["d1"], old["d1"])
    assert old["d1"].any()
    assert not new["d0"].any()


def momenta(model: Any) -> dict[str, Array]:
    """The momentum of each layer's kernel."""
    return {
        variable.path.removesuffix("_kernel_momentum")[-2:]: np.asarray(variable)
        for variable in model.optimizer.variables
        if variable.path.endswith("_kernel_momentum")
    }
