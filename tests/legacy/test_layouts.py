"""Weights that Keras 1, cuDNN and Theano laid out in other ways; Keras judges what comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import patchc

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(8)


def random(*shape: int) -> Array:
    return RNG.normal(size=shape).astype("float32")


def write(
    path: Path,
    entry: Mapping[str, Any],
    weights: Mapping[str, Array],
    version: str,
    backend: str = "",
    state: Mapping[str, Any] | None = None,
) -> Path:
    """An HDF5 model of an older Keras: a Sequential of one layer."""
    name = entry["config"]["name"]
    with h5py.File(path, "w", libver=("earliest", "v108")) as file:
        if state:
            training = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.1}}}
            file.attrs["training_config"] = json.dumps({**training, "loss": "mse"}).encode()
            held = file.create_group("optimizer_weights")
            held.attrs["weight_names"] = np.array([key.encode() for key in state])
            for key, value in state.items():
                held[key] = value
        config = {"class_name": "Sequential", "config": [entry]}
        file.attrs["model_config"] = json.dumps(config).encode()
        if version:
            file.attrs["keras_version"] = version.encode()
        group = file.create_group("model_weights")
        if backend:
            group.attrs["backend"] = file.attrs["backend"] = backend.encode()
        group.attrs["layer_names"] = np.array([name.encode()])
        layer = group.create_group(name)
        layer.attrs["weight_names"] = np.array([key.encode() for key in weights])
        for key, value in weights.items():
            layer[key] = value
    return path


def converted(path: Path) -> tuple[Any, Any]:
    """The conversion, and its one layer as Keras loads it."""
    import keras

    out = path.with_suffix(".keras")
    found = patchc.convert(path, out)
    return found, keras.models.load_model(out, compile=False).layers[-1]


def test_gates_of_keras_1_are_joined(tmp_path: Path) -> None:
    """Keras 1 had an array per gate, in the order i, c, f, o; today's is i, f, c, o."""
    parts = {
        f"{letter}_{gate}": random(*shape)
        for gate in "icfo"
        for letter, shape in (("W", (4, 3)), ("U", (3, 3)), ("b", (3,)))
    }
    config = {
        "name": "l",
        "output_dim": 3,
        "inner_activation": "sigmoid",
        "activation": "tanh",
        "batch_input_shape": [None, 5, 4],
    }
    weights = {f"l_{key}:0": value for key, value in parts.items()}
    names = sorted(weights)  # as Keras 1 kept them
    slots = {name: [random(*weights[name].shape) for _ in "mv"] for name in names}
    state: dict[str, Any] = {"Variable:0": np.float32(7)}
    for name, slot in [(name, slot) for slot in range(2) for name in names]:
        state[f"Variable_{len(state)}:0"] = slots[name][slot]
    entry = {"class_name": "LSTM", "config": config}
    path = write(tmp_path / "m.h5", entry, weights, "1.2.2", state=state)
    found, layer = converted(path)
    check_slots(tmp_path / "m.keras", slots)
    kernel, recurrent, bias = layer.get_weights()
    for value, letter in ((kernel, "W"), (recurrent, "U"), (bias, "b")):
        wanted = np.concatenate([parts[f"{letter}_{gate}"] for gate in "ifco"], axis=-1)
        np.testing.assert_array_equal(value, wanted)
    assert any("joined the weights of its gates" in repair.what for repair in found.repairs)


def check_slots(path: Path, slots: Mapping[str, list[Array]]) -> None:
    """The averages are joined as the weights are."""
    import keras

    optimizer = keras.models.load_model(path).optimizer
    assert int(optimizer.iterations) == 7
    found = {variable.path.split("/")[-1]: np.asarray(variable) for variable in optimizer.variables}
    for letter, word in (("W", "kernel"), ("U", "recurrent_kernel"), ("b", "bias")):
        for slot, kind in enumerate(("momentum", "velocity")):
            wanted = [slots[f"l_{letter}_{gate}:0"][slot] for gate in "ifco"]
            name = next(n for n in found if n.endswith(f"lstm_cell_{word}_{kind}"))
            np.testing.assert_array_equal(found[name], np.concatenate(wanted, axis=-1))


