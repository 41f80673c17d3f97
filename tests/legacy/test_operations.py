"""Calls of TensorFlow functions in tf.keras models become what Keras 3 has; Keras judges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import patchc

Array = np.ndarray[Any, Any]
X = np.random.default_rng(4).uniform(0.5, 2, (2, 4, 4, 3)).astype("float32")
T = ["x", 0, 0]
ALL = {"start": None, "stop": None, "step": None}


def model_of(folder: Path, class_name: str, config: dict[str, Any], node: Any) -> Path:
    """An HDF5 model as tf.keras 2.4 wrote it: an input, and one operation."""
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 4, 4, 3], "dtype": "float32", "name": "x"},
            "name": "x",
            "inbound_nodes": [],
        },
        {
            "class_name": class_name,
            "config": {"name": "op", "trainable": True, "dtype": "float32", **config},
            "name": "op",
            "inbound_nodes": [node],
        },
    ]
    ends = {"input_layers": [T], "output_layers": [["op", 0, 0]]}
    model = {"class_name": "Functional", "config": {"name": "m", "layers": layers, **ends}}
    path = folder / "m.h5"
    with h5py.File(path, "w", libver=("earliest", "v108")) as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        file.attrs["keras_version"] = b"2.4.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([b"x", b"op"])
        for name in ("x", "op"):
            group.create_group(name).attrs["weight_names"] = np.array([])
    return path


def computed(path: Path) -> Array:
    """What the converted model makes of X."""
    import keras

    out = path.with_suffix(".keras")
    assert patchc.convert(path, out).missing == ()
    return np.asarray(keras.models.load_model(out)(X))


@pytest.mark.parametrize(
    ("function", "node", "wanted"),
    [
        ("math.multiply", [*T, {"y": 2.0, "name": None}], lambda x: x * 2),
        ("__operators__.add", [*T, {"y": T, "name": None}], lambda x: x + x),
        ("math.subtract", ["_CONSTANT_VALUE", -1, 2.0, {"y": T, "name": None}], lambda x: 2 - x),
        ("math.truediv", [*T, {"y": 127.5, "name": None}], lambda x: x / np.float32(127.5)),
        ("nn.relu6", [*T, {}], lambda x: np.minimum(x, 6)),
        ("math.rsqrt", [*T, {}], lambda x: 1 / np.sqrt(x)),
        ("math.reduce_mean", [*T, {"axis": [1, 2]}], lambda x: x.mean(axis=(1, 2))),
        ("reshape", [*T, {"shape": [-1, 48]}], lambda x: x.reshape(-1, 48)),
        ("concat", [[*T, {"axis": -1}], [*T, {"axis": -1}]], lambda x: np.concatenate([x, x], -1)),
        ("compat.v1.transpose", [*T, {"perm": [0, 2, 1, 3]}], lambda x: x.swapaxes(1, 2)),
        (
            "clip_by_value",
            [*T, {"clip_value_min": 0.7, "clip_value_max": 1.5}],
            lambda x: x.clip(0.7, 1.5),
        ),
        ("expand_dims", [*T, {"axis": 1}], lambda x: x[:, None]),
        (
            "compat.v1.pad",
            [*T, {"paddings": [[0, 0], [1, 1], [2, 0], [0, 0]], "mode": "CONSTANT"}],
            lambda x: np.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]]),
        ),
    ],
)
def test_functions(
    tmp_path: Path, function: str, node: Any, wanted: Callable[[Array], Array]
) -> None:
    path = model_of(tmp_path, "TFOpLambda", {"function": function}, node)
    np.testing.assert_allclose(computed(path), wanted(X), rtol=1e-5)


def test_slices(tmp_path: Path) -> None:
    spec = [ALL, {"start": 1, "stop": None, "step": None}, ALL, 0]
    config = {"function": "__operators__.getitem"}
    path = model_of(tmp_path, "SlicingOpLambda", config, [*T, {"slice_spec": spec}])
    np.testing.assert_array_equal(computed(path), X[:, 1:, :, 0])


@pytest.mark.parametrize(("place", "wanted"), [("1", lambda x: x - 1), ("0", lambda x: 1 - x)])
def test_operations_of_tensorflow_2_0(
    tmp_path: Path, place: str, wanted: Callable[[Array], Array]
) -> None:
    described = json.dumps({"name": "sub", "op": "Sub", "input": ["x", "sub/y"]})
    config = {"node_def": described, "constants": {place: 1.0}}
    path = model_of(tmp_path, "TensorFlowOpLayer", config, [[*T, {}]])
    np.testing.assert_allclose(computed(path), wanted(X), rtol=1e-6)


def test_what_has_no_equal_is_named(tmp_path: Path) -> None:
    config = {"function": "image.resize"}
    path = model_of(tmp_path, "TFOpLambda", config, [*T, {"size": [8, 8]}])
    found = patchc.convert(path, tmp_path / "out.keras")
    assert [missing.name for missing in found.missing] == ["tf.image.resize"]
