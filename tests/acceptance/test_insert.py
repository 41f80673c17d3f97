"""`insert_before` and `insert_after`: new layers on every connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.cases import (
    ROUNDING,
    Case,
    Check,
    is_functional,
    is_sequential,
    named_layers,
    run,
    table,
    trains_on,
)
from tests.acceptance.judge import Judged, assert_same_function, judge, patch_of
from tests.conftest import Zoo


def _reads(name: str, *sources: str) -> Check:
    """A layer of the root is called once for each source, in this order."""

    def check(judged: Judged) -> None:
        layers = judged.config["config"]["layers"]
        entry = next(e for e in layers if e["config"]["name"] == name)
        assert [_sources(node) for node in entry["inbound_nodes"]] == list(sources)

    return check


def _sources(node: dict[str, Any]) -> str:
    def tensors(value: Any) -> list[str]:
        if isinstance(value, list):
            return [name for item in value for name in tensors(item)]
        return [value["config"]["keras_history"][0]] if isinstance(value, dict) else []

    return "+".join(tensors(node["args"]))


def _outputs_named(*names: str) -> Check:
    def check(judged: Judged) -> None:
        assert judged.result.output_names == list(names)

    return check


CASES = [
    Case(
        "dropout before the head of a Sequential",
        "mlp",
        "- {select: {head: 0}, insert_before: {Dropout: {rate: 0.5}}}",
        fates={"kept": 4},
        same=0,
        also=(is_sequential, named_layers("dense", "dropout", "dense_1"), trains_on),
    ),
    Case(
        "dropout after a layer of a Functional",
        "tower",
        "- {select: hidden, insert_after: {Dropout: {rate: 0.5}}}",
        same=0,
        also=(_reads("hidden_2", "dropout"), trains_on),
    ),
    Case(
        "on every connection of a layer",
        "operations",
        "- {select: {class: Relu}, insert_after: {Dropout: {rate: 0.5, name: drop}}}",
        same=0,
        also=(_reads("two", "drop"), _reads("add", "two+drop")),
    ),
    Case(
        "before an operation",
        "operations",
        "- {select: {class: Multiply}, insert_before: {Dense: {units: 6, name: extra}},"
        " init: identity}",
        same=ROUNDING,
        also=(_reads("multiply", "extra"),),
    ),
    Case(
        "inside a nested model",
        "nested",
        "- {select: backbone/relu_1, insert_after: {SpatialDropout2D: {rate: 0.1}}}",
        same=0,
        also=(is_sequential, trains_on),
    ),
    Case(
        "after a nested model",
        "nested",
        "- {select: backbone, insert_after: {Conv2D: {filters: 5, kernel_size: 3,"
        " padding: same, activation: relu}}, init: identity}",
        same=ROUNDING,
        also=(is_sequential, trains_on),
    ),
    Case(
        "after the last layer of a nested model",
        "two_parts",
        "- {select: body/dense, insert_after: {Dense: {units: 8, activation: relu}},"
        " init: identity}",
        same=ROUNDING,
    ),
    Case(
        "after a layer that is called twice",
        "siamese",
        "- {select: shared, insert_after: {Dropout: {rate: 0.2}}}",
        same=0,
        also=(_reads("dropout", "shared", "shared"), _reads("minus", "dropout+dropout")),
    ),
    Case(
        "after a model that is called twice",
        "siamese",
        "- {select: enc, insert_after: {Dense: {units: 4, name: extra}}, init: identity}",
        same=ROUNDING,
        also=(_reads("extra", "enc", "enc"), _reads("shared", "extra", "extra")),
    ),
    Case(
        "before a layer that is called twice",
        "siamese",
        "- {select: shared, insert_before: {BatchNormalization: {}}, init: identity}",
        same=ROUNDING,
        also=(_reads("batch_normalization", "enc", "enc"),),
    ),
    Case(
        "inside a model that is called twice",
        "siamese",
        "- {select: enc/code, insert_after: {Dropout: {rate: 0.2}}}",
        same=0,
    ),
    Case(
        "after an input",
        "two_heads",
        "- {select: {input: left}, insert_after: {GaussianNoise: {stddev: 0.1}}}",
        same=0,
        also=(_reads("from_left", "gaussian_noise"), trains_on),
    ),
    Case(
        "after the output",
        "tower",
        "- {select: {output: 0}, insert_after: [{Dense: {units: 7, name: last}}]}",
        shapes=[(None, 7)],
        warns=("PC903",),
        also=(_outputs_named("last"), trains_on),
    ),
    Case(
        "after one of two outputs in a list",
        "two_heads",
        "- {select: kind, insert_after: {Dropout: {rate: 0.1, name: kind_out}}}",
        same=0,
        also=(_outputs_named("kind_out", "size"), trains_on),
    ),
    Case(
        "after one of two outputs in a dict",
        "dict_heads",
        "- {select: {output: size}, insert_after: {Dense: {units: 1, name: scaled}},"
        " init: identity}",
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "normalisation after every convolution",
        "convnet",
        "- {select: {class: Conv2D}, count: 3, insert_after: {BatchNormalization: {}},"
        " init: identity}",
        same=ROUNDING,
        fates={"kept": 20, "new": 12},
        also=(trains_on,),
    ),
    Case(
        "a convolution, as identity",
        "convnet",
        "- {select: relu_2, insert_after: {Conv2D: {filters: 6, kernel_size: 3, padding: same}},"
        " init: identity}",
        same=ROUNDING,
        also=(lambda j: _dirac(j, "conv2d/kernel"), trains_on),
    ),
    Case(
        "a depthwise convolution, as identity",
        "convnet",
        "- {select: relu_2, insert_after: {DepthwiseConv2D: {kernel_size: 3, padding: same}},"
        " init: identity}",
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "a chain, as identity",
        "tower",
        """
