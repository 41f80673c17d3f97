"""Tokens are appended to vocabularies; Keras is the judge."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import patchc
from tests.acceptance.widening import Build, patch


def _looked_up(build: Build, shape: tuple[int, ...], path: Path) -> None:
    given = keras.Input(shape, dtype="string")
    model = keras.Model(given, layers.Dense(2)(build(given)))
    for variable in model.weights:
        variable.assign(np.random.default_rng(1).uniform(-0.4, 0.6, variable.shape))
    model.save(path)


LOOKUPS: dict[str, tuple[tuple[int, ...], Build]] = {
    "embedding": ((), lambda x: layers.Embedding(4, 3, name="rows")(
        layers.StringLookup(vocabulary=["a", "b", "c"], name="t")(x))),
    "spare rows": ((), lambda x: layers.Embedding(6, 3, name="rows")(
        layers.StringLookup(vocabulary=["a", "b", "c"], name="t")(x))),
    "masked": ((2,), lambda x: layers.GlobalAveragePooling1D()(
        layers.Embedding(5, 3, mask_zero=True, name="rows")(layers.StringLookup(
            vocabulary=["a", "b", "c"], mask_token="", name="t")(x)))),
    "multi-hot": ((2,), lambda x: layers.StringLookup(
        vocabulary=["a", "b", "c"], output_mode="multi_hot", name="t")(x)),
    "encoding": ((2,), lambda x: layers.CategoryEncoding(4)(
        layers.StringLookup(vocabulary=["a", "b", "c"], name="t")(x))),
}  # fmt: skip
WORDS = np.array(["a", "zebra", "c", "b"])
NEW = np.array(["tent", "a", "kayak", "tent"])


@pytest.mark.parametrize("name", LOOKUPS)
def test_tokens_are_appended(name: str, tmp_path: Path) -> None:
    shape, build = LOOKUPS[name]
    base, out = tmp_path / "before.keras", tmp_path / "after.keras"
    _looked_up(build, shape, base)
    patchc.apply(base, patch("expand: {tokens: [tent, kayak]}"), out)
    before, after = keras.models.load_model(base), keras.models.load_model(out)
    assert after.get_layer("t").get_vocabulary()[-2:] == ["tent", "kayak"]
    texts = [WORDS, NEW] if name in {"embedding", "spare rows", "masked"} else [WORDS]
    for words in texts:
        given = ops.convert_to_tensor(words if shape == () else np.stack([words, words[::-1]], 1))
        np.testing.assert_allclose(after(given), before(given), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "verb", "says"),
    [
        (LOOKUPS["embedding"][1], "expand: {tokens: [a]}", "already"),
        (LOOKUPS["embedding"][1], "expand: {tokens: [3]}", "str"),
        (lambda x: ops.cast(layers.StringLookup(vocabulary=["a"], name="t")(x[:, None]), "float32")
         * 2.0, "expand: {tokens: [b]}", "no embedding"),
        (lambda x: layers.Embedding(9, 2)(layers.StringLookup(
            vocabulary=["a"], max_tokens=2, name="t")(x)), "expand: {tokens: [b]}", "at most 2"),
    ],
)  # fmt: skip
def test_tokens_that_cannot_be_taken(build: Build, verb: str, says: str, tmp_path: Path) -> None:
    _looked_up(build, (), tmp_path / "m.keras")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "m.keras", patch(verb))
    (found,) = caught.value.diagnostics
    assert says in found.message
    assert found.help


def test_a_vocabulary_in_a_file_is_refused(tmp_path: Path) -> None:
    lookup = layers.StringLookup(name="t")
    lookup.adapt(["a", "b"])
    _looked_up(lambda x: layers.Embedding(4, 2)(lookup(x)), (), tmp_path / "m.keras")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "m.keras", patch("expand: {tokens: [c]}"))
    assert caught.value.diagnostics[0].code == "PC310"
