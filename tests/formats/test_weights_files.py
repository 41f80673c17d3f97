"""Files with weights alone: with the architecture beside them, without one, and in shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import patchc
from patchc.inspect import inspect_file
from tests.formats.handmade import MLP, mlp_config, stored, values, write
from tests.formats.test_hdf5_models import HEAD, patched, refused

INIT = "{select: hidden, init: {kernel: zeros}}"


def test_growing_the_last_layer(tmp_path: Path) -> None:
    base = write(tmp_path / "w.h5", MLP)
    result = stored(patched(base, "{select: out, expand: {by: 1}}", "new.h5"))
    assert result["out/out/kernel:0"].shape == (5, 4)
    np.testing.assert_array_equal(result["hidden/hidden/kernel:0"], values(1, (4, 5)))


def test_initialising_and_shrinking(tmp_path: Path) -> None:
    base = write(tmp_path / "w.h5", MLP)
    assert not stored(patched(base, INIT, "new.h5"))["hidden/hidden/kernel:0"].any()
    result = stored(patched(base, "{select: out, shrink: {drop: [0]}}", "less.h5"))
    np.testing.assert_array_equal(result["out/out/bias:0"], values(4, (3,))[1:])


def test_a_layer_that_others_may_read_does_not_grow(tmp_path: Path) -> None:
    base = write(tmp_path / "w.h5", MLP)
    code, message, help_ = refused(base, "{select: hidden, expand: {by: 1}}", "new.h5")
    assert (code, "`out` may read the 5 features" in message) == ("PC411", True)
    assert "w.json" in help_


GROW = "{select: hidden, expand: {by: 2, at: [0, 3]}}"


def several(base: Path, out: str, *edits: str) -> Path:
    """Apply edits; every check holds."""
    text = "".join(f"  - {edit}\n" for edit in edits)
    patch, result = patchc.loads(f"patchc: 1\nid: change\nedits:\n{text}"), base.parent / out
    assert patchc.apply(base, patch, result).ok
    assert patchc.verify(base, result, patch).ok
    return result


def test_a_further_edit_names_what_reads_a_layer(tmp_path: Path) -> None:
    base = write(tmp_path / "w.h5", MLP)
    code, _, help_ = refused(base, GROW, "no.h5")
    assert (code, 'select: "out:input"' in help_) == ("PC411", True)
    reads = '{select: "out:input", expand: {by: 2, at: [0, 3]}}'
    kernel = stored(several(base, "new.h5", GROW, reads))["out/out/kernel:0"]
    assert not kernel[[0, 4]].any()
    np.testing.assert_array_equal(kernel[[1, 2, 3, 5, 6]], values(3, (5, 3)))


@pytest.mark.parametrize("places", ["{by: 2}", "{by: 3, at: [0, 3, 5]}", "{by: 2, at: [0, 4]}"])
def test_edits_that_contradict_each_other(tmp_path: Path, places: str) -> None:
    base = write(tmp_path / "w.h5", MLP)
    with pytest.raises(patchc.PatchError) as caught:
        several(base, "no.h5", GROW, f'{{select: "out:input", expand: {places}}}')
    (found,) = caught.value.diagnostics
    assert (found.code, "in another way" in found.message) == ("PC411", True)


@pytest.mark.parametrize(
    ("edit", "wrong", "told"),
    [
        ("expand: {by: 1}", "expand: {by: 2}", "`{by: 2, at: [5, 10]}`"),
        ("shrink: {drop: [1]}", "shrink: {drop: [1, 2]}", "`{drop: [1, 6]}`"),
    ],
)
def test_what_to_write_for_flattened_features(
    tmp_path: Path, edit: str, wrong: str, told: str
) -> None:
    flat: dict[str, tuple[int, ...]] = {"flat/kernel:0": (10, 2), "flat/bias:0": (2,)}
    base = write(tmp_path / "w.h5", {"hidden": MLP["hidden"], "flat": flat})
    first = f"{{select: hidden, {edit}}}"
    with pytest.raises(patchc.PatchError) as caught:
        several(base, "no.h5", first, f'{{select: "flat:input", {wrong}}}')
    assert told in str(caught.value.diagnostics[0].help)
    verb = edit.partition(":")[0]
    several(base, "new.h5", first, f'{{select: "flat:input", {verb}: {told.strip("`")}}}')


def test_through_a_normalisation_and_flattened(tmp_path: Path) -> None:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    layers = {
        "hidden": MLP["hidden"],
        "norm": {f"norm/{name}:0": (5,) for name in names},
        "flat": {"flat/kernel:0": (10, 2), "flat/bias:0": (2,)},
        "joined": {"joined/kernel:0": (5, 1), "joined/bias:0": (1,)},
    }
    base = write(tmp_path / "w.h5", layers)
    edits = [
        "{select: hidden, shrink: {drop: [1]}}",
        '{select: "norm:input", shrink: {drop: [1]}}',
        '{select: "flat:input", shrink: {drop: [1, 6]}}',
    ]
    result = stored(several(base, "new.h5", *edits))
    np.testing.assert_array_equal(result["norm/norm/beta:0"], values(4, (5,))[[0, 2, 3, 4]])
    assert result["flat/flat/kernel:0"].shape == (8, 2)
    text = "".join(f"  - {edit}\n" for edit in edits)
    plan = patchc.plan(base, patchc.loads(f"patchc: 1\nid: x\nedits:\n{text}"))
    assert {w.code for w in plan.warnings} == {"PC912"}
    assert "`joined` may read `hidden` too" in plan.warnings[0].message


def test_keras_loads_what_several_edits_made(tmp_path: Path) -> None:
    import keras
    from keras import layers

    def model(units: int) -> Any:
        keras.utils.clear_session()
        first = layers.LSTM(units, return_sequences=True, name="lstm")
        chain = [first, layers.BatchNormalization(), layers.Dense(3, name="dense")]
        return keras.Sequential([keras.Input((7, 4)), *chain])

    old = model(5)
    base = tmp_path / "m.weights.h5"
    old.save_weights(base)
    change = "{by: 3, at: [0, 2, 5]}"
    edits = [f'{{select: "{layer}", expand: {change}}}'
             for layer in ("lstm", "batch_normalization:input", "dense:input")]  # fmt: skip
    out = several(base, "new.weights.h5", *edits)
    new = model(8)
    new.load_weights(out)
    x = np.random.default_rng(3).normal(size=(2, 7, 4)).astype("float32")
    np.testing.assert_allclose(new(x), old(x), atol=1e-6)


@pytest.mark.parametrize("verb", ["freeze: true", "remove: true", "rename: other"])
def test_other_verbs_say_what_is_missing(tmp_path: Path, verb: str) -> None:
    base = write(tmp_path / "w.h5", MLP)
    code, message, help_ = refused(base, f"{{select: out, {verb}}}", "new.h5")
    assert (code, "architecture" in message) == ("PC411", True)
    assert "w.json" in help_
    assert refused(base, INIT, "new.keras")[0] == "PC411"


@pytest.mark.parametrize("name", ["net.json", "net_weights.json"])
def test_an_architecture_beside_them_makes_a_model(tmp_path: Path, name: str) -> None:
    base = write(tmp_path / "net_weights.h5", MLP)
    (tmp_path / name).write_text(json.dumps({**mlp_config(), "keras_version": "2.4.0"}))
    result = patched(base, HEAD, "new.keras")
    assert [layer.params for layer in inspect_file(result).model.layers] == [0, 25, 30]
    code, message, _ = refused(base, HEAD, "new.h5")
    assert (code, "architecture" in message) == ("PC406", True)
    assert stored(patched(base, INIT, "init.h5")).keys() == stored(base).keys()


def keras_weights(path: Path, names: dict[str, list[tuple[int, ...]]]) -> Path:
    """A `.weights.h5` of Keras 3."""
    number = 0
    with h5py.File(path, "w") as file:
        for name, shapes in names.items():
            group = file.create_group(f"layers/{name}/vars")
            for slot, shape in enumerate(shapes):
                number += 1
                group[str(slot)] = values(number, shape)
    return path


def test_weights_of_keras_3_without_an_architecture(tmp_path: Path) -> None:
    names: dict[str, list[tuple[int, ...]]] = {
        "conv2d": [(3, 3, 1, 6), (6,)],
        "batch_normalization": [(6,)] * 4,
        "lstm/cell": [(7, 8), (2, 8), (8,)],
        "dense": [(9, 4), (4,)],
        "my_own": [(3, 3)],
    }
    base = keras_weights(tmp_path / "m.weights.h5", names)
    classes = {x.name: x.class_name for x in inspect_file(base).model.layers if x.weights}
    assert classes == {
        "conv2d": "Conv2D",
        "batch_normalization": "BatchNormalization",
        "lstm": "LSTM",
        "dense": "Dense",
        "my_own": "UnknownLayer",
    }
    result = stored(patched(base, "{select: dense, expand: {by: 1}}", "n.weights.h5"))
    assert result["layers/dense/vars/0"].shape == (9, 5)
    np.testing.assert_array_equal(result["layers/my_own/vars/0"], values(12, (3, 3)))
    code, message, _ = refused(base, "{select: conv2d, expand: {by: 1}}", "x.weights.h5")
    assert (code, "batch_normalization" in message) == ("PC411", True)


def trained_weights(tmp_path: Path) -> Any:
    """`m.weights.h5` of a model that has been trained; the model."""
    import keras

    chain = [keras.layers.Dense(5, name="hidden"), keras.layers.Dense(3, name="out")]
    model = keras.Sequential([keras.Input((4,)), *chain])
    model.compile("adam", "mean_squared_error")
    model.fit(np.ones((2, 4)), np.ones((2, 3)), verbose=0)
    model.save_weights(tmp_path / "m.weights.h5")
    return model


def test_a_state_that_nothing_assigns_to_weights(tmp_path: Path) -> None:
    trained_weights(tmp_path)
    base = tmp_path / "m.weights.h5"
    before = stored(base)
    out = patched(base, "{select: dense_1, init: {kernel: zeros}}", "new.weights.h5")
    after = stored(out)
    assert all((before[n] == after[n]).all() for n in before if n.startswith("optimizer"))
    patch = patchc.loads("patchc: 1\nid: x\nedits: [{select: dense_1, init: {kernel: zeros}}]")
    (warning,) = patchc.plan(base, patch).warnings
    assert (warning.code, "stays as it is" in warning.message) == ("PC905", True)
    code, message, _ = refused(base, "{select: dense_1, expand: {by: 1}}", "no.weights.h5")
    assert (code, "optimizer's state" in message) == ("PC411", True)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_architecture_of_a_compiled_model_keeps_the_state(
    tmp_path: Path, *, compiled: bool
) -> None:
    import keras

    model = trained_weights(tmp_path)
    told = json.loads(model.to_json())
    if not compiled:
        del told["compile_config"]
    (tmp_path / "m.json").write_text(json.dumps(told))
    patch = patchc.loads("patchc: 1\nid: x\nedits: [{select: out, init: {bias: ones}}]")
    report = patchc.apply(tmp_path / "m.weights.h5", patch, tmp_path / "new.weights.h5")
    kept = 10 if compiled else 0
    assert sum(report.to_dict()["optimizer"][k] for k in ("kept", "new")) == kept
    assert [w.code for w in report.plan.warnings] == ([] if compiled else ["PC905"])
    found = patchc.convert(tmp_path / "m.weights.h5", tmp_path / "new.keras").report
    assert found.ok
    loaded = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(loaded(np.ones((1, 4))), model(np.ones((1, 4))))


def test_weights_of_an_unknown_layer_are_called_as_they_are_recorded(tmp_path: Path) -> None:
    names: dict[str, tuple[int, ...]] = {"mine/scale:0": (3, 2, 1), "mine/shift:0": (2,)}
    base = write(tmp_path / "w.h5", {"mine": names})
    weights = inspect_file(base).model.layers[-1].weights
    assert [weight.name for weight in weights] == ["scale", "shift"]
    held = stored(patched(base, "{select: mine, init: {shift: ones}}", "new.h5"))
    assert (held["mine/mine/shift:0"] == 1).all()
    np.testing.assert_array_equal(held["mine/mine/scale:0"], values(1, (3, 2, 1)))


def test_a_transposed_kernel_is_not_taken_for_another(tmp_path: Path) -> None:
    names = {"conv2d_transpose_1/kernel:0": (3, 3, 4, 4), "conv2d_transpose_1/bias:0": (4,)}
    base = write(tmp_path / "w.h5", {"conv2d_transpose_1": names})
    assert inspect_file(base).model.layers[-1].class_name == "UnknownLayer"
