"""The models that tests patch, built by name with Keras.

Every weight holds values of its own, those that Keras starts at zero or one
included, so that two weights in each other's place never go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

Array = np.ndarray[Any, Any]
Model = Any
_BUILDERS: dict[str, Callable[[], Model]] = {}


def named(builder: Callable[[], Model]) -> Callable[[], Model]:
    """Make a builder's model available under the builder's name."""
    _BUILDERS[builder.__name__] = builder
    return builder


def save(name: str, folder: Path) -> Path:
    """Build a model and save it; the same name gives the same model."""
    for module in ("tests.architectures", "tests.unusual"):
        import_module(module)  # adds its own to the table
    keras.utils.clear_session()
    keras.utils.set_random_seed(sum(map(ord, name)))
    model = _BUILDERS[name]()
    path = folder / f"{name}.keras"
    model.save(path)
    return path


def stirred(model: Model) -> Model:
    """Move every weight that starts out constant a little, each entry differently."""
    rng = np.random.default_rng(7)
    for variable in model.weights:
        values = variable.numpy()
        if variable.dtype.startswith(("float", "bfloat")) and values.std() == 0:
            variable.assign(values + rng.uniform(0.05, 0.25, values.shape))
    return model


def _trained(model: Model, loss: Any, targets: Any, **compiled: Any) -> Model:
    """Compile and train for two steps, so that the optimizer has a state."""
    model.compile("adam", loss, **compiled)
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    given = keras.tree.map_structure(lambda tensor: _values(*tensor.shape[1:]), structure)
    model.run_eagerly = True  # two steps are not worth tracing
    for _ in range(2):
        model.train_on_batch(given, targets)
    model.run_eagerly = False
    return model


def _labels(classes: int) -> Array:
    return np.arange(8) % classes


def _values(*shape: int) -> Array:
    return np.random.default_rng(4).normal(size=(8, *shape)).astype("float32")


# ------------------------------------------------------------------------- plain


@named
def mlp() -> Model:
    model = keras.Sequential(
        [keras.Input((20,)), layers.Dense(16, "relu"), layers.Dense(10, "softmax")], name="mlp"
    )
    return _trained(stirred(model), "sparse_categorical_crossentropy", _labels(10))


@named
def tower() -> Model:
    x = inputs = keras.Input((20,), name="features")
    x = layers.Dense(16, "relu", name="hidden")(x)
    x = layers.Dense(16, "relu", name="hidden_2")(x)
    model = keras.Model(inputs, layers.Dense(10, "softmax", name="predictions")(x), name="tower")
    return _trained(stirred(model), "sparse_categorical_crossentropy", _labels(10))


@named
def dropouts() -> Model:
    x = inputs = keras.Input((20,))
    x = layers.Dropout(0.2)(layers.Dense(16)(x))
    x = layers.Dropout(0.3)(layers.Dense(8)(x))
    return stirred(keras.Model(inputs, layers.Dense(3)(x)))


@named
def convnet() -> Model:
    x = inputs = keras.Input((16, 16, 3), name="image")
    for number in (1, 2, 3):
        x = layers.Conv2D(6, 3, padding="same", name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(layers.MaxPooling2D(name="pool")(x))
    x = layers.Dropout(0.25, name="dropout")(x)
    model = keras.Model(inputs, layers.Dense(5, "softmax", name="predictions")(x), name="convnet")
    return _trained(stirred(model), "sparse_categorical_crossentropy", _labels(5))


@named
def residual_net() -> Model:
    """Two stages of residual blocks, the second begins with a projection shortcut."""
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    for number in (1, 2):
        x = _residual(x, 4, f"stage1_block{number}")
    x = _residual(x, 8, "stage2_block1", strides=2)
    x = _residual(x, 8, "stage2_block2")
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return stirred(keras.Model(inputs, layers.Dense(4, name="logits")(x), name="residual_net"))


def _residual(x: Any, filters: int, name: str, strides: int = 1) -> Any:
    short = x
    if strides > 1:
        short = layers.Conv2D(filters, 1, strides, name=f"{name}_0_conv")(x)
        short = layers.BatchNormalization(name=f"{name}_0_bn")(short)
    x = layers.Conv2D(filters, 3, strides, padding="same", name=f"{name}_1_conv")(x)
    x = layers.ReLU(name=f"{name}_1_relu")(layers.BatchNormalization(name=f"{name}_1_bn")(x))
    x = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
    x = layers.Add(name=f"{name}_add")([short, layers.BatchNormalization(name=f"{name}_2_bn")(x)])
    return layers.ReLU(name=f"{name}_out")(x)


# ------------------------------------------------------------------------ nested


def _backbone(name: str = "backbone") -> Model:
    x = inputs = keras.Input((12, 12, 3))
    for number in (1, 2):
        x = layers.Conv2D(5, 3, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"bn_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    return keras.Model(inputs, x, name=name)


@named
def nested() -> Model:
    parts = [keras.Input((12, 12, 3)), _backbone(), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*parts, layers.Dense(3, "softmax", name="head")], name="nested")
    return _trained(stirred(model), "sparse_categorical_crossentropy", _labels(3))


@named
def two_parts() -> Model:
    body = keras.Sequential([keras.Input((6,)), layers.Dense(8, "relu")], name="body")
    top = keras.Sequential([keras.Input((8,)), layers.Dense(3, "softmax")], name="top")
    return stirred(keras.Sequential([keras.Input((6,)), body, top], name="two_parts"))


@named
def deep_nest() -> Model:
    """A head two models down, and dropouts around it."""
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(4, name="deep")], name="inner")
    inputs = keras.Input((8,))
    x = layers.Dropout(0.1)(inner(layers.Dense(8, "relu", name="wide")(inputs)))
    middle = keras.Model(inputs, x, name="middle")
    outer = keras.Input((6,))
    x = layers.Softmax(name="soft")(middle(layers.Dense(8, name="first")(outer)))
    return stirred(keras.Model(outer, x, name="outer"))


@named
def frozen() -> Model:
    """A model that does not train at all."""
    parts = [keras.Input((12, 12, 3)), _backbone(), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*parts, layers.Dense(3, "softmax", name="head")], name="frozen")
    model.trainable = False
    return stirred(model)


@named
def frozen_tower() -> Model:
    inputs = keras.Input((6,))
    x = layers.Dense(5, name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="predictions")(x))
    model.trainable = False
    return stirred(model)


# ------------------------------------------------------------ several of something


@named
def siamese() -> Model:
    """A nested encoder and a Dense, each called twice."""
    encoder = keras.Sequential([keras.Input((5,)), layers.Dense(4, name="code")], name="enc")
    left, right = keras.Input((5,), name="left"), keras.Input((5,), name="right")
    shared = layers.Dense(4, "tanh", name="shared")
    x = layers.Subtract(name="minus")([shared(encoder(left)), shared(encoder(right))])
    return stirred(keras.Model([left, right], layers.Dense(1, name="distance")(x)))


@named
def two_heads() -> Model:
    """Two inputs, two outputs in a list, losses by name."""
    left, right = keras.Input((6,), name="left"), keras.Input((4,), name="right")
    x = layers.Concatenate(name="both")([layers.Dense(5, "relu", name="from_left")(left), right])
    x = layers.Dense(8, "relu", name="trunk")(x)
    outputs = [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="size")(x)]
    model = stirred(keras.Model([left, right], outputs, name="two_heads"))
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    return _trained(model, losses, {"kind": _labels(3), "size": _values(1)})


@named
def dict_heads() -> Model:
    """Inputs and outputs in dicts; the outputs' keys are not the names of their layers."""
    inputs = {"a": keras.Input((6,), name="a"), "b": keras.Input((4,), name="b")}
    x = layers.Concatenate(name="both")([inputs["a"], inputs["b"]])
    x = layers.Dense(8, "relu", name="trunk")(x)
    outputs = {
        "kind": layers.Dense(3, "softmax", name="kind_head")(x),
        "size": layers.Dense(1, name="size_head")(x),
    }
    model = stirred(keras.Model(inputs, outputs, name="dict_heads"))
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    targets = {"kind": _labels(3), "size": _values(1)}
    return _trained(model, losses, targets, metrics={"kind": ["accuracy"]})


