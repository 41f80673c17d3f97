"""Every dimension of small transformers, GPT-style and BERT-style; Keras is the judge."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from tests.acceptance.widening import outputs, patch, stir
from tests.transformers import transformer

WIDER = "expand: {by: 5, axis: output_dim}"
TWICE = "expand: {to: 24, axis: output_dim}"
DEEPER = """insert_after: {copy_of: {block: {from: block1_attend_norm, to: block1_feed_add}}}
    init: identity"""
KINDS: dict[str, dict[str, Any]] = {
    "gpt": {},
    "gpt tied": {"tied": True},
    "gpt rms": {"norm": layers.RMSNormalization},
    "gpt rms tied": {"norm": layers.RMSNormalization, "tied": True},
    "bert": {"post": True, "causal": False},
    "bert tied": {"post": True, "causal": False, "tied": True},
}
EDITS = {
    "width": ("words", WIDER),
    "width twice": ("words", TWICE),
    "feed-forward": ("wide0", "expand: {by: 5}"),
    "heads": ("attention0", "expand: {by: 1}"),
    "value size": ("attention1", "expand: {by: 2, axis: value_dim}"),
    "vocabulary": ("words", "expand: {by: 2}"),
    "depth": ("block1_feed_add", DEEPER),
}
REFUSED = {
    ("bert", "width"): ("LayerNormalization", "to: 24"),
    ("bert tied", "width"): ("LayerNormalization", "block"),
    ("bert tied", "width twice"): ("depend on one another", "block"),
    ("bert", "depth"): ("identity", "residual additions"),
    ("bert tied", "depth"): ("identity", "residual additions"),
}


@cache
def _model(kind: str) -> tuple[Any, Path]:
    keras.utils.set_random_seed(4)
    model = transformer(**KINDS[kind])
    stir(model)
    path = Path(mkdtemp()) / "before.keras"
    model.save(path)
    return model, path


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", KINDS)
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
    before, now = outputs(model), outputs(after)
    now = now[..., : before.shape[-1]]
    assert np.abs(now - before).max() <= 1e-6 * np.abs(before).max()


@pytest.mark.parametrize("kind", ["gpt", "gpt tied", "gpt rms", "gpt rms tied"])
def test_all_dimensions_together(kind: str, tmp_path: Path) -> None:
    model, path = _model(kind)
    edits = "".join(
        f"  - select: {select}\n    {verb}\n" for name, (select, verb) in EDITS.items()
        if name != "width twice"
    )  # fmt: skip
    patchc.apply(path, patchc.loads(f"patchc: 1\nid: all\nedits:\n{edits}"), tmp_path / "a.keras")
    after = keras.models.load_model(tmp_path / "a.keras")
    before, now = outputs(model), outputs(after)[..., :11]
    assert after.count_params() > 1.5 * model.count_params()
    assert np.abs(now - before).max() <= 1e-6 * np.abs(before).max()
