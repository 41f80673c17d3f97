"""Undo files and statements of provenance: written beside a result, and the way back."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program
from patchc.language.schema import read_schema
from tests.cli.files import rewritten

SHRINK = "patchc: 1\nid: fewer\nedits:\n  - select: predictions\n    shrink: {drop: [3, 4]}\n"
REPLACE = (
    "patchc: 1\nid: other\nedits:\n"
    "  - select: predictions\n    replace: {Dense: {units: 3, activation: softmax}}\n"
    "  - select: drop\n    insert_before: {Dense: {units: 16, name: extra}}\n"
)


def run(*args: str) -> Result:
    return CliRunner().invoke(program(), args)


def data(*args: str) -> Any:
    """What a command prints as JSON, which has to follow the schema."""
    found = json.loads(run(*args, "--format", "json").stdout)
    validator = Draft7Validator(json.loads(read_schema("report")))
    assert [error.message for error in validator.iter_errors(found)] == []
    return found


@pytest.fixture
def kept(desk: Path) -> Path:
    """A desk on which patches were applied to `small.keras`, with undo files."""
    (desk / "shrink.yaml").write_text(SHRINK)
    (desk / "replace.yaml").write_text(REPLACE)
    for name in ("grow", "shrink", "replace", "nothing"):
        patch = patchc.load(f"{name}.yaml")
        patchc.apply("small.keras", patch, f"{name}.keras", undo_file=f"{name}.undo")
    return desk


def train(name: str, **compiled: Any) -> Any:
    """Train a model for a step and save it as `trained.keras`."""
    model = keras.models.load_model(f"{name}.keras")
    if compiled:
        model.compile(**compiled)
    model.run_eagerly = True
    model.train_on_batch(np.ones((4, 8)), np.arange(4) % model.output_shape[-1])
    model.save("trained.keras")
    return model


# ------------------------------------------------------------------------ byte for byte


@pytest.mark.parametrize("name", ["grow", "shrink", "replace", "nothing"])
def test_the_original_file_comes_back(kept: Path, name: str) -> None:
    result = run("revert", f"{name}.keras", "--undo", f"{name}.undo", "-o", "back.keras")
    assert result.stdout == "Wrote back.keras: the original file, byte for byte.\n"
    assert (kept / "back.keras").read_bytes() == (kept / "small.keras").read_bytes()


@pytest.mark.parametrize("name", ["grow", "shrink", "replace"])
def test_a_model_that_keras_only_saved_again_comes_back_too(kept: Path, name: str) -> None:
    keras.models.load_model(f"{name}.keras").save("saved.keras")
    assert patchc.revert("saved.keras", f"{name}.undo", "back.keras").facts["exact"]
    assert (kept / "back.keras").read_bytes() == (kept / "small.keras").read_bytes()


def test_a_layer_that_keras_tells_whether_it_trains_is_the_same_layer(kept: Path) -> None:
    """Inside a nested model Keras saves `training: false` with the call of a new Dropout."""
    inner_input = keras.Input((4,), name="inner_input")
    inner = keras.Model(inner_input, keras.layers.Dense(4, name="d")(inner_input), name="inner")
    outer_input = keras.Input((4,), name="outer_input")
    keras.Model(outer_input, inner(outer_input)).save("nest.keras")
    patch = patchc.loads(
        "patchc: 1\nid: drop\nedits:\n  - select: inner/d\n    insert_after: {Dropout: {rate: 0.5}}"
    )
    patchc.apply("nest.keras", patch, "dropping.keras", undo_file="nest.undo")
    keras.models.load_model("dropping.keras").save("saved.keras")
    patchc.adopt("dropping.keras", "saved.keras", "adopted.keras")
    assert patchc.revert("saved.keras", "nest.undo", "back.keras").facts["exact"]
    assert (kept / "back.keras").read_bytes() == (kept / "nest.keras").read_bytes()


def test_patches_are_taken_back_in_the_opposite_order(kept: Path) -> None:
    more = patchc.loads(
        "patchc: 1\nid: more\nedits:\n  - select: predictions\n    expand: {by: 1}\n"
    )
    patchc.apply("grow.keras", more, "both.keras", undo_file="more.undo")
    with pytest.raises(patchc.PatchError) as refused:
        patchc.revert("both.keras", "grow.undo", "back.keras")
    assert [found.code for found in refused.value.diagnostics] == ["PC410"]
    patchc.revert("both.keras", "more.undo", "both.keras", in_place=True)
    assert (kept / "both.keras").read_bytes() == (kept / "grow.keras").read_bytes()


def test_undo_files_hold_only_what_the_result_does_not(kept: Path) -> None:
    """Grown weights are still in the result; so an undo file is the container and little more."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(512, name="wide")])
    model.save("wide.keras")
    patch = patchc.loads("patchc: 1\nid: wider\nedits: [{select: wide, expand: {by: 8}}]")
    patchc.apply("wide.keras", patch, "wider.keras", undo_file="wider.undo")
    assert (kept / "wide.keras").stat().st_size > 130_000
    assert (kept / "wider.undo").stat().st_size < 20_000