@named
def operations() -> Model:
    """Operations that are no layers between layers of one class and shape."""
    x = inputs = keras.Input((6,))
    x = ops.relu(layers.Dense(6, name="one")(x) * 2.0)
    x = layers.Dense(6, name="two")(x) + x
    return stirred(keras.Model(inputs, layers.Dense(3, name="three")(x)))


@named
def twins() -> Model:
    """Many layers of one class and shape, on branches that join."""
    inputs = keras.Input((6,))
    left = layers.Dense(6, name="left_2")(layers.Dense(6, name="left_1")(inputs))
    right = layers.Dense(6, name="right_2")(layers.Dense(6, name="right_1")(inputs))
    x = layers.Dense(6, name="joined")(layers.Average(name="mean")([left, right]))
    return stirred(keras.Model(inputs, layers.Add(name="sum")([x, inputs]), name="twins"))


# --------------------------------------------------------------- text, sequences


def adapted_lookup(name: str, words: list[str]) -> Any:
    """A lookup that has seen its words: Keras stores them as a file of their own."""
    lookup = layers.StringLookup(name=name)
    lookup.adapt(words)
    return lookup


@named
def lookups() -> Model:
    """Two vocabularies of one class; each is a file in the archive."""
    title, body = keras.Input((), dtype="string", name="title"), keras.Input((), dtype="string")
    first = adapted_lookup("titles", [f"t{i:04}" for i in range(600)])(title)
    second = adapted_lookup("bodies", [f"b{i:04}" for i in range(800)])(body)
    x = layers.Concatenate()(
        [
            layers.Embedding(601, 4, name="title_vectors")(first),
            layers.Embedding(801, 4, name="body_vectors")(second),
        ]
    )
    return stirred(keras.Model([title, body], layers.Dense(2, name="kind")(x)))


