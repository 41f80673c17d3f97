"""`add_output`, `remove` and `truncate`: what a model hands out, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tests.acceptance.cases import (
    Case,
    Check,
    is_functional,
    is_sequential,
    named_layers,
    run,
    table,
    trains_on,
)
from tests.acceptance.judge import Judged, assert_close, outputs, sample
from tests.conftest import Zoo


def _first_outputs_same(judged: Judged) -> None:
    """The old outputs come first and are what they were."""
    given = sample(judged.base)
    old, new = outputs(judged.base, given), outputs(judged.result, given)
    assert len(new) == len(old) + 1
    for one, two in zip(old, new, strict=False):
        assert_close(two, one, 0)


def _old_keys_same(judged: Judged) -> None:
    given = sample(judged.base)
    old, new = judged.base(given), judged.result(given)
    for key in old:
        assert_close(new[key].numpy(), old[key].numpy(), 0)


def _is_tensor_of(path: str, output: int = -1, call: int = 0) -> Check:
    """An output of the result is what a layer of the base makes."""

    def check(judged: Judged) -> None:
        *models, name = path.split("/")
        given, model = sample(judged.base), judged.base
        for inner in models:
            model = model.get_layer(inner)
        tensors = [node.output_tensors[0] for node in model.get_layer(name)._inbound_nodes]
        (expected,) = outputs(keras.Model(model.inputs, tensors[call]), given)
        assert_close(outputs(judged.result, _for_inputs_of(judged, given))[output], expected)

    return check


def _for_inputs_of(judged: Judged, given: Any) -> Any:
    """The part of a sample of the base that the result still reads."""
    if len(judged.result.inputs) == len(judged.base.inputs):
        return given
    by_name = dict(zip([i.name for i in judged.base.inputs], given, strict=True))
    kept = [by_name[tensor.name] for tensor in judged.result.inputs]
    return kept[0] if len(kept) == 1 else kept


def _names(*names: str) -> Check:
    def check(judged: Judged) -> None:
        assert judged.result.output_names == list(names)

    return check


def _keys(*keys: str) -> Check:
    def check(judged: Judged) -> None:
        assert set(judged.result.output) == set(keys)

    return check


def _compiled(key: str, expected: object) -> Check:
    def check(judged: Judged) -> None:
        assert judged.config["compile_config"][key] == expected

    return check


def _slots(judged: Judged) -> None:
    """The optimizer goes on with the slots of the weights that are left."""
    optimizer = judged.result.optimizer
    assert int(optimizer.iterations) == 2
    assert len(optimizer.variables) == 2 + 2 * len(judged.result.trainable_variables)
    assert all(np.any(slot.numpy()) for slot in optimizer.variables[2:4])


ADD = [
    Case(
        "a branch of a Sequential",
        "mlp",
        "- {select: dense, add_output: {Dense: {units: 1, activation: sigmoid, name: extra}}}",
        fates={"kept": 4, "new": 2},
        warns=("PC906",),
        also=(
            is_functional,
            _names("dense_1", "extra"),
            _first_outputs_same,
            _compiled("loss", {"dense_1": "sparse_categorical_crossentropy", "extra": None}),
            trains_on,
        ),
    ),
    Case(
        "a chain",
        "tower",
        "- {select: hidden, add_output: [{Dense: {units: 4}}, {Dense: {units: 2, name: extra}}]}",
        warns=("PC906",),
        also=(_names("predictions", "extra"), _first_outputs_same, trains_on),
    ),
    Case(
        "a tensor as it is",
        "tower",
        "- {select: hidden, add_output: true}",
        fates={"kept": 6},
        warns=("PC906",),
        also=(_first_outputs_same, _is_tensor_of("hidden"), trains_on),
    ),
    Case(
        "a third in a list",
        "two_heads",
        "- {select: trunk, add_output: {Dense: {units: 1, name: extra}}}",
        warns=("PC906",),
        also=(
            _names("kind", "size", "extra"),
            _first_outputs_same,
            _compiled(
                "loss", {"kind": "sparse_categorical_crossentropy", "size": "mse", "extra": None}
            ),
            trains_on,
        ),
    ),
    Case(
        "a third in a dict",
        "dict_heads",
        "- {select: trunk, add_output: {Dense: {units: 1, name: last_one}}}",
        warns=("PC906",),
        also=(
            _keys("kind", "size", "last_one"),
            _compiled("metrics", {"kind": ["accuracy"]}),
            _old_keys_same,
            trains_on,
        ),
    ),
    Case(
        "from inside a nested model",
        "nested",
        "- {select: backbone/relu_1, add_output: true}",
        warns=("PC906",),
        also=(is_functional, _is_tensor_of("backbone/relu_1"), _first_outputs_same, trains_on),
    ),
    Case(
        "a branch from inside a nested Sequential",
        "two_parts",
        "- {select: body/dense, add_output: {Dense: {units: 2, name: extra}}}",
        also=(_names("top", "extra"), _first_outputs_same),
    ),
    Case(
        "from two models down",
        "deep_nest",
        "- {select: wide, add_output: true}",
        also=(is_functional, _first_outputs_same),
    ),
    Case(
        "one call of a shared layer",
        "siamese",
        "- {select: shared, add_output: true, call: 1}",
        also=(_is_tensor_of("shared", call=1), _first_outputs_same),
    ),
    Case(
        "an operation",
        "operations",
        "- {select: {class: Multiply}, add_output: {Dense: {units: 1}}}",
        also=(_first_outputs_same,),
    ),
    Case(
        "that renumbers layers of one class",
        "twins",
        "- {select: left_1, add_output: [{Dense: {units: 6}}, {Dense: {units: 6}}]}",
        fates={"kept": 10, "new": 4},
        also=(_first_outputs_same,),
    ),
    Case(
        "two, one behind the other",
        "tower",
        """
