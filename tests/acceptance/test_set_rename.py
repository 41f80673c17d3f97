"""`set` and `rename`: configuration and names change, weights do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from tests.acceptance.cases import (
    Case,
    Check,
    is_sequential,
    named_layers,
    run,
    table,
    trains_on,
)
from tests.acceptance.judge import Judged, leaves
from tests.conftest import Zoo


def _has(path: str, **wanted: Any) -> Check:
    """A layer as Keras loads it has these attributes."""

    def check(judged: Judged) -> None:
        layer = dict(leaves(judged.result))[path]
        assert {key: getattr(layer, key) for key in wanted} == wanted

    return check


def _losses(count: int) -> Check:
    def check(judged: Judged) -> None:
        assert len(judged.result.losses) == count

    return check


def _does_nothing(judged: Judged) -> None:
    assert judged.plan.is_empty


SET = [
    Case(
        "the rate of dropout",
        "dropouts",
        "- {select: {class: Dropout}, set: {rate: 0.5}}",
        same=0,
        also=(_has("dropout", rate=0.5), _has("dropout_1", rate=0.5)),
    ),
    Case(
        "what it is already",
        "dropouts",
        "- {select: {class: Dropout, nth: 0}, set: {rate: 0.2}}",
        same=0,
        also=(_does_nothing,),
    ),
    Case(
        "a regulariser",
        "convnet",
        "- {select: {class: [Conv2D, Dense]}, set: {kernel_regularizer: {L2: {l2: 1.0e-4}}}}",
        same=0,
        also=(_losses(4), trains_on),
    ),
    Case(
        "a regulariser by name, in a nested model",
        "nested",
        "- {select: 'backbone/conv_*', set: {kernel_regularizer: l1}}",
        same=0,
        also=(_losses(2), is_sequential, trains_on),
    ),
    Case(
        "and take it away",
        "convnet",
        """
- {select: {class: Conv2D}, set: {kernel_regularizer: l2}}
- {select: {class: Conv2D}, set: {kernel_regularizer: null}}
""",
        same=0,
        also=(_losses(0), trains_on),
    ),
    Case(
        "an activation",
        "tower",
        "- {select: {where: {activation: relu}}, set: {activation: gelu}}",
        fates={"kept": 6},
        also=(_has("hidden", activation=keras.activations.gelu), trains_on),
    ),
    Case(
        "the epsilon of normalisation",
        "convnet",
        "- {select: {class: BatchNormalization}, set: {epsilon: 0.01, momentum: 0.9}}",
        also=(_has("bn_1", epsilon=0.01, momentum=0.9), trains_on),
    ),
    Case(
        "strides where shapes still fit",
        "convnet",
        "- {select: conv_2, set: {strides: 2}}",
        fates={"kept": 20},
        also=(_has("conv_2", strides=(2, 2)), trains_on),
    ),
    Case(
        "the compute policy of all",
        "convnet",
        "- {select: '*', set: {dtype: mixed_float16}}",
        fates={"kept": 20},
        also=(_has("conv_1", compute_dtype="float16", variable_dtype="float32"),),
    ),
    Case(
        "the compute policy of recurrent layers and attention",
        "tagger",
        "- {select: {not: {class: NotEqual}}, set: {dtype: mixed_bfloat16}}",
        also=(_has("lstm", compute_dtype="bfloat16"),),
    ),
    Case(
        "the size of an input",
        "convnet",
        "- {select: {input: 0}, set: {shape: [20, 20, 3]}}",
        fates={"kept": 20},
        also=(lambda j: _input_shape(j, None, 20, 20, 3), trains_on),
    ),
    Case(
        "an open size",
        "convnet",
        "- {select: image, set: {shape: [null, null, 3]}}",
        same=None,
        also=(lambda j: _input_shape(j, None, None, None, 3),),
    ),
    Case(
        "the batch size",
        "tower",
        "- {select: {input: 0}, set: {batch_shape: [2, 20]}}",
        shapes=[(2, 10)],
        same=0,
        also=(trains_on,),
    ),
    Case(
        "the batch size of a Sequential",
        "mlp",
        "- {select: {input: 0}, set: {batch_shape: [2, 20]}}",
        shapes=[(2, 10)],
        same=0,
        also=(is_sequential, trains_on),
    ),
    Case(
        "the length of sequences",
        "tagger",
        "- {select: tokens, set: {shape: [9]}}",
        shapes=[(None, 9, 3)],
    ),
    Case(
        "of a layer that is called twice",
        "siamese",
        "- {select: shared, set: {activation: relu}}",
        also=(_has("shared", activation=keras.activations.relu),),
    ),
]


def _input_shape(judged: Judged, *shape: int | None) -> None:
    assert judged.result.input_shape == shape


def _names(*names: str) -> Check:
    def check(judged: Judged) -> None:
        assert judged.result.output_names == list(names)

    return check


RENAME = [
    Case(
        "a layer in the middle",
        "tower",
        "- {select: hidden, rename: encoder}",
        same=0,
        also=(named_layers("encoder", "hidden_2", "predictions"), trains_on),
    ),
    Case(
        "in a Sequential",
        "mlp",
        "- {select: dense, rename: encoder}",
        same=0,
        also=(is_sequential, named_layers("encoder", "dense_1"), trains_on),
    ),
    Case(
        "an output, and its loss",
        "two_heads",
        "- {select: kind, rename: sort}",
        same=0,
        also=(
            _names("sort", "size"),
            lambda j: _loss(j, {"sort": "sparse_categorical_crossentropy", "size": "mse"}),
            trains_on,
        ),
    ),
    Case(
        "two outputs, each to the name of the other",
        "two_heads",
        """
