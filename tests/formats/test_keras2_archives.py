"""`.keras` archives of Keras 2, patched in its own dialect; `tf_keras` judges what came out."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import patchc
from patchc.results import Report

Array = np.ndarray[Any, Any]
Archives = Callable[[str], Path]

GROW = "{select: {head: 0}, expand: {by: 2}}"
FREEZE = "{select: hidden, freeze: true}"


# ------------------------------------------------------------------------ the writer


def mlp() -> Any:
    """A chain with a layer that has no weights between others."""
    import tf_keras

    layers = tf_keras.layers
    return tf_keras.Sequential(
        [
            layers.Input((4,), name="features"),
            layers.Dense(5, activation="relu", name="hidden"),
            layers.Dropout(0.1, name="dropout"),
            layers.Dense(5, activation="relu", name="hidden_2"),
            layers.Dense(3, name="classes"),
        ],
        name="mlp",
    )


def nested() -> Any:
    """Models inside a model, a layer called twice, private and recurrent parts."""
    import tf_keras

    layers = tf_keras.layers
    inner_in = layers.Input((6, 4), name="inner_in")
    inner = tf_keras.Model(inner_in, layers.Dense(4, name="d1")(inner_in), name="inner")
    chain = tf_keras.Sequential([layers.Input((6, 4)), layers.Dense(4, name="d2")], name="chain")
    shared = layers.Dense(4, name="shared")
    x = series = layers.Input((6, 4), name="series")
    x = shared(chain(inner(shared(x))))
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.Bidirectional(layers.GRU(2), name="both")(x)
    return tf_keras.Model(series, layers.Dense(3, name="classes")(x), name="nested")


def plain_sgd() -> Any:
    """Compiled with an SGD that has no momentum; Keras 2 keeps one all the same."""
    model = mlp()
    model.compile("sgd", "mse")
    return model


def lookup() -> Any:
    """A vocabulary, which is a file of its own."""
    import tf_keras

    layers = tf_keras.layers
    words = layers.Input((1,), dtype="string", name="words")
    look = layers.StringLookup(name="look")
    look.adapt(np.array([["a"], ["b"], ["c"]]))
    x = layers.Flatten()(layers.Embedding(4, 3, name="embedding")(look(words)))
    return tf_keras.Model(words, layers.Dense(3, name="classes")(x), name="lookup")


BUILDERS = (mlp, nested, plain_sgd, lookup)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Trained models as `tf_keras` saves them, by name."""
    folder = tmp_path_factory.mktemp("keras2")

    @cache
    def archive(name: str) -> Path:
        import tf_keras

        tf_keras.utils.set_random_seed(7)
        [build] = [build for build in BUILDERS if build.__name__ == name]
        model = build()
        if not hasattr(model, "optimizer") or model.optimizer is None:
            model.compile("adam", "mse", metrics=["mae"])
        if name != "lookup":
            x = inputs(model)
            model.fit(x, np.ones((len(x), 3)), epochs=2, verbose=0)
        model.save(folder / f"{name}.keras")
        return folder / f"{name}.keras"

    return archive


def inputs(model: Any) -> Array:
    """Seeded inputs."""
    shape = model.input_shape[1:]
    return np.random.default_rng(3).normal(size=(8, *shape)).astype("float32")


def load(path: Path) -> Any:
    """A model as Keras 2 loads it."""
    import tf_keras

    tf_keras.backend.clear_session()
    return tf_keras.models.load_model(path)


def outputs(model: Any) -> Array:
    """What a model makes of the seeded inputs."""
    return np.asarray(model(inputs(model), training=False))


def state(model: Any) -> dict[str, Array]:
    """The optimizer's variables by name."""
    return {str(variable.name): variable.numpy() for variable in model.optimizer.variables}


# ----------------------------------------------------------------------------- patches


def patched(base: Path, edits: Sequence[str], out: Path) -> Report:
    """Apply edits; every check holds, and those of `verify` too."""
    listed = "\n".join(f"  - {edit}" for edit in edits)
    patch = patchc.loads(f"patchc: 1\nid: change\nedits:\n{listed}\n")
    report = patchc.apply(base, patch, out)
    assert report.ok
    assert patchc.verify(base, out, patch).ok
    return report


