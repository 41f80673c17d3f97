"""HDF5 models of older Keras: patched in their own dialect and as `.keras`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import patchc
from patchc.inspect import inspect_file
from tests.formats.handmade import (
    MLP,
    attribute,
    config_of,
    dense,
    mlp_config,
    names_at,
    stored,
    values,
    write,
)

HEAD = "{select: {head: 0}, expand: {by: 2}}"
FREEZE = "{select: hidden, freeze: true}"
ADAM = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.01, "decay": 0.0}}}


def patched(base: Path, edit: str, out: str) -> Path:
    """Apply one edit; every check holds."""
    patch = patchc.loads(f"patchc: 1\nid: change\nedits:\n  - {edit}\n")
    result = base.parent / out
    assert patchc.apply(base, patch, result).ok
    assert patchc.verify(base, result, patch).ok
    return result


def refused(base: Path, edit: str, out: str) -> tuple[str, str, str]:
    with pytest.raises(patchc.PatchError) as caught:
        patched(base, edit, out)
    found = caught.value.diagnostics[0]
    assert not (base.parent / out).exists()
    return found.code, found.message, found.help or ""


def test_a_head_grows_in_its_own_dialect(tmp_path: Path) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config(), training={"loss": "mse", **ADAM})
    result = patched(base, HEAD, "new.h5")
    before, after = stored(base), stored(result)
    assert after.keys() == before.keys()
    kernel = "model_weights/out/out/kernel:0"
    assert after[kernel].shape == (5, 5)
    np.testing.assert_array_equal(after[kernel][:, :3], before[kernel])
    for name in before.keys() - {kernel, "model_weights/out/out/bias:0"}:
        np.testing.assert_array_equal(after[name], before[name])
    wanted = mlp_config()
    wanted["config"]["layers"][1]["config"]["units"] = 5
    assert config_of(result) == wanted
    assert attribute(result, "/", "training_config") == attribute(base, "/", "training_config")
    names = names_at(result, "model_weights/out", "weight_names")
    assert names == ["out/kernel:0", "out/bias:0"]


def test_nothing_to_do_gives_the_same_bytes(tmp_path: Path) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config())
    result = patched(base, "{select: hidden, freeze: false}", "new.h5")
    assert result.read_bytes() == base.read_bytes()


@pytest.mark.parametrize("name", ["new.json", "new.weights.h5", "new"])
def test_a_name_that_tells_no_format(tmp_path: Path, name: str) -> None:
    base = write(tmp_path / "old.keras", MLP, mlp_config())
    code, _, help_ = refused(base, HEAD, name)
    assert (code, ".keras or .h5" in help_) == ("PC406", True)
    patched(base, HEAD, "new.hdf5")


def test_the_same_model_as_keras(tmp_path: Path) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config())
    result = patched(base, FREEZE, "new.keras")
    with zipfile.ZipFile(result) as archive:
        config = json.loads(archive.read("config.json"))
        (tmp_path / "weights.h5").write_bytes(archive.read("model.weights.h5"))
    layers = config["config"]["layers"]
    assert [layer["class_name"] for layer in layers] == ["InputLayer", "Dense", "Dense"]
    assert layers[1]["config"]["trainable"] is False
    weights = stored(tmp_path / "weights.h5")
    np.testing.assert_array_equal(weights["layers/dense/vars/0"], values(1, (4, 5)))
    np.testing.assert_array_equal(weights["layers/dense_1/vars/1"], values(4, (3,)))


def test_keras_1_words_stay(tmp_path: Path) -> None:
    def layer(name: str, size: int, **config: Any) -> dict[str, Any]:
        own = {"name": name, "output_dim": size, "init": "glorot_uniform", "bias": True}
        return {"class_name": "Dense", "config": {**own, "trainable": True, **config}}

    layers = [layer("hidden", 5, input_dim=4, batch_input_shape=[None, 4]), layer("out", 3)]
    config = {"class_name": "Sequential", "config": layers}
    names = {
        "hidden": {"hidden_W:0": (4, 5), "hidden_b:0": (5,)},
        "out": {"out_W:0": (5, 3), "out_b:0": (3,)},
    }
    base = write(tmp_path / "old.h5", names, config, version="1.2.2")
    result = patched(base, HEAD, "new.h5")
    assert config_of(result)["config"][1]["config"]["output_dim"] == 5
    assert "units" not in config_of(result)["config"][1]["config"]
    assert stored(result)["model_weights/out/out_W:0"].shape == (5, 5)
    code, message, help_ = refused(
        base, "{select: hidden, insert_after: {Dropout: {rate: 0.5}}}", "no.h5"
    )
    assert (code, "Keras 1" in message, ".keras" in help_) == ("PC406", True, True)
    patched(base, "{select: hidden, insert_after: {Dropout: {rate: 0.5}}}", "yes.keras")


Named = dict[str, dict[str, tuple[int, ...]]]


def nested(*, frozen: str) -> tuple[dict[str, Any], Named]:
    """A model of `inner` (d1, d2) and `out`; weights of frozen layers stand last."""
    inner = [dense(name, 4, trainable=name != frozen) for name in ("d1", "d2")]
    inner[0]["config"]["batch_input_shape"] = [None, 4]
    model = {"class_name": "Sequential", "config": {"name": "inner", "layers": inner}}
    config = {
        "class_name": "Sequential",
        "config": {"name": "m", "layers": [model, dense("out", 2)]},
    }
    order = sorted(("d1", "d2"), key=lambda name: name == frozen)
    shapes: dict[str, tuple[int, ...]] = {"kernel": (4, 4), "bias": (4,)}
    weights = {f"{name}/{w}:0": shape for name in order for w, shape in shapes.items()}
    head: dict[str, tuple[int, ...]] = {"out/kernel:0": (4, 2), "out/bias:0": (2,)}
    return config, {"inner": weights, "out": head}


def test_order_inside_a_nested_model_follows_the_flags(tmp_path: Path) -> None:
    config, layers = nested(frozen="d1")
    base = write(tmp_path / "old.h5", layers, config)
    result = patched(base, "{select: [inner/d1, inner/d2], freeze: false}", "new.h5")
    names = names_at(result, "model_weights/inner", "weight_names")
    assert names == ["d1/kernel:0", "d1/bias:0", "d2/kernel:0", "d2/bias:0"]
    for name, array in stored(base).items():
        np.testing.assert_array_equal(stored(result)[name], array)


def test_names_that_do_not_tell_are_not_guessed(tmp_path: Path) -> None:
    config, layers = nested(frozen="")
    layers["inner"] = {f"x{n}/{w.partition('/')[2]}": s for n, (w, s) in
                       enumerate(layers["inner"].items())}  # fmt: skip
    base = write(tmp_path / "old.h5", layers, config)
    code, message, _ = refused(base, FREEZE.replace("hidden", "out"), "new.keras")
    assert (code, "cannot be told apart" in message) == ("PC405", True)
    result = patched(base, FREEZE.replace("hidden", "out"), "new.h5")
    assert stored(result).keys() == stored(base).keys()


def test_names_of_another_session_out_of_order_are_not_guessed(tmp_path: Path) -> None:
    config, layers = nested(frozen="")
    renamed = {"d1": "d2", "d2": "d2_1"}  # `d1` was called `d2` when `d2` was made anew
    layers["inner"] = {f"{renamed[n.split('/')[0]]}/{n.split('/')[1]}": s
                       for n, s in reversed(layers["inner"].items())}  # fmt: skip
    base = write(tmp_path / "old.h5", layers, config)
    assert refused(base, "{select: inner/d1, freeze: true}", "new.keras")[0] == "PC405"


@pytest.mark.parametrize(
    "options", [{"compression": "gzip", "shuffle": True}, {"chunks": True}, {"libver": "latest"}]
)
def test_other_dialects_of_hdf5(tmp_path: Path, options: dict[str, Any]) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config(), **options)
    result = patched(base, HEAD, "new.h5")
    np.testing.assert_array_equal(
        stored(result)["model_weights/hidden/hidden/kernel:0"], values(1, (4, 5))
    )


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config(), libver="latest")
    with h5py.File(base, "a", libver="latest") as file:
        del file["model_weights/out/out/kernel:0"]
        file["model_weights/out/out/kernel:0"] = h5py.ExternalLink("secret.h5", "/x")
    code, message, _ = refused(base, HEAD, "new.h5")
    assert (code, "link" in message) == ("PC403", True)


def test_long_lists_of_names_are_split(tmp_path: Path) -> None:
    layers: Named = {f"{'layer' * 20}_{n}": {} for n in range(900)}
    names: dict[str, Any] = {**layers, **MLP}
    config = mlp_config()
    idle = [{"class_name": "Activation", "config": {"name": n, "activation": "linear"}}
            for n in layers]  # fmt: skip
    config["config"]["layers"][1:1] = idle
    base = write(tmp_path / "old.h5", {}, config)
    with h5py.File(base, "a") as file:
        weights = file["model_weights"]
        order = ["hidden", *layers, "out"]
        del weights.attrs["layer_names"]
        for part, piece in enumerate(np.array_split(np.array(order, dtype="S"), 2)):
            weights.attrs[f"layer_names{part}"] = piece
        for name in order:
            group = weights.create_group(name)
            group.attrs["weight_names"] = [w.encode() for w in names[name]]
            for number, (weight, shape) in enumerate(names[name].items()):
                group.create_dataset(weight, data=values(number, shape))
    result = patched(base, HEAD, "new.h5")
    with h5py.File(result) as file:
        found = [n for p in (0, 1) for n in file["model_weights"].attrs[f"layer_names{p}"]]
    assert [name.decode() for name in found] == order


def test_a_new_layer_is_written_as_keras_2_does(tmp_path: Path) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config())
    new = "{units: 5, name: more, kernel_regularizer: {L2: {l2: 0.1}}}"
    edit = f"{{select: hidden, insert_after: {{Dense: {new}}}}}"
    result = patched(base, edit, "new.h5")
    entry = config_of(result)["config"]["layers"][1]
    assert entry == {
        "class_name": "Dense",
        "config": {
            "units": 5,
            "name": "more",
            "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.1}},
        },
    }
    assert "model_weights/more/more/kernel:0" in stored(result)


def test_the_optimizer_follows_its_weights(tmp_path: Path) -> None:
    weights = [(n, s) for layer in MLP.values() for n, s in layer.items()]
    plain = [(name.partition(":")[0], shape) for name, shape in weights]
    slots = [(f"Adam/{n}/{slot}:0", values(50 + i, s)) for i, slot in enumerate("mv")
             for n, s in plain]  # fmt: skip
    state = [("Adam/iter:0", np.int64(7)), *slots]
    base = write(
        tmp_path / "old.h5", MLP, mlp_config(), training={"loss": "mse", **ADAM}, optimizer=state
    )
    result = patched(base, FREEZE, "new.h5")
    names = names_at(result, "optimizer_weights", "weight_names")
    assert names == [
        "Adam/iter:0",
        *(f"Adam/out/{w}/{s}:0" for s in "mv" for w in ("kernel", "bias")),
    ]
    held = stored(result)
    np.testing.assert_array_equal(held["optimizer_weights/Adam/out/kernel/v:0"], values(51, (5, 3)))
    assert held["optimizer_weights/Adam/iter:0"] == 7
    grown = stored(patched(base, HEAD, "grown.h5"))
    assert grown["optimizer_weights/Adam/out/kernel/m:0"].shape == (5, 5)
    as_keras = patched(base, FREEZE, "new.keras")
    assert patchc.plan(
        as_keras, patchc.loads("patchc: 1\nid: x\nedits: [{select: out, freeze: true}]")
    )


def test_shapes_behind_layers_of_unknown_classes(tmp_path: Path) -> None:
    """Their own, where they read several alike; and those of functions that read what they make."""

    def entry(class_name: str, name: str, *before: str, **config: Any) -> dict[str, Any]:
        nodes = [[[tensor, 0, 0, {}] for tensor in before]] if before else []
        told = {"name": name, "trainable": True, **config}
        return {"class_name": class_name, "name": name, "config": told, "inbound_nodes": nodes}

    add = entry("TFOpLambda", "add", function="__operators__.add")
    add["inbound_nodes"] = [["x", 0, 0, {"y": ["mine", 0, 0], "name": None}]]
    layers = [
        entry("InputLayer", "x", batch_input_shape=[None, 4], dtype="float32"),
        entry("MyScale", "mine", "x", "x"),
        add,
        entry("Dense", "hidden", "add", units=5),
        entry("Dense", "out", "hidden", units=3),
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["out", 0, 0]]}
    config = {"class_name": "Functional", "config": {"name": "m", "layers": layers, **ends}}
    base = write(tmp_path / "old.h5", MLP, config)
    for name in ("new.h5", "new.keras"):
        result = patched(base, HEAD, name)
        assert inspect_file(result).model.params == 4 * 5 + 5 + 5 * 5 + 5
