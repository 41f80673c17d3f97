"""Axes grow through what reads them, and shrink back; Keras is the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keras import layers, ops

import patchc
from tests.acceptance.widening import apart, grown, patch, saved, there_and_back
from tests.patterns import VIDEO, Build

SEQUENCE, IMAGE, IDS = (6, 8), (8, 8, 4), (6,)


def _dense(x: Any, units: int = 5) -> Any:
    return layers.Dense(units, name="t")(x)


def _conv(x: Any) -> Any:
    return layers.Conv2D(4, 3, name="t")(x)


def _cube(x: Any) -> Any:
    return layers.Conv3D(4, 1, name="t")(x)


def _depthwise(x: Any) -> Any:
    return layers.DepthwiseConv2D(3, depth_multiplier=2, name="t")(x)


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


def _by_hand(x: Any) -> Any:
    q, k, v = _dense(x), layers.Dense(5)(x), layers.Dense(4)(x)
    return ops.matmul(ops.softmax(ops.matmul(q, ops.swapaxes(k, 1, 2)), axis=-1), v)


Case = tuple[tuple[int, ...], Build, str, int]
# Input shape, model up to a Dense, axis, by how much.
GROWN: dict[str, Case] = {
    "heads": (SEQUENCE, _mha(), "num_heads", 2),
    "key size fourfold": (SEQUENCE, _mha(use_bias=False), "key_dim", 12),
    "query heads": (SEQUENCE, _gqa, "num_query_heads", 4),
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
    "into groups": (IMAGE, lambda x: layers.Conv2D(6, 3, groups=2)(_conv(x)), "filters", 4),
    "groups of one": (IMAGE, lambda x: layers.Conv2D(8, 3, groups=4)(_conv(x)), "filters", 1),
    "read by convlstm": (VIDEO, lambda x: layers.ConvLSTM2D(4, 3)(
        layers.TimeDistributed(layers.Conv2D(3, 1), name="t")(x)), "filters", 2),
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
    "tied vectors": (IDS, _tied, "output_dim", 2),
    "untied vectors": (IDS, _untied, "output_dim", 2),
    "masking": (SEQUENCE, lambda x: layers.GRU(3)(layers.Masking()(_dense(x))), "units", 2),
    "scales": (SEQUENCE, lambda x: layers.Rescaling([1.0, 2.0, 3.0, 4.0, 5.0], 0.5)(_dense(x)),
               "units", 2),
    "statistics": (SEQUENCE, lambda x: layers.Normalization(
        mean=[0.1] * 5, variance=[2.0] * 5)(_dense(x)), "units", 2),
    "neighbours": (IMAGE, lambda x: layers.Conv2D(3, 2)(layers.BatchNormalization()(_depthwise(x))),
                   "depth_multiplier", 3),
    "neighbours and others": (IMAGE, lambda x: layers.Add()(
        [_depthwise(x), layers.DepthwiseConv2D(3, depth_multiplier=2)(x), layers.Conv2D(8, 3)(x)]),
        "depth_multiplier", 2),
    "neighbours of neighbours": (IMAGE, lambda x: layers.DepthwiseConv2D(2, depth_multiplier=2)(
        _depthwise(x)), "depth_multiplier", 1),
    "neighbours in a group": (IMAGE, lambda x: layers.Conv2D(8, 3, groups=4)(_depthwise(x)),
                              "depth_multiplier", 1),
    "neighbours under a norm": (IMAGE, lambda x: layers.RMSNormalization()(_depthwise(x)),
                                "depth_multiplier", 2),
    "along positions": (SEQUENCE, lambda x: layers.LayerNormalization(axis=2)(
        layers.Permute((2, 1))(_dense(x))), "units", 2),
}  # fmt: skip

_TD, _SN = layers.TimeDistributed, layers.SpectralNormalization
# Layers that hold the one that reads the axis.
WRAPPED: dict[str, Case] = {
    "depthwise": (VIDEO, lambda x: _TD(layers.DepthwiseConv2D(2, depth_multiplier=2))(_cube(x)),
                  "filters", 1),
    "separable": (VIDEO, lambda x: _TD(layers.SeparableConv2D(3, 2, depth_multiplier=2))(_cube(x)),
                  "filters", 1),
    "groups": (VIDEO, lambda x: _TD(layers.Conv2D(4, 2, groups=2))(_cube(x)), "filters", 2),
    "groups of one": (VIDEO, lambda x: _TD(layers.Conv2D(8, 2, groups=4))(_cube(x)), "filters", 1),
    "spectral groups": (IMAGE, lambda x: _SN(layers.Conv2D(4, 2, groups=2))(_conv(x)),
                        "filters", 2),
    "spectral neighbours": (IMAGE, lambda x: _SN(layers.DepthwiseConv2D(2, depth_multiplier=2))(
        _conv(x)), "filters", 2),
    "einsum": ((3, *SEQUENCE), lambda x: _TD(layers.EinsumDense(
        "abc,bcd->abd", (6, 4), bias_axes="bd"))(_dense(x)), "units", 2),
    "scales": ((3, *SEQUENCE), lambda x: _TD(layers.Rescaling([1.0, 2.0, 3.0, 4.0, 5.0], 0.5))(
        _dense(x)), "units", 2),
    "twice": (VIDEO, lambda x: _TD(_SN(layers.Conv2D(4, 2, groups=2)))(_cube(x)), "filters", 2),
}  # fmt: skip


def flat(build: Build) -> Build:
    def built(x: Any) -> Any:
        made = build(x)
        return layers.Flatten()(made) if len(made.shape) > 2 else made

    return built


EVERY = GROWN | {f"{name}, inside": case for name, case in WRAPPED.items()}
_RESCALED = {"key size fourfold", "neighbours under a norm"}


@pytest.mark.parametrize("name", EVERY)
def test_outputs_stay_and_weights_come_back(name: str, tmp_path: Path) -> None:
    shape, build, axis, by = EVERY[name]
    model = saved(shape, flat(build), tmp_path)
    trip = there_and_back(tmp_path / "before.keras", "t", by, axis)
    more = trip.wide.count_params() > model.count_params()
    assert more or "scales" in name or name == "statistics"
    assert apart(model, trip.wide) <= 3e-6
    assert trip.kept == 0
    assert (trip.rescaled is not None) == (name in _RESCALED)
    assert (trip.rescaled or 0) <= 1


TIED: dict[str, tuple[Build, bool]] = {
    "behind a norm": (lambda e: layers.LayerNormalization()(layers.Dense(4, "gelu")(e)), True),
    "behind dropout": (lambda e: layers.Dropout(0.2)(layers.RMSNormalization()(e)), True),
    "behind a product": (lambda e: layers.Dense(4)(layers.Dense(3, "relu")(e)), True),
    "behind a sum": (lambda e: layers.Add()([e, layers.Dense(4)(e)]), False),
    "behind a bend": (lambda e: layers.ReLU()(layers.Dense(4)(e)), False),
    "of a norm without weights": (lambda e: layers.LayerNormalization(scale=False)(e), False),
}


@pytest.mark.parametrize("name", TIED)
def test_a_table_that_is_read_in_reverse_too_is_copied(name: str, tmp_path: Path) -> None:
    """What stands in front of it shares out the copies, which the table itself cannot do."""
    between, possible = TIED[name]

    def build(x: Any) -> Any:
        table = layers.ReversibleEmbedding(10, 4, name="t")
        return table(between(table(_ids(x))), reverse=True)

    model = saved(IDS, build, tmp_path)
    twice = "expand: {to: 8, axis: output_dim}\n    init: copy"
    if not possible:
        with pytest.raises(patchc.PatchError, match="depend on one another"):
            patchc.plan(tmp_path / "before.keras", patch(twice))
        return
    after, report = grown(tmp_path, twice)
    assert apart(model, after) <= 1e-6
    assert report.to_dict()["ledger"]["rescaled"] > 0
