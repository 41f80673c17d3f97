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


def model_of(
    folder: Path, class_name: str, config: dict[str, Any], node: Any, dtype: str = "float32"
) -> Path:
    """An HDF5 model as tf.keras 2.4 wrote it: an input, and one operation."""
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, 4, 4, 3], "dtype": dtype, "name": "x"},
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


HALF = {"half_pixel_centers": {"b": True}, "align_corners": {"b": False}}


@pytest.mark.parametrize(
    ("operation", "attributes", "constants", "wanted"),
    [
        ("ResizeBilinear", HALF, {"1": [8, 6]}, ("image.resize", {"size": (8, 6)})),
        (
            "ResizeNearestNeighbor",
            HALF,
            {"1": [8, 8]},
            ("image.resize", {"size": (8, 8), "method": "nearest"}),
        ),
        (
            "Mean",
            {"keep_dims": {"b": True}},
            {"1": [1, 2]},
            ("reduce_mean", {"axis": [1, 2], "keepdims": True}),
        ),
        ("Max", {}, {"1": -1}, ("reduce_max", {"axis": -1})),
        ("Cast", {"DstT": {"type": "DT_INT32"}}, {}, ("cast", {"dtype": "int32"})),
        ("ExpandDims", {}, {"1": 1}, ("expand_dims", {"axis": 1})),
        ("Transpose", {}, {"1": [0, 2, 1, 3]}, ("transpose", {"perm": [0, 2, 1, 3]})),
        ("Reshape", {}, {"1": [-1, 48]}, ("reshape", {"shape": [-1, 48]})),
        (
            "Split",
            {"num_split": {"i": "3"}},
            {"0": 3},
            ("split", {"num_or_size_splits": 3, "axis": 3}),
        ),
        ("Tile", {}, {"1": [1, 1, 2, 1]}, ("tile", {"multiples": [1, 1, 2, 1]})),
        ("Greater", {}, {"1": 1.0}, ("math.greater", {"y": 1.0})),
    ],
)
def test_described_operations_give_what_tensorflow_gives(
    tmp_path: Path,
    operation: str,
    attributes: dict[str, Any],
    constants: dict[str, Any],
    wanted: tuple[str, dict[str, Any]],
) -> None:
    import tensorflow as tf

    described = {"name": "op", "op": operation, "input": ["x", "c"], "attr": attributes}
    config = {"node_def": described, "constants": constants}
    path = model_of(tmp_path, "TensorFlowOpLayer", config, [[*T, {}]])
    function, arguments = wanted
    call: Any = tf
    for part in function.split("."):
        call = getattr(call, part)
    expected = call(X, **arguments)
    first = expected[0] if isinstance(expected, list) else expected
    np.testing.assert_allclose(computed(path), first, rtol=1e-6)