@named
def text() -> Model:
    given = keras.Input((), dtype="string")
    x = layers.StringLookup(vocabulary=["a", "b", "c"])(given)
    x = layers.Dense(4)(layers.Embedding(5, 4)(x))
    return stirred(keras.Model(given, layers.Dense(2)(x)))


@named
def tagger() -> Model:
    """Recurrent layers of every kind behind a masked embedding."""
    inputs = keras.Input((7,), dtype="int32", name="tokens")
    x = layers.Embedding(30, 6, mask_zero=True, name="token_vectors")(inputs)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both_ways")(x)
    x = layers.GRU(10, return_sequences=True, name="gru")(x)
    x = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    x = layers.TimeDistributed(layers.Dense(3, "softmax"), name="tags")(x)
    return stirred(keras.Model(inputs, x, name="tagger"))


@named
def forecaster() -> Model:
    """Recurrent layers make the outputs themselves."""
    inputs = keras.Input((6, 3), name="series")
    outputs = [
        layers.LSTM(4, name="lstm_out")(inputs),
        layers.GRU(3, return_sequences=True, name="gru_out")(inputs),
        layers.SimpleRNN(2, name="rnn_out")(inputs),
    ]
    return stirred(keras.Model(inputs, outputs, name="forecaster"))


@named
def detector() -> Model:
    """Heads below TimeDistributed, as region detectors have them."""
    inputs = keras.Input((None, 5, 5, 8), name="regions")
    flat = layers.TimeDistributed(layers.Flatten())(inputs)
    outputs = [
        layers.TimeDistributed(layers.Dense(5), name="mrcnn_class_logits")(flat),
        layers.TimeDistributed(layers.Dense(20), name="mrcnn_bbox_fc")(flat),
        layers.TimeDistributed(layers.Conv2D(5, 1), name="mrcnn_mask")(inputs),
    ]
    return stirred(keras.Model(inputs, outputs))


@named
def anchors() -> Model:
    """Three convolutional heads of three anchors with 85 entries each."""
    inputs = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, strides=8, padding="same")(inputs)
    outputs = [
        layers.Conv2D(255, 1, name=f"conv_8{k}")(layers.Conv2D(8, 3, padding="same")(x))
        for k in (1, 2, 3)
    ]
    return stirred(keras.Model(inputs, outputs))


@named
def gpt() -> Model:
    """Pre-norm transformer blocks, the last two of twelve."""
    inputs = keras.Input((8,), dtype="int32", name="tokens")
    x = layers.Embedding(40, 12, name="token_embedding")(inputs)
    for k in (10, 11):
        h = layers.LayerNormalization(name=f"block_{k}_ln1")(x)
        attention = layers.MultiHeadAttention(2, 6, name=f"block_{k}_mha")
        x = layers.Add(name=f"block_{k}_mid")([x, attention(h, h, use_causal_mask=True)])
        h = layers.LayerNormalization(name=f"block_{k}_ln2")(x)
        h = layers.Dense(24, "gelu", name=f"block_{k}_fc")(h)
        h = layers.Dense(12, name=f"block_{k}_proj")(h)
        x = layers.Add(name=f"block_{k}_out")([x, h])
    x = layers.Dense(40, name="lm_head")(layers.LayerNormalization(name="ln_f")(x))
    return stirred(keras.Model(inputs, x, name="gpt"))


# --------------------------------------------------------------------- precision


def _in_precision(policy: str) -> Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        x = inputs = keras.Input((10,), name="features")
        x = layers.BatchNormalization(name="norm")(layers.Dense(8, name="hidden")(x))
        x = layers.Dense(4, name="scores")(layers.ReLU(name="relu")(x))
        x = layers.Activation("softmax", dtype="float32", name="soft")(x)
        return stirred(keras.Model(inputs, x, name=policy))
    finally:
        keras.config.set_dtype_policy(before)


@named
def mixed() -> Model:
    return _in_precision("mixed_float16")


@named
def brain_floats() -> Model:
    return _in_precision("bfloat16")
