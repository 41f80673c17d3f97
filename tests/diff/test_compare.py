"""What `patchc diff` finds: layers by identity, weights by what has become of their values."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program
from patchc.diff.compare import compare_files
from patchc.diff.difference import Difference, fates_of
from patchc.language.schema import read_schema


def run(*args: str) -> Result:
    return CliRunner().invoke(program(), args)


def patched(model: str, edits: list[Any], **keys: Any) -> Difference:
    """The difference that a patch makes."""
    text = json.dumps({"patchc": 1, "id": "p", "edits": edits, **keys})
    patchc.apply(model, patchc.loads(text), "after.keras", force=True)
    return compare_files(model, "after.keras")


def changes(found: Difference) -> dict[str, str]:
    return {layer.path: layer.change for layer in found.layers}


def test_a_model_does_not_differ_from_itself(desk: Path) -> None:
    found = compare_files("two.keras", "two.keras")
    assert found.same
    assert found.layers == ()
    assert set(fates_of(found.weights)) - {"identical"} == {
        fate for fate, count in fates_of(found.weights).items() if not count
    }


def test_growth_tells_that_shared_entries_are_the_same(desk: Path) -> None:
    found = patched("small.keras", [{"select": "predictions", "expand": {"by": 2}}])
    assert changes(found) == {"predictions": "changed"}
    (layer,) = found.layers
    assert layer.config == {"units": (10, 12)}
    kernel = next(w for w in layer.weights if w.path == "predictions/kernel")
    assert (kernel.fate, kernel.before, kernel.after) == ("grown", (16, 10), (16, 12))
    assert kernel.moved is not None
    assert kernel.moved.is_zero
    assert fates_of(found.optimizer)["grown"] == 4
    assert fates_of(found.optimizer)["changed"] == 0
    assert (found.before.history, found.after.history) == ((), ("p",))


def test_a_renamed_layer_is_the_same_layer(desk: Path) -> None:
    found = patched("two.keras", [{"select": "conv1", "rename": "stem"}])
    assert changes(found) == {"stem": "changed"}
    assert found.layers[0].before == "conv1"
    assert fates_of(found.weights)["identical"] == len(found.weights)


def test_layers_inside_a_nested_model_are_compared(desk: Path) -> None:
    found = patched("two.keras", [{"select": "backbone/inner", "set": {"activation": "relu"}}])
    assert [(layer.path, layer.config) for layer in found.layers] == [
        ("backbone/inner", {"activation": ("linear", "relu")})
    ]


def test_insertion_removal_freezing_and_training(desk: Path) -> None:
    edits = [
        {"select": "drop", "remove": True},
        {"select": "hidden", "insert_after": {"Dense": {"units": 16, "name": "more"}}},
        {"select": "hidden", "freeze": True},
    ]
    found = patched("small.keras", edits, compile={"learning_rate": 0.5})
    assert changes(found) == {
        "hidden": "changed",
        "more": "new",
        "norm": "changed",
        "predictions": "changed",
        "drop": "gone",
    }
    by_path = {layer.path: layer for layer in found.layers}
    assert by_path["hidden"].trainable == (True, False)
    assert by_path["norm"].reads == (("hidden",), ("more",))
    assert [w.fate for w in by_path["more"].weights] == ["new", "new"]
    assert list(found.training) == ["optimizer"]


def test_the_magnitude_of_a_change_is_that_of_numpy(desk: Path) -> None:
    import keras

    model = keras.models.load_model("small.keras")
    kernel, bias = model.get_layer("hidden").get_weights()
    moved = kernel + np.linspace(0, 0.5, kernel.size, dtype="float32").reshape(kernel.shape)
    model.get_layer("hidden").set_weights([moved, bias])
    model.save("after.keras")
    found = compare_files("small.keras", "after.keras")
    changed = [w for w in found.weights if w.fate != "identical"]
    assert [w.path for w in changed] == ["hidden/kernel"]
    magnitude = changed[0].moved
    assert magnitude is not None
    step = moved.astype("float64") - kernel.astype("float64")
    assert magnitude.largest == np.abs(step).max()
    expected = np.linalg.norm(step) / np.linalg.norm(kernel.astype("float64"))
    assert magnitude.relative == pytest.approx(expected, rel=1e-12)
    assert fates_of(found.optimizer)["identical"] == len(found.optimizer)


def test_weights_of_a_model_without_a_graph_are_told_with_it(desk: Path) -> None:
    import keras

    class Own(keras.Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.inner(x)

    for name, value in (("one", 0.0), ("two", 1.0)):
        model = Own()
        model(np.zeros((1, 3)))
        model.inner.set_weights([np.full((3, 2), value), np.zeros(2)])
        model.save(f"{name}.keras")
    found = compare_files("one.keras", "two.keras")
    assert not found.same
    (layer,) = found.layers
    assert [(w.fate, w.moved.largest if w.moved else None) for w in layer.weights] == [
        ("changed", 1.0)
    ]
    assert "~ the model  Own" in run("diff", "one.keras", "two.keras").stdout


@pytest.mark.parametrize("form", ["text", "concise", "json"])
def test_every_format_tells_it(desk: Path, form: str) -> None:
    patched("small.keras", [{"select": "predictions", "expand": {"by": 2}}])
    result = run("diff", "small.keras", "after.keras", "--format", form)
    assert result.exit_code == 0
    if form == "json":
        data = json.loads(result.stdout)
        schema = json.loads(read_schema("report"))
        assert not list(Draft7Validator(schema).iter_errors(data))
        assert data["weights"]["grown"] == 2
    else:
        assert "units 10 -> 12" in result.stdout
        assert "grown, shared entries identical" in result.stdout
        assert result.stdout.endswith("1 layer changed; weights: 2 grown.\n")


def test_the_exit_code_tells_on_demand(desk: Path) -> None:
    assert run("diff", "small.keras", "small.keras", "--exit-code").exit_code == 0
    assert run("diff", "small.keras", "two.keras", "--exit-code").exit_code == 1
    assert run("diff", "small.keras", "two.keras").exit_code == 0
    assert run("diff", "small.keras").exit_code == 2
    assert run("diff", "small.keras", "missing.keras").exit_code == 1


def test_memory_does_not_follow_the_size_of_a_weight(desk: Path) -> None:
    """A weight of 16 MB that has grown is compared in slabs."""
    import keras

    for name, units in (("a", 2000), ("b", 2001)):
        model = keras.Sequential([keras.Input((2000,)), keras.layers.Dense(units, name="d")])
        model.save(f"{name}.keras")
    compare_files("a.keras", "b.keras")  # what is imported on the way does not count
    tracemalloc.start()
    compare_files("a.keras", "b.keras")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20
