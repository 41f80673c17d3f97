"""Sharded weights of Keras 3: an index and several files."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import patchc
from patchc.inspect import inspect_file
from patchc.storage import publish
from tests.formats.handmade import mlp_config, stored, values
from tests.formats.test_hdf5_models import HEAD, patched, refused
from tests.formats.test_weights_files import keras_weights

INIT = "{select: dense, init: {kernel: zeros}}"


def sharded(tmp_path: Path) -> Path:
    keras_weights(tmp_path / "m_00000.weights.h5", {"dense": [(4, 5), (5,)]})
    keras_weights(tmp_path / "m_00001.weights.h5", {"dense_1": [(5, 3), (3,)]})
    index: dict[str, Any] = {
        "metadata": {"total_size": 1.0},
        "weight_map": {
            "/layers/dense/vars": "m_00000.weights.h5",
            "/layers/dense_1/vars": ["m_00001.weights.h5"],
        },
    }
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps(index))
    return path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_sharded_weights(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    (tmp_path / "m.json").write_text(json.dumps({**mlp_config(), "keras_version": "2.4.0"}))
    result = patched(base, HEAD, "new.keras")
    with zipfile.ZipFile(result) as archive:
        (tmp_path / "w.h5").write_bytes(archive.read("model.weights.h5"))
    np.testing.assert_array_equal(
        stored(tmp_path / "w.h5")["layers/dense/vars/0"], values(1, (4, 5))
    )


def test_sharded_weights_become_one_file(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    result = stored(patched(base, "{select: dense_1, init: {kernel: zeros}}", "one.weights.h5"))
    np.testing.assert_array_equal(result["layers/dense/vars/0"], values(1, (4, 5)))
    assert not result["layers/dense_1/vars/0"].any()
    code, _, help_ = refused(base, INIT, "two.json")
    assert (code, ".weights.json" in help_) == ("PC406", True)


def test_sharded_weights_stay_in_shards(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    result = patched(base, "{select: dense_1, expand: {by: 1}}", "new.weights.json")
    index = json.loads(result.read_text())
    assert index["weight_map"] == {
        "/layers/dense/vars": ["new_00000.weights.h5"],
        "/layers/dense_1/vars": ["new_00001.weights.h5"],
    }
    assert index["metadata"]["total_size"] == 4 * (20 + 5 + 20 + 4)
    grown = stored(tmp_path / "new_00001.weights.h5")
    assert grown["layers/dense_1/vars/0"].shape == (5, 4)
    same = (tmp_path / "new_00000.weights.h5", tmp_path / "m_00000.weights.h5")
    assert stored(same[0]).keys() == stored(same[1]).keys()


def test_nothing_to_do_gives_the_same_shards(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    patched(base, "{select: dense, expand: {to: 5}}", "new.weights.json")
    for number in range(2):
        name = f"_0000{number}.weights.h5"
        assert (tmp_path / f"new{name}").read_bytes() == (tmp_path / f"m{name}").read_bytes()


def test_all_files_of_a_result_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = sharded(tmp_path)
    before = files(tmp_path)
    move = publish._Draft.publish

    def failing(draft: Any) -> None:
        if draft.path.endswith(".json"):
            raise OSError(28, os.strerror(28))
        move(draft)

    monkeypatch.setattr(publish._Draft, "publish", failing)
    with pytest.raises(OSError, match="space"):
        patched(base, INIT, "new.weights.json")
    assert files(tmp_path) == before


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    (tmp_path / "new_00001.weights.h5").write_bytes(b"mine")
    code, message, _ = refused(base, INIT, "new.weights.json")
    assert (code, "exists" in message) == ("PC406", True)
    assert (tmp_path / "new_00001.weights.h5").read_bytes() == b"mine"
    patch = patchc.loads(f"patchc: 1\nid: x\nedits: [{INIT}]")
    for in_place in (False, True):
        with pytest.raises(patchc.PatchError) as caught:
            patchc.apply(base, patch, base, force=not in_place, in_place=in_place)
        assert caught.value.diagnostics[0].code == "PC406"


def test_no_statement_of_several_files(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    patch = patchc.loads(f"patchc: 1\nid: x\nedits: [{INIT}]")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.apply(base, patch, tmp_path / "new.weights.json", provenance=True)
    assert caught.value.diagnostics[0].code == "PC310"


def test_a_plan_of_other_shards_is_stale(tmp_path: Path) -> None:
    from patchc.pipeline import apply_file, save_plan
    from patchc.saved import read_plan

    base = sharded(tmp_path)
    saved = tmp_path / "plan.json"
    save_plan(base, [patchc.loads(f"patchc: 1\nid: x\nedits: [{INIT}]")], saved)
    keras_weights(tmp_path / "m_00001.weights.h5", {"dense": [(1,)], "dense_1": [(5, 3), (3,)]})
    (tmp_path / "m_00000.weights.h5").unlink()
    keras_weights(tmp_path / "m_00000.weights.h5", {"dense": [(4, 5), (5,)]})
    keras_weights(tmp_path / "m_00001.weights.h5", {"x": [(3,)], "dense_1": [(5, 3), (3,)]})
    plan = read_plan(os.fspath(saved))
    with pytest.raises(patchc.PatchError) as caught:
        apply_file(base, plan.patches(), tmp_path / "new.weights.json", saved=plan)
    assert caught.value.diagnostics[0].code == "PC408"


def test_keras_loads_the_shards(tmp_path: Path) -> None:
    import keras
    from keras import layers

    inputs = keras.Input((8,))
    x = layers.Dropout(0.5)(layers.Dense(50, name="hidden")(inputs))
    model = keras.Model(inputs, layers.Dense(40, name="out")(x))
    model.compile("adam", "mean_squared_error")
    model.fit(np.ones((2, 8)), np.ones((2, 40)), verbose=0)
    base = tmp_path / "m.weights.json"
    model.save_weights(base, max_shard_size=9000 / 1024**3)
    (tmp_path / "m.json").write_text(model.to_json())
    before = [np.asarray(v) for v in (*model.weights, *model.optimizer.variables)]
    result = patched(base, "{select: out, init: {bias: ones}}", "new.weights.json")
    assert len(set(json.loads(result.read_text())["weight_map"]["/optimizer/vars"])) > 2
    model.load_weights(result)
    after = [np.asarray(v) for v in (*model.weights, *model.optimizer.variables)]
    assert (after[3] == 1).all()
    changed = [
        n for n, pair in enumerate(zip(before, after, strict=True)) if (pair[0] != pair[1]).any()
    ]
    assert changed == [3, 4 + 2 + 6, 4 + 2 + 7]  # the bias and its averages


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    base = sharded(tmp_path)
    (tmp_path / "m_00001.weights.h5").unlink()
    with pytest.raises(patchc.PatchError) as caught:
        inspect_file(base)
    assert caught.value.diagnostics[0].code == "PC401"
    assert "m_00001" in str(caught.value.diagnostics[0].file)


@pytest.mark.parametrize("name", ["../m.h5", "/etc/passwd", ""])
def test_an_index_that_points_elsewhere(tmp_path: Path, name: str) -> None:
    base = sharded(tmp_path)
    base.write_text(json.dumps({"weight_map": {"/layers/dense/vars": name}}))
    with pytest.raises(patchc.PatchError) as caught:
        inspect_file(base)
    assert caught.value.diagnostics[0].code == "PC403"
