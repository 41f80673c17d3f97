"""Growing an axis that a normalisation runs over; Keras is the judge."""

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
from tests.acceptance.widening import (
    Build,
    apart,
    grown,
    patch,
    saved,
    stored_weights,
)

SEQUENCE, IMAGE = (6, 5), (6, 6, 3)
TWO, COPIES = "expand: {by: 2}", "expand: {to: 12}"


def _dense(x: Any, activation: str | None = None) -> Any:
    return layers.Dense(6, name="t", activation=activation)(x)


def _conv(x: Any) -> Any:
    return layers.Conv2D(6, 3, name="t")(x)


def _flat(x: Any) -> Any:
    return layers.Flatten()(x)


def _skip(norm: Callable[[], Any], inner: Build) -> Build:
    def build(x: Any) -> Any:
        stream = _dense(x)
        return layers.Add()([stream, inner(norm()(stream))])

    return build


def _mlp(x: Any) -> Any:
    return layers.Dense(6)(layers.Dense(9, activation="gelu")(x))


def _attend(x: Any) -> Any:
    return layers.MultiHeadAttention(2, 3)(x, x)


def _gated(x: Any) -> Any:
    return layers.Multiply()([layers.Dense(6, activation="sigmoid")(x), _dense(x)])


def _post_norm(x: Any) -> Any:
    stream = layers.LayerNormalization()(_dense(x))
    return layers.LayerNormalization()(layers.Add()([stream, layers.Dense(6)(stream)]))


def _along(x: Any, **arguments: Any) -> Any:
    """An equation that hands the grown axis on as a letter in front, and back."""
    turned = ops.swapaxes(_dense(x), 1, 2)
    return ops.swapaxes(layers.EinsumDense(output_shape=(6, 3), **arguments)(turned), 1, 2)


def _scores(x: Any) -> Any:
    """Query and key that cannot be zero where the value is."""
    value = _dense(x)
    query, key = (layers.Add()([value, layers.Dense(6, "sigmoid")(x)]) for _ in range(2))
    return layers.Attention()([query, value, key])


def _by_operation(x: Any, **arguments: Any) -> Any:
    parts = [layers.EinsumDense("abc,cde->abde", (6, 2, 4), name=n)(x) for n in ("t", "k", "v")]
    return layers.Reshape((6, -1))(ops.nn.dot_product_attention(*parts, **arguments))


LN, RMS = layers.LayerNormalization, layers.RMSNormalization

