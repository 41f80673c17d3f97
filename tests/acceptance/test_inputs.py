"""More features of an input, and fewer; Keras is the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from tests.acceptance.widening import Array, Build, patch, saved

IMAGE = (8, 8, 3)


def _flat(x: Any) -> Any:
    return layers.Flatten()(x)


READERS: dict[str, tuple[tuple[int, ...], Build]] = {
    "dense": ((3,), lambda x: layers.Dense(5, activation="tanh")(x)),
    "convolution": (IMAGE, lambda x: _flat(layers.Conv2D(4, 3)(x))),
    "scaled": (IMAGE, lambda x: _flat(layers.Conv2D(4, 3)(layers.Rescaling(2.0, 0.5)(x)))),
    "scaled one by one": (
        IMAGE, lambda x: _flat(layers.Conv2D(4, 3)(layers.Rescaling([1.0, 2.0, 3.0])(x)))
    ),
    "normalised": (
        IMAGE,
        lambda x: _flat(layers.Conv2D(4, 3)(
            layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
        )),
    ),
    "batch": (IMAGE, lambda x: _flat(layers.Conv2D(4, 3)(layers.BatchNormalization()(x)))),
    "two readers": (
        (3,), lambda x: layers.Add()([layers.Dense(5)(x), layers.Dense(5, activation="relu")(x)])
    ),
    "padded": (IMAGE, lambda x: _flat(layers.Conv2D(4, 3)(layers.ZeroPadding2D(1)(x)))),
    "sequence": ((6, 3), lambda x: layers.LSTM(4)(x)),
}  # fmt: skip


def _given(shape: tuple[int, ...], seed: int = 2) -> Array:
    return np.random.default_rng(seed).normal(size=(3, *shape)).astype("float32")


def _changed(folder: Path, verb: str) -> Any:
    edit = patch(verb, "{input: 0}")
    patchc.apply(folder / "before.keras", edit, folder / "after.keras")
    assert patchc.verify(folder / "before.keras", folder / "after.keras", edit).ok
    return keras.models.load_model(folder / "after.keras")


def _apart(one: Any, other: Any) -> float:
    return float(np.abs(np.asarray(one) - np.asarray(other)).max() / np.abs(np.asarray(one)).max())


@pytest.mark.parametrize("name", READERS)
def test_new_features_are_not_noticed(name: str, tmp_path: Path) -> None:
    shape, build = READERS[name]
    model = saved(shape, build, tmp_path)
    after = _changed(tmp_path, "expand: {by: 2}")
    given = _given(shape)
    more = np.concatenate([given, _given((*shape[:-1], 2), 9)], axis=-1)
    assert after.input_shape == (None, *shape[:-1], 5)
    assert _apart(model(given), after(more)) <= 1e-6


@pytest.mark.parametrize("name", READERS)
def test_repeated_features_count_as_one(name: str, tmp_path: Path) -> None:
    shape, build = READERS[name]
    model = saved(shape, build, tmp_path)
    after = _changed(tmp_path, "expand: {to: 6}\n    init: repeat")
    given = _given(shape)
    assert _apart(model(given), after(np.concatenate([given, given], axis=-1))) <= 1e-6


def test_repeated_rows_are_scaled_by_old_to_new(tmp_path: Path) -> None:
    model = saved(IMAGE, lambda x: _flat(layers.Conv2D(4, 3, name="first")(x)), tmp_path)
    after = _changed(tmp_path, "expand: {to: 20}\n    init: repeat")
    before, now = (m.get_layer("first").kernel.numpy() for m in (model, after))
    assert now.shape == (3, 3, 20, 4)
    order = [i % 3 for i in range(20)]
    np.testing.assert_allclose(now, before[:, :, order] * np.float32(3 / 20), rtol=1e-6)


def test_mean_rows(tmp_path: Path) -> None:
    model = saved((3,), lambda x: layers.Dense(5, name="first")(x), tmp_path)
    after = _changed(tmp_path, "expand: {by: 1, at: [0]}\n    init: mean")
    before, now = (m.get_layer("first").kernel.numpy() for m in (model, after))
    assert np.array_equal(now[1:], before)
    np.testing.assert_allclose(now[0], before.mean(axis=0), rtol=1e-6)


def test_one_channel_of_three_by_their_sum(tmp_path: Path) -> None:
    model = saved(IMAGE, lambda x: _flat(layers.Conv2D(4, 3, name="first")(x)), tmp_path)
    after = _changed(tmp_path, "shrink: {keep: [0]}\n    init: sum")
    given = _given((8, 8, 1))
    assert _apart(model(np.repeat(given, 3, axis=-1)), after(given)) <= 1e-6
    summed = after.get_layer("first").kernel.numpy()[:, :, 0]
    assert np.allclose(summed, model.get_layer("first").kernel.numpy().sum(axis=2), rtol=1e-6)


def test_a_feature_less(tmp_path: Path) -> None:
    model = saved((3,), lambda x: layers.Dense(5)(x), tmp_path)
    after = _changed(tmp_path, "shrink: {drop: [1]}")
    given = _given((3,))
    given[:, 1] = 0
    assert _apart(model(given), after(given[:, [0, 2]])) <= 1e-6


def test_an_input_of_a_nested_and_of_a_sequential_model(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input(IMAGE), layers.Conv2D(4, 3), layers.Flatten()])
    model = keras.Sequential([keras.Input(IMAGE), inner, layers.Dense(2)])
    model.save(tmp_path / "before.keras")
    after = _changed(tmp_path, "expand: {to: 6}\n    init: repeat")
    given = _given(IMAGE)
    assert _apart(model(given), after(np.concatenate([given, given], axis=-1))) <= 1e-6


REFUSED: dict[str, tuple[Build, str, str]] = {
    "normalised over": (lambda x: layers.LayerNormalization()(x), "expand: {by: 1}", "an input"),
    "an axis": (lambda x: layers.Dense(5)(x), "expand: {by: 1, axis: units}", "axis"),
    "weights": (lambda x: layers.Dense(5)(x), "expand: {by: 1}\n    init: {kernel: zeros}", "all"),
    "copies": (lambda x: layers.Dense(5)(x), "expand: {by: 1}\n    init: copy", "all"),
    "nothing left": (lambda x: layers.Dense(5)(x), "shrink: {drop: [0, 1, 2]}", "left"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str, tmp_path: Path) -> None:
    build, verb, words = REFUSED[name]
    saved((3,), build, tmp_path)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "before.keras", patch(verb, "{input: 0}"))
    (diagnostic,) = caught.value.diagnostics
    assert words in diagnostic.message
    assert diagnostic.help


def test_another_size_names_the_layer_that_forbids_it(tmp_path: Path) -> None:
    saved(IMAGE, lambda x: layers.Dense(5, name="first")(_flat(x)), tmp_path)
    with pytest.raises(patchc.PatchError, match="`first` cannot read"):
        patchc.plan(tmp_path / "before.keras", patch("set: {shape: [9, 9, 3]}", "{input: 0}"))
    saved(IMAGE, lambda x: _flat(layers.Conv2D(5, 3, name="conv")(x)), tmp_path)
    with pytest.raises(patchc.PatchError, match="`conv` cannot read"):
        patchc.plan(tmp_path / "before.keras", patch("set: {shape: [8, 8, 4]}", "{input: 0}"))
