"""Tokens are appended to vocabularies; Keras is the judge."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    "texts": ((), lambda x: layers.GlobalAveragePooling1D()(layers.Embedding(5, 3, name="rows")(
        layers.TextVectorization(vocabulary=["a", "b", "c"], name="t")(x)))),
    "at most so many": ((), lambda x: layers.Embedding(4, 3, name="rows")(
        layers.StringLookup(vocabulary=["a", "b", "c"], max_tokens=4, name="t")(x))),
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
    texts = [WORDS] if name in {"multi-hot", "encoding"} else [WORDS, NEW]
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
        (LOOKUPS["embedding"][1], 'expand: {tokens: ["two\\nlines"]}', "one line"),
        (LOOKUPS["texts"][1], "expand: {tokens: [Tent]}", "small letters"),
        (LOOKUPS["texts"][1], "expand: {tokens: [mid-air]}", "punctuation"),
        (LOOKUPS["texts"][1], "expand: {tokens: [a tent]}", "white space"),
        (lambda x: layers.Dense(2)(layers.TextVectorization(
            split="character", vocabulary=["a"], output_mode="multi_hot", name="t")(x)),
         "expand: {tokens: [tent]}", "into characters"),
        (lambda x: layers.Dense(2)(layers.TextVectorization(
            vocabulary=["a"], idf_weights=[0.5], output_mode="tf_idf", name="t")(x)),
         "expand: {tokens: [b]}", "how rare"),
        (lambda x: layers.Embedding(9, 2)(layers.Hashing(9, name="t")(x)),
         "expand: {by: 2, axis: num_bins}", "every value would get another id"),
        (lambda x: layers.Embedding(9, 2)(layers.Hashing(9, name="t")(x)),
         "expand: {tokens: [b]}", "every value would get another id"),
    ],
)  # fmt: skip
def test_tokens_that_cannot_be_taken(build: Build, verb: str, says: str, tmp_path: Path) -> None:
    _looked_up(build, (), tmp_path / "m.keras")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "m.keras", patch(verb))
    (found,) = caught.value.diagnostics
    assert says in found.message
    assert found.help


# ------------------------------------------------------------- vocabularies in files


def _adapted(layer: Any, data: Any) -> Any:
    layer.adapt(data)
    return layer


TEXTS = ["the cat sat", "the dog sat", "naïve cats"]
ADAPTED: dict[str, tuple[Callable[[], Any], list[Any], list[Any]]] = {
    "strings": (lambda: _adapted(layers.StringLookup(name="t"), TEXTS), TEXTS, ["a tent", "é"]),
    "integers": (
        lambda: _adapted(layers.IntegerLookup(mask_token=0, name="t"), [3, 5, 9]),
        [3, 9, 4], [4, 77],
    ),
    "texts": (
        lambda: _adapted(layers.TextVectorization(output_sequence_length=4, name="t"), TEXTS),
        TEXTS, ["tent", "é"],
    ),
    "full": (
        lambda: _adapted(layers.TextVectorization(4, output_sequence_length=4, name="t"), TEXTS),
        TEXTS, ["tent"],
    ),
    "bags": (
        lambda: _adapted(layers.TextVectorization(output_mode="multi_hot", name="t"), TEXTS),
        TEXTS, ["tent", "é"],
    ),
    "padded": (
        lambda: _adapted(layers.TextVectorization(
            9, output_mode="count", pad_to_max_tokens=True, name="t"), TEXTS),
        TEXTS, ["tent", "é"],
    ),
}  # fmt: skip


@pytest.fixture(params=ADAPTED)
def adapted(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Any, list[Any]]:
    """A saved model whose vocabulary is a file, inputs for it, and new tokens."""
    make, inputs, tokens = ADAPTED[request.param]
    lookup = make()
    given = keras.Input((), dtype="int64" if request.param == "integers" else "string")
    ids = lookup(given)
    if request.param not in {"bags", "padded"}:
        ids = layers.Embedding(lookup.vocabulary_size(), 3)(ids)
        ids = layers.GlobalAveragePooling1D()(ids) if len(ids.shape) > 2 else ids
    model = keras.Model(given, layers.Dense(2)(ids))
    model.save(tmp_path / "before.keras")
    return tmp_path / "before.keras", ops.convert_to_tensor(inputs), tokens


def _growing(tokens: list[Any]) -> Any:
    return patch(f"expand: {{tokens: {json.dumps(tokens)}}}")


def test_tokens_are_appended_to_files(adapted: tuple[Path, Any, list[Any]]) -> None:
    base, given, tokens = adapted
    out, undo = base.with_name("after.keras"), base.with_name("undo")
    patchc.apply(base, _growing(tokens), out, undo_file=undo)
    assert patchc.verify(base, out, _growing(tokens)).ok
    before, after = keras.models.load_model(base), keras.models.load_model(out)
    words = before.get_layer("t").get_vocabulary()
    assert after.get_layer("t").get_vocabulary() == [*words, *tokens]
    np.testing.assert_allclose(after(given), before(given), atol=1e-6)
    in_memory = patchc.apply(before, _growing(tokens))
    assert in_memory.get_layer("t").get_vocabulary() == [*words, *tokens]
    patchc.revert(out, undo, base.with_name("back.keras"))
    assert base.with_name("back.keras").read_bytes() == base.read_bytes()


def test_tokens_are_appended_twice(adapted: tuple[Path, Any, list[Any]]) -> None:
    base, _, tokens = adapted
    edits = "".join(f"  - select: t\n    expand: {{tokens: [{json.dumps(t)}]}}\n" for t in tokens)
    several = patchc.loads(f"patchc: 1\nid: several\nedits:\n{edits}")
    patchc.apply(base, several, base.with_name("several.keras"))
    patchc.apply(base, _growing(tokens), base.with_name("once.keras"))
    one, other = (
        keras.models.load_model(base.with_name(f"{n}.keras")) for n in ("several", "once")
    )
    assert one.get_layer("t").get_vocabulary() == other.get_layer("t").get_vocabulary()
    assert [w.shape for w in one.weights] == [w.shape for w in other.weights]
    with pytest.raises(patchc.PatchError, match="already"):
        patchc.plan(base.with_name("once.keras"), _growing(tokens[:1]), again=True)


def test_files_that_were_zipped_again(adapted: tuple[Path, Any, list[Any]]) -> None:
    base, _, tokens = adapted
    packed, out = base.with_name("packed.keras"), base.with_name("after.keras")
    with zipfile.ZipFile(base) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    patchc.apply(packed, _growing(tokens), out)
    found = keras.models.load_model(out).get_layer("t").get_vocabulary()
    assert found[-len(tokens) :] == tokens


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda name, data: None, "PC310", "neither"),
        (lambda name, data: data if "_lookup_layer" in name else b"\na\nb", "PC404", "differ"),
        (lambda name, data: b"\xff\xfe", "PC404", "cannot be read"),
    ],
)
def test_vocabularies_that_are_not_what_keras_writes(
    change: Callable[[str, bytes], bytes | None], code: str, says: str, tmp_path: Path
) -> None:
    lookup = ADAPTED["texts"][0]()
    given = keras.Input((), dtype="string")
    keras.Model(given, layers.Embedding(9, 2)(lookup(given))).save(tmp_path / "m.keras")
    base = tmp_path / "changed.keras"
    with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(base, "w") as new:
        for name in old.namelist():
            held = change(name, old.read(name)) if "assets" in name else old.read(name)
            if held is not None:
                new.writestr(name, held)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(base, _growing(["tent"]))
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert says in found.message


def test_a_vocabulary_that_was_tampered_with_is_found(tmp_path: Path) -> None:
    lookup = ADAPTED["strings"][0]()
    given = keras.Input((), dtype="string")
    keras.Model(given, layers.Embedding(9, 2)(lookup(given))).save(tmp_path / "before.keras")
    patchc.apply(tmp_path / "before.keras", _growing(["tent"]), tmp_path / "after.keras")
    with (
        zipfile.ZipFile(tmp_path / "after.keras") as old,
        zipfile.ZipFile(tmp_path / "other.keras", "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"tent", b"tint"))
    report = patchc.verify(tmp_path / "before.keras", tmp_path / "other.keras", _growing(["tent"]))
    assert "other-members-identical" in {check.name for check in report.checks if not check.ok}
