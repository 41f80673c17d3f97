"""`patchc diff --as-patch`: the patch leads there, and says what it does not bring."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program
from patchc.diff.as_patch import InferredPatch, as_patch
from patchc.diff.patch_text import flow
from patchc.errors import Source
from patchc.language.source import parse

DENSE = {"Dense": {"units": 16, "name": "more", "kernel_regularizer": {"L2": {"l2": 0.1}}}}


def run(*args: str) -> Result:
    return CliRunner().invoke(program(), args)


def inferred(model: str, edits: list[Any], **keys: Any) -> InferredPatch:
    """What is inferred from a model and what edits make of it; it leads to the same structure."""
    text = json.dumps({"patchc": 1, "id": "p", "edits": edits, **keys})
    wanted = patchc.plan(model, patchc.loads(text)).structure
    patchc.apply(model, patchc.loads(text), "after.keras", force=True)
    found = as_patch(model, "after.keras")
    patch = patchc.loads(found.text)
    assert patchc.plan(model, patch).structure == wanted
    assert patchc.apply(model, patch, "again.keras", force=True).ok
    return found


@pytest.mark.parametrize(
    ("model", "edit", "line"),
    [
        ("small", {"select": "predictions", "expand": {"by": 2}}, "expand: {to: 12}"),
        ("small", {"select": "hidden", "shrink": {"drop": [3, 5]}}, "shrink: {drop: [3, 5]}"),
        ("small", {"select": "drop", "remove": True}, "remove: true"),
        ("small", {"select": "drop", "set": {"rate": 0.5}}, "set: {rate: 0.5}"),
        ("small", {"select": "norm", "freeze": True}, "freeze: true"),
        ("small", {"select": "drop", "rename": "dropped"}, "rename: dropped"),
        ("small", {"select": "norm", "truncate": True}, "truncate: true"),
        ("two", {"select": "bn1", "insert_after": "ReLU"}, "insert_after: {ReLU: {name: re_lu}}"),
        (
            "two",
            {"select": "label", "replace": {"Dense": {"units": 3}}},
            "replace: {Dense: {units: 3}}",
        ),
        ("two", {"select": "pool", "add_output": True}, "add_output: true"),
    ],
)
def test_one_edit_comes_back(desk: Path, model: str, edit: dict[str, Any], line: str) -> None:
    found = inferred(f"{model}.keras", [edit])
    assert found.edits == 1
    assert line in found.text


def test_several_edits_and_objects(desk: Path) -> None:
    edits = [
        {"select": "hidden", "insert_after": DENSE},
        {
            "select": {"block": {"from": "norm", "to": "drop"}},
            "replace": {"LayerNormalization": {}},
        },
        {"select": "predictions", "add_output": {"residual": [{"Dense": {"units": 10}}]}},
    ]
    found = inferred("small.keras", edits)
    assert "kernel_regularizer: {L2: {l2: 0.1}}" in found.text


def test_a_copied_block_with_two_branches_is_a_copy(desk: Path) -> None:
    import keras

    x = keras.Input((8,), name="x")
    branches = [keras.layers.Dense(4, name=name)(x) for name in "ab"]
    joined = keras.layers.Concatenate(name="c")(branches)
    keras.Model(x, keras.layers.Dense(3, name="o")(joined)).save("base.keras")
    copy = {"copy_of": {"block": {"from": ["a", "b"], "to": "c"}}}
    found = inferred("base.keras", [{"select": "c", "insert_after": copy}])
    assert "insert_after: {copy_of: {block: {from: [" in found.text
    assert found.differing == {}


def test_entries_in_the_middle_are_found_by_their_values(desk: Path) -> None:
    _randomise("small.keras", "predictions", seed=3)
    found = inferred("small.keras", [{"select": "predictions", "expand": {"by": 2, "at": [0, 4]}}])
    assert "expand: {to: 12, at: [0, 4]}" in found.text
    assert not any("old entries" in what for what in found.differing.values())


def test_many_flags_become_one_edit(desk: Path) -> None:
    found = inferred("two.keras", [{"select": {"not": {"head": "*"}}, "freeze": True}])
    assert found.edits == 1
    assert "select: {not: [label, value]}" in found.text


def test_features_of_an_input_are_told_by_what_reads_them(desk: Path) -> None:
    found = inferred("small.keras", [{"select": "features", "shrink": {"drop": [1, 5]}}])
    assert "shrink: {drop: [1, 5]}" in found.text
    assert found.differing == {}


def test_another_learning_rate_is_said_as_such(desk: Path) -> None:
    edits = [{"select": "drop", "set": {"rate": 0.5}}]
    found = inferred("small.keras", edits, compile={"learning_rate": 0.25})
    assert "compile: {learning_rate: 0.25}" in found.text
    assert found.training == ()


def test_the_training_configuration_comes_along(desk: Path) -> None:
    edits = [{"select": "drop", "set": {"rate": 0.5}}]
    found = inferred("small.keras", edits, compile={"loss": "mse"})
    assert "compile: {loss: mse}" in found.text
    assert found.training == ()


def test_values_that_differ_are_named(desk: Path) -> None:
    _randomise("two.keras", "value", seed=1, to="trained.keras")
    edit = '{"patchc": 1, "id": "p", "edits": [{"select": "act1", "remove": true}]}'
    patchc.apply("trained.keras", patchc.loads(edit), "after.keras")
    found = as_patch("two.keras", "after.keras")
    assert sorted(found.differing) == ["value/bias", "value/kernel"]
    assert "#   value/kernel: its values, by " in found.text


def test_the_same_structure_leaves_nothing_to_do(desk: Path) -> None:
    result = run("diff", "small.keras", "small.keras", "--as-patch")
    assert result.exit_code == 1
    assert "PC311" in result.stderr
    assert "nothing for a patch to do" in result.stderr


def test_what_no_patch_makes_is_refused_by_name(desk: Path) -> None:
    result = run("diff", "small.keras", "two.keras", "--as-patch")
    assert result.exit_code == 1
    assert "PC311 no patch was found that leads there" in result.stderr
    assert "`backbone` is a nested model, which a patch cannot make" in result.stderr


@pytest.mark.parametrize(
    "value",
    ["yes", "null", "1e5", "$x", "a: b", "*", "é", "", "x\n", 1e-5, -0.0, 10**20, None, True, [[]]],
)
def test_values_come_back_from_yaml(value: Any) -> None:
    assert parse(Source("t", f"key: {flow(value)}")).data == {
        "key": f"${value}" if value == "$x" else value
    }


def _randomise(model: str, layer: str, *, seed: int, to: str | None = None) -> None:
    import keras

    loaded = keras.models.load_model(model)
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=w.shape) for w in loaded.get_layer(layer).get_weights()]
    loaded.get_layer(layer).set_weights(weights)
    loaded.save(to or model)
