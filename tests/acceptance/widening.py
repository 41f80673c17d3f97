"""Small models to grow, and what Keras makes of them before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

import patchc
from patchc.model.axis import NEW
from patchc.results import Report
from tests.properties.oracle import layer_weights

Build = Callable[[Any], Any]
Array = np.ndarray[Any, Any]
Stored = tuple[Any, ...]
"""Dtype, shape and bytes."""


def with_head(shape: tuple[int, ...], build: Build, dtype: str = "float32") -> Any:
    """A model whose weights are all alive: an input, what is built on it, and a Dense."""
    keras.utils.set_random_seed(3)
    given = keras.Input(shape, dtype=dtype)
    model = keras.Model(given, layers.Dense(4, name="out", dtype=dtype)(build(given)))
    stir(model)
    return model


def saved(shape: tuple[int, ...], build: Build, folder: Path, dtype: str = "float32") -> Any:
    """Such a model; it lies in the folder as `before.keras`."""
    model = with_head(shape, build, dtype)
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
    return edits((select, verb), name=name)


def edits(*chosen: tuple[str, str], name: str = "wider") -> Any:
    """A patch of several edits, each a selector and a verb."""
    lines = "".join(f"  - select: {select}\n    {verb}\n" for select, verb in chosen)
    return patchc.loads(f"patchc: 1\nid: {name}\nedits:\n{lines}")


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


def inputs_for(model: Any, count: int = 3) -> Any:
    """Random inputs."""
    rng = np.random.default_rng(2)
    values = []
    for given in model.inputs:
        shape = (count, *given.shape[1:])
        made = rng.integers(0, 5, shape) if "int" in given.dtype else rng.normal(size=shape)
        values.append(made.astype(given.dtype))
    return values if len(values) > 1 else values[0]


def outputs(model: Any, count: int = 3) -> Array:
    """What a model makes of random inputs."""
    return np.asarray(keras.ops.convert_to_numpy(model(inputs_for(model, count))))


def apart(before: Any, after: Any) -> float:
    """Largest difference of the outputs, relative to the largest output.

    Of the old ones, where outputs have grown.
    """
    one = outputs(before)
    other = outputs(after)[..., : one.shape[-1]]
    return float(np.abs(other - one).max() / np.abs(one).max())


def stored_weights(path: Path) -> dict[tuple[str, int], Array]:
    """Every weight of a saved model by layer and number."""
    return {
        (layer.name, number): values
        for layer in keras.models.load_model(path).layers
        for number, values in enumerate(layer.get_weights())
    }


# ------------------------------------------------------------------------- and back


@dataclass(frozen=True)
class Trip:
    """What growing an axis and shrinking it by the new entries left of the weights.

    Args:
        wide: the model in between, as Keras loads it.
        kept: largest distance of a weight that was not rescaled, in units in the last place.
        rescaled: the same of those that were; None where none was.
    """

    wide: Any
    kept: float
    rescaled: float | None


def there_and_back(base: Path, select: str, by: int, axis: str) -> Trip:
    """Grow an axis of a saved model, and take the new entries out again; beside it on the disk."""
    wide, back = base.with_name("wide.keras"), base.with_name("back.keras")
    grow = patch(f"expand: {{by: {by}, axis: '{axis}'}}", select)
    plan = patchc.plan(base, grow)
    patchc.apply(base, grow, wide, force=True)
    places = new_places(plan, select, by)
    assert places
    shrink = patch(f"shrink: {{drop: {places}, axis: '{axis}'}}", select, "back")
    patchc.apply(wide, shrink, back, force=True)
    before, after = layer_weights(base), layer_weights(back)
    assert before.keys() == after.keys()
    scaled = {entry.address for entry in plan.ledger.entries if entry.fate == "rescaled"}
    far: dict[bool, list[float]] = {True: [], False: []}
    for address, old in before.items():
        far[address in scaled].append(_steps(old, after[address]))
    kept, rescaled = max(far[False], default=0.0), max(far[True], default=None)
    return Trip(keras.models.load_model(wide), kept, rescaled)


def _steps(one: Stored, other: Stored) -> float:
    """Largest distance of two weights, in units in the last place."""
    assert one[:2] == other[:2]
    if one[2] == other[2]:
        return 0.0
    a, b = (np.frombuffer(stored[2], stored[0]) for stored in (one, other))
    unit = np.spacing(np.maximum(np.abs(a), np.abs(b)))
    return float((np.abs(a - b) / unit).max(initial=0.0))


def new_places(plan: Any, name: str, by: int) -> list[int]:
    """Where the new entries of the axis that a plan grows by so much are; none if they are copies.

    As a weight of the layer tells, or where it has none, one that follows it.
    """
    entries = plan.ledger.entries
    own = [entry for entry in entries if entry.path.startswith(f"{name}/")]
    for entry in own or entries:
        for growth in entry.value.growths:
            indices = growth.map.indices()
            if growth.blocks == 1 and growth.map.new == by:
                return [place for place, old in enumerate(indices) if old == NEW]
    return []
