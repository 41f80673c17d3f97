"""Random Functional graphs in double precision, and a random axis of them that grows.

The same generator serves Hypothesis (`test_widening`) and the benchmark
(`benchmarks.widening`): it asks a `Choose` for every choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import keras
import numpy as np
from keras import layers, ops

import patchc
from patchc.layers.base import complete
from patchc.layers.registry import rule_by_name
from tests.acceptance.widening import new_places
from tests.patterns import shuffle

T = TypeVar("T")
Model = Any
TOLERANCE = 1e-9
"""Largest difference of outputs, relative to the largest of them."""
SINGLE = 1e-6
"""The same where heads get another size: Keras keeps 1/sqrt(key_dim) in single precision."""


class Choose(Protocol):
    """Makes every choice."""

    def one(self, options: Sequence[T]) -> T:
        """One of several."""

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""


@dataclass
class Growing:
    """A graph under construction; `kinds` are the layer classes and operations in it."""

    choose: Choose
    tensors: list[Any] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)

    def call(self, layer: Any, *tensors: Any) -> Any:
        """Call a new layer."""
        self.kinds.add(type(layer).__name__)
        return layer(*tensors)

    def operate(self, name: str, made: Any) -> Any:
        """Note the name of an operation."""
        self.kinds.add(f"ops.{name}")
        return made


Step = Callable[[Growing, Any], Any]


def _layer(make: Callable[[Choose, tuple[Any, ...]], Any]) -> Step:
    return lambda growing, x: growing.call(make(growing.choose, tuple(x.shape)), x)


def _units(choose: Choose) -> int:
    return choose.number(2, 6)


def _even(choose: Choose) -> int:
    return 2 * choose.number(1, 3)


_ACTIVATIONS = ("relu", "tanh", "gelu", "sigmoid", "linear", "silu", "elu")
ANY: dict[str, Step] = {
    "Dense": _layer(lambda c, s: layers.Dense(_units(c), activation=c.one(_ACTIVATIONS))),
    "even Dense": _layer(lambda c, s: layers.Dense(_even(c))),
    "BatchNormalization": _layer(lambda c, s: layers.BatchNormalization()),
    "LayerNormalization": _layer(lambda c, s: layers.LayerNormalization()),
    "RMSNormalization": _layer(lambda c, s: layers.RMSNormalization()),
    "Activation": _layer(lambda c, s: layers.Activation(c.one(_ACTIVATIONS))),
    "LeakyReLU": _layer(lambda c, s: layers.LeakyReLU()),
    "ReLU": _layer(lambda c, s: layers.ReLU()),
    "PReLU": _layer(lambda c, s: layers.PReLU()),
    "Dropout": _layer(lambda c, s: layers.Dropout(0.3)),
    "Rescaling": _layer(lambda c, s: layers.Rescaling(0.5, 0.1)),
    "residual": lambda g, x: g.call(
        layers.Add(), [x, g.call(layers.Dense(x.shape[-1], "tanh"), x)]
    ),
    "join": lambda g, x: _join(g, x),
    "gate": lambda g, x: g.operate("Sigmoid", x * ops.sigmoid(x)),
    "glu": lambda g, x: g.operate("Glu", ops.glu(x)) if x.shape[-1] % 2 == 0 else x,
    "halves": lambda g, x: _halves(g, x),
    "slice": lambda g, x: g.operate("GetItem", x[..., 1:]) if x.shape[-1] > 1 else x,
    "scale": lambda g, x: g.operate("Multiply", x * 0.5 + 1.0),
    "pad": lambda g, x: g.operate(
        "Pad", ops.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, g.choose.number(1, 2)]])
    ),
    "flip": lambda g, x: g.operate("Flip", ops.flip(x, axis=-1)),
}
VECTOR: dict[str, Step] = {
    "RepeatVector": _layer(lambda c, s: layers.RepeatVector(3)),
    "unflatten": lambda g, x: (
        g.call(layers.Reshape((x.shape[-1] // 2, 2)), x)
        if x.shape[-1] % 2 == 0
        else g.call(layers.Reshape((1, x.shape[-1])), x)
    ),
}
SEQUENCE: dict[str, Step] = {
    "LSTM": _layer(lambda c, s: layers.LSTM(_units(c), return_sequences=c.one([True, False]))),
    "GRU": _layer(lambda c, s: layers.GRU(_units(c), return_sequences=True)),
    "SimpleRNN": _layer(lambda c, s: layers.SimpleRNN(_units(c), return_sequences=True)),
    "Bidirectional": _layer(lambda c, s: layers.Bidirectional(
        layers.LSTM(_units(c), return_sequences=True), merge_mode=c.one(["concat", "sum"]))),
    "Conv1D": _layer(lambda c, s: layers.Conv1D(_units(c), 2, padding="same")),
    "Conv1DTranspose": _layer(lambda c, s: layers.Conv1DTranspose(_units(c), 2)),
    "SeparableConv1D": _layer(lambda c, s: layers.SeparableConv1D(_units(c), 2, padding="same")),
    "DepthwiseConv1D": _layer(lambda c, s: layers.DepthwiseConv1D(
        2, padding="same", depth_multiplier=c.number(1, 2))),
    "EinsumDense": _layer(lambda c, s: layers.EinsumDense(
        "abc,cd->abd", (s[1], _units(c)), bias_axes="d")),
    "TimeDistributed": _layer(lambda c, s: layers.TimeDistributed(layers.Dense(_units(c)))),
    "MaxPooling1D": _layer(lambda c, s: layers.MaxPooling1D(2, padding="same")),
    "AveragePooling1D": _layer(lambda c, s: layers.AveragePooling1D(2, padding="same")),
    "GlobalAveragePooling1D": _layer(lambda c, s: layers.GlobalAveragePooling1D()),
    "GlobalMaxPooling1D": _layer(lambda c, s: layers.GlobalMaxPooling1D()),
    "Flatten": _layer(lambda c, s: layers.Flatten()),
    "UpSampling1D": _layer(lambda c, s: layers.UpSampling1D(2)),
    "ZeroPadding1D": _layer(lambda c, s: layers.ZeroPadding1D(1)),
    "SpatialDropout1D": _layer(lambda c, s: layers.SpatialDropout1D(0.2)),
    "MultiHeadAttention": lambda g, x: g.call(layers.MultiHeadAttention(
        g.choose.number(1, 2), g.choose.number(2, 4)), x, x),
    "GroupQueryAttention": lambda g, x: g.call(layers.GroupQueryAttention(3, 4, 2), x, x),
    "Attention": lambda g, x: g.call(
        layers.Attention(), [x, g.call(layers.Dense(x.shape[-1]), x)]
    ),
    "attention apart": lambda g, x: g.call(
        layers.Attention(use_scale=g.choose.one([True, False])),
        [g.call(layers.Dense(3), x), x, g.call(layers.Dense(3), x)]),
    "AdditiveAttention": lambda g, x: g.call(
        layers.AdditiveAttention(), [g.call(layers.Dense(x.shape[-1]), x), x]),
    "Dot": lambda g, x: g.call(layers.Dot(axes=1), [g.call(layers.Dense(4), x), x]),
    "attention by operation": lambda g, x: _by_operation(g, x),
    "letters handed on": lambda g, x: _letters(g, x),
    "mean over steps": lambda g, x: g.operate("Mean", ops.mean(x, axis=1)),
    "softmax over steps": lambda g, x: g.operate("Softmax", ops.softmax(x, axis=1)),
    "transpose": lambda g, x: g.operate("Swapaxes", ops.swapaxes(
        g.call(layers.Dense(x.shape[1]), ops.swapaxes(x, 1, 2)), 1, 2)),
}  # fmt: skip
IMAGE: dict[str, Step] = {
    "Conv2D": _layer(lambda c, s: layers.Conv2D(_units(c), 2, padding="same")),
    "grouped Conv2D": _layer(lambda c, s: layers.Conv2D(
        _even(c), 2, groups=2 if s[-1] % 2 == 0 else 1, padding="same")),
    "Conv2DTranspose": _layer(lambda c, s: layers.Conv2DTranspose(_units(c), 2, padding="same")),
    "SeparableConv2D": _layer(lambda c, s: layers.SeparableConv2D(_units(c), 2, padding="same")),
    "DepthwiseConv2D": _layer(lambda c, s: layers.DepthwiseConv2D(
        2, padding="same", depth_multiplier=c.number(1, 2))),
    "MaxPooling2D": _layer(lambda c, s: layers.MaxPooling2D(2, padding="same")),
    "AveragePooling2D": _layer(lambda c, s: layers.AveragePooling2D(2, padding="same")),
    "GlobalAveragePooling2D": _layer(lambda c, s: layers.GlobalAveragePooling2D()),
    "GlobalMaxPooling2D": _layer(lambda c, s: layers.GlobalMaxPooling2D()),
    "GroupNormalization": _layer(lambda c, s: layers.GroupNormalization(s[-1])),
    "UpSampling2D": _layer(lambda c, s: layers.UpSampling2D(2)),
    "ZeroPadding2D": _layer(lambda c, s: layers.ZeroPadding2D(1)),
    "Cropping2D": _layer(lambda c, s: layers.Cropping2D(((0, 1), (0, 0)))
                         if s[1] > 1 else layers.Identity()),
    "Flatten": _layer(lambda c, s: layers.Flatten()),
    "to a sequence": lambda g, x: g.call(
        layers.Reshape((x.shape[1] * x.shape[2], x.shape[3])), x),
    "shuffle": lambda g, x: g.operate("Reshape", shuffle(x)) if x.shape[-1] % 2 == 0 else x,
    "squeeze and excite": lambda g, x: x * g.call(
        layers.Dense(x.shape[-1], "sigmoid"),
        g.call(layers.GlobalAveragePooling2D(keepdims=True), x)),
    "depthwise inside": _layer(lambda c, s: layers.TimeDistributed(layers.DepthwiseConv1D(
        2, padding="same", depth_multiplier=c.number(1, 2)))),
    "groups inside": _layer(lambda c, s: layers.TimeDistributed(layers.Conv1D(
        _even(c), 2, groups=2 if s[-1] % 2 == 0 else 1, padding="same"))),
    "max_pool": lambda g, x: g.operate("MaxPool", ops.max_pool(x, 2, padding="same")),
}  # fmt: skip
_BY_RANK = {2: VECTOR, 3: SEQUENCE, 4: IMAGE}


def _join(growing: Growing, x: Any) -> Any:
    """With another tensor that fits, or with one that is made to."""
    others = [t for t in growing.tensors if t.shape[:-1] == x.shape[:-1]]
    other = growing.choose.one(others)
    kind = growing.choose.one(["Concatenate", "Add", "Multiply", "Average", "Maximum"])
    if kind != "Concatenate" and other.shape != x.shape:
        other = growing.call(layers.Dense(x.shape[-1]), other)
    return growing.call(getattr(layers, kind)(), [x, other])


def _letters(growing: Growing, x: Any) -> Any:
    """An equation along the steps, which hands features on with or without a bias of their own."""
    kernel, bias = growing.choose.one([("cd", "d"), ("cd", "bd"), ("bcd", "bd"), ("cd", None)])
    sizes = (x.shape[-1], growing.choose.number(2, 4))
    layer = layers.EinsumDense(f"abc,{kernel}->abd", sizes, bias_axes=bias)
    return ops.swapaxes(growing.call(layer, ops.swapaxes(x, 1, 2)), 1, 2)


def _by_operation(growing: Growing, x: Any) -> Any:
    """Heads of query, key and value, and an attention between them."""
    parts = [
        growing.call(layers.EinsumDense("abc,cde->abde", (x.shape[1], 2, 3), bias_axes="de"), x)
        for _ in range(3)
    ]
    made = growing.operate("DotProductAttention", ops.nn.dot_product_attention(*parts))
    return growing.call(layers.Reshape((x.shape[1], 6)), made)


def _halves(growing: Growing, x: Any) -> Any:
    if x.shape[-1] % 2:
        return x
    one, other = ops.split(x, 2, axis=-1)
    return growing.operate("Split", one * ops.tanh(other))


def random_graph(choose: Choose) -> tuple[Model, set[str]]:
    """A random model in double precision with values of its own, and the kinds in it."""
    keras.backend.clear_session(free_memory=False)
    growing = Growing(choose)
    given = keras.Input(choose.one([(4,), (5, 4), (4, 4, 3), (6, 4)]), dtype="float64")
    growing.tensors.append(growing.call(layers.Dense(choose.number(2, 6)), given))
    for _ in range(choose.number(3, 7)):
        x = choose.one(growing.tensors[-2:])
        steps = {**ANY, **_BY_RANK[len(x.shape)]} if len(x.shape) in _BY_RANK else ANY
        made = steps[choose.one(sorted(steps))](growing, x)
        if len(made.shape) in _BY_RANK and np.prod(made.shape[1:]) <= _MOST:
            growing.tensors.append(made)
    ends = [growing.tensors[-1], choose.one(growing.tensors)]
    outputs = [layers.Dense(2)(layers.Flatten()(end)) for end in ends]
    model = keras.Model(given, outputs)
    _stir(model)
    return model, growing.kinds


_MOST = 1000


def _stir(model: Model) -> None:
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "float" not in str(variable.dtype):
            continue
        low, high = (0.5, 1.5) if "variance" in variable.path else (-0.6, 0.7)
        variable.assign(rng.uniform(low, high, variable.shape))


def random_axis(choose: Choose, model: Model) -> tuple[str, str, int] | None:
    """A layer behind which something else still reads, one of its axes, and by how much it grows.

    None where no layer has one.
    """
    found = []
    for layer in model.layers[1:-2]:
        rule = rule_by_name(type(layer).__name__)
        if rule is None or layer.name in {t._keras_history.operation.name for t in model.outputs}:
            continue
        config = complete(rule, keras.saving.serialize_keras_object(layer)["config"])
        axes = rule.dimensions(config)
        found += [(layer.name, axis) for axis in axes]
    if not found:
        return None
    name, axis = choose.one(found)
    return name, axis, choose.one([1, 2, 2, 4])


def patch_of(name: str, verb: str) -> Any:
    """A patch with one verb on one layer."""
    text = f"patchc: 1\nid: random-{verb[:6]}\nedits:\n  - select: {name}\n    {verb}\n"
    return patchc.loads(text)


def outputs_of(model: Model) -> list[Any]:
    """Outputs on inputs that are always the same."""
    shape = (2, *model.input_shape[1:])
    given = np.random.default_rng(7).normal(size=shape)
    made = model(given, training=False)
    return [ops.convert_to_numpy(t) for t in (made if isinstance(made, list) else [made])]


def distance(before: list[Any], after: list[Any]) -> float:
    """Largest difference, relative to the largest entry."""
    return max(
        float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3))
        if a.shape == b.shape
        else float("inf")
        for a, b in zip(after, before, strict=True)
    )


@dataclass(frozen=True)
class Outcome:
    """What became of one random growth.

    Args:
        verdict: `same`, `different`, `refused`, or `nothing` to grow.
        detail: the message of a refusal, or the edit and by how much outputs differ.
        kinds: what the graph is made of.
    """

    verdict: str
    detail: str
    kinds: frozenset[str]


def widen(choose: Choose) -> Outcome:
    """Grow a random axis of a random graph, then take the new entries out again."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        model, kinds = random_graph(choose)
        chosen = random_axis(choose, model)
        if chosen is None:
            return Outcome("nothing", "", frozenset(kinds))
        return Outcome(*_judge(model, *chosen), frozenset(kinds))
    finally:
        keras.config.set_floatx(before)
        keras.backend.clear_session(free_memory=False)  # the dtype policy is kept beside it


def _judge(model: Model, name: str, axis: str, by: int) -> tuple[str, str]:
    verb = f"expand: {{by: {by}, axis: '{axis}'}}"
    patch = patch_of(name, verb)
    try:
        places = new_places(patchc.plan(model, patch), name, by)
    except patchc.PatchError as error:
        return "refused", error.diagnostics[0].message
    wide = patchc.apply(model, patch)
    before = outputs_of(model)
    allowed = SINGLE if axis in {"key_dim", "head_dim"} else TOLERANCE
    far = distance(before, outputs_of(wide))
    if not far <= allowed:
        return "different", f"{name} {verb}: {far:.1e}"
    if places:
        back = patchc.apply(wide, patch_of(name, f"shrink: {{drop: {places}, axis: '{axis}'}}"))
        far = distance(before, outputs_of(back))
        if not far <= TOLERANCE or model.count_params() != back.count_params():
            return "different", f"{name} {verb} and back: {far:.1e}"
    return "same", ""
