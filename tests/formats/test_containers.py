"""Models that were packed by others: unzipped, zipped again, written on Windows."""

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
from tests.formats.handmade import dense, mlp_config, stored, values
from tests.formats.test_hdf5_models import patched

HEAD = "{select: {head: 0}, expand: {by: 2}}"


@pytest.fixture(name="saved", scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras

    chain = [keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3, name="out")]
    model = keras.Sequential([keras.Input((4,)), *chain])
    model.compile("adam", "mean_squared_error")
    model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path


def unzipped(saved: Path, folder: Path) -> Path:
    with zipfile.ZipFile(saved) as archive:
        archive.extractall(folder / "model")
    return folder / "model"


def deflated(saved: Path, folder: Path) -> Path:
    path = folder / "packed.keras"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in reversed(old.namelist()):
            new.writestr(name, old.read(name))
    return path


@pytest.mark.parametrize("pack", [unzipped, deflated])
def test_archives_that_others_packed(tmp_path: Path, saved: Path, pack: Any) -> None:
    import keras

    base = pack(saved, tmp_path)
    facts = inspect_file(base).model
    assert facts.params == inspect_file(saved).model.params
    out = patched(base, HEAD, "new.keras")
    model = keras.models.load_model(out)
    old = keras.models.load_model(saved)
    x = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(model(x)[:, :3], old(x), rtol=1e-6, atol=1e-6)
    assert int(model.optimizer.iterations) == 1
    same = patched(base, "{select: out, freeze: false}", "same.keras")
    assert inspect_file(same).model.structure == facts.structure


def windows(
    path: Path, version: str, names: tuple[str, str] = ("hidden", "out"), slash: str = "\\"
) -> Path:
    """Weights in groups whose names hold backslashes, as Keras 2.12 wrote them on Windows."""
    with h5py.File(path, "w") as file:
        for number, name in enumerate(("dense", "dense_1")):
            group = file.create_group(f"layers{slash}{name}").create_group("vars")
            shapes: list[tuple[int, ...]] = [[(4, 5), (5,)], [(5, 3), (3,)]][number]
            for slot, shape in enumerate(shapes):
                group[str(slot)] = values(2 * number + slot + 1, shape)
    if path.suffix != ".keras":
        return path
    weights = path.rename(path.with_suffix(".h5"))
    config = mlp_config()
    config["config"]["layers"] = [
        dense(names[0], 5, batch_input_shape=[None, 4]),
        dense(names[1], 3),
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.write(weights, "model.weights.h5")
    return path


def test_an_archive_that_was_written_on_windows(tmp_path: Path) -> None:
    base = windows(tmp_path / "model.keras", "2.12.0")
    converted = tmp_path / "converted.keras"
    assert patchc.convert(base, converted).report.ok
    out = patched(converted, HEAD, "new.keras")
    with zipfile.ZipFile(out) as archive:
        (tmp_path / "new.h5").write_bytes(archive.read("model.weights.h5"))
    held = stored(tmp_path / "new.h5")
    np.testing.assert_array_equal(held["layers/dense/vars/0"], values(1, (4, 5)))
    np.testing.assert_array_equal(held["layers/dense_1/vars/1"][:3], values(4, (3,)))


def test_weights_that_were_written_on_windows(tmp_path: Path) -> None:
    base = windows(tmp_path / "model.weights.h5", "2.12.0")
    assert [x.class_name for x in inspect_file(base).model.layers if x.weights] == ["Dense"] * 2
    result = patched(base, "{select: dense_1, expand: {by: 1}}", "new.weights.h5")
    held = stored(result)
    np.testing.assert_array_equal(held["layers/dense/vars/0"], values(1, (4, 5)))
    assert held["layers/dense_1/vars/1"].shape == (4,)