- {select: kind, rename: other}
- {select: size, rename: kind}
- {select: other, rename: size}
""",
        same=0,
        also=(
            _names("size", "kind"),
            lambda j: _loss(j, {"size": "sparse_categorical_crossentropy", "kind": "mse"}),
        ),
    ),
    Case(
        "an output in a dict, whose key stays",
        "dict_heads",
        "- {select: {output: kind}, rename: sort}",
        same=0,
        also=(
            lambda j: _loss(j, {"kind": "sparse_categorical_crossentropy", "size": "mse"}),
            trains_on,
        ),
    ),
    Case(
        "an input",
        "two_heads",
        "- {select: {input: left}, rename: features}",
        same=0,
        also=(lambda j: _input_names(j, "features", "right"), trains_on),
    ),
    Case(
        "a nested model",
        "nested",
        "- {select: backbone, rename: encoder}",
        same=0,
        also=(lambda j: _path(j, "encoder/conv_1"), trains_on),
    ),
    Case(
        "inside a nested model",
        "nested",
        "- {select: backbone/conv_1, rename: stem}",
        same=0,
        also=(lambda j: _path(j, "backbone/stem"), trains_on),
    ),
    Case(
        "a layer that is called twice",
        "siamese",
        "- {select: shared, rename: twice}",
        same=0,
    ),
    Case(
        "a wrapper",
        "tagger",
        "- {select: both_ways, rename: encoder}",
        same=0,
    ),
    Case(
        "attention",
        "gpt",
        "- {select: block_10_mha, rename: attention}",
        same=0,
    ),
    Case(
        "an operation",
        "operations",
        "- {select: {class: Multiply}, rename: doubled}",
        same=0,
    ),
]


def _loss(judged: Judged, expected: dict[str, str]) -> None:
    assert judged.config["compile_config"]["loss"] == expected


def _input_names(judged: Judged, *names: str) -> None:
    assert [tensor.name for tensor in judged.result.inputs] == list(names)


def _path(judged: Judged, path: str) -> None:
    assert path in dict(leaves(judged.result))


@table(SET)
def test_set(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)


@table(RENAME)
def test_rename(case: Case, zoo: Zoo, tmp_path: Path) -> None:
    run(case, zoo, tmp_path)
