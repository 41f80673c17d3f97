"""Small models to grow, and what Keras makes of them before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import patchc
from patchc.results import Report

Build = Callable[[Any], Any]
Array = np.ndarray[Any, Any]


def saved(shape: tuple[int, ...], build: Build, folder: Path, dtype: str = "float32") -> Any:
    """A model whose weights are all alive; it lies in the folder as `before.keras`."""
    keras.utils.set_random_seed(3)
    given = keras.Input(shape, dtype=dtype)
    model = keras.Model(given, layers.Dense(4, name="out", dtype=dtype)(build(given)))
    stir(model)
    model.save(folder / "before.keras")
    return model


def stir(model: Any) -> None:
    """Give every weight values that no other has."""
    rng = np.random.default_rng(1)
    for variable in model.weights:
        if "seed" not in variable.path:
            low, high = (0.5, 1.5) if "variance" in variable.path else (-0.4, 0.6)
            variable.assign(rng.uniform(low, high, variable.shape))


def patch(verb: str, select: str = "t", name: str = "wider") -> Any:
    """A patch of one edit."""
    return patchc.loads(f"patchc: 1\nid: {name}\nedits:\n  - select: {select}\n    {verb}\n")


def grown(folder: Path, *verbs: str) -> tuple[Any, Report]:
    """The result of growing the layer `t`, as Keras loads it, and the report of the last step."""
    now = folder / "before.keras"
    for number, verb in enumerate(verbs):
        out = folder / f"after{number}.keras"
        edit = patch(verb, name=f"wider-{number}" if number else "wider")
        report = patchc.apply(now, edit, out)
        assert patchc.verify(now, out, edit).ok
        now = out
    return keras.models.load_model(now), report


def outputs(model: Any, count: int = 3) -> Array:
    """What a model makes of random inputs."""
    rng = np.random.default_rng(2)
    values = []
    for given in model.inputs:
        shape = (count, *given.shape[1:])
        made = rng.integers(0, 5, shape) if "int" in given.dtype else rng.normal(size=shape)
        values.append(made.astype(given.dtype))
    result = model(values if len(values) > 1 else values[0])
    return np.asarray(keras.ops.convert_to_numpy(result))


def apart(before: Any, after: Any) -> float:
    """Largest difference of the outputs, relative to the largest output."""
    one, other = outputs(before), outputs(after)
    return float(np.abs(other - one).max() / np.abs(one).max())


def stored_weights(path: Path) -> dict[tuple[str, int], Array]:
    """Every weight of a saved model by layer and number."""
    return {
        (layer.name, number): values
        for layer in keras.models.load_model(path).layers
        for number, values in enumerate(layer.get_weights())
    }
