"""`freeze` and `init` alone: flags and fresh values, and nothing else."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from tests.acceptance.cases import Case, Check, run, table, trains, trains_on
from tests.acceptance.judge import Judged, judge, patch_of
from tests.conftest import Zoo

ALL_BUT_NORM = ("backbone/conv_1", "backbone/conv_2", "head")

FREEZE = [
    Case("everything", "mlp", "- {select: '*', freeze: true}", same=0, also=(trains(),)),
    Case(
        "all but the head",
        "tower",
        "- {select: {not: {head: 0}}, freeze: true}",
        same=0,
        also=(trains("predictions"), trains_on),
    ),
    Case(
        "one layer inside a nested model",
        "nested",
        "- {select: backbone/conv_1, freeze: true}",
        same=0,
        also=(trains("backbone/conv_2", "backbone/bn_1", "backbone/bn_2", "head"), trains_on),
    ),
    Case(
        "a nested model by its name",
        "nested",
        "- {select: backbone, freeze: true}",
        same=0,
        also=(trains("head"), trains_on),
    ),
    Case(
        "what is inside a nested model",
        "nested",
        "- {select: {inside: {class: Functional}}, freeze: true}",
        same=0,
        also=(trains("head"), trains_on),
    ),
    Case(
        "two models down",
        "deep_nest",
        "- {select: {not: deep}, freeze: true}",
        same=0,
        also=(trains("middle/inner/deep"),),
    ),
    Case(
        "a model that is called twice",
        "siamese",
        "- {select: enc, freeze: true}",
        same=0,
        also=(trains("shared", "distance"),),
    ),
    Case(
        "wrappers and recurrent layers",
        "tagger",
        "- {select: [both_ways, gru, tags], freeze: true}",
        same=0,
        also=(trains("token_vectors", "lstm"),),
    ),
    Case(
        "a residual block",
        "residual_net",
        """
- select: {not: {head: 0}}
  freeze: true
- select: {block: {from: stage1_block2_1_conv, to: stage1_block2_out}}
  freeze: false
""",
        same=0,
        warns=("PC902",),
        also=(
            trains(
                *(f"stage1_block2_{part}" for part in ("1_conv", "1_bn", "2_conv", "2_bn")),
                "logits",
            ),
        ),
    ),
    Case(
        "attention, which Keras loads as trainable",
        "gpt",
        "- {select: block_10_mha, freeze: true}",
        same=0,
        warns=("PC904",),
    ),
    Case(
        "layers without weights",
        "tower",
        "- {select: {class: InputLayer}, freeze: true}",
        same=0,
        warns=("PC901",),
    ),
    Case(
        "where there may be none",
        "tower",
        "- {select: 'stem_*', count: any, freeze: true}",
        same=0,
        fates={"kept": 6},
    ),
    Case(
        "by what trains already",
        "nested",
        """
- {select: {class: BatchNormalization}, freeze: true}
- {select: {trainable: true, weighted: true, not: head}, freeze: true}
""",
        same=0,
        also=(trains("head"), trains_on),
    ),
    Case(
        "unfreeze in a frozen Sequential",
        "frozen",
        "- {select: {head: 0}, freeze: false}",
        same=0,
        also=(trains("head"),),
    ),
    Case(
        "unfreeze in a frozen Functional",
        "frozen_tower",
        "- {select: predictions, freeze: false}",
        same=0,
        also=(trains("predictions"),),
    ),
    Case(
        "unfreeze a backbone but its normalisation",
        "frozen",
        "- {select: {not: {class: BatchNormalization}}, freeze: false}",
        same=0,
        also=(trains(*ALL_BUT_NORM),),
    ),
    Case(
        "unfreeze normalisation",
        "frozen",
        "- {select: backbone/bn_1, freeze: false}",
        same=0,
        warns=("PC902",),
        also=(trains("backbone/bn_1"),),
    ),
    Case(
        "there and back",
        "tower",
        """