EXACT: dict[str, tuple[tuple[int, ...], Build, str]] = {
    "layer": (SEQUENCE, lambda x: LN(epsilon=0.5)(_dense(x)), TWO),
    "layer without beta": (SEQUENCE, lambda x: LN(center=False)(_dense(x)), TWO),
    "rms": (SEQUENCE, lambda x: RMS(epsilon=0.5)(_dense(x)), TWO),
    "unit": (SEQUENCE, lambda x: layers.UnitNormalization()(_dense(x)), TWO),
    "rms behind relu": (SEQUENCE, lambda x: RMS()(_dense(x, "relu")), TWO),
    "pre-norm": (SEQUENCE, _skip(LN, _mlp), TWO),
    "pre-norm attention": (SEQUENCE, _skip(LN, _attend), TWO),
    "pre-norm rms": (SEQUENCE, _skip(RMS, _mlp), TWO),
    "post-norm": (SEQUENCE, _post_norm, COPIES),
    "behind relu": (SEQUENCE, lambda x: LN()(_dense(x, "relu")), COPIES),
    "time distributed": (SEQUENCE, lambda x: layers.TimeDistributed(LN())(_dense(x)), COPIES),
    "two kinds": (SEQUENCE, _skip(LN, lambda x: RMS()(layers.Dense(6)(x))), TWO),
    "gated rms": (SEQUENCE, lambda x: RMS()(_gated(x)), TWO),
    "gated by one": (
        SEQUENCE,
        lambda x: LN()(layers.Multiply()([_dense(x), layers.Dense(1)(x)])),
        TWO,
    ),
    "operations": (SEQUENCE, lambda x: LN()(_dense(x) * 2.0 + 1.0), TWO),
    "operations rms": (SEQUENCE, lambda x: RMS()(ops.relu(_dense(x)) / 2.0), TWO),
    "lstm": (SEQUENCE, lambda x: RMS()(layers.LSTM(6, name="t")(x)), TWO),
    "gru": (SEQUENCE, lambda x: RMS()(layers.Bidirectional(layers.GRU(6), name="t")(x)), TWO),
    "beside others": (SEQUENCE, lambda x: RMS()(layers.Concatenate()([x, _dense(x)])), TWO),
    "pooled": (IMAGE, lambda x: LN()(layers.GlobalAveragePooling2D()(_conv(x))), TWO),
    "pooled by an operation": (IMAGE, lambda x: LN()(ops.mean(_conv(x), axis=(1, 2))), TWO),
    "over places too": (IMAGE, lambda x: _flat(RMS(axis=[1, 2, 3])(_conv(x))), TWO),
    "rms behind batch": (IMAGE, lambda x: _flat(RMS()(layers.BatchNormalization()(_conv(x)))), TWO),
    "batch": (IMAGE, lambda x: _flat(LN()(layers.BatchNormalization()(_conv(x)))), COPIES),
    "depthwise": (IMAGE, lambda x: _flat(LN()(layers.DepthwiseConv2D(3)(_conv(x)))), COPIES),
    "flat": (IMAGE, lambda x: LN()(_flat(_conv(x))), COPIES),
    "each channel a group": (
        IMAGE,
        lambda x: _flat(layers.Conv2D(6, 3, groups=6)(_conv(x))),
        TWO,
    ),
    "a group for each channel": (
        IMAGE,
        lambda x: _flat(layers.Conv2D(6, 3, groups=6, name="t")(layers.Conv2D(6, 1)(x))),
        TWO,
    ),
    "whole groups": (IMAGE, lambda x: _flat(layers.GroupNormalization(3)(_conv(x))), TWO),
    "value of attention": (
        SEQUENCE,
        lambda x: LN()(layers.Attention(use_scale=True)([x, _dense(x), x])),
        TWO,
    ),
    "value that is read": (
        SEQUENCE,
        lambda x: LN()(layers.AdditiveAttention()([layers.Dense(6)(x), _dense(x)])),
        TWO,
    ),
    "attention to itself": (
        SEQUENCE,
        lambda x: RMS()((lambda h: layers.Attention()([h, layers.Dense(6)(h)]))(_dense(x))),
        TWO,
    ),
    "handed on by products": (
        SEQUENCE,
        lambda x: LN()(layers.Dot(axes=1)([layers.Dense(4)(x), _dense(x)])),
        TWO,
    ),
    "letters handed on": (
        SEQUENCE,
        lambda x: LN()(_along(x, equation="abc,cd->abd", bias_axes="d")),
        TWO,
    ),
    "letters with a bias": (
        SEQUENCE,
        lambda x: LN()(_along(x, equation="abc,cd->abd", bias_axes="bd")),
        TWO,
    ),
    "letters of the kernel": (
        SEQUENCE,
        lambda x: RMS()(_along(x, equation="abc,bcd->abd", bias_axes="bd")),
        TWO,
    ),
    "letters that are scaled": (
        SEQUENCE,
        lambda x: LN()(layers.EinsumDense("abc,c->abc", (6, 6), bias_axes="c")(_dense(x))),
        COPIES,
    ),
    "attention by operation": (SEQUENCE, lambda x: RMS()(_by_operation(x)), TWO),
    "attention with a scale": (SEQUENCE, lambda x: RMS()(_by_operation(x, scale=0.3)), TWO),
    "attention with a mask": (
        SEQUENCE,
        lambda x: _by_operation(x, mask=ops.ones((6, 6), "bool"), is_causal=True),
        TWO,
    ),
    "each its group": (IMAGE, lambda x: _flat(layers.GroupNormalization(-1)(_conv(x))), TWO),
}


