"""The history of HDF5 files and sharded weights, and models that are run to compare outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import patchc
from patchc.history import adopt_history
from patchc.language.patch import Patch
from patchc.storage.history import PENDING
from tests.formats.handmade import MLP, attribute, mlp_config, stored, write
from tests.formats.test_hdf5_models import ADAM
from tests.formats.test_sharded import sharded
from tests.formats.test_weights_files import keras_weights


def patch(name: str, edit: str, **more: Any) -> Patch:
    told = {"patchc": 1, "id": name, **more}
    return patchc.loads(
        "\n".join(f"{k}: {json.dumps(v)}" for k, v in told.items()) + f"\nedits: [{edit}]"
    )


GROW = "{select: out, expand: {by: 2}}"


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("model.h5", "out"),
        ("w.h5", "out"),
        ("w.weights.h5", "dense_1"),
        ("m.weights.json", "dense_1"),
    ],
)
def test_every_format_records_what_was_done(tmp_path: Path, kind: str, layer: str) -> None:
    base = tmp_path / kind
    if kind == "m.weights.json":
        sharded(tmp_path)
    elif kind == "w.weights.h5":
        keras_weights(base, {"dense": [(4, 6), (6,)], "dense_1": [(5, 3), (3,)]})
    else:
        write(base, MLP, mlp_config() if kind == "model.h5" else None)
    first, second = tmp_path / f"one{kind[1:]}", tmp_path / f"two{kind[1:]}"
    edit = f"{{select: {layer}, init: {{bias: ones}}}}"
    report = patchc.apply(base, patch("a", edit, description=f"not {PENDING}"), first)
    patchc.apply(
        first, patch("b", edit.replace("ones", "zeros"), requires="a"), second, digest=False
    )
    newest, oldest = patchc.log(second).history
    assert (newest.id, oldest.id) == ("b", "a")
    assert oldest.base == report.to_dict()["base"]["sha256"] == patchc.log(base).contents
    assert newest.base == patchc.log(first).contents
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(second, patch("a", edit))
    assert caught.value.diagnostics[0].code == "PC313"


def test_the_history_goes_into_another_format(tmp_path: Path) -> None:
    base = write(tmp_path / "old.h5", MLP, mlp_config())
    patchc.apply(base, patch("a", GROW), tmp_path / "new.h5")
    assert json.loads(attribute(tmp_path / "new.h5", "/", "patchc"))["version"] == 1
    patchc.convert(tmp_path / "new.h5", tmp_path / "new.keras")
    assert [applied.id for applied in patchc.log(tmp_path / "new.keras").history] == ["a"]


def test_a_damaged_history_is_refused(tmp_path: Path) -> None:
    import h5py

    base = write(tmp_path / "old.h5", MLP, mlp_config())
    with h5py.File(base, "a") as file:
        file.attrs["patchc"] = "{"
    with pytest.raises(patchc.PatchError) as caught:
        patchc.log(base)
    assert caught.value.diagnostics[0].code == "PC404"


def test_keras_passes_over_it_and_adopt_brings_it_back(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="out")])
    model.compile("sgd", "mean_squared_error")
    model.save(tmp_path / "base.h5")
    patchc.apply(tmp_path / "base.h5", patch("a", GROW), tmp_path / "new.h5")
    loaded = keras.models.load_model(tmp_path / "new.h5", compile=False)
    loaded.compile("sgd", "mean_squared_error")
    loaded.fit(np.ones((2, 4)), np.ones((2, 5)), verbose=0)
    loaded.save(tmp_path / "trained.h5")
    assert not patchc.log(tmp_path / "trained.h5").history
    adopt_history(tmp_path / "new.h5", tmp_path / "trained.h5", tmp_path / "adopted.h5")
    assert [applied.id for applied in patchc.log(tmp_path / "adopted.h5").history] == ["a"]
    before, after = stored(tmp_path / "trained.h5"), stored(tmp_path / "adopted.h5")
    assert before.keys() == after.keys()
    assert all((before[name] == after[name]).all() for name in before)
    again = keras.models.load_model(tmp_path / "adopted.h5")
    np.testing.assert_array_equal(again(np.ones((1, 4))), loaded(np.ones((1, 4))))


@pytest.mark.parametrize("ending", ["h5", "keras"])
@pytest.mark.parametrize("edit", [GROW, "{select: out, init: {bias: ones}}"])
def test_outputs_of_a_model_that_keras_does_not_open(
    tmp_path: Path, ending: str, edit: str
) -> None:
    config = mlp_config(activation="relu")
    config["config"] = config["config"]["layers"]  # a bare list, as until Keras 2.2
    base = write(
        tmp_path / "old.h5", MLP, config, training={"loss": "mse", **ADAM}, version="2.0.5"
    )
    out = tmp_path / f"new.{ending}"
    wanted = patch("a", edit, verify={"outputs": "extends"})
    if edit == GROW:
        report = patchc.apply(base, wanted, out)
        assert [check.name for check in report.checks][-1] == "outputs-extend"
        assert patchc.verify(base, out, wanted, run=True).ok
    else:
        with pytest.raises(patchc.PatchError) as caught:
            patchc.apply(base, wanted, out)
        assert caught.value.diagnostics[0].code == "PC501"
        assert not out.exists()
