"""Models in memory that the tests of this room patch."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

import patchc
from patchc.language.patch import Patch

Array = np.ndarray[Any, Any]

GROW = "{select: d1, expand: {by: 2}}"
FREEZE = "{select: d0, freeze: true}"
"""Edits of the `perceptron`."""


def patch(*edits: str, **keys: str) -> Patch:
    """A patch of edits in flow style, with further top-level keys."""
    listed = "".join(f"  - {edit}\n" for edit in edits)
    further = "".join(f"{key}: {value}\n" for key, value in keys.items())
    return patchc.loads(f"patchc: 1\nid: test\n{further}edits:\n{listed}")


def features(count: int = 32, size: int = 6) -> Array:
    return np.random.default_rng(0).normal(size=(count, size)).astype("float32")


def labels(count: int = 32, classes: int = 3) -> Array:
    return np.arange(count) % classes


def array(variable: Any) -> Array:
    """The values of a variable or tensor, on any backend."""
    return np.array(keras.ops.convert_to_numpy(variable))


def stir(model: Any) -> Any:
    """Give every variable of a model or optimizer values of its own."""
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if "float" in str(variable.dtype):
            variable.assign(rng.uniform(0.1, 0.9, variable.shape).astype("float32"))
    return model


def perceptron() -> Any:
    """Dense, batch normalisation, Dense, head."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,), name="x")
    hidden = layers.Dense(8, "relu", name="d0")(inputs)
    hidden = layers.BatchNormalization(name="bn")(hidden)
    hidden = layers.Dense(8, "relu", name="d1")(hidden)
    return keras.Model(inputs, layers.Dense(3, name="head")(hidden), name="mlp")


def train(model: Any, optimizer: Any = "adam", steps: int = 3) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        optimizer, loss, run_eagerly=keras.backend.backend() == "tensorflow"
    )  # tracing would take longer than the steps
    for _ in range(steps):
        model.train_on_batch(features(), labels())
    return model


def values(model: Any) -> list[Array]:
    """All variables of a model and its optimizer, copied out."""
    optimizer = getattr(model, "optimizer", None)
    held = [*model.variables, *(optimizer.variables if optimizer is not None else [])]
    return [array(variable) for variable in held]


def same(left: list[Array], right: list[Array]) -> bool:
    return len(left) == len(right) and all(
        one.tobytes() == other.tobytes() for one, other in zip(left, right, strict=True)
    )


def out(model: Any, *inputs: Any) -> Array:
    given = inputs[0] if len(inputs) == 1 else list(inputs)
    return array(model(given, training=False))


class Scale(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A custom layer that is registered nowhere."""

    def __init__(self, power: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.power = power

    def build(self, shape: Any) -> None:
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.gain = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, inputs: Any) -> Any:
        return inputs * self.gain**self.power

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power}


class Net(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A model that is no graph, with Functional parts."""

    def __init__(self, classes: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        self.encoder = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8, "relu", name="e0"),
                layers.Dense(5, name="e1"),
            ],
            name="encoder",
        )
        self.norm = layers.BatchNormalization(name="norm")
        self.more = [layers.Dense(4, name="m0"), layers.Dense(4, name="m1")]
        self.head = layers.Dense(classes, name="head")

    def call(self, inputs: Any, training: bool = False) -> Any:
        hidden = self.norm(self.encoder(inputs), training=training)
        for layer in self.more:
            hidden = layer(hidden)
        return self.head(hidden)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}
