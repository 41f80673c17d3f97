from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from patchc.storage.live.run import run_check
from tests.live.builders import features, out, patch, perceptron, stir

SAME = {"outputs": "same"}
EXTENDS = {"outputs": "extends"}


def classifier(activation: str | None = "softmax") -> Any:
    inputs = keras.Input((6,), name="x")
    hidden = layers.Dense(8, "relu", name="d0")(inputs)
    return stir(keras.Model(inputs, layers.Dense(4, activation, name="head")(hidden)))


def test_the_same_model_gives_the_same() -> None:
    model = classifier()
    check = run_check(model, model, SAME)
    assert check.ok
    assert check.name == "outputs-same"
    assert "on 8 probes" in check.detail


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_a_grown_head_extends_its_pre_activation(activation: str | None) -> None:
    model = classifier(activation)
    new = patchc.apply(model, patch("{select: head, expand: {by: 2}}"))
    assert run_check(model, new, EXTENDS).ok
    assert not run_check(model, new, SAME).ok


def test_the_cut_goes_through_nested_models_wrappers_layers_and_operations() -> None:
    inner_in = keras.Input((5, 6))
    inner_out = layers.TimeDistributed(layers.Dense(3, "softmax"), name="steps")(inner_in)
    inner = keras.Model(inner_in, inner_out, name="inner")
    inputs = keras.Input((5, 6))
    hidden = layers.Dense(3, name="d")(inputs)
    outputs = [inner(inputs), layers.Softmax(name="s")(hidden), keras.ops.sigmoid(hidden)]
    model = stir(keras.Model(inputs, outputs))
    other = stir(keras.models.clone_model(model))
    # A shift of all logits leaves a softmax as it was: only a comparison before it sees that.
    for dense in (other.get_layer("d"), other.get_layer("inner").get_layer("steps").layer):
        dense.bias.assign(dense.bias + 1)
    kept = run_check(model, other, {**EXTENDS, "atol": 0.1})
    assert not kept.ok
    assert all(f"output {number} differs by up to 1" in kept.detail for number in range(3))


def test_old_entries_are_found_where_the_plan_puts_them() -> None:
    model = classifier()
    edit = "{select: head, expand: {by: 2, at: [0, 2]}}"
    new, report = patchc.apply(model, patch(edit), report=True)
    assert run_check(model, new, EXTENDS, report.plan).ok
    assert not run_check(model, new, EXTENDS).ok


@pytest.mark.parametrize(
    "tail",
    [
        [layers.Flatten()],
        [layers.Reshape((4, 2, 4))],
        [layers.Permute((3, 1, 2)), layers.Activation("sigmoid")],
        [layers.Reshape((-1, 4)), layers.Softmax()],
        [layers.GlobalAveragePooling2D(), layers.RepeatVector(3)],
        [layers.Permute((3, 1, 2)), layers.Reshape((2, 2, 8)), layers.Permute((3, 2, 1))],
    ],
    ids=["flatten", "reshape", "permute", "boxes", "pooling", "twice"],
)
def test_old_entries_are_followed_through_what_stands_behind_the_head(tail: list[Any]) -> None:
    def made(units: int) -> Any:
        head = layers.Conv2D(units, 1, name="head")
        return stir(keras.Sequential([keras.Input((2, 4, 3)), head, *tail]))

    model = made(4)
    grown = "{select: head, expand: {by: 2, at: [1, 3]}}"
    new, report = patchc.apply(model, patch(grown), report=True)
    check = run_check(model, new, EXTENDS, report.plan)
    assert check.ok, check.detail
    new.get_layer("head").bias.assign_add(np.eye(6, dtype="float32")[2])  # entry 1 of the old ones
    assert not run_check(model, new, EXTENDS, report.plan).ok
    new.get_layer("head").bias.assign_sub(np.eye(6, dtype="float32")[2])
    new.get_layer("head").bias.assign_add(np.eye(6, dtype="float32")[1])  # a new one
    assert run_check(model, new, EXTENDS, report.plan).ok


def test_what_is_left_of_a_head_is_compared() -> None:
    model = classifier()
    new, report = patchc.apply(model, patch("{select: head, shrink: {drop: [1]}}"), report=True)
    assert run_check(model, new, EXTENDS, report.plan).ok
    assert not run_check(model, new, EXTENDS).ok


def test_a_head_that_was_replaced_extends_nothing() -> None:
    model = classifier()
    edit = "{select: head, replace: {Dense: {units: 6, activation: softmax}}}"
    new, report = patchc.apply(model, patch(edit), report=True)
    check = run_check(model, new, EXTENDS, report.plan)
    assert "output 0 has shape (8, 6), was (8, 4)" in check.detail


def test_a_changed_weight_is_seen() -> None:
    model = classifier()
    new = patchc.apply(model, patch("{select: d0, init: {bias: zeros}}"))
    check = run_check(model, new, SAME)
    assert not check.ok
    assert "differs by up to" in check.detail
    assert run_check(model, new, {**SAME, "atol": 10.0}).ok