@pytest.mark.parametrize("name", EXACT)
def test_outputs_stay(name: str, tmp_path: Path) -> None:
    shape, build, verb = EXACT[name]
    model = saved(shape, build, tmp_path)
    after, _ = grown(tmp_path, verb)
    assert apart(model, after) <= 2e-6
    assert after.count_params() > model.count_params()


REFUSED: dict[str, tuple[tuple[int, ...], Build, str, str, str]] = {
    "post-norm": (SEQUENCE, _post_norm, TWO, "mean of the old ones, and `l", "to: 12"),
    "depthwise": (IMAGE, EXACT["depthwise"][1], TWO, "DepthwiseConv2D", "to: 12"),
    "without gamma": (SEQUENCE, lambda x: LN(scale=False)(_dense(x)), TWO, "depend on", "to: 12"),
    "over places": (IMAGE, lambda x: _flat(LN(axis=[1, 2, 3])(_conv(x))), TWO, "depend", "to: 12"),
    "beside others": (
        SEQUENCE, lambda x: LN()(layers.Concatenate()([x, _dense(x)])), COPIES, "depend", "block"
    ),
    "part of a group": (
        IMAGE, lambda x: _flat(layers.GroupNormalization(2)(_conv(x))), TWO, "multiple of 3", "or"
    ),
    "uneven copies": (
        SEQUENCE, lambda x: LN()(_dense(x)), f"{TWO}\n    init: copy", "depend on", "to: 12"
    ),
    "values of one's own": (
        SEQUENCE, lambda x: LN()(_dense(x)), f"{TWO}\n    init: he_normal", "to be mean", "init"
    ),
    "shifted": (SEQUENCE, lambda x: RMS()(_dense(x) + 1.0), TWO, "`add", "to: 12"),
    "attention to itself": (
        SEQUENCE, lambda x: LN()((lambda h: layers.Attention()([h, h]))(_dense(x))), TWO,
        "zero as well", "block"
    ),
    "scores of what cannot be zero": (SEQUENCE, _scores, TWO, "cannot make them so", "block"),
    "a bias that all letters share": (
        SEQUENCE, lambda x: RMS()(_along(x, equation="abc,cd->abd", bias_axes="d")), TWO,
        "EinsumDense", "to: 12"
    ),
    "a mean of letters of the kernel": (
        SEQUENCE, lambda x: LN()(_along(x, equation="abc,bcd->abd")), TWO, "EinsumDense", "to: 12"
    ),
    "copies of unit length": (
        SEQUENCE, lambda x: layers.UnitNormalization()(_dense(x)),
        f"{COPIES}\n    init: copy", "depend on", "block"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_the_way_out(name: str, tmp_path: Path) -> None:
    shape, build, verb, words, way = REFUSED[name]
    saved(shape, build, tmp_path)
    with pytest.raises(patchc.PatchError) as caught:
        patchc.plan(tmp_path / "before.keras", patch(verb))
    (diagnostic,) = caught.value.diagnostics
    assert words in diagnostic.message
    assert way in (diagnostic.help or "")


def test_an_attention_keeps_the_scale_that_it_had(tmp_path: Path) -> None:
    """It divides by the square root of the size of heads, of which new entries are no part."""
    saved(SEQUENCE, _by_operation, tmp_path)
    grown(tmp_path, TWO)
    with zipfile.ZipFile(tmp_path / "after0.keras") as archive:
        config = json.loads(archive.read("config.json"))
    (node,) = (
        layer["inbound_nodes"][0]
        for layer in config["config"]["layers"]
        if layer["class_name"] == "DotProductAttention"
    )
    assert node["kwargs"]["scale"] == 0.5


@pytest.mark.parametrize("norm", [LN, RMS])
def test_growing_and_shrinking_gives_back_the_weights(norm: Any, tmp_path: Path) -> None:
    saved(SEQUENCE, _skip(norm, _mlp), tmp_path)
    grown(tmp_path, TWO, "shrink: {drop: [6, 7]}")
    before, after = (stored_weights(tmp_path / f"{n}.keras") for n in ("before", "after1"))
    for (layer, number), values in before.items():
        found = after[layer, number]
        if "norm" in layer and number == 0:
            assert np.all(np.abs(found - values) <= np.spacing(np.abs(values)))
        else:
            assert found.tobytes() == values.tobytes()
    config = keras.models.load_model(tmp_path / "after1.keras").layers[2].get_config()
    assert config["epsilon"] == pytest.approx(norm().epsilon, rel=1e-15)


def test_the_ledger_names_the_factor(tmp_path: Path) -> None:
    saved(SEQUENCE, lambda x: LN(name="norm")(_dense(x)), tmp_path)
    plan = patchc.plan(tmp_path / "before.keras", patch("expand: {to: 24}"))
    entry = next(e for e in plan.ledger.entries if e.path == "norm/gamma")
    assert entry.fate == "rescaled"
    assert entry.to_dict()["growths"][0]["scale"] == 0.5
    assert "x 0.5" in str(plan)


def test_a_rescaled_weight_that_was_tampered_with_is_found(tmp_path: Path) -> None:
    saved(SEQUENCE, lambda x: LN(name="norm")(_dense(x)), tmp_path)
    after, _ = grown(tmp_path, TWO)
    gamma = after.get_layer("norm").gamma
    gamma.assign(gamma * (1 + 1e-6))
    after.save(tmp_path / "other.keras")
    report = patchc.verify(tmp_path / "before.keras", tmp_path / "other.keras", patch(TWO))
    failed = {check.name for check in report.checks if not check.ok}
    assert "new-values-as-planned" in failed


COPIED: dict[str, tuple[tuple[int, ...], Build]] = {
    "dense": (SEQUENCE, lambda x: layers.Dense(7)(_dense(x, "tanh"))),
    "batch": (IMAGE, lambda x: _flat(layers.ReLU()(layers.BatchNormalization()(_conv(x))))),
    "depthwise": (IMAGE, lambda x: _flat(layers.SeparableConv2D(4, 3)(_conv(x)))),
    "residual": (SEQUENCE, _skip(layers.Identity, _mlp)),
    "concatenate": (SEQUENCE, lambda x: layers.Dense(3)(layers.Concatenate()([x, _dense(x), x]))),
    "lstm": (SEQUENCE, lambda x: layers.LSTM(6, name="t", return_sequences=True)(x)),
    "gru": (SEQUENCE, lambda x: layers.Bidirectional(layers.GRU(6), name="t")(x)),
    "heads": (SEQUENCE, lambda x: layers.MultiHeadAttention(6, 3, name="t")(x, x)),
    "norm": (SEQUENCE, _post_norm),
}


@pytest.mark.parametrize("name", COPIED)
@pytest.mark.parametrize("init", ["copy", "{copy: 2}"])
def test_copies_share_what_reads_them(name: str, init: str, tmp_path: Path) -> None:
    if name == "norm" and init != "copy":
        pytest.skip("a normalisation takes copies of all entries only")
    shape, build = COPIED[name]
    model = saved(shape, build, tmp_path)
    after, report = grown(tmp_path, f"{COPIES if name == 'norm' else TWO}\n    init: {init}")
    assert apart(model, after) <= 1e-6
    assert report.to_dict()["ledger"]["rescaled"] > 0


def test_copies_differ_in_what_reads_them(tmp_path: Path) -> None:
    saved(SEQUENCE, lambda x: layers.Dense(7, name="reader")(_dense(x)), tmp_path)
    after, _ = grown(tmp_path, f"{TWO}\n    init: {{copy: 1}}")
    kernel = after.get_layer("t").kernel.numpy()
    assert np.array_equal(kernel[:, 1], kernel[:, 6])
    reader = after.get_layer("reader").kernel.numpy()
    shares = reader[[1, 6, 7]] / reader[[1, 6, 7]].sum(axis=0)
    assert len(np.unique(np.round(shares[:, 0], 4))) == 3
    assert np.allclose(shares, 1 / 3, atol=0.02)


def test_a_copied_class_takes_the_other_ones_score(tmp_path: Path) -> None:
    model = saved(SEQUENCE, lambda x: x, tmp_path)
    edit = patchc.loads(
        "patchc: 1\nid: twin\nedits:\n  - select: {head: 0}\n    expand: {by: 1}\n"
        "    init: {copy: 2}\n"
    )
    patchc.apply(tmp_path / "before.keras", edit, tmp_path / "after.keras")
    after = keras.models.load_model(tmp_path / "after.keras")
    given = np.random.default_rng(0).normal(size=(3, *SEQUENCE)).astype("float32")
    scores = after(given).numpy()
    np.testing.assert_allclose(scores[..., :4], model(given).numpy(), rtol=1e-6)
    np.testing.assert_allclose(scores[..., 4], scores[..., 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "verb", "select"),
    [
        (_skip(RMS, _mlp), TWO, ""),
        (_skip(LN, _mlp), TWO, "norm"),
        (lambda x: layers.Dense(3)(_dense(x, "tanh")), f"{TWO}\n    init: copy", ""),
        (lambda x: layers.LSTM(6, name="t")(x), f"{TWO}\n    init: copy", ""),
    ],
    ids=["rms", "layer", "copies", "copied units"],
)
def test_slots_follow_the_gradients(build: Build, verb: str, select: str, tmp_path: Path) -> None:
    """A momentum that is the gradient is, after growing, that of the grown weights.

    Only of `gamma` in a layer normalisation: an entry that is the mean stays
    where it is when an old one moves, and so the old ones' gradients change.
    """
    model = saved(SEQUENCE, build, tmp_path)
    model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    for slot, gradient in zip(model.optimizer.momentums, _gradients(model), strict=True):
        slot.assign(gradient)
    model.save(tmp_path / "before.keras")
    plan = patchc.plan(tmp_path / "before.keras", patch(verb))
    after, _ = grown(tmp_path, verb)
    found = [e for e in plan.optimizer.entries if e.path.startswith("momentum of ")]
    slots, gradients = after.optimizer.momentums, _gradients(after)
    assert len(found) == len(slots)
    scale = max(float(np.abs(g).max()) for g in gradients)
    for entry, slot, wanted in zip(found, slots, gradients, strict=True):
        old = np.ones(wanted.shape, bool)
        for growth in entry.value.growths:
            new = [i for i, start in enumerate(growth.map.indices()) if start < 0]
            old[(slice(None),) * growth.axis + (new,)] = False
        if select in entry.path:
            np.testing.assert_allclose(slot.numpy()[old], wanted[old], atol=1e-6 * scale)


def _gradients(model: Any) -> list[np.ndarray[Any, Any]]:
    import tensorflow as tf

    given = np.random.default_rng(5).normal(size=(4, *SEQUENCE)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(model(given)))
    return [g.numpy() for g in tape.gradient(loss, model.trainable_variables)]


@pytest.mark.parametrize("norm", [LN, RMS])
def test_new_entries_learn(norm: Any, tmp_path: Path) -> None:
    """Nothing that starts at zero stays there for good."""
    saved(SEQUENCE, lambda x: layers.Dense(5, name="reader")(norm(name="n")(_dense(x))), tmp_path)
    after, _ = grown(tmp_path, TWO)
    before = {w.path: w.numpy() for w in after.trainable_variables}
    after.compile(keras.optimizers.SGD(0.05), "mse")
    rng = np.random.default_rng(3)
    after.fit(rng.normal(size=(32, *SEQUENCE)), rng.normal(size=(32, 6, 4)), epochs=3, verbose=0)
    moved = {w.path: np.abs(w.numpy() - before[w.path]) for w in after.trainable_variables}
    assert moved["t/kernel"][:, 6:].min() > 0
    assert moved["reader/kernel"][6:].min() > 0
    for weight in ("n/gamma", "n/beta", "n/scale"):
        assert weight not in moved or moved[weight][6:].min() > 0
