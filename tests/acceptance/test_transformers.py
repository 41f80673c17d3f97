"""Every dimension of small transformers, GPT-style and BERT-style; Keras is the judge."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import keras
import numpy as np
import pytest

import patchc
from tests.acceptance.widening import apart, edits, patch, stir
from tests.transformers import (
    EDITS,
    KINDS,
    LENGTH,
    REFUSED,
    WORDS,
    dimensions,
    together,
    transformer,
)


@cache
def _model(kind: str) -> tuple[Any, Path]:
    keras.utils.set_random_seed(4)
    model = transformer(**KINDS[kind])
    stir(model)
    path = Path(mkdtemp()) / "before.keras"
    model.save(path)
    return model, path


@pytest.mark.parametrize(("kind", "edit"), [(k, edit) for k in KINDS for edit in dimensions(k)])
def test_a_dimension_grows_or_is_refused(kind: str, edit: str, tmp_path: Path) -> None:
    model, path = _model(kind)
    select, verb = EDITS[edit]
    if (kind, edit) in REFUSED:
        words, way = REFUSED[kind, edit]
        with pytest.raises(patchc.PatchError) as caught:
            patchc.plan(path, patch(verb, select))
        (diagnostic,) = caught.value.diagnostics
        assert words in diagnostic.message
        assert way in (diagnostic.help or "")
        return
    patchc.apply(path, patch(verb, select), tmp_path / "after.keras")
    after = keras.models.load_model(tmp_path / "after.keras")
    assert after.count_params() > model.count_params()
    assert apart(model, after) <= 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_all_dimensions_together(kind: str, tmp_path: Path) -> None:
    model, path = _model(kind)
    patchc.apply(path, edits(*together(kind)), tmp_path / "after.keras")
    after = keras.models.load_model(tmp_path / "after.keras")
    assert after.count_params() > 1.1 * model.count_params()
    assert apart(model, after) <= 1e-6


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("gpt")])
def test_a_longer_context(kind: str, tmp_path: Path) -> None:
    """Rows for positions, and inputs that may be as long; what comes first does not notice."""
    model, path = _model(kind)
    longer = ("[ids, places]", f"set: {{shape: [{LENGTH + 3}]}}")
    patchc.apply(path, edits(EDITS["positions"], longer), tmp_path / "after.keras")
    after = keras.models.load_model(tmp_path / "after.keras")
    ids = np.random.default_rng(3).integers(0, WORDS, (2, LENGTH + 3))
    places = np.tile(np.arange(LENGTH + 3), (2, 1))
    before = np.asarray(model([ids[:, :LENGTH], places[:, :LENGTH]]))
    now = np.asarray(after([ids, places]))
    assert now.shape[1] == LENGTH + 3
    assert np.abs(now[:, :LENGTH] - before).max() <= 1e-6 * np.abs(before).max()