- select: hidden
  insert_after:
    - Dense: {units: 16, activation: relu}
    - BatchNormalization: {}
    - Dropout: {rate: 0.1}
  init: identity
""",
        same=ROUNDING,
        also=(trains_on,),
    ),
    Case(
        "a residual branch, as identity",
        "tower",
        """
- select: hidden
  insert_after:
    residual:
      - LayerNormalization: {}
      - Dense: {units: 4, activation: gelu, name: down}
      - Dense: {units: 16, name: up}
  init: identity
""",
        same=0,
        also=(is_functional, _reads("hidden_2", "add"), trains_on),
    ),
    Case(
        "a residual branch in a Sequential",
        "mlp",
        "- {select: dense, insert_after: {residual: [{Dense: {units: 16}}]}, init: identity}",
        same=0,
        also=(is_functional, trains_on),
    ),
    Case(
        "a residual branch in a nested Sequential",
        "two_parts",
        "- {select: body/dense, insert_after: {residual: [{Dense: {units: 8}}]}, init: identity}",
        same=0,
        also=(is_sequential,),
    ),
    Case(
        "attention in a residual branch",
        "gpt",
        """
- select: block_10_out
  insert_after:
    residual:
      - LayerNormalization: {}
      - Dense: {units: 12}
      - Dense: {units: 12, kernel_initializer: zeros}
  init: identity
""",
        same=0,
    ),
    Case(
        "a copy of a layer with its weights",
        "tower",
        "- {select: hidden_2, insert_after: {copy_of: hidden_2}}",
        fates={"kept": 6, "new": 2},
        also=(
            lambda j: np.testing.assert_array_equal(
                j.after["hidden_2_1/kernel"], j.before["hidden_2/kernel"]
            ),
            trains_on,
        ),
    ),
    Case(
        "a copy of a transformer block, as identity",
        "gpt",
        "- {select: block_11_out, insert_after: {copy_of: {block: {from: block_11_ln1,"
        " to: block_11_out}}}, init: identity}",
        same=0,
    ),
    Case(
        "a copy of recurrent layers",
        "tagger",
        "- {select: gru, insert_after: {copy_of: gru}}",
    ),
    Case(
        "after a block",
        "residual_net",
        "- {select: {block: {from: stage1_block1_1_conv, to: stage1_block1_out}},"
        " insert_after: {BatchNormalization: {name: extra}}, init: identity}",
        same=ROUNDING,
        also=(_reads("extra", "stage1_block1_out"),),
    ),
    Case(
        "before a block, on all that enter it",
        "residual_net",
        "- {select: {block: {from: stage1_block2_1_conv, to: stage1_block2_out}},"
        " insert_before: {Dropout: {rate: 0.1, name: extra}}}",
        same=0,
        also=(
            _reads("stage1_block2_1_conv", "extra"),
            _reads("stage1_block2_add", "extra+stage1_block2_2_bn"),
        ),
    ),
    Case(
        "a recurrent layer behind a mask",
        "tagger",
        "- {select: gru, insert_after: {LSTM: {units: 10, return_sequences: true}}}",
        shapes=[(None, 7, 3)],
    ),
    Case(
        "values by name",
        "tower",
        "- {select: hidden, insert_after: {Dense: {units: 16, name: extra}},"
        " init: {kernel: orthogonal, bias: {constant: 0.1}}}",
        also=(trains_on,),
    ),
    Case(
        "in mixed precision",
        "mixed",
        "- {select: relu, insert_after: {Dense: {units: 8, dtype: mixed_float16}}, init: identity}",
        same=1e-3,
    ),
    Case(
        "many layers of one class",
        "twins",
        """
- {select: left_1, insert_after: {Dense: {units: 6}}, init: identity}
- {select: right_2, insert_before: {Dense: {units: 6}}, init: identity}
- {select: {input: 0}, insert_after: {Dense: {units: 6}}, init: identity}
""",
        fates={"kept": 10, "new": 6},
        same=ROUNDING,
    ),
]


def _dirac(judged: Judged, path: str) -> None:
    kernel = judged.after[path]
    expected = np.zeros_like(kernel)
    expected[1, 1] = np.eye(6)
    np.testing.assert_array_equal(kernel, expected)


@table(CASES)
def test_insert(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


@pytest.mark.parametrize(
    "layer",
    [
        "{MultiHeadAttention: {num_heads: 2, key_dim: 4}}",
        "{GroupQueryAttention: {head_dim: 4, num_query_heads: 4, num_key_value_heads: 2}}",
    ],
)
def test_a_chain_attends_to_itself(layer: str, zoo: Zoo, tmp_path: Path) -> None:
    edits = f"- {{select: block_10_out, insert_after: {{residual: [{layer}]}}, init: identity}}"
    judged = judge(zoo("gpt"), patch_of(edits), tmp_path)
    assert_same_function(judged, relative=0)
