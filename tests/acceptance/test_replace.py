"""`replace`: single layers, chains and blocks give way."""

from __future__ import annotations

from pathlib import Path

import keras

from tests.acceptance.cases import (
    Case,
    Check,
    is_functional,
    is_sequential,
    named_layers,
    run,
    table,
    trains_on,
    value_of,
)
from tests.acceptance.judge import Judged
from tests.conftest import Zoo


def _causal(judged: Judged) -> None:
    entry = next(e for e in judged.config["config"]["layers"] if e["name"] == "block_10_mha")
    assert entry["inbound_nodes"][0]["kwargs"] == {"use_causal_mask": True}


def _twice(name: str, calls: int) -> Check:
    def check(judged: Judged) -> None:
        entry = next(e for e in judged.config["config"]["layers"] if e["name"] == name)
        assert len(entry["inbound_nodes"]) == calls

    return check


def _names_by_key(judged: Judged) -> None:
    assert set(judged.result.output) == {"kind", "size"}


CASES = [
    Case(
        "a fresh head",
        "mlp",
        """
- select: {head: 0}
  replace: {Dense: {units: 15, activation: softmax, name: new_output}}
  init: {kernel: glorot_uniform, bias: zeros}
""",
        fates={"kept": 2, "new": 2, "dropped": 2},
        shapes=[(None, 15)],
        also=(is_sequential, named_layers("dense", "new_output"), trains_on),
    ),
    Case(
        "the layer's own initialiser",
        "mlp",
        "- {select: {head: 0}, replace: {Dense: {units: 15, kernel_initializer: he_normal}}}",
        also=(lambda j: _is_strategy(j, "dense_1/kernel", "HeNormal"),),
    ),
    Case(
        "keeps the old weights",
        "tower",
        """
- select: hidden_2
  replace: {Dense: {units: 16, activation: tanh}}
  init: keep
""",
        fates={"kept": 6},
        also=(named_layers("hidden", "hidden_2", "predictions"), trains_on),
    ),
    Case(
        "keeps one old weight",
        "tower",
        """
- select: hidden_2
  replace: {Dense: {units: 16, activation: tanh, name: other}}
  init: {kernel: keep, bias: ones}
""",
        fates={"kept": 5, "new": 1, "dropped": 1},
        also=(
            value_of("other/kernel", lambda before: before["hidden_2/kernel"]),
            trains_on,
        ),
    ),
    Case(
        "a chain whose last layer keeps the name",
        "tower",
        """
- select: predictions
  replace:
    - Dropout: {rate: 0.5}
    - Dense: {units: 5, activation: softmax}
""",
        shapes=[(None, 5)],
        also=(named_layers("hidden", "hidden_2", "dropout", "predictions"), trains_on),
    ),
    Case(
        "a chain with keys by layer",
        "tower",
        """
- select: hidden
  replace:
    - Dense: {units: 4, name: narrow}
    - Dense: {units: 16, name: wide}
  init: {narrow/kernel: zeros, wide/kernel: ones, bias: {constant: 0.5}}
""",
        fates={"kept": 4, "new": 4, "dropped": 2},
        also=(named_layers("narrow", "wide", "hidden_2", "predictions"), trains_on),
    ),
    Case(
        "a convolution in the middle",
        "convnet",
        "- {select: {class: Conv2D, nth: 1},"
        " replace: {Conv2D: {filters: 6, kernel_size: 5, padding: same, use_bias: false}}}",
        fates={"kept": 18, "new": 1, "dropped": 2},
        also=(trains_on,),
    ),
    Case(
        "a residual block with its shortcut",
        "residual_net",
        """
- select:
    block: {from: [stage2_block1_0_conv, stage2_block1_1_conv], to: stage2_block1_out}
  replace:
    - Conv2D: {filters: 8, kernel_size: 3, strides: 2, padding: same, use_bias: false}
    - BatchNormalization: {}
    - Activation: {activation: relu}
""",
        also=(lambda j: _has(j, "stage2_block1_out"),),
    ),
    Case(
        "a layer inside a nested model",
        "nested",
        "- {select: backbone/conv_2, replace: {SeparableConv2D: {filters: 5, kernel_size: 3,"
        " padding: same}}}",
        also=(is_sequential, trains_on),
    ),
    Case(
        "a nested model as one layer",
        "nested",
        "- {select: backbone, replace: [{Conv2D: {filters: 5, kernel_size: 3}}, ReLU]}",
        also=(is_sequential, trains_on),
    ),
    Case(
        "a block of layers of a Sequential",
        "nested",
        """
- select: {block: {from: backbone, to: head}}
  replace: [Flatten, {Dense: {units: 3, activation: softmax}}]
""",
        also=(is_sequential, named_layers("flatten", "head"), trains_on),
    ),
    Case(
        "a shared layer",
        "siamese",
        "- {select: shared, replace: {Dense: {units: 4, activation: relu}}}",
        also=(_twice("shared", 2),),
    ),
    Case(
        "a shared model",
        "siamese",
        "- {select: enc, replace: {Dense: {units: 4}}}",
        also=(_twice("enc", 2),),
    ),
    Case(
        "a layer of several inputs",
        "siamese",
        "- {select: minus, replace: Multiply}",
        fates={"kept": 6},
    ),
    Case(
        "an operation",
        "operations",
        "- {select: {class: Multiply}, replace: {Dense: {units: 6, activation: relu}}}",
        fates={"kept": 6, "new": 2},
    ),
    Case(
        "attention and its arguments",
        "gpt",
        "- {select: block_10_mha, replace: {MultiHeadAttention: {num_heads: 3, key_dim: 5}}}",
        also=(_causal,),
    ),
    Case(
        "one recurrent layer by another",
        "tagger",
        "- {select: gru, replace: {Bidirectional: {layer: {GRU: {units: 5, return_sequences:"
        " true}}}}}",
    ),
    Case(
        "one of two heads, under another name",
        "two_heads",
        "- {select: {output: kind}, replace: {Dense: {units: 4, activation: softmax, name: sort}}}",
        shapes=[(None, 4), (None, 1)],
        also=(lambda j: _outputs_are(j, "sort", "size"), trains_on),
    ),
    Case(
        "one of two heads of a dict",
        "dict_heads",
        "- {select: {output: kind}, replace: {Dense: {units: 4, activation: softmax, name: sort}}}",
        also=(_names_by_key, trains_on),
    ),
    Case(
        "in a frozen model",
        "frozen",
        "- {select: {head: 0}, replace: {Dense: {units: 2}}}",
    ),
    Case(
        "in half precision",
        "brain_floats",
        "- {select: hidden, replace: {Dense: {units: 8, dtype: bfloat16}}}",
        also=(is_functional,),
    ),
    Case(
        "with another dtype than its neighbours",
        "mixed",
        "- {select: hidden, replace: {Dense: {units: 8}}}",
    ),
    Case(
        "two edits one after the other",
        "twins",
        """
- {select: left_1, replace: {Dense: {units: 6}}, init: {kernel: ones}}
- {select: left_1, insert_after: {Dense: {units: 6, name: extra}}}
""",
        fates={"kept": 8, "new": 4, "dropped": 2},
    ),
]


def _is_strategy(judged: Judged, path: str, name: str) -> None:
    init = judged.entry(path).value.init
    assert init is not None
    assert init.name == name


def _has(judged: Judged, name: str) -> None:
    assert type(judged.result.get_layer(name)) is keras.layers.Activation


def _outputs_are(judged: Judged, *names: str) -> None:
    assert judged.result.output_names == list(names)


@table(CASES)
def test_replace(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)
