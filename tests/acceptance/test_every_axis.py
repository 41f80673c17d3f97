"""Every axis of every layer class of Keras grows and shrinks back; Keras is the judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers, ops

from patchc.layers.base import Rule, complete
from patchc.layers.cells import Cell
from patchc.layers.registry import all_rules, rule_by_name
from tests.acceptance.widening import apart, saved, there_and_back
from tests.patterns import RECURRENT, Build

Case = tuple[tuple[int, ...], Build]
SEQUENCE, IMAGE = (5, 4), (5, 5, 2)
_BY_RANK = {1: (6, 2), 2: IMAGE, 3: (4, 4, 4, 2)}


def _plain(layer: Any, shape: tuple[int, ...]) -> Case:
    """A layer of one input, and one that reads it where its axis is the last."""
    return shape, lambda x: layers.Dense(3, "tanh")(layer(x))


def _twice(layer: Any) -> Case:
    """A layer of query and value."""
    return SEQUENCE, lambda x: layers.Dense(3, "tanh")(layer(x, x))


def _ids(x: Any) -> Any:
    return ops.cast(ops.abs(x) * 3.0, "int32")


def _of_ids(layer: Any) -> Case:
    return (6,), lambda x: layer(_ids(x))


def _reversed(x: Any) -> Any:
    table = layers.ReversibleEmbedding(10, 4, name="t")
    return table(layers.Dense(4)(table(_ids(x))), reverse=True)


def _convolutions(rank: int) -> dict[str, tuple[str, Case]]:
    shape, name = _BY_RANK[rank], f"{rank}D"
    two: Any = {"kernel_size": 2, "name": "t"}
    made = {
        f"Conv{name}": ("filters", getattr(layers, f"Conv{name}")(4, groups=2, **two)),
        f"Conv{name}Transpose": ("filters", getattr(layers, f"Conv{name}Transpose")(4, **two)),
    }
    if rank < 3:
        two["depth_multiplier"] = 2
        depthwise, separable = f"DepthwiseConv{name}", f"SeparableConv{name}"
        made[depthwise] = ("depth_multiplier", getattr(layers, depthwise)(**two))
        made[separable] = ("filters", getattr(layers, separable)(4, **two))
        made[f"{separable}, multiplier"] = (
            "depth_multiplier",
            getattr(layers, separable)(4, **two),
        )
    return {kind: (axis, _plain(layer, shape)) for kind, (axis, layer) in made.items()}


def _mha(**arguments: Any) -> Case:
    return _twice(layers.MultiHeadAttention(2, 3, name="t", **arguments))


def _einsum() -> Case:
    layer = layers.EinsumDense("abc,cde->abde", (5, 4, 3), bias_axes="de", name="t")
    return SEQUENCE, lambda x: layers.Dense(3)(layers.Flatten()(layer(x)))


def _gqa() -> Case:
    return _twice(layers.GroupQueryAttention(3, 4, 2, name="t"))


_TD, _SN = layers.TimeDistributed, layers.SpectralNormalization
CASES: dict[str, tuple[str, Case]] = {
    **{name: (axis, (shape, build)) for name, (shape, build, axis) in RECURRENT.items()},
    "Dense": ("units", _plain(layers.Dense(4, "relu", name="t"), SEQUENCE)),
    **_convolutions(1),
    **_convolutions(2),
    **_convolutions(3),
    "CategoryEncoding": ("num_tokens", _of_ids(layers.CategoryEncoding(9, name="t"))),
    "Embedding": ("input_dim", _of_ids(layers.Embedding(10, 4, name="t"))),
    "Embedding, vectors": ("output_dim", _of_ids(layers.Embedding(10, 4, name="t"))),
    "ReversibleEmbedding": ("input_dim", ((6,), _reversed)),
    "ReversibleEmbedding, vectors": ("output_dim", ((6,), _reversed)),
    "EinsumDense": ("d", _einsum()),
    "EinsumDense, the last": ("e", _einsum()),
    "MultiHeadAttention": ("num_heads", _mha(use_gate=True)),
    "MultiHeadAttention, keys": ("key_dim", _mha()),
    "MultiHeadAttention, values": ("value_dim", _mha(value_dim=4)),
    "MultiHeadAttention, output": ("output_shape", _mha(output_shape=5)),
    "GroupQueryAttention": ("num_query_heads", _gqa()),
    "GroupQueryAttention, keys": ("num_key_value_heads", _gqa()),
    "GroupQueryAttention, size": ("head_dim", _gqa()),
    "RNN": ("units", _plain(layers.RNN(layers.SimpleRNNCell(4), name="t"), SEQUENCE)),
    "TimeDistributed": ("units", _plain(_TD(layers.Dense(4), name="t"), SEQUENCE)),
    "TimeDistributed, multiplier": (
        "depth_multiplier",
        _plain(_TD(layers.DepthwiseConv2D(2, depth_multiplier=2), name="t"), (3, *IMAGE)),
    ),
    "TimeDistributed, groups": (
        "filters",
        _plain(_TD(layers.Conv2D(4, 2, groups=2), name="t"), (3, *IMAGE)),
    ),
    "SpectralNormalization": ("units", _plain(_SN(layers.Dense(4), name="t"), SEQUENCE)),
    "SpectralNormalization, groups": (
        "filters",
        _plain(_SN(layers.Conv2D(4, 2, groups=2), name="t"), IMAGE),
    ),
}
"""Name -> an axis, and a model up to its head whose layer `t` has it."""
_RESCALED = {"key_dim", "head_dim"}


@pytest.mark.parametrize("name", CASES)
def test_grows_unnoticed_and_shrinks_back(name: str, tmp_path: Path) -> None:
    axis, (shape, build) = CASES[name]
    model = saved(shape, build, tmp_path)
    trip = there_and_back(tmp_path / "before.keras", "t", 2, axis)
    assert trip.wide.count_params() > model.count_params()
    assert apart(model, trip.wide) <= 1e-6
    assert trip.kept == 0
    assert (trip.rescaled is not None) == (axis in _RESCALED)
    assert (trip.rescaled or 0) <= 1


def test_no_axis_is_left_out() -> None:
    needed, met = set(), set()
    for axis, (shape, build) in CASES.values():
        layer = keras.Model(given := keras.Input(shape), build(given)).get_layer("t")
        rule = rule_by_name(type(layer).__name__)
        assert rule is not None
        config = complete(rule, keras.saving.serialize_keras_object(layer)["config"])
        met.add((rule.class_name, axis))
        needed |= {(rule.class_name, other) for other in rule.dimensions(config)}
    assert needed == met
    assert {name for name, _ in met} == {r.class_name for r in all_rules() if _has_axes(r)}


def _has_axes(rule: Rule) -> bool:
    """Whether a layer of the class can stand in a model and has an axis of its own."""
    own = rule.grows or type(rule).dimensions is not Rule.dimensions
    return bool(own) and not isinstance(rule, Cell)
