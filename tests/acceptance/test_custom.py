"""Classes whose code is absent, and code in the file: carried through, never run."""

from __future__ import annotations

import filecmp
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

import patchc
from patchc import rules
from tests.acceptance.judge import assert_close, judge, outputs, patch_of, sample, weights_of

MODULE = """
import os, pathlib
import keras

MARK = pathlib.Path(os.environ["ACME_MARK"])
MARK.touch()

@keras.saving.register_keras_serializable("acme")
class Scale(keras.layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor

def build():
    x = inputs = keras.Input((6,))
    x = Scale(name="scale")(keras.layers.Dense(5, name="before")(x))
    twice = lambda x: x * 2.0 + (open(__MARK__, "a").close() or 0.0)
    x = keras.layers.Lambda(twice, name="twice")(x)
    x = keras.layers.Dense(5, "relu", name="hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="predictions")(x))
"""
NAMES = {"scale/vars/0": "scale/factor"}
"""What patchc calls the weights of a class that it does not know, and what Keras does."""
HEAD = "- {select: {head: 0}, expand: {by: 2}, init: zeros}"
IN_A_BARE_PROCESS = """
import pathlib, sys
import patchc
model, text, out, mark = sys.argv[1:]
patch = patchc.loads(pathlib.Path(text).read_text())
assert str(patchc.plan(model, patch))
assert patchc.apply(model, patch, out).ok
assert patchc.verify(model, out, patch).ok
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"keras", "tensorflow", "acme_layers", "pickle5", "dill"}, loaded
assert not pathlib.Path(mark).exists(), "something from the file was run"
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A model with a class and a Lambda of our own, whose code lies where no one else looks."""
    folder = tmp_path_factory.mktemp("acme")
    mark = folder / "it-ran"
    (folder / "acme_layers.py").write_text(MODULE.replace("__MARK__", repr(str(mark))))
    os.environ["ACME_MARK"] = str(mark)
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module("acme_layers")
        keras.utils.set_random_seed(5)
        model = module.build()
        for variable in model.weights:
            variable.assign(variable + 0.1)
        model.save(folder / "acme.keras")
        yield folder
    finally:
        sys.path.remove(str(folder))
        del os.environ["ACME_MARK"]


def test_the_mark_shows_what_runs(acme: Path) -> None:
    mark = acme / "it-ran"
    mark.unlink(missing_ok=True)
    keras.models.load_model(acme / "acme.keras", safe_mode=False)
    assert mark.exists()


