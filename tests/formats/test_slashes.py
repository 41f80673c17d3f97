"""Layer names with a slash, as the DenseNets of Keras 2 have them: `conv1/bn`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import patchc
from patchc.inspect import inspect_file
from patchc.legacy.slashes import without_slashes
from tests.formats.handmade import Shapes, config_of, dense, stored, values, write
from tests.formats.test_containers import windows
from tests.formats.test_hdf5_models import patched

LAYERS: Shapes = {
    "fc/hidden": {"fc/hidden/kernel:0": (4, 5), "fc/hidden/bias:0": (5,)},
    "fc/norm": {
        f"fc/norm/{n}:0": (5,) for n in ("gamma", "beta", "moving_mean", "moving_variance")
    },
    "fc_norm": {"fc_norm/kernel:0": (5, 5), "fc_norm/bias:0": (5,)},
    "each/step": {"each/step/kernel:0": (5, 3), "each/step/bias:0": (3,)},
}
TRAINING = {
    "optimizer_config": {"class_name": "Adam", "config": {"lr": 0.01, "decay": 0.0}},
    "loss": {"each/step": "mse"},
    "loss_weights": {"each/step": 2.0},
}


def entry(class_name: str, name: str, before: str, **config: Any) -> dict[str, Any]:
    """A layer of a Functional as Keras 2 writes it."""
    nodes = [[[before, 0, 0, {}]]] if before else []
    told = {"name": name, "trainable": True, **config}
    return {"class_name": class_name, "name": name, "config": told, "inbound_nodes": nodes}


def slashed() -> dict[str, Any]:
    inner = {"class_name": "Dense", "config": {"name": "step/inner", "units": 3}}
    layers = [
        entry("InputLayer", "in/put", "", batch_input_shape=[None, 2, 4], dtype="float32"),
        entry("Dense", "fc/hidden", "in/put", units=5),
        entry("BatchNormalization", "fc/norm", "fc/hidden", axis=[2]),
        entry("Dense", "fc_norm", "fc/norm", units=5),
        entry("TimeDistributed", "each/step", "fc_norm", layer=inner),
    ]
    ends = {"input_layers": [["in/put", 0, 0]], "output_layers": [["each/step", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "net", "layers": layers, **ends}}


@pytest.fixture(name="base")
def base_file(tmp_path: Path) -> Path:
    return write(tmp_path / "old.h5", LAYERS, slashed(), training=TRAINING)


def test_convert_renames_and_keras_opens_it(base: Path, tmp_path: Path) -> None:
    import keras

    found = patchc.convert(base, tmp_path / "new.keras")
    assert found.report.ok
    told = {r.layer: r.what for r in found.repairs if "slash" in r.reason}
    assert told.keys() == {"in/put", "fc/hidden", "fc/norm", "each/step", "each/step/step/inner"}
    assert told["fc/norm"] == "renamed to `fc_norm_1`: `fc_norm` is taken"
    model = keras.models.load_model(tmp_path / "new.keras")
    names = [layer.name for layer in model.layers]
    assert names == ["in_put", "fc_hidden", "fc_norm_1", "fc_norm", "each_step"]
    np.testing.assert_array_equal(model.get_layer("fc_norm").kernel, values(7, (5, 5)))
    np.testing.assert_array_equal(model.get_layer("fc_norm_1").gamma, values(3, (5,)))
    assert model.loss.keys() == {"each_step"}
    assert found.report.to_dict()["outputs"][0]["name"] == "each_step"
    model.fit(np.zeros((2, 2, 4)), np.zeros((2, 2, 3)), verbose=0)


def test_a_patch_uses_the_names_of_the_file(base: Path) -> None:
    paths = [layer.path for layer in inspect_file(base).model.layers]
    assert paths == ["in/put", "fc/hidden", "fc/norm", "fc_norm", "each/step"]
    assert {layer.depth for layer in inspect_file(base).model.layers} == {0}
    edit = "{select: fc/hidden, freeze: true}"
    same = patched(base, edit, "new.h5")
    assert [e["name"] for e in config_of(same)["config"]["layers"]] == paths
    assert stored(same).keys() == stored(base).keys()
    as_keras = inspect_file(patched(base, edit, "new.keras")).model.layers
    assert [layer.path for layer in as_keras if layer.trainable is False] == ["fc_hidden"]
    plan = patchc.plan(
        base, patchc.loads("patchc: 1\nid: x\nedits: [{select: fc_norm, freeze: true}]")
    )
    assert "wrote `_` for `/`" in str(plan)


def test_a_name_that_goes_on_where_another_ends(tmp_path: Path) -> None:
    """As `expanded_conv/depthwise` and `expanded_conv/depthwise/pad` in MobileNetV3."""
    names = ("net/in/pad", "net/in", "net")
    layers: Shapes = {n: {f"{n}/kernel:0": (4, 4), f"{n}/bias:0": (4,)} for n in names}
    entries = [dense(n, 4, **({} if i else FIRST)) for i, n in enumerate(names)]
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": entries}}
    base = write(tmp_path / "old.h5", layers, config)
    out = patched(base, "{select: net, expand: {by: 1}}", "new.h5")
    held = stored(out)
    assert held.keys() == stored(base).keys()
    np.testing.assert_array_equal(
        held["model_weights/net/in/pad/net/in/pad/bias:0"], values(2, (4,))
    )


FIRST = {"batch_input_shape": [None, 4]}


def test_names_without_a_slash_stay_as_they_are() -> None:
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": []}}
    found = without_slashes(config)
    assert (found.config is config, found.repairs) == (True, ())


def test_an_output_with_a_key_of_its_own_keeps_it() -> None:
    config = slashed()
    config["config"]["output_layers"] = {"each/step": ["each/step", 0, 0]}
    config["compile_config"] = {"loss": {"each/step": "mse"}, "optimizer": None}
    found = without_slashes(config).config
    assert found["config"]["output_layers"] == {"each/step": ["each_step", 0, 0]}
    assert found["compile_config"]["loss"] == {"each/step": "mse"}


def test_an_archive_of_keras_2_keeps_its_names(tmp_path: Path) -> None:
    base = windows(tmp_path / "model.keras", "2.15.0", ("fc/hidden", "fc/out"), "/")
    out = patched(base, "{select: fc/out, expand: {by: 1}}", "new.keras")
    assert [x.path for x in inspect_file(out).model.layers][1:] == ["fc/hidden", "fc/out"]
    assert "Repairs" not in str(patchc.plan(base, patchc.loads(PLAIN)))
    converted = patchc.convert(out, tmp_path / "converted.keras")
    assert converted.report.ok
    names = [x.path for x in inspect_file(tmp_path / "converted.keras").model.layers]
    assert names[1:] == ["fc_hidden", "fc_out"]


PLAIN = "patchc: 1\nid: x\nedits: [{select: fc/out, freeze: true}]"
