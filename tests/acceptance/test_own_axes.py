"""Every axis that a layer has of its own grows and leaves the outputs; Keras is the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import patchc

Build = Callable[[Any], Any]
SEQUENCE, IMAGE, IDS = (6, 8), (8, 8, 4), (6,)
VIDEO = (4, 6, 6, 2)


def _dense(x: Any, units: int = 5) -> Any:
    return layers.Dense(units, name="t")(x)


def _conv(x: Any) -> Any:
    return layers.Conv2D(4, 3, name="t")(x)


def _ids(x: Any) -> Any:
    return ops.cast(ops.abs(x) * 3.0, "int32")


def _mha(**arguments: Any) -> Build:
    return lambda x: layers.MultiHeadAttention(2, 4, name="t", **arguments)(x, x)


def _gqa(x: Any) -> Any:
    return layers.GroupQueryAttention(4, 4, 2, name="t")(x, x)


def _heads(x: Any) -> Any:
    return layers.EinsumDense("abc,cde->abde", (6, 4, 3), bias_axes="de", name="t")(x)


def _tied(x: Any) -> Any:
    """Its vectors through a residual stream, and back to ids."""
    table = layers.ReversibleEmbedding(10, 4, name="t")
    vectors = table(_ids(x))
    stream = layers.Add()([vectors, layers.Dense(4)(layers.Dense(3, "relu")(vectors))])
    return table(layers.Dense(4)(stream), reverse=True)


def _untied(x: Any) -> Any:
    table = layers.ReversibleEmbedding(10, 4, tie_weights=False, name="t")
    return table(table(_ids(x)), reverse=True)


def _stack(x: Any) -> Any:
    return layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], name="t")(x)


def _by_hand(x: Any) -> Any:
    q, k, v = _dense(x), layers.Dense(5)(x), layers.Dense(4)(x)
    return ops.matmul(ops.softmax(ops.matmul(q, ops.swapaxes(k, 1, 2)), axis=-1), v)


# Input shape, model up to a Dense, axis, by how much.
GROWN: dict[str, tuple[tuple[int, ...], Build, str, int]] = {
    "heads": (SEQUENCE, _mha(), "num_heads", 2),
    "heads with a gate": (SEQUENCE, _mha(use_gate=True), "num_heads", 2),
    "key size": (SEQUENCE, _mha(), "key_dim", 3),
    "key size fourfold": (SEQUENCE, _mha(use_bias=False), "key_dim", 12),
    "value size": (SEQUENCE, _mha(value_dim=3), "value_dim", 2),
    "output of attention": (SEQUENCE, _mha(output_shape=5), "output_shape", 2),
    "query heads": (SEQUENCE, _gqa, "num_query_heads", 4),
    "key heads": (SEQUENCE, _gqa, "num_key_value_heads", 1),
    "head size": (SEQUENCE, _gqa, "head_dim", 2),
    "letters of heads": (SEQUENCE, _heads, "d", 2),
    "letters of sizes": (SEQUENCE, _heads, "e", 2),
    "letters that are read": (
        SEQUENCE, lambda x: layers.EinsumDense("abde,dec->abc", (6, 5))(_heads(x)), "d", 2
    ),
    "letters that stay": (
        SEQUENCE, lambda x: layers.EinsumDense("abc,bcd->abd", (6, 3), bias_axes="bd")(
            ops.swapaxes(_dense(x, 6), 1, 2)), "units", 2
    ),
    "letters that the kernel lacks": (
        SEQUENCE, lambda x: layers.EinsumDense("abc,cd->abd", (5, 3), bias_axes="bd")(
            ops.swapaxes(_dense(x), 1, 2)), "units", 2
    ),
    "grouped filters": (IMAGE, lambda x: layers.Conv2D(4, 3, groups=2, name="t")(x), "filters", 2),
    "into groups": (IMAGE, lambda x: layers.Conv2D(6, 3, groups=2)(_conv(x)), "filters", 4),
    "groups of one": (IMAGE, lambda x: layers.Conv2D(8, 3, groups=4)(_conv(x)), "filters", 1),
    "transposed": (IMAGE, lambda x: layers.Conv2DTranspose(4, 3, name="t")(x), "filters", 2),
    "convlstm": (VIDEO, lambda x: layers.ConvLSTM2D(4, 3, name="t")(x), "filters", 2),
    "read by convlstm": (VIDEO, lambda x: layers.ConvLSTM2D(4, 3)(
        layers.TimeDistributed(layers.Conv2D(3, 1), name="t")(x)), "filters", 2),
    "last cell": (SEQUENCE, _stack, "units[1]", 2),
    "first cell": (SEQUENCE, _stack, "units[0]", 2),
    "both ways": (SEQUENCE, lambda x: layers.Concatenate()(
        layers.Bidirectional(layers.LSTM(4), merge_mode=None, name="t")(x)), "units", 2),
    "both ways with states": (SEQUENCE, lambda x: layers.Bidirectional(
        layers.LSTM(4, return_state=True), name="t")(x)[0], "units", 2),
    "query of attention": (SEQUENCE, lambda x: layers.Attention()(
        [_dense(x), layers.Dense(5)(x)]), "units", 2),
    "query by sums": (SEQUENCE, lambda x: layers.Attention(score_mode="concat")(
        [_dense(x), layers.Dense(3)(x), layers.Dense(5)(x)]), "units", 2),
    "value of attention": (SEQUENCE, lambda x: layers.Attention()(
        [x, _dense(x), x]), "units", 2),
    "query of additive attention": (SEQUENCE, lambda x: layers.AdditiveAttention()(
        [_dense(x), x, layers.Dense(5)(x)]), "units", 2),
    "without a scale": (SEQUENCE, lambda x: layers.AdditiveAttention(use_scale=False)(
        [_dense(x), x, layers.Dense(5)(x)]), "units", 2),
    "attention by hand": (SEQUENCE, _by_hand, "units", 2),
    "dot": (SEQUENCE, lambda x: layers.Dot(axes=1)([_dense(x), x]), "units", 2),
    "summed dot": (SEQUENCE, lambda x: layers.Dot(axes=2)(
        [_dense(x), layers.Dense(5)(x)]), "units", 2),
    "cosine": (SEQUENCE, lambda x: layers.Dot(axes=2, normalize=True)(
        [_dense(x), layers.Dense(5)(x)]), "units", 2),
    "dot with itself": (SEQUENCE, lambda x: (lambda h: layers.Dot(axes=2)([h, h]))(_dense(x)),
                        "units", 2),
    "sum": (SEQUENCE, lambda x: ops.sum(_dense(x), axis=-1, keepdims=True), "units", 2),
    "mean": (SEQUENCE, lambda x: ops.mean(_dense(x), axis=-1, keepdims=True), "units", 2),
    "length": (SEQUENCE, lambda x: ops.norm(_dense(x), axis=-1, keepdims=True), "units", 2),
    "vocabulary": (IDS, lambda x: layers.Embedding(10, 4, name="t")(_ids(x)), "input_dim", 2),
    "vectors": (IDS, lambda x: layers.Embedding(10, 4, name="t")(_ids(x)), "output_dim", 2),
    "tied vectors": (IDS, _tied, "output_dim", 2),
    "untied vectors": (IDS, _untied, "output_dim", 2),
    "categories": (IDS, lambda x: layers.CategoryEncoding(9, name="t")(_ids(x)), "num_tokens", 2),
    "masking": (SEQUENCE, lambda x: layers.GRU(3)(layers.Masking()(_dense(x))), "units", 2),
    "scales": (SEQUENCE, lambda x: layers.Rescaling([1.0, 2.0, 3.0, 4.0, 5.0], 0.5)(_dense(x)),
               "units", 2),
    "statistics": (SEQUENCE, lambda x: layers.Normalization(
        mean=[0.1] * 5, variance=[2.0] * 5)(_dense(x)), "units", 2),
    "along positions": (SEQUENCE, lambda x: layers.LayerNormalization(axis=2)(
        layers.Permute((2, 1))(_dense(x))), "units", 2),
}  # fmt: skip


def _model(shape: tuple[int, ...], build: Build, path: Path) -> None:
    keras.utils.set_random_seed(3)
    given = keras.Input(shape)
    made = build(given)
    out = layers.Dense(3)(layers.Flatten()(made) if len(made.shape) > 2 else made)
    model = keras.Model(given, out)
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            variable.assign(rng.uniform(-0.4, 0.6, variable.shape))
    model.save(path)


def _patch(verb: str) -> Any:
    return patchc.loads(f"patchc: 1\nid: {verb[:6]}\nedits:\n  - select: t\n    {verb}\n")


def _outputs(path: Path, shape: tuple[int, ...]) -> Any:
    given = np.random.default_rng(2).normal(size=(2, *shape)).astype("float32")
    return keras.ops.convert_to_numpy(keras.models.load_model(path)(given))


@pytest.mark.parametrize("name", GROWN)
def test_outputs_stay(name: str, tmp_path: Path) -> None:
    shape, build, axis, by = GROWN[name]
    base, out = tmp_path / "before.keras", tmp_path / "after.keras"
    _model(shape, build, base)
    report = patchc.apply(base, _patch(f"expand: {{by: {by}, axis: '{axis}'}}"), out)
    params = report.to_dict()["params"]
    assert params["after"] > params["before"] or name in {"scales", "statistics"}
    before, after = _outputs(base, shape), _outputs(out, shape)
    np.testing.assert_allclose(after, before, atol=3e-6 * np.abs(before).max(), rtol=0)


@pytest.mark.parametrize("name", ["key size", "head size"])
def test_keys_are_rescaled_and_back(name: str, tmp_path: Path) -> None:
    shape, build, axis, by = GROWN[name]
    base, wide, back = (tmp_path / f"{n}.keras" for n in ("base", "wide", "back"))
    _model(shape, build, base)
    report = patchc.apply(base, _patch(f"expand: {{by: {by}, axis: {axis}}}"), wide)
    assert report.to_dict()["ledger"]["rescaled"] == 2
    assert patchc.verify(base, wide, _patch(f"expand: {{by: {by}, axis: {axis}}}")).ok
    old = [4 + i for i in range(by)]
    patchc.apply(wide, _patch(f"shrink: {{drop: {old}, axis: {axis}}}"), back)
    pairs = zip(*(keras.models.load_model(p).weights for p in (base, back)), strict=True)
    for one, other in pairs:
        a, b = (keras.ops.convert_to_numpy(v) for v in (one, other))
        np.testing.assert_array_max_ulp(a, b, 1 if "key" in one.path else 0)


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
    patchc.apply(base, _patch("expand: {tokens: [tent, kayak]}"), out)
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
        patchc.plan(tmp_path / "m.keras", _patch(verb))
    (found,) = caught.value.diagnostics
    assert says in found.message
    assert found.help


def test_a_vocabulary_in_a_file_is_refused(tmp_path: Path) -> None:
    lookup = layers.StringLookup(name="t")
    lookup.adapt(["a", "b"])
    _looked_up(lambda x: layers.Embedding(4, 2)(lookup(x)), (), tmp_path / "m.keras")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "m.keras", _patch("expand: {tokens: [c]}"))
    assert caught.value.diagnostics[0].code == "PC310"


def test_what_an_attention_puts_out_is_what_its_value_is(tmp_path: Path) -> None:
    """A query of zeros does not make the output zero, as the normalisation behind it needs."""
    build: Build = lambda x: layers.RMSNormalization()(
        (lambda h: layers.Attention()([h, layers.Dense(5)(h)]))(_dense(x))
    )
    _model(SEQUENCE, build, tmp_path / "m.keras")
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "m.keras", _patch("expand: {by: 2}"))
    assert "Attention" in caught.value.diagnostics[0].message