def test_nothing_is_imported_or_run(acme: Path, tmp_path: Path) -> None:
    mark, text, out = acme / "it-ran", tmp_path / "p.yaml", tmp_path / "out.keras"
    mark.unlink(missing_ok=True)
    patch = patch_of(HEAD)
    text.write_text(patch.source.text)
    environment = {"PYTHONPATH": str(Path(patchc.__file__).parents[1]), "PATH": os.environ["PATH"]}
    arguments = [acme / "acme.keras", text, out, mark]
    command = [sys.executable, "-c", IN_A_BARE_PROCESS, *map(str, arguments)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    again = tmp_path / "again.keras"
    patchc.apply(acme / "acme.keras", patch, again)
    assert filecmp.cmp(out, again, shallow=False)


@pytest.mark.parametrize(
    "edits",
    [
        pytest.param(HEAD, id="grow the head"),
        pytest.param(
            "- {select: {head: 0}, replace: {Dense: {units: 7, activation: softmax}}}",
            id="replace the head",
        ),
        pytest.param("- {select: scale, freeze: true}", id="freeze the class"),
        pytest.param("- {select: before, rename: other}", id="rename its neighbour"),
        pytest.param(
            "- {select: scale, insert_after: {BatchNormalization: {}}, init: identity}",
            id="insert behind the class",
        ),
        pytest.param(
            "- {select: before, insert_after: {Dense: {units: 5}}, init: identity}",
            id="insert before the class",
        ),
        pytest.param("- {select: twice, add_output: true}", id="expose the Lambda"),
        pytest.param("- {select: scale, init: {'*': ones}}", id="initialise the class"),
        pytest.param(
            "- {select: {class: Lambda}, replace: {Rescaling: {scale: 2.0}}}",
            id="replace the Lambda",
        ),
        pytest.param("- {select: {class: acme>Scale}, remove: true}", id="remove the class"),
    ],
)
def test_loads_where_the_code_is(acme: Path, tmp_path: Path, edits: str) -> None:
    judged = judge(acme / "acme.keras", patch_of(edits), tmp_path, names=NAMES, safe_mode=False)
    assert judged.fates["kept"] >= 4


def test_a_lambda_that_is_replaced_needs_no_trust(acme: Path, tmp_path: Path) -> None:
    patch = patch_of("- {select: twice, replace: {Rescaling: {scale: 2.0, name: twice}}}")
    out = tmp_path / "out.keras"
    patchc.apply(acme / "acme.keras", patch, out)
    before = keras.models.load_model(acme / "acme.keras", safe_mode=False)
    after = keras.models.load_model(out, safe_mode=True)
    given = sample(before)
    assert_close(outputs(after, given)[0], outputs(before, given)[0])
    assert weights_of(after).keys() == weights_of(before).keys()


@pytest.mark.parametrize(
    ("edits", "code", "says"),
    [
        ("- {select: before, expand: {by: 2}}", "PC306", "`scale`"),
        ("- {select: before, replace: {Dense: {units: 7}}}", "PC308", "`scale`"),
        ("- {select: scale, expand: {by: 2}}", "PC306", "no rule"),
        ("- {select: scale, init: default}", "PC305", "initialiser of `scale/"),
        ("- {select: hidden, insert_after: {'acme>Scale': {}}}", "PC308", "acme>Scale"),
        ("- {select: hidden, insert_after: {Lambda: {function: x}}}", "PC308", "Lambda"),
    ],
)
def test_what_needs_the_code_is_refused(acme: Path, edits: str, code: str, says: str) -> None:
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(acme / "acme.keras", patch_of(edits))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert says in found.message
    assert found.help


class ScaleRule(rules.Rule):
    """The rule of the class above."""

    class_name = "Scale"
    feature = "input"

    def weights(self, config: rules.Config, call: rules.CallSpec) -> list[rules.WeightSpec]:
        size = call.shape[-1] or 0
        return [rules.WeightSpec("factor", "vars/0", (size,), ("input",), rules.Strategy("Ones"))]

    def identity(
        self, config: rules.Config, call: rules.CallSpec
    ) -> dict[str, rules.Strategy] | None:
        return {"factor": rules.Strategy("Ones")}


@pytest.fixture
def scale_rule() -> Iterator[None]:
    rules.register("acme>Scale", ScaleRule(), module="acme_layers")
    yield
    rules.forget("acme>Scale")


@pytest.mark.usefixtures("scale_rule")
@pytest.mark.parametrize(
    "edits",
    [
        pytest.param("- {select: before, expand: {by: 2}}", id="grow through it"),
        pytest.param(
            "- {select: hidden, insert_after: {'acme>Scale': {name: s2}}, init: identity}",
            id="insert one",
        ),
    ],
)
def test_a_declared_rule_serves_like_any_other(acme: Path, tmp_path: Path, edits: str) -> None:
    if "before" in edits:  # the Lambda behind it still has no rule
        edits = "- {select: twice, remove: true}\n" + edits
    judged = judge(acme / "acme.keras", patch_of(edits), tmp_path, safe_mode=False)
    if "s2" in edits:
        given = sample(judged.base)
        assert_close(outputs(judged.result, given)[0], outputs(judged.base, given)[0])
    else:
        assert judged.after["scale/factor"].tolist()[5:] == [1.0, 1.0]


def test_a_rule_stands_for_no_class_of_keras() -> None:
    class Mine(rules.Rule):
        class_name = "Dense"

    with pytest.raises(ValueError, match="of Keras"):
        rules.register("acme>Dense", Mine())
    with pytest.raises(ValueError, match="agree"):
        rules.register("acme>Other", ScaleRule())