- {select: hidden, freeze: true}
- {select: hidden, freeze: false}
""",
        same=0,
        also=(trains("hidden", "hidden_2", "predictions"), trains_on),
    ),
]


def _fresh(*paths: str) -> Check:
    """These weights are new in every entry that is not a constant, all others are kept."""

    def check(judged: Judged) -> None:
        changed = {p for p, v in judged.after.items() if (v != judged.before[p]).any()}
        assert changed == set(paths)
        assert {e.path for e in judged.plan.ledger.entries if e.fate == "reinitialised"} == changed

    return check


INIT = [
    Case(
        "as a new layer",
        "tower",
        "- {select: [hidden, predictions], init: default}",
        fates={"kept": 2, "reinitialised": 4},
        also=(
            _fresh("hidden/kernel", "hidden/bias", "predictions/kernel", "predictions/bias"),
            trains_on,
        ),
    ),
    Case(
        "one weight by name",
        "tower",
        "- {select: hidden, init: {kernel: he_normal}}",
        also=(_fresh("hidden/kernel"), trains_on),
    ),
    Case(
        "a constant with its argument",
        "tower",
        "- {select: hidden, init: {bias: {constant: -4.6}}}",
        also=(_fresh("hidden/bias"), lambda j: _all(j, "hidden/bias", -4.6)),
    ),
    Case(
        "a bare initialiser is for kernels",
        "tower",
        "- {select: hidden, init: {random_normal: {stddev: 0.5}}}",
        also=(_fresh("hidden/kernel", "hidden/bias"), lambda j: _all(j, "hidden/bias", 0)),
    ),
    Case(
        "the rest by a star",
        "tagger",
        "- {select: lstm, init: {recurrent_kernel: orthogonal, '*': zeros}}",
        also=(lambda j: _all(j, "lstm/lstm_cell/kernel", 0),),
    ),
    Case(
        "recurrent layers as new ones",
        "tagger",
        "- {select: [gru, lstm, both_ways], init: default}",
        also=(
            lambda j: np.testing.assert_array_equal(
                j.after["lstm/lstm_cell/bias"], np.repeat([0, 1, 0, 0], 4)
            ),
        ),
    ),
    Case(
        "everything below a nested model",
        "nested",
        "- {select: backbone, init: default}",
        fates={"kept": 2, "reinitialised": 10},
        also=(lambda j: _all(j, "backbone/bn_1/moving_variance", 1), trains_on),
    ),
    Case(
        "part of attention",
        "gpt",
        "- {select: block_11_mha, init: {query/kernel: glorot_normal, query/bias: ones}}",
        also=(_fresh("block_11_mha/query/kernel", "block_11_mha/query/bias"),),
    ),
    Case(
        "half-precision weights",
        "brain_floats",
        "- {select: [hidden, scores], init: default}",
        fates={"kept": 4, "reinitialised": 4},
    ),
    Case(
        "a convolution",
        "convnet",
        "- {select: conv_2, init: {kernel: lecun_uniform}}",
        also=(_fresh("conv_2/kernel"), trains_on),
    ),
]


def _all(judged: Judged, path: str, value: float) -> None:
    np.testing.assert_allclose(judged.after[path], value, rtol=1e-6)


@table(FREEZE)
def test_freeze(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


@table(INIT)
def test_init(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


def test_layers_that_take_no_flag_get_none(tmp_path: Path) -> None:
    """The constructors of SpatialDropout know no `trainable`: Keras would not load it."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 2, name="conv"),
            keras.layers.SpatialDropout2D(0.5, name="drop"),
            keras.layers.TimeDistributed(keras.layers.SpatialDropout1D(0.5), name="each"),
        ]
    )
    model.save(tmp_path / "m.keras")
    judged = judge(tmp_path / "m.keras", patch_of("- {select: '*', freeze: true}"), tmp_path)
    assert not judged.result.trainable_weights
    assert [layer.name for layer in judged.result.layers] == ["conv", "drop", "each"]