def test_an_undo_file_is_reproducible(kept: Path) -> None:
    args = ("apply", "small.keras", "shrink.yaml", "-o", "again.keras", "--no-digest")
    result = run(*args, "--undo-file", "again.undo")
    assert result.stderr == (
        "To take it back: patchc revert again.keras --undo again.undo -o OUT\n"
    )
    assert (kept / "again.undo").read_bytes() == (kept / "shrink.undo").read_bytes()


# ------------------------------------------------------------------------ after training


def test_what_was_learned_since_is_kept(kept: Path) -> None:
    model = train("grow")
    found = data("revert", "trained.keras", "--undo", "grow.undo", "-o", "back.keras")
    assert (found["exact"], found["diagnostics"]) == (False, [])
    assert found["weights"]["restored"] == 0
    assert found["weights"]["trained"] >= 6
    back = keras.models.load_model("back.keras")
    assert [w.shape for w in back.weights] == [
        w.shape for w in keras.models.load_model("small.keras").weights
    ]
    kernel = model.get_layer("predictions").kernel.numpy()
    np.testing.assert_array_equal(back.get_layer("predictions").kernel, kernel[:16, :10])
    assert int(back.optimizer.iterations) == int(model.optimizer.iterations)
    assert patchc.verify("back.keras", "grow.keras", patchc.load("grow.yaml")).ok is False


def test_what_the_patch_took_away_comes_back_as_it_was(kept: Path) -> None:
    model = train("shrink")
    result = run("revert", "trained.keras", "--undo", "shrink.undo", "-o", "back.keras")
    assert "PC911 warning: what the patch took out of `predictions/kernel`" in result.stdout
    back, small = (keras.models.load_model(f"{n}.keras") for n in ("back", "small"))
    left = [0, 1, 2, 5, 6, 7, 8, 9]
    one, two = (m.get_layer("predictions").kernel.numpy() for m in (back, small))
    np.testing.assert_array_equal(one[:, left], model.get_layer("predictions").kernel)
    np.testing.assert_array_equal(one[:, [3, 4]], two[:, [3, 4]])


def test_dropped_weights_come_back_as_they_were(kept: Path) -> None:
    model = train("replace")
    done = patchc.revert("trained.keras", "replace.undo", "back.keras")
    assert done.facts["weights"]["restored"] == 2
    assert [warning.code for warning in done.warnings] == ["PC911"]
    assert "`predictions/kernel`, `predictions/bias` have their values" in done.warnings[0].message
    back, small = (keras.models.load_model(f"{n}.keras") for n in ("back", "small"))
    np.testing.assert_array_equal(
        back.get_layer("predictions").kernel, small.get_layer("predictions").kernel
    )
    np.testing.assert_array_equal(back.get_layer("hidden").kernel, model.get_layer("hidden").kernel)


def test_the_state_of_another_optimizer_is_left_out_and_said(kept: Path) -> None:
    train("grow", optimizer="sgd", loss="sparse_categorical_crossentropy")
    done = patchc.revert("trained.keras", "grow.undo", "back.keras")
    assert "the optimizer's state is not that of the result" in done.warnings[0].message
    assert keras.models.load_model("back.keras").output_shape == (None, 10)


# ------------------------------------------------------------------------------ refused


def test_another_model_is_refused(kept: Path) -> None:
    result = run("revert", "two.keras", "--undo", "grow.undo", "-o", "back.keras")
    assert result.exit_code == 1
    assert "PC410 its structure is not that which `grow` gave to its model" in result.stderr
    assert not Path("back.keras").exists()


