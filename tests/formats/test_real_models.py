"""Real files of many eras: inspected and patched, in their own format and as `.keras`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import patchc
from patchc.inspect import inspect_file
from tests.real_models import FILES, real_model

KERAS_2_ARCHIVES = {"cleandoc"}
CUSTOM = {"car-v2", "mm-mtsplice0"}
"""Models that Keras cannot load without code that is not in the file."""

PATCH = """
patchc: 1
id: change
edits:
  - {select: {head: 0}, expand: {by: 2}}
  - {select: {weighted: true, first: 1}, freeze: true}
  - {select: {weighted: true, nth: 1}, init: {"*": default}}
"""


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_is_inspected_and_patched(tmp_path: Path, name: str) -> None:
    path = real_model(name)
    facts = inspect_file(path).model
    assert facts.params > 1000
    opaque = {layer.class_name for layer in facts.layers if layer.opaque}
    assert opaque <= {"Lambda", "SplineWeight1D"}
    patch = patchc.loads(PATCH)
    for ending in dict.fromkeys((path.suffix, ".keras")):
        out = tmp_path / f"patched{ending}"
        report = patchc.apply(path, patch, out)
        assert report.ok
        ledger = report.to_dict()["ledger"]
        assert ledger["grown"] == 2
        assert ledger["reinitialised"] > 0
        assert ledger["dropped"] == 0
        assert patchc.verify(path, out, patch).ok


@pytest.mark.parametrize("name", sorted(set(FILES) - CUSTOM))
def test_keras_opens_the_result(tmp_path: Path, name: str) -> None:
    import keras

    path = real_model(name)
    out = tmp_path / "patched.keras"
    plan = patchc.plan(path, patchc.loads(PATCH))
    patchc.apply(path, patchc.loads(PATCH), out)
    if name in KERAS_2_ARCHIVES:  # they stay what they are
        out, patched = tmp_path / "converted.keras", out
        assert patchc.convert(patched, out).report.ok
    model = keras.models.load_model(out)
    assert model.count_params() == plan.params["after"]
    assert not next(layer for layer in model.layers if layer.weights).trainable


def test_a_weights_file() -> None:
    folder = Path(os.environ.get("PATCHC_MODEL_ZOO", Path(__file__).parents[3] / "shared/models"))
    path = folder / "textgen" / "textgenrnn_weights.hdf5"
    if not path.exists():
        pytest.skip(f"no real models at {folder} (set PATCHC_MODEL_ZOO)")
    facts = inspect_file(path).model
    assert facts.params == 462_717
    patch = patchc.loads("patchc: 1\nid: x\nedits: [{select: output, expand: {by: 3}}]")
    assert patchc.plan(path, patch).ledger.counts()["grown"] == 2