def refused(base: Path, edit: str, out: Path) -> tuple[str, str, str]:
    with pytest.raises(patchc.PatchError) as caught:
        patched(base, [edit], out)
    [found] = caught.value.diagnostics
    assert not out.exists()
    return found.code, found.message, found.help or ""


def config_of(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


def weights_in(path: Path) -> dict[str, Array]:
    """Datasets of an archive by path."""
    found: dict[str, Array] = {}
    with zipfile.ZipFile(path) as archive:
        data = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(data) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def rewritten(
    base: Path,
    out: Path,
    rename: Callable[[str], str] = str,
    *,
    version: str | None = None,
    config: Any = None,
) -> Path:
    """A copy of an archive whose groups have other names, or with another configuration."""
    with zipfile.ZipFile(base) as archive, zipfile.ZipFile(out, "w") as copy:
        for member in archive.namelist():
            data = archive.read(member)
            if member == "metadata.json" and version is not None:
                data = json.dumps({**json.loads(data), "keras_version": version}).encode()
            if member == "config.json" and config is not None:
                data = json.dumps(config).encode()
            if member == "model.weights.h5":
                data = regrouped(data, rename)
            *parents, own = member.split("/")
            copy.writestr("/".join([*rename("/".join(parents)).split("/"), own]).lstrip("/"), data)
    return out


def regrouped(data: bytes, rename: Callable[[str], str]) -> bytes:
    """Weights whose groups, those that hold `vars`, have other names."""
    result = io.BytesIO()
    with h5py.File(io.BytesIO(data)) as old, h5py.File(result, "w") as new:

        def enter(name: str, item: Any) -> None:
            parent, _, own = name.rpartition("/")
            if own == "vars":
                inside = new.require_group(rename(parent) or "/").create_group("vars")
                for key, dataset in item.items():
                    inside.create_dataset(key, data=dataset[()])

        old.visititems(enter)
    return result.getvalue()


TOP = "_layer_checkpoint_dependencies"
"""Where the layers of a model stand until Keras 2.14."""


def until_2_14(group: str) -> str:
    """The name that Keras 2.14 gives to what 2.15 calls `group`."""
    return re.sub(r"(^|(?<=/))layers(?=/)", TOP, group)


def until_2_13(group: str) -> str:
    """The same for Keras 2.13, where a layer with weights takes two numbers."""
    return re.sub(r"dense_(\d)", lambda found: f"dense_{2 * int(found[1])}", until_2_14(group))


@pytest.mark.parametrize("name", ["mlp", "nested"])
def test_the_keras_that_wrote_it_opens_the_result(
    archives: Archives, name: str, tmp_path: Path
) -> None:
    """Old logits, all other weights and the optimizer's state are what they were."""
    out = tmp_path / "out.keras"
    patched(archives(name), [GROW], out)
    before, after = load(archives(name)), load(out)
    assert after.output_shape == (None, 5)
    np.testing.assert_allclose(outputs(after)[:, :3], outputs(before), atol=1e-6)
    old, new = state(before), state(after)
    assert old.keys() == new.keys()
    same = [name for name in old if old[name].shape == new[name].shape]
    assert len(old) - len(same) == 4
    for key in same:
        np.testing.assert_array_equal(old[key], new[key])
    after.fit(inputs(after), np.ones((8, 5)), verbose=0)


def test_a_frozen_layer_takes_its_slots_with_it(archives: Archives, tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    edits = ["{select: [shared, inner/d1, attention], freeze: true}"]
    report = patched(archives("nested"), edits, out)
    assert report.diagnostics == ()  # Keras 3 would load the attention as trainable
    before, after = load(archives("nested")), load(out)
    np.testing.assert_array_equal(outputs(after), outputs(before))
    assert len(before.trainable_weights) - len(after.trainable_weights) == 12
    old, new = state(before), state(after)
    assert len(old) - len(new) == 24
    for key, value in new.items():
        np.testing.assert_array_equal(old[key], value)


def test_new_layers_are_written_as_keras_2_has_them(archives: Archives, tmp_path: Path) -> None:
    """A chain with a branch becomes a model with connections; numbers of groups move up."""
    edits = [
        "{select: hidden_2, insert_after: {residual: [{Dense: {units: 5}}]}, init: identity}",
        "{select: hidden, insert_after: {LeakyReLU: {negative_slope: 1.0, name: leaky}}}",
    ]
    out = tmp_path / "out.keras"
    patched(archives("mlp"), edits, out)
    before, after = load(archives("mlp")), load(out)
    assert type(after).__name__ == "Functional"
    assert float(after.get_layer("leaky").alpha) == 1.0
    np.testing.assert_allclose(outputs(after), outputs(before), atol=1e-6)
    old, new = state(before), state(after)
    for key, value in old.items():
        np.testing.assert_array_equal(new[key], value)
    assert len(new) == len(old) + 4


def test_layers_are_not_built_for_inputs_that_they_no_longer_have(
    archives: Archives, tmp_path: Path
) -> None:
    """`build_config` stays where the shape does."""
    out = tmp_path / "out.keras"
    patched(archives("mlp"), ["{select: hidden, expand: {by: 2}}"], out)
    built = {
        entry["config"]["name"]: entry.get("build_config")
        for entry in config_of(out)["config"]["layers"]
    }
    assert built["hidden"] == {"input_shape": [None, 4]}
    assert built["hidden_2"] is None
    assert built["classes"] == {"input_shape": [None, 5]}
    np.testing.assert_allclose(outputs(load(out)), outputs(load(archives("mlp"))), atol=1e-6)


def test_what_no_edit_touches_stays_as_it_was_written(archives: Archives, tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    base = archives("nested")
    patched(base, ["{select: classes, init: {kernel: zeros}}"], out)
    assert config_of(out) == config_of(base)
    with zipfile.ZipFile(base) as one, zipfile.ZipFile(out) as two:
        assert one.read("config.json") == two.read("config.json")
        told = [json.loads(archive.read("metadata.json")) for archive in (one, two)]
    assert told[0]["keras_version"] == told[1]["keras_version"] == "2.21.0"
    before, after = weights_in(base), weights_in(out)
    assert before.keys() == after.keys()
    changed = [key for key in before if not np.array_equal(before[key], after[key])]
    assert changed == ["layers/dense_1/vars/0", "optimizer/vars/41", "optimizer/vars/42"]
    assert {"metrics/mean/vars/0", "optimizer/vars/0"} <= before.keys()


def test_nothing_to_do_gives_the_same_bytes(archives: Archives, tmp_path: Path) -> None:
    out = tmp_path / "out.keras"
    patched(archives("mlp"), ["{select: hidden, freeze: false}"], out)
    assert out.read_bytes() == archives("mlp").read_bytes()


def test_the_history_goes_on(archives: Archives, tmp_path: Path) -> None:
    one, two = tmp_path / "one.keras", tmp_path / "two.keras"
    patched(archives("mlp"), [GROW], one)
    again = patchc.loads(f"patchc: 1\nid: then\nrequires: change\nedits:\n  - {FREEZE}\n")
    assert patchc.apply(one, again, two).ok
    assert [applied.id for applied in patchc.log(two).history] == ["then", "change"]
    assert len(load(two).trainable_weights) == 4


def test_an_sgd_without_momentum_goes_on_counting(archives: Archives, tmp_path: Path) -> None:
    out, converted = tmp_path / "out.keras", tmp_path / "converted.keras"
    patched(archives("plain_sgd"), [GROW, FREEZE], out)
    after = load(out)
    assert int(after.optimizer.iterations) == 2
    assert [value.shape for value in state(after).values()] == [(), (5, 5), (5,), (5, 5), (5,)]
    found = patchc.convert(archives("plain_sgd"), converted)
    assert found.lost_state == ""
    assert found.report.plan.optimizer.counts()["kept"] == 2


# ------------------------------------------------------------------- what it cannot say


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        (
            "mlp",
            "{select: classes, insert_before: RMSNormalization}",
            "Keras 2 has no `RMSNormalization`",
        ),
        (
            "mlp",
            "{select: classes, insert_before: {Dense: {units: 5, activation: celu}}}",
            "Keras 2 has no activation `celu`",
        ),
        (
            "mlp",
            "{select: classes, insert_before: {Activation: {activation: hard_sigmoid}}}",
            "`hard_sigmoid` is another function in Keras 2",
        ),
        ("mlp", "{select: hidden, set: {activation: squareplus}}", "no activation `squareplus`"),
        (
            "nested",
            "{select: both, replace: {GRU: {units: 4, use_cudnn: false}}}",
            "`GRU` of Keras 2 has no argument `use_cudnn`",
        ),
    ],
)
def test_what_keras_2_cannot_say_is_refused_with_the_way_out(
    archives: Archives, name: str, edit: str, message: str, tmp_path: Path
) -> None:
    code, found, way_out = refused(archives(name), edit, tmp_path / "out.keras")
    assert code == "PC406"
    assert message in found
    assert "patchc convert" in way_out


def test_the_way_out_leads_on(archives: Archives, tmp_path: Path) -> None:
    import keras

    converted, out = tmp_path / "converted.keras", tmp_path / "out.keras"
    assert patchc.convert(archives("mlp"), converted).report.ok
    patched(converted, ["{select: classes, insert_before: RMSNormalization}"], out)
    model = keras.models.load_model(out)
    assert "rms_normalization" in [layer.name for layer in model.layers]


def test_a_newer_class_of_keras_2_is_refused_in_an_older_one(
    archives: Archives, tmp_path: Path
) -> None:
    base = rewritten(archives("mlp"), tmp_path / "base.keras", until_2_13, version="2.12.0")
    edit = "{select: classes, insert_before: {Dense: {units: 5, activation: mish}}}"
    _, found, _ = refused(base, edit, tmp_path / "out.keras")
    assert "Keras 2.12 has no `mish`" in found


# ----------------------------------------------------------------- how groups are called


def groups_of(path: Path, top: str) -> list[str]:
    return sorted({key.rpartition("/vars/")[0] for key in weights_in(path) if key.startswith(top)})


@pytest.mark.parametrize(("version", "step"), [("2.13.1", 2), ("2.14.0", 1)])
def test_groups_are_numbered_as_the_version_numbers_them(
    archives: Archives, version: str, step: int, tmp_path: Path
) -> None:
    """Until 2.13 a layer with weights takes two numbers: it is listed twice."""
    rename = until_2_13 if step == 2 else until_2_14
    base = rewritten(archives("mlp"), tmp_path / "base.keras", rename, version=version)
    out = tmp_path / "out.keras"
    edits = ["{select: hidden, insert_after: {Dense: {units: 5, name: extra}}}", FREEZE]
    patched(base, edits, out)
    wanted = [f"{TOP}/dense_{step * n}" if n else f"{TOP}/dense" for n in range(4)]
    assert groups_of(out, TOP) == wanted
    before, after = weights_in(base), weights_in(out)
    for number, origin in enumerate(wanted[:3]):
        at = wanted[number + 1 if number else 0]
        np.testing.assert_array_equal(after[f"{at}/vars/0"], before[f"{origin}/vars/0"])


def test_groups_of_models_inside_are_numbered_alike(archives: Archives, tmp_path: Path) -> None:
    base = rewritten(archives("nested"), tmp_path / "base.keras", until_2_13, version="2.13.1")
    out = tmp_path / "out.keras"
    patched(base, [GROW], out)
    assert weights_in(out).keys() == weights_in(base).keys()


def test_weights_alone_stay_those_of_their_keras(archives: Archives, tmp_path: Path) -> None:
    model = load(archives("nested"))
    before = {weight.name: weight.numpy() for weight in model.weights}
    model.save_weights(tmp_path / "net.weights.h5")
    (tmp_path / "net.json").write_text(model.to_json())
    out = tmp_path / "new.weights.h5"
    patched(tmp_path / "net.weights.h5", ["{select: inner/d1, init: {kernel: zeros}}"], out)
    model.load_weights(out)
    after = {weight.name: weight.numpy() for weight in model.weights}
    assert [key for key in before if not np.array_equal(before[key], after[key])] == ["d1/kernel:0"]
    _, message, _ = refused(tmp_path / "net.weights.h5", GROW, tmp_path / "grown.weights.h5")
    assert "the architecture changes with the weights" in message


def test_vocabularies_go_along(archives: Archives, tmp_path: Path) -> None:
    """They lie under the group of their layer, whatever that is called."""
    base = rewritten(archives("lookup"), tmp_path / "base.keras", until_2_14, version="2.14.0")
    out, converted = tmp_path / "out.keras", tmp_path / "converted.keras"
    patched(base, ["{select: look, expand: {tokens: [d]}}"], out)
    assert patchc.convert(out, converted).report.ok
    found = {}
    for path in (base, out, converted):
        with zipfile.ZipFile(path) as archive:
            [name] = [name for name in archive.namelist() if name.startswith("assets/")]
            found[name] = sorted(archive.read(name).decode().split())
    assert found == {
        f"assets/{TOP}/string_lookup/vocabulary.txt": ["[UNK]", "a", "b", "c", "d"],
        "assets/layers/string_lookup/vocabulary.txt": ["[UNK]", "a", "b", "c", "d"],
    }


def test_names_of_windows_stay_those_of_windows(archives: Archives, tmp_path: Path) -> None:
    def on_windows(group: str) -> str:
        return group.replace("/", "\\")

    base = rewritten(archives("nested"), tmp_path / "base.keras", on_windows)
    out = tmp_path / "out.keras"
    patched(base, [GROW], out)
    before, after = weights_in(base), weights_in(out)
    assert before.keys() == after.keys()
    assert "layers\\functional\\layers\\dense/vars/0" in after


def test_groups_tell_more_than_the_version(archives: Archives, tmp_path: Path) -> None:
    base = rewritten(archives("mlp"), tmp_path / "base.keras", until_2_13, version="2.15.0")
    out = tmp_path / "out.keras"
    patched(base, [GROW], out)
    assert weights_in(out).keys() == weights_in(base).keys()


def test_groups_that_no_version_calls_so_are_refused(archives: Archives, tmp_path: Path) -> None:
    def others(group: str) -> str:
        return group.replace("dense_1", "dense_7").replace("dense_2", "dense_9")

    base = rewritten(archives("mlp"), tmp_path / "base.keras", others)
    code, found, way_out = refused(base, GROW, tmp_path / "out.keras")
    assert (code, "does not call its groups" in found) == ("PC406", True)
    assert "patchc convert" in way_out
    assert patchc.convert(base, tmp_path / "converted.keras").report.ok


def test_a_layer_that_two_models_share_is_refused(tmp_path: Path) -> None:
    """Keras 2 gives it one group and does not open the file again."""
    import tf_keras

    layers = tf_keras.layers
    both = layers.Dense(4, name="both")
    entry = layers.Input((4,), name="entry")
    inner = tf_keras.Model(entry, both(entry), name="inner")
    x = layers.Input((4,), name="x")
    outer = tf_keras.Model(x, layers.Dense(4, name="last")(both(inner(x))), name="outer")
    outer.save(tmp_path / "base.keras")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.convert(tmp_path / "base.keras", tmp_path / "out.keras")
    [found] = caught.value.diagnostics
    assert found.code == "PC405"
    assert "1 groups `dense` for 2 layers" in found.message


def test_weights_of_no_layer_are_refused(archives: Archives, tmp_path: Path) -> None:
    config = config_of(archives("mlp"))
    config["config"]["layers"][1]["config"]["use_bias"] = False
    base = rewritten(archives("mlp"), tmp_path / "base.keras", config=config)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.convert(base, tmp_path / "out.keras")
    [found] = caught.value.diagnostics
    assert (found.code, "`layers/dense/vars/1`" in found.message) == ("PC405", True)


def test_an_unzipped_archive_is_patched_too(archives: Archives, tmp_path: Path) -> None:
    shutil.unpack_archive(archives("mlp"), tmp_path / "folder", "zip")
    patched(tmp_path / "folder", [GROW], tmp_path / "out.keras")
    assert load(tmp_path / "out.keras").output_shape == (None, 5)