def _index(change: Callable[[Any], object]) -> None:
    """Change the index of `shrink.undo`."""

    def changed(name: str, text: bytes) -> bytes:
        if name != "undo.json":
            return text
        found = json.loads(text)
        change(found)
        return json.dumps(found).encode()

    rewritten(Path("shrink.undo"), Path("odd.undo"), changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.update(undo=2),
        lambda index: index.update(size=index["size"] + 1),
        lambda index: index.update(size=None),
        lambda index: index.pop("sha256"),
        lambda index: index.update(more=1),
        lambda index: index["weights"].pop(),
        lambda index: index["weights"][0].update(offset=-1),
        lambda index: index["weights"][0].update(offset=1 << 40),
        lambda index: index["weights"][0].update(shape=[1 << 40]),
        lambda index: index["weights"][0].update(nbytes="x"),
        lambda index: index["weights"][0].update(now_shape=[3]),
        lambda index: _kernel(index).update(changes=[[[0, 99]], [[0, 8]]]),
        lambda index: _kernel(index).update(changes=[[[-7, 16]], [[0, 8]]]),
        lambda index: _kernel(index).update(changes=3),
        lambda index: _kernel(index).update(kept=0),
        lambda index: _kernel(index).update(dtype="object"),
    ],
)
def test_an_index_of_another_form_is_refused(kept: Path, change: Callable[[Any], object]) -> None:
    _index(change)
    result = run("revert", "shrink.keras", "--undo", "odd.undo", "-o", "back.keras")
    assert result.exit_code == 1
    assert result.stderr.startswith("PC410 the undo file cannot be used: ")
    assert not Path("back.keras").exists()


def _kernel(index: Any) -> Any:
    return next(w for w in index["weights"] if w["path"] == "predictions/kernel")


@pytest.mark.parametrize("name", ["small.keras", "grow.yaml", "missing.undo"])
def test_what_is_no_undo_file_is_refused(kept: Path, name: str) -> None:
    result = run("revert", "grow.keras", "--undo", name, "-o", "back.keras")
    assert result.exit_code == 1
    assert result.stderr.startswith("PC4")


def test_damaged_bytes_are_noticed(kept: Path) -> None:
    with zipfile.ZipFile("grow.undo") as archive:
        data = bytearray(archive.read("kept"))
    data[40] ^= 1
    rewritten(Path("grow.undo"), Path("odd.undo"), lambda n, d: bytes(data) if n == "kept" else d)
    result = run("revert", "grow.keras", "--undo", "odd.undo", "-o", "back.keras")
    assert result.exit_code == 1
    assert not Path("back.keras").exists()


# -------------------------------------------------------------------- beside the result


def test_a_failure_leaves_no_undo_file(desk: Path) -> None:
    (desk / "x.undo").write_text("mine")
    before = sorted(desk.iterdir())
    args = ("apply", "small.keras", "grow.yaml", "-o", "out.keras", "--undo-file", "x.undo")
    assert run(*args).exit_code == 1
    assert sorted(desk.iterdir()) == before
    assert (desk / "x.undo").read_text() == "mine"
    assert run(*args, "--force").exit_code == 0


def test_in_place_with_an_undo_file(desk: Path) -> None:
    original = (desk / "small.keras").read_bytes()
    run("apply", "small.keras", "grow.yaml", "--in-place", "--undo-file", "x.undo")
    assert (desk / "small.keras").read_bytes() != original
    assert run("revert", "small.keras", "--undo", "x.undo", "--in-place").exit_code == 0
    assert (desk / "small.keras").read_bytes() == original


def test_a_statement_says_where_the_result_comes_from(desk: Path) -> None:
    args = ("apply", "small.keras", "params.yaml", "--set", "classes=13", "-o", "out.keras")
    assert run(*args, "--provenance", "--no-digest").exit_code == 0
    statement = json.loads(Path("out.keras.patchc.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [_resource("out.keras")]
    build = statement["predicate"]["buildDefinition"]
    assert build["resolvedDependencies"] == [_resource("small.keras"), _resource("params.yaml")]
    assert build["externalParameters"]["patches"] == [
        {
            "id": "params",
            "text": Path("params.yaml").read_text(),
            "params": {"classes": 13},
            "seed": None,
        }
    ]
    assert statement["predicate"]["patchc_history"] == ["params"]


def _resource(name: str) -> Any:
    return {
        "name": name,
        "digest": {"sha256": hashlib.sha256(Path(name).read_bytes()).hexdigest()},
    }