@pytest.mark.parametrize(
    ("operation", "constants", "wanted"),
    [
        ("ConcatV2", {"2": -1}, lambda x: np.concatenate([x, x], -1)),
        ("AddV2", {}, lambda x: x + x),
        ("Maximum", {}, lambda x: x),
    ],
)
def test_described_operations_of_two_tensors(
    tmp_path: Path, operation: str, constants: dict[str, int], wanted: Callable[[Array], Array]
) -> None:
    described = {"name": "op", "op": operation, "input": ["x", "x"], "attr": {}}
    config = {"node_def": described, "constants": constants}
    path = model_of(tmp_path, "TensorFlowOpLayer", config, [[*T, {}], [*T, {}]])
    np.testing.assert_allclose(computed(path), wanted(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("operation", "attributes", "constants"),
    [
        ("ResizeBilinear", {"align_corners": {"b": True}}, {"1": [8, 8]}),
        ("ResizeBilinear", {}, {"1": [8, 8]}),
        ("BatchMatMulV2", {"adj_y": {"b": True}}, {}),
        ("Cast", {"DstT": {"type": "DT_STRING"}}, {}),
        ("Softplus", {}, {}),
    ],
)
def test_described_operations_without_an_equal_are_named(
    tmp_path: Path, operation: str, attributes: dict[str, Any], constants: dict[str, Any]
) -> None:
    described = {"name": "op", "op": operation, "input": ["x"], "attr": attributes}
    config = {"node_def": json.dumps(described), "constants": constants}
    path = model_of(tmp_path, "TensorFlowOpLayer", config, [[*T, {}], [*T, {}]])
    found = patchc.convert(path, tmp_path / "out.keras")
    assert [missing.name for missing in found.missing] == [f"tf.{operation}"]


SIZE = {"size": [8, 8]}


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("image.resize", {**SIZE, "method": "area"}),
        ("image.resize", {**SIZE, "preserve_aspect_ratio": True}),
        ("split", {"num_or_size_splits": [-1, 1], "axis": 3}),
        ("split", {"num_or_size_splits": 2}),
        ("linalg.matmul", {"b": T, "adjoint_b": True}),
        ("math.cumsum", {"axis": 1, "reverse": True}),
        ("one_hot", {"depth": 3, "on_value": 2.0}),
        ("gather", {"indices": T, "axis": 1}),
        ("nn.max_pool2d", {"ksize": [1, 2, 2, 1], "strides": 2, "padding": "SAME"}),
        ("linalg.inv", {}),
    ],
)
def test_what_has_no_equal_is_named(
    tmp_path: Path, function: str, arguments: dict[str, Any]
) -> None:
    path = model_of(tmp_path, "TFOpLambda", {"function": function}, [*T, arguments])
    found = patchc.convert(path, tmp_path / "out.keras")
    assert [missing.name for missing in found.missing] == [f"tf.{function}"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("image.resize", {"size": [8, 6]}),
        ("image.resize", {"size": [3, 5], "method": "nearest"}),
        ("image.resize", {"size": [9, 9], "method": "bicubic", "antialias": True}),
        ("split", {"num_or_size_splits": 3, "axis": -1}),
        ("split", {"num_or_size_splits": [1, 2, 1], "axis": 1}),
        ("linalg.matmul", {"b": T, "transpose_b": True}),
        ("linalg.matmul", {"b": T, "transpose_a": True}),
        ("cast", {"dtype": "int32"}),
        ("math.greater", {"y": 1.0}),
        ("math.reduce_std", {"axis": [1, 2], "keepdims": True}),
        ("math.cumsum", {"axis": 2}),
        ("tile", {"multiples": [1, 2, 1, 1]}),
        ("gather", {"indices": [2, 0], "axis": 3}),
        ("unstack", {"axis": 1}),
        ("reverse", {"axis": [1, 2]}),
        ("norm", {"ord": "euclidean", "axis": -1}),
        ("nn.gelu", {}),
        ("nn.log_softmax", {}),
        ("nn.space_to_depth", {"block_size": 2}),
        ("nn.max_pool2d", {"ksize": 2, "strides": 2, "padding": "SAME"}),
    ],
)
def test_functions_give_what_tensorflow_gives(
    tmp_path: Path, function: str, arguments: dict[str, Any]
) -> None:
    import tensorflow as tf

    call: Any = tf
    for part in function.split("."):
        call = getattr(call, part)
    wanted = call(X, **{key: X if value == T else value for key, value in arguments.items()})
    path = model_of(tmp_path, "TFOpLambda", {"function": function}, [*T, arguments])
    first = wanted[0] if isinstance(wanted, list) else wanted
    np.testing.assert_allclose(computed(path), first, rtol=1e-6)


def test_whole_numbers_are_resized_as_tensorflow_does(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    path = model_of(tmp_path, "TFOpLambda", {"function": "image.resize"}, [*T, SIZE], "uint8")
    patchc.convert(path, tmp_path / "out.keras")
    whole = (X * 100).astype("uint8")
    found = keras.models.load_model(tmp_path / "out.keras")(whole)
    np.testing.assert_array_equal(found, tf.image.resize(whole, (8, 8)))


def test_a_product_goes_back_into_its_own_dialect(tmp_path: Path) -> None:
    config = {"function": "linalg.matmul"}
    path = model_of(tmp_path, "TFOpLambda", config, [*T, {"b": T, "transpose_b": True}])
    patch = patchc.loads("patchc: 1\nid: x\nedits: [{select: x, rename: images}]")
    assert patchc.apply(path, patch, tmp_path / "new.h5").ok
    with h5py.File(tmp_path / "new.h5") as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    assert [(layer["name"], layer["class_name"]) for layer in layers] == [
        ("images", "InputLayer"),
        ("op", "TFOpLambda"),
    ]
    new = ["images", 0, 0]
    assert layers[1]["inbound_nodes"] == [[*new, {"b": new, "transpose_b": True}]]