- {select: hidden, add_output: {Dense: {units: 1, name: first}}}
- {select: hidden_2, add_output: {Dense: {units: 1, name: second}}}
""",
        warns=("PC906", "PC906"),
        also=(_names("predictions", "first", "second"), trains_on),
    ),
]

REMOVE = [
    Case(
        "dropout",
        "convnet",
        "- {select: dropout, remove: true}",
        same=0,
        also=(trains_on,),
    ),
    Case(
        "all dropouts",
        "dropouts",
        "- {select: {class: Dropout}, remove: true}",
        same=0,
        also=(named_layers("dense", "dense_1", "dense_2"),),
    ),
    Case(
        "the output layer",
        "tower",
        "- {select: {output: 0}, remove: true}",
        fates={"kept": 4, "dropped": 2},
        shapes=[(None, 16)],
        also=(_is_tensor_of("hidden_2"), _names("hidden_2")),
    ),
    Case(
        "the output layer of a Sequential",
        "mlp",
        "- {select: {output: 0}, remove: true}",
        also=(is_sequential, named_layers("dense")),
    ),
    Case(
        "one of two output layers",
        "two_heads",
        "- {select: kind, remove: true}",
        shapes=[(None, 8), (None, 1)],
        also=(_names("trunk", "size"),),
    ),
    Case(
        "one of two output layers in a dict",
        "dict_heads",
        "- {select: {output: kind}, remove: true}",
        also=(_keys("kind", "size"), _is_tensor_of("trunk", output=0)),
    ),
    Case(
        "between layers of one class",
        "twins",
        "- {select: [left_1, right_2], remove: true}",
        fates={"kept": 6, "dropped": 4},
    ),
    Case(
        "layers that fit only together",
        "gpt",
        "- {select: [block_10_fc, block_10_proj], remove: true}",
    ),
    Case(
        "a residual block",
        "residual_net",
        "- {select: {block: {from: stage2_block2_1_conv, to: stage2_block2_out}}, remove: true}",
        fates={"kept": 46, "dropped": 12},
    ),
    Case(
        "inside a nested model",
        "nested",
        "- {select: [backbone/bn_1, backbone/relu_1], remove: true}",
        fates={"kept": 8, "dropped": 4},
        also=(is_sequential, trains_on),
    ),
    Case(
        "a layer that is called twice",
        "siamese",
        "- {select: shared, remove: true}",
        fates={"kept": 4, "dropped": 2},
    ),
    Case(
        "a recurrent layer behind a mask",
        "tagger",
        "- {select: gru, remove: true}",
    ),
    Case(
        "an operation",
        "operations",
        "- {select: {class: Multiply}, remove: true}",
        fates={"kept": 6},
    ),
    Case(
        "transformer blocks from the middle",
        "gpt",
        "- {select: {block: {from: block_10_ln1, to: block_10_out}}, remove: true}",
    ),
]

TRUNCATE = [
    Case(
        "at a layer",
        "tower",
        "- {select: hidden, truncate: true}",
        fates={"kept": 2, "dropped": 4},
        shapes=[(None, 16)],
        warns=("PC906",),
        also=(_is_tensor_of("hidden"), named_layers("hidden")),
    ),
    Case(
        "of a Sequential",
        "mlp",
        "- {select: dense, truncate: true}",
        warns=("PC906",),
        also=(is_sequential, named_layers("dense")),
    ),
    Case(
        "inside a nested model",
        "nested",
        "- {select: backbone/relu_1, truncate: true}",
        shapes=[(None, 12, 12, 5)],
        warns=("PC906",),
        also=(_is_tensor_of("backbone/relu_1"),),
    ),
    Case(
        "at several, in the order written",
        "siamese",
        "- {select: [distance, minus], truncate: true}",
        also=(_names("distance", "minus"), _is_tensor_of("minus", 1)),
    ),
    Case(
        "at several, in the order of the model",
        "convnet",
        "- {select: {name: 'relu_*'}, truncate: true}",
        warns=("PC906",),
        also=(_names("relu_1", "relu_2", "relu_3"), _is_tensor_of("relu_2", 1)),
    ),
    Case(
        "and drop an input",
        "two_heads",
        "- {select: from_left, truncate: true}",
        warns=("PC906",),
        also=(lambda j: _inputs(j, "left"), named_layers("from_left")),
    ),
    Case(
        "and drop an input of a dict",
        "dict_heads",
        "- {select: trunk, truncate: true}",
        warns=("PC906",),
        also=(lambda j: _inputs(j, "a", "b"),),
    ),
    Case(
        "at one call of a shared model",
        "siamese",
        "- {select: enc, truncate: true, call: 0}",
        also=(lambda j: _inputs(j, "left"), _is_tensor_of("enc")),
    ),
    Case(
        "at the output that it has",
        "tower",
        "- {select: predictions, truncate: true}",
        fates={"kept": 6},
        same=0,
    ),
    Case(
        "that leaves the optimizer fewer weights",
        "convnet",
        "- {select: gap, truncate: true}",
        shapes=[(None, 6)],
        warns=("PC906",),
        also=(_slots,),
    ),
]


def _inputs(judged: Judged, *names: str) -> None:
    assert [tensor.name for tensor in judged.result.inputs] == list(names)


@table(ADD)
def test_add_output(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


@table(REMOVE)
def test_remove(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


@table(TRUNCATE)
def test_truncate(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)
