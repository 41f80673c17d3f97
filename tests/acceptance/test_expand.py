"""`expand`: what is grown keeps what it had, and what reads it follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.acceptance.cases import (
    ROUNDING,
    Case,
    is_sequential,
    old_logits,
    run,
    table,
    trains_on,
    value_of,
)
from tests.acceptance.judge import Judged, assert_close, outputs, sample
from tests.conftest import Zoo

HEADS = [
    Case(
        "of a Sequential",
        "mlp",
        "- {select: {head: 0}, expand: {by: 5}, init: {kernel: glorot_uniform, bias: zeros}}",
        fates={"kept": 2, "grown": 2},
        shapes=[(None, 15)],
        also=(is_sequential, old_logits("dense_1"), trains_on),
    ),
    Case(
        "of a Functional, to a size",
        "tower",
        "- {select: {output: 0}, expand: {to: 15}}",
        shapes=[(None, 15)],
        also=(old_logits("predictions"), trains_on),
    ),
    Case(
        "to the size that it has",
        "tower",
        "- {select: {output: 0}, expand: {to: 10}}",
        fates={"kept": 6},
        same=0,
    ),
    Case(
        "below a nested Sequential",
        "two_parts",
        "- {select: {head: 0}, expand: {by: 2}}",
        shapes=[(None, 5)],
        also=(is_sequential, old_logits("top/dense_1")),
    ),
    Case(
        "two models down, behind dropout and softmax",
        "deep_nest",
        "- {select: {head: 0}, expand: {by: 3}, init: mean}",
        shapes=[(None, 7)],
        also=(old_logits("soft"),),
    ),
    Case(
        "of a frozen model",
        "frozen",
        "- {select: {head: 0}, expand: {by: 1}}",
        also=(old_logits("head"),),
    ),
    Case(
        "at places between the old ones",
        "mlp",
        "- {select: {head: 0}, expand: {by: 2, at: [0, 7]}, init: zeros}",
        also=(old_logits("dense_1", places=[1, 2, 3, 4, 5, 6, 7, 9, 10, 11]), trains_on),
    ),
    Case(
        "all at one place",
        "mlp",
        "- {select: {head: 0}, expand: {by: 2, at: 3}, init: sample}",
        also=(old_logits("dense_1", places=[0, 1, 2, 5, 6, 7, 8, 9, 10, 11]), trains_on),
    ),
    Case(
        "one of two in a list",
        "two_heads",
        "- {select: {head: kind}, expand: {by: 2},"
        " init: {kernel: he_normal, bias: {constant: -3}}}",
        shapes=[(None, 5), (None, 1)],
        also=(
            old_logits("kind"),
            trains_on,
            value_of(
                "kind/bias", lambda b: np.concatenate([b["kind/bias"], np.full(2, -3, "float32")])
            ),
        ),
    ),
    Case(
        "both of a dict",
        "dict_heads",
        """
- {select: {head: "*"}, count: 2, expand: {by: 2}}
""",
        shapes=[(None, 5), (None, 3)],
        also=(old_logits("kind_head"), old_logits("size_head", output=1)),
    ),
    Case(
        "of a convolution",
        "anchors",
        "- {select: conv_82, expand: {by: 3, at: [85, 170, 255]}, init: {kernel: zeros}}",
        also=(
            value_of(
                "conv_82/kernel",
                lambda b: np.insert(b["conv_82/kernel"], [85, 170, 255], 0, axis=-1),
            ),
        ),
    ),
    Case(
        "below TimeDistributed",
        "tagger",
        "- {select: {head: 0}, expand: {by: 2}}",
        shapes=[(None, 7, 5)],
        also=(old_logits("tags"),),
    ),
    Case(
        "an LSTM",
        "forecaster",
        "- {select: lstm_out, expand: {by: 3}}",
        shapes=[(None, 7), (None, 6, 3), (None, 2)],
        also=(lambda j: _old_entries(j, 4, 3, 2), lambda j: _gates(j, "lstm_out", 4, 4, 7)),
    ),
    Case(
        "a GRU that returns sequences",
        "forecaster",
        "- {select: gru_out, expand: {by: 2}}",
        also=(lambda j: _old_entries(j, 4, 3, 2), lambda j: _gates(j, "gru_out", 3, 3, 5)),
    ),
    Case(
        "a SimpleRNN",
        "forecaster",
        "- {select: rnn_out, expand: {by: 2}, init: {kernel: ones, recurrent_kernel: orthogonal}}",
        also=(lambda j: _old_entries(j, 4, 3, 2),),
    ),
    Case(
        "in mixed precision",
        "mixed",
        "- {select: {head: 0}, expand: {by: 2}}",
        shapes=[(None, 6)],
        also=(old_logits("soft", relative=1e-3),),
    ),
    Case(
        "in bfloat16",
        "brain_floats",
        "- {select: {head: 0}, expand: {by: 2}, init: mean}",
        shapes=[(None, 6)],
        also=(old_logits("soft", relative=1e-2),),
    ),
    Case(
        "twice",
        "mlp",
        """