@pytest.mark.parametrize(
    ("class_name", "config", "stored", "order"),
    [
        (
            "Convolution2D",
            {"nb_row": 3, "nb_col": 2, "dim_ordering": "th"},
            (4, 5, 3, 2),
            (2, 3, 1, 0),
        ),
        (
            "Convolution2D",
            {"nb_row": 3, "nb_col": 3, "dim_ordering": "th"},
            (3, 3, 3, 3),
            (2, 3, 1, 0),
        ),
        (
            "Convolution2D",
            {"nb_row": 3, "nb_col": 2, "dim_ordering": "tf"},
            (3, 2, 5, 4),
            (0, 1, 2, 3),
        ),
        (
            "Deconvolution2D",
            {"nb_row": 3, "nb_col": 2, "dim_ordering": "tf"},
            (3, 2, 5, 4),
            (0, 1, 3, 2),
        ),
    ],
)
def test_kernels_of_keras_1_are_turned(
    tmp_path: Path, class_name: str, config: dict[str, Any], stored: tuple[int, ...], order: Any
) -> None:
    theano = config["dim_ordering"] == "th"
    filters, channels = (stored[0], stored[1]) if theano else (stored[3], stored[2])
    shape = [None, channels, 8, 8] if theano else [None, 8, 8, channels]
    config = {"name": "c", "nb_filter": filters, "batch_input_shape": shape, **config}
    weights = {"c_W:0": random(*stored), "c_b:0": random(filters)}
    path = write(tmp_path / "m.h5", {"class_name": class_name, "config": config}, weights, "")
    found, layer = converted(path)
    np.testing.assert_array_equal(layer.kernel, np.transpose(weights["c_W:0"], order))
    np.testing.assert_array_equal(layer.bias, weights["c_b:0"])
    assert [m.name for m in found.missing] == (
        ["kernels of Theano or of TensorFlow"] if theano else []
    )


def test_a_cudnn_layer_becomes_one_that_computes_the_same(tmp_path: Path) -> None:
    import keras

    oracle = keras.layers.LSTM(3)
    x = random(2, 5, 4)
    wanted = oracle(x)
    kernel, recurrent, bias = (np.array(w) for w in oracle.weights)
    other = random(12)
    stored = {
        "l/kernel:0": np.hstack([k.T.reshape(k.shape) for k in np.hsplit(kernel, 4)]),
        "l/recurrent_kernel:0": np.hstack([k.T for k in np.hsplit(recurrent, 4)]),
        "l/bias:0": np.concatenate([bias - other, other]),
    }
    config = {"name": "l", "units": 3, "batch_input_shape": [None, 5, 4]}
    state = {"Adam/iterations:0": np.int64(1)} | {
        f"Variable_{slot}{number}:0": value
        for slot in range(2)
        for number, value in enumerate(stored.values())
    }
    entry = {"class_name": "CuDNNLSTM", "config": config}
    path = write(tmp_path / "m.h5", entry, stored, "2.2.4", state=state)
    found, layer = converted(path)
    np.testing.assert_allclose(layer(x), wanted, atol=1e-6)
    assert "two biases that are one now" in found.lost_state


def test_kernels_of_theano_are_mirrored(tmp_path: Path) -> None:
    config = {
        "name": "c",
        "filters": 2,
        "kernel_size": [3, 3],
        "batch_input_shape": [None, 8, 8, 1],
    }
    weights = {"c/kernel:0": random(3, 3, 1, 2), "c/bias:0": random(2)}
    entry = {"class_name": "Conv2D", "config": config}
    path = write(tmp_path / "m.h5", entry, weights, "2.1.0", "theano")
    _, layer = converted(path)
    np.testing.assert_array_equal(layer.kernel, weights["c/kernel:0"][::-1, ::-1])


def test_a_file_of_another_layout_is_not_written_back(tmp_path: Path) -> None:
    config = {"name": "c", "nb_filter": 2, "nb_row": 3, "nb_col": 3, "dim_ordering": "th"}
    entry = {
        "class_name": "Convolution2D",
        "config": {**config, "batch_input_shape": [None, 1, 8, 8]},
    }
    path = write(tmp_path / "m.h5", entry, {"c_W": random(2, 1, 3, 3), "c_b": random(2)}, "1.2.0")
    patch = patchc.loads("{patchc: 1, id: x, edits: [{select: c, freeze: true}]}")
    with pytest.raises(patchc.PatchError, match="older Keras"):
        patchc.apply(path, patch, tmp_path / "out.h5")
    patchc.apply(path, patch, tmp_path / "out.keras")
