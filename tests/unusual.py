"""Models that are put together in ways one does not see every day."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from tests.models import Model, named, stirred


@named
def built_later() -> Model:
    """A Sequential without an input layer, and another one in it."""
    inner = keras.Sequential([layers.Dense(6, "relu"), layers.Dense(5)])
    model = keras.Sequential([inner, layers.Dense(3)])
    model.build((None, 6))
    return stirred(model)


@named
def built_from_tokens() -> Model:
    model = keras.Sequential([layers.Embedding(20, 4), layers.LSTM(5), layers.Dense(3)])
    model(np.zeros((2, 7), "int32"))
    return stirred(model)


@named
def states() -> Model:
    """The states of one recurrent layer go into another one, and out."""
    inputs = keras.Input((5, 4))
    x, *state = layers.LSTM(3, return_sequences=True, return_state=True, name="enc")(inputs)
    x = layers.LSTM(3, return_sequences=True, name="dec")(x, initial_state=state)
    return stirred(keras.Model(inputs, [layers.Dense(2, name="o")(x), state[0]]))


@named
def scores() -> Model:
    """The second output of a layer is an output of the model, and nothing reads it."""
    inputs = keras.Input((5, 8))
    attention = layers.MultiHeadAttention(2, 4, name="mha")
    x, weights = attention(inputs, inputs, return_attention_scores=True)
    return stirred(keras.Model(inputs, [layers.Dense(2, name="o")(x), weights]))


@named
def dict_inside() -> Model:
    """A nested model with inputs and outputs in dicts."""
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    made = {"s": layers.Dense(3, name="ds")(a), "t": layers.Dense(2, name="dt")(b)}
    inner = keras.Model({"a": a, "b": b}, made, name="inner")
    x, y = keras.Input((4,)), keras.Input((4,))
    outputs = inner({"a": x, "b": y})
    return stirred(keras.Model([x, y], layers.Concatenate()([outputs["s"], outputs["t"]])))


@named
def list_inside() -> Model:
    """A nested model with lists of one input and one output."""
    given = keras.Input((4,))
    inner = keras.Model([given], [layers.Dense(4, name="in")(given)], name="inner")
    inputs = keras.Input((4,))
    return stirred(keras.Model(inputs, layers.Dense(2, name="o")(inner([inputs])[0])))


@named
def on_itself() -> Model:
    """A nested model that is called on its own result."""
    parts = [keras.Input((4,)), layers.Dense(4, name="i1"), layers.BatchNormalization(name="ibn")]
    inner = keras.Sequential(parts, name="inner")
    inputs = keras.Input((4,))
    return stirred(keras.Model(inputs, layers.Dense(2, name="o")(inner(inner(inputs)))))


@named
def input_goes_out() -> Model:
    """An input that is an output, and one tensor that is two outputs."""
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="d")(inputs)
    return stirred(keras.Model(inputs, [inputs, x, x]))


@named
def many_operations() -> Model:
    x = inputs = keras.Input((6,))
    x = ops.concatenate([layers.Dense(6, name="a")(x), x], axis=-1)
    x = ops.mean(layers.Dense(4, name="b")(x), axis=-1, keepdims=True) * x[:, :2]
    return stirred(keras.Model(inputs, layers.Dense(2, name="o")(x)))


@named
def measured() -> Model:
    """Statistics that were adapted, and a kernel of four axes."""
    normal = layers.Normalization(name="normal")
    normal.adapt(np.random.default_rng(2).normal(size=(20, 5, 4)))
    x = inputs = keras.Input((5, 4))
    x = layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="e")(normal(x))
    return stirred(keras.Model(inputs, layers.Dense(2, name="o")(layers.Reshape((5, 6))(x))))