- {select: {head: 0}, expand: {by: 1}, init: zeros}
- {select: {head: 0}, expand: {by: 2, at: 0}, init: {"*": ones}}
""",
        shapes=[(None, 13)],
        also=(
            old_logits("dense_1", places=list(range(2, 12))),
            value_of(
                "dense_1/bias",
                lambda b: np.concatenate([[1, 1], b["dense_1/bias"], [0]]).astype("float32"),
            ),
            trains_on,
        ),
    ),
    Case(
        "a new one",
        "mlp",
        """
- {select: {head: 0}, replace: {Dense: {units: 4, name: fresh}}, init: {"*": ones}}
- {select: fresh, expand: {by: 2}, init: {"*": zeros}}
""",
        fates={"kept": 2, "new": 2, "dropped": 2},
        shapes=[(None, 6)],
        also=(
            value_of("fresh/kernel", lambda b: np.repeat([1, 0], [4, 2])[None] * np.ones((16, 1))),
        ),
    ),
]


def _old_entries(judged: Judged, *sizes: int) -> None:
    given = sample(judged.base)
    pairs = zip(outputs(judged.base, given), outputs(judged.result, given), sizes, strict=True)
    for old, new, size in pairs:
        assert_close(new[..., :size], old)


def _gates(judged: Judged, layer: str, gates: int, old: int, new: int) -> None:
    """The old entries of each gate are in that gate's block."""
    name = next(p for p in judged.after if p.startswith(f"{layer}/") and p.endswith("/kernel"))
    kernel = judged.after[name].reshape(-1, gates, new)
    before = judged.before[name].reshape(-1, gates, old)
    np.testing.assert_array_equal(kernel[:, :, :old], before)


INSIDE = [
    Case(
        "a Dense before a Dense",
        "tower",
        "- {select: hidden, expand: {by: 5}}",
        fates={"kept": 3, "grown": 3},
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "a Dense before a Dense, in the middle of its units",
        "tower",
        "- {select: hidden, expand: {by: 2, at: [0, 9]}, init: he_normal}",
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "without keeping the function",
        "tower",
        "- {select: hidden, expand: {by: 5, preserve: false}}",
        also=(lambda j: _not_zero(j, "hidden_2/kernel", 16), trains_on),
    ),
    Case(
        "a convolution before batch normalisation and a convolution",
        "convnet",
        "- {select: conv_1, expand: {by: 3}, init: sample}",
        same=ROUNDING,
        also=(lambda j: _grew(j, "bn_1/moving_variance", 9), trains_on),
    ),
    Case(
        "a convolution before pooling and a Dense",
        "convnet",
        "- {select: conv_3, expand: {by: 2}}",
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "inside a nested model",
        "nested",
        "- {select: backbone/conv_1, expand: {by: 4}}",
        same=ROUNDING,
        also=(is_sequential, trains_on),
    ),
    Case(
        "out of a nested model",
        "nested",
        "- {select: backbone/conv_2, expand: {by: 2}}",
        same=ROUNDING,
        also=(is_sequential, trains_on),
    ),
    Case(
        "from one nested model into another",
        "two_parts",
        "- {select: body/dense, expand: {by: 2}}",
        same=ROUNDING,
    ),
    Case(
        "a layer that is called twice",
        "siamese",
        "- {select: enc/code, expand: {by: 2}}",
        same=ROUNDING,
    ),
    Case(
        "an embedding's vocabulary",
        "text",
        "- {select: {class: Embedding}, expand: {by: 4}, init: mean}",
        same=0,
        also=(lambda j: _grew(j, "embedding/embeddings", 9),),
    ),
    Case(
        "an embedding's vectors before recurrent layers",
        "tagger",
        "- {select: token_vectors, expand: {axis: output_dim, by: 3}}",
        same=ROUNDING,
    ),
    Case(
        "a GRU before an LSTM",
        "tagger",
        "- {select: gru, expand: {by: 3}}",
        same=ROUNDING,
    ),
    Case(
        "an LSTM before TimeDistributed",
        "tagger",
        "- {select: lstm, expand: {by: 3}, init: {recurrent_kernel: orthogonal}}",
        same=ROUNDING,
    ),
    Case(
        "a transformer's hidden layer",
        "gpt",
        "- {select: block_11_fc, expand: {by: 8}}",
        same=ROUNDING,
    ),
    Case(
        "attention heads",
        "gpt",
        "- {select: block_10_mha, expand: {by: 1}}",
        same=ROUNDING,
    ),
    Case(
        "in mixed precision",
        "mixed",
        "- {select: hidden, expand: {by: 3}}",
        same=1e-3,
    ),
    Case(
        "one layer and then the next",
        "tower",
        """
- {select: hidden, expand: {by: 3}}
- {select: hidden_2, expand: {by: 3}}
""",
        fates={"grown": 5, "kept": 1},
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "and keep the rest frozen",
        "tower",
        """
- {select: "*", freeze: true}
- {select: hidden, expand: {by: 3}}
- {select: [hidden, hidden_2], freeze: false}
""",
        same=ROUNDING,
        also=(trains_on,),
    ),
]


def _grew(judged: Judged, path: str, size: int) -> None:
    assert judged.after[path].shape[0] == size
    assert judged.entry(path).fate == "grown"


def _not_zero(judged: Judged, path: str, start: int) -> None:
    assert judged.after[path][start:].all()


@table(HEADS)
def test_head(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


@table(INSIDE)
def test_inside(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)
