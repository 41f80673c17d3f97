"""Write models with whatever Keras this interpreter has: `write.py MODULE FOLDER`.

Runs inside an environment of `environments.py`, knows nothing of patchc, and
takes nothing that only one Keras has.  Beside each model lie inputs, outputs,
and outputs after one more step of training, to hold later ones against.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

keras: Any = importlib.import_module(sys.argv[1])
layers: Any = keras.layers
RNG = np.random.default_rng(5)
ARCHIVE = {"save_format": "keras_v3"} if keras.__version__.startswith("2.12") else {}
"""Without it, Keras 2.12 writes HDF5 under the name of an archive."""


def mlp() -> Any:
    """A chain of dense layers."""
    return keras.Sequential(
        [
            keras.Input((6,), name="features"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dropout(0.0, name="dropout"),
            layers.Dense(8, activation="relu", name="hidden_2"),
            layers.Dense(3, activation="softmax", name="classes"),
        ],
        name="mlp",
    )


def convnet() -> Any:
    """Convolutions of all kinds, batch normalisation and a residual sum."""
    x = image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = short = layers.ReLU(name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.SeparableConv2D(4, 3, padding="same", name="separable")(x)
    x = layers.Add(name="sum")([x, short])
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, name="up")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(
        image, layers.Dense(3, activation="softmax", name="classes")(x), name="convnet"
    )


def recurrent() -> Any:
    """Recurrent layers, one of them with the hard sigmoid, and a wrapper."""
    x = words = keras.Input((5,), dtype="int32", name="words")
    x = layers.Embedding(11, 4, name="embedding")(x)
    x = layers.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid", name="lstm")(x)
    x = layers.GRU(4, return_sequences=True, name="gru")(x)
    x = layers.TimeDistributed(layers.Dense(4, activation="tanh"), name="each")(x)
    x = layers.SimpleRNN(4, name="rnn")(x)
    return keras.Model(
        words, layers.Dense(3, activation="softmax", name="classes")(x), name="recurrent"
    )


def both_ways() -> Any:
    """Bidirectional layers."""
    x = series = keras.Input((5, 3), name="series")
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(x)
    x = layers.Bidirectional(layers.GRU(3), merge_mode="sum", name="both_2")(x)
    return keras.Model(
        series, layers.Dense(3, activation="softmax", name="classes")(x), name="both_ways"
    )


def nested() -> Any:
    """Models inside a model, one layer called twice, layers of one shape beside a frozen one."""
    inner_in = keras.Input((6,), name="inner_in")
    frozen = layers.Dense(6, activation="relu", name="d1")
    frozen.trainable = False
    inner_out = layers.Dense(6, activation="relu", name="d2")(frozen(inner_in))
    inner = keras.Model(inner_in, inner_out, name="inner")
    chain = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="d3")], name="chain")
    shared = layers.Dense(6, activation="tanh", name="shared")
    features = keras.Input((6,), name="features")
    x = shared(chain(inner(shared(features))))
    outputs = layers.Dense(3, activation="softmax", name="classes")(x)
    return keras.Model(features, outputs, name="nested")


def attention() -> Any:
    """Attention and layer normalisation."""
    series = keras.Input((4, 6), name="series")
    x = layers.MultiHeadAttention(2, 3, name="attention")(series, series)
    x = layers.LayerNormalization(name="norm")(layers.Add(name="sum")([x, series]))
    x = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(
        series, layers.Dense(3, activation="softmax", name="classes")(x), name="attention"
    )


def operations() -> Any:
    """Arithmetic between layers."""
    features = keras.Input((6,), name="features")
    x = layers.Dense(6, name="hidden")(features * 2.0 - 1.0)
    x = (1.0 - x) / 2.0 + x[:, ::-1]
    return keras.Model(
        features, layers.Dense(3, activation="softmax", name="classes")(x), name="operations"
    )


MODELS = (mlp, convnet, recurrent, both_ways, nested, attention, operations)
OPTIMIZERS = {
    "mlp": lambda: keras.optimizers.Adam(0.01),
    "convnet": lambda: keras.optimizers.RMSprop(0.01),
    "recurrent": lambda: keras.optimizers.Adam(0.01),
    "nested": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
}


def inputs_of(model: Any) -> Any:
    """Random inputs."""
    [tensor] = model.inputs
    shape = (8, *tensor.shape[1:])
    if "int" in str(tensor.dtype):
        return RNG.integers(0, 11, shape).astype("int32")
    return RNG.normal(size=shape).astype("float32")


def write(build: Any, folder: Path) -> None:
    """Train a model a little, and save it in every format that this Keras has."""
    model = build()
    for weight in model.weights:
        weight.assign(weight + 0.1 * RNG.uniform(0.1, 1, tuple(weight.shape)).astype("float32"))
    optimizer = OPTIMIZERS.get(model.name, keras.optimizers.Adam)()
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    x = inputs_of(model)
    model.fit(x, np.arange(8) % 3, epochs=2, batch_size=4, verbose=0)
    y = np.asarray(model(x, training=False))
    model.save(folder / f"{model.name}.keras", **ARCHIVE)
    model.save(folder / f"{model.name}.h5")
    model.train_on_batch(x, np.arange(8) % 3)
    stepped = np.asarray(model(x, training=False))
    np.savez(folder / f"{model.name}.npz", x=x, y=y, stepped=stepped)


def main() -> None:
    """Write all models, and print which ones this Keras could not write."""
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    unable = {}
    for build in MODELS:
        keras.backend.clear_session()
        try:
            write(build, folder)
        except Exception as error:
            unable[build.__name__] = f"{type(error).__name__}: {error}"[:300]
            (folder / f"{build.__name__}.h5").unlink(missing_ok=True)  # written in part
    print(json.dumps(unable))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