def test_ids_stay_below_the_embedding_and_words_are_known() -> None:
    ids = keras.Input((4,), name="ids")  # floats, as a plain Input is
    words = keras.Input((1,), dtype="string", name="words")
    lookup = layers.StringLookup(vocabulary=["a", "b"], name="lookup")
    one = layers.Flatten()(layers.Embedding(5, 2, name="embedding")(ids))
    two = layers.Flatten()(layers.Embedding(4, 2, name="words_embedding")(lookup(words)))
    model = stir(keras.Model([ids, words], layers.Dense(2)(layers.Concatenate()([one, two]))))
    new = patchc.apply(model, patch("{select: embedding, expand: {by: 3}}"))
    assert run_check(model, new, SAME).ok


def test_the_users_probes(tmp_path: Path) -> None:
    model, probes = classifier(), tmp_path / "probes.npz"
    np.savez(probes, x=features(5))
    assert "on 5 probes" in run_check(model, model, {**SAME, "probes": str(probes)}).detail
    np.savez(probes, y=features(5))
    with pytest.raises(patchc.PatchError, match="no array `x`; it holds `y`"):
        run_check(model, model, {**SAME, "probes": str(probes)})
    probes.write_text("no archive")
    with pytest.raises(patchc.PatchError, match="cannot be read"):
        run_check(model, model, {**SAME, "probes": str(probes)})


def test_verify_in_a_patch_of_a_model_in_memory() -> None:
    model = classifier()
    held = patch("{select: head, expand: {by: 1}}", verify="{outputs: extends}")
    _, report = patchc.apply(model, held, report=True)
    assert report.checks[-1].name == "outputs-extend"
    broken = patch("{select: head, init: default}", verify="{outputs: same}")
    with pytest.raises(patchc.PatchError, match="outputs-same does not hold") as refused:
        patchc.apply(model, broken)
    found = refused.value.diagnostics[0]
    assert found.code == "PC501"
    assert found.span is not None
    assert found.span.line == 3


def test_verify_in_a_patch_withholds_the_file(tmp_path: Path) -> None:
    classifier().save(tmp_path / "m.keras")
    held = patch("{select: head, expand: {by: 1}}", verify="{outputs: extends}")
    report = patchc.apply(tmp_path / "m.keras", held, tmp_path / "out.keras")
    assert report.checks[-1].name == "outputs-extend"
    broken = patch("{select: head, init: default}", verify="{outputs: same}")
    with pytest.raises(patchc.PatchError, match="outputs-same does not hold"):
        patchc.apply(tmp_path / "m.keras", broken, tmp_path / "broken.keras")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.keras", "out.keras"]


def test_probes_lie_beside_their_patch(tmp_path: Path) -> None:
    classifier().save(tmp_path / "m.keras")
    np.savez(tmp_path / "probes.npz", x=features(5))
    text = "patchc: 1\nid: p\nverify: {probes: probes.npz}\nedits: [{select: d0, freeze: true}]\n"
    (tmp_path / "p.yaml").write_text(text)
    held = patchc.load(tmp_path / "p.yaml")
    report = patchc.apply(tmp_path / "m.keras", held, tmp_path / "out.keras")
    assert "on 5 probes" in report.checks[-1].detail
    with pytest.raises(TypeError, match="'probe' is none of outputs, atol, rtol, probes"):
        patchc.verify(tmp_path / "m.keras", tmp_path / "out.keras", held, run={"probe": 1})


def test_verify_runs_two_files_on_request(tmp_path: Path) -> None:
    model = classifier()
    model.save(tmp_path / "m.keras")
    grow = patch("{select: head, expand: {by: 1}}")
    patchc.apply(tmp_path / "m.keras", grow, tmp_path / "out.keras")
    report = patchc.verify(tmp_path / "m.keras", tmp_path / "out.keras", grow, run=True)
    assert report.ok
    assert report.checks[-1].name == "outputs-extend"
    assert (
        "outputs"
        not in patchc.verify(tmp_path / "m.keras", tmp_path / "out.keras", grow).checks[-1].name
    )


def test_an_input_that_reads_more_features_gets_more() -> None:
    model = classifier()
    wider = keras.Input((8,), name="x")
    other = keras.Model(wider, layers.Dense(4, name="head")(layers.Dense(8, "relu")(wider)))
    for new, old in zip(other.variables, model.variables, strict=True):
        values = np.zeros(new.shape, "float32")
        values[tuple(slice(size) for size in old.shape)] = old.numpy()
        new.assign(values)
    assert run_check(model, other, EXTENDS).ok


def test_what_cannot_be_run_says_so(tmp_path: Path) -> None:
    from tests.live.builders import Net, Scale

    model = Net()
    model(features())
    with pytest.raises(patchc.PatchError, match="inputs of a Net cannot be told"):
        run_check(model, model, SAME)
    keras.Sequential([keras.Input((2,)), Scale()]).save(tmp_path / "custom.keras")
    with pytest.raises(patchc.PatchError, match="Keras cannot open the model") as refused:
        run_check(tmp_path / "custom.keras", tmp_path / "custom.keras", SAME)
    assert "--import" in str(refused.value)


def test_the_models_that_are_compared_stay_as_they_are() -> None:
    model = perceptron()
    before = out(model, features())
    run_check(model, model, EXTENDS)
    assert (out(model, features()) == before).all()
