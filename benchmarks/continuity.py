"""How exactly training goes on where it stopped.

`python -m benchmarks.continuity` trains a small convolutional network for 20
steps with each optimizer of Keras, patches it in memory, and takes one more
step on the same batch with the patched model and with the unpatched one.  The
table shows how far the updates of old parameters are apart, as a part of the
largest update; 0 means bit for bit.

A second table shows how large the updates of new entries are: with their slots
as patchc starts them, and with zeros, which is what padding gives.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import patchc
from benchmarks.measure import Bars
from patchc.language.patch import Patch

Array = np.ndarray[Any, Any]
Model = Any
Making = Callable[[], Any]

STEPS = 20
_PAIRS = 1e-6
"""How far apart updates may be where a matrix product has another size than before."""

EDITS = {
    "freeze": "{select: d0, freeze: true}",
    "rename": "{select: d1, rename: renamed}",
    "insert Dense": "{select: d0, insert_after: {Dense: {units: 8, activation: relu, name: new}},"
    " init: identity}",
    "insert Conv": "{select: c0, insert_after: {Conv2D: {filters: 4, kernel_size: 3,"
    " padding: same, name: new}}, init: identity}",
    "grow Dense": "{select: d0, expand: {by: 3}}",
    "grow Conv": "{select: c0, expand: {by: 3}}",
}
"""Edits that leave the loss of the next step as it was."""

SAME_SIZES = ("freeze", "rename", "insert Dense", "insert Conv")


def optimizers() -> dict[str, Making]:
    """Every optimizer of `keras.optimizers`, with the options that add slots."""
    from keras import optimizers as o

    return {
        "SGD": lambda: o.SGD(0.01),
        "SGD, momentum": lambda: o.SGD(0.01, momentum=0.9, nesterov=True),
        "RMSprop": lambda: o.RMSprop(momentum=0.5, centered=True),
        "Adam": o.Adam,
        "Adam, amsgrad": lambda: o.Adam(amsgrad=True),
        "Adam, EMA": lambda: o.Adam(use_ema=True),
        "Adam, accumulation": lambda: o.Adam(gradient_accumulation_steps=3),
        "AdamW": o.AdamW,
        "Nadam": o.Nadam,
        "Adamax": o.Adamax,
        "Adagrad": o.Adagrad,
        "Adadelta": o.Adadelta,
        "Ftrl": o.Ftrl,
        "Lion": o.Lion,
        "ScheduleFreeAdamW": o.ScheduleFreeAdamW,
        "LossScaleOptimizer": lambda: o.LossScaleOptimizer(o.Adam()),
        **coupled(),
    }


def coupled() -> dict[str, Making]:
    """Those whose step for one entry depends on all entries of the weight, or of all weights."""
    from keras import optimizers as o

    return {
        "Lamb": o.Lamb,
        "Adafactor": o.Adafactor,
        "Muon": o.Muon,
        "Adam, clipnorm": lambda: o.Adam(clipnorm=0.1),
        "Adam, global_clipnorm": lambda: o.Adam(global_clipnorm=0.1),
    }


def patch(edit: str) -> Patch:
    return patchc.loads(f"patchc: 1\nid: continuity\nedits:\n  - {edit}\n")


def batch() -> tuple[Array, Array]:
    random = np.random.default_rng(3)
    images = random.normal(size=(16, 6, 6, 2)).astype("float32")
    return images, np.arange(16) % 3


def network() -> Model:
    """Conv, BN, ReLU, Conv, pooling, Dense, Dense, head."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, padding="same", name="c0"),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(name="relu"),
            layers.Conv2D(6, 3, name="c1"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(8, "relu", name="d0"),
            layers.Dense(8, "relu", name="d1"),
            layers.Dense(3, name="head"),
        ]
    )


def trained(make: Making) -> Model:
    import keras

    model = network()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(make(), loss, run_eagerly=True)  # tracing would take longer than the steps
    for _ in range(STEPS):
        model.train_on_batch(*batch())
    return model


def parameters(model: Model) -> dict[str, Array]:
    """Values of the trainable weights by layer and name; a renamed layer under its old name."""
    names = {"renamed": "d1"}
    return {
        f"{names.get(layer.name, layer.name)}/{weight.name}": weight.numpy()
        for layer in model.layers
        for weight in layer.trainable_weights
    }


def step(model: Model) -> dict[str, Array]:
    """What one more step changes, by weight."""
    before = parameters(model)
    model.train_on_batch(*batch())
    return {path: values - before[path] for path, values in parameters(model).items()}


def difference(base: dict[str, Array], patched: dict[str, Array]) -> float:
    """How far the updates of old entries are apart, as a part of the largest update."""
    largest = max(float(np.abs(update).max()) for update in base.values())
    apart = [
        float(np.abs(_corner(patched[path], update.shape) - update).max())
        for path, update in base.items()
        if path in patched
    ]
    return max(apart) / largest


def _corner(values: Array, shape: tuple[int, ...]) -> Array:
    return values[tuple(slice(size) for size in shape)]


def continuity(make: Making) -> dict[str, float]:
    """The difference for each edit."""
    model = trained(make)
    patched = {name: step(patchc.apply(model, patch(edit))) for name, edit in EDITS.items()}
    base = step(model)
    return {name: difference(base, updates) for name, updates in patched.items()}


# ------------------------------------------------------------------- new entries

FAN, WIDTH, MORE, BETA = 256, 64, 32, 0.999
NOISE, CONSTANT = "noise", "constant"


def simulated(
    start: Callable[[Array], Array], kind: str = NOISE, steps: int = 50, history: int = 3000
) -> Array:
    """Root mean square of update / learning rate of new entries of Adam, step by step.

    Args:
        start: second moments of new entries, from those of the old ones.
        kind: what the gradients of old and new entries are alike: `NOISE`,
            standard normal, or `CONSTANT`, one.
        history: steps taken before there were new entries.
    """
    random = np.random.default_rng(0)

    def gradients(*shape: int) -> Array:
        return random.normal(size=shape) if kind == NOISE else np.ones(shape)

    old = np.zeros((FAN, WIDTH))
    for _ in range(history):
        old = BETA * old + (1 - BETA) * gradients(FAN, WIDTH) ** 2
    first, second = np.zeros((FAN, MORE)), start(old)
    taken = []
    for number in range(history + 1, history + steps + 1):
        gradient = gradients(FAN, MORE)
        first = 0.9 * first + 0.1 * gradient
        second = BETA * second + (1 - BETA) * gradient**2
        unbiased = first / (1 - 0.9**number), second / (1 - BETA**number)
        taken.append(unbiased[0] / (np.sqrt(unbiased[1]) + 1e-7))
    return np.array([np.sqrt((update**2).mean()) for update in taken])


STEADY = {NOISE: float(np.sqrt((1 - 0.9) / (1 + 0.9))), CONSTANT: 1.0}
"""Root mean square of update / learning rate once all averages have settled."""


def mean_start(old: Array) -> Array:
    """As patchc starts them: the mean of the old entries along the grown axis."""
    return np.repeat(old.mean(axis=1, keepdims=True), MORE, axis=1)


def zero_start(old: Array) -> Array:
    """As padding with zeros does."""
    return np.zeros((len(old), MORE))


def digits(classes: int = 8) -> tuple[Model, tuple[Array, Array]]:
    """A classifier of the first digits, trained, and examples of all ten."""
    import keras
    from keras import layers
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((64,)), layers.Dense(32, "relu"), layers.Dense(classes, name="head")]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    old = labels < classes
    model.fit(images[old], labels[old], epochs=12, batch_size=64, shuffle=False, verbose=0)
    return model, (images, labels)


def digit_updates(model: Model, data: tuple[Array, Array], *, zero: bool) -> Array:
    """Root mean square of update / learning rate of two new classes, over 50 steps."""
    new = patchc.apply(model, patch("{select: head, expand: {by: 2}}"))
    if zero:
        for slot in new.optimizer.variables:
            if "velocity" in slot.path and slot.shape[-1:] == (10,):
                values = slot.numpy()
                values[..., 8:] = 0
                slot.assign(values)
    return np.array([*_new_updates(new, *data)])


def _new_updates(model: Model, images: Array, labels: Array) -> Iterator[float]:
    order = np.random.default_rng(2).permutation(len(images))
    rate = float(model.optimizer.learning_rate)
    head = model.get_layer("head")
    for number in range(50):
        chosen = order[(64 * number + np.arange(64)) % len(order)]
        before = head.kernel.numpy()[:, 8:]
        model.train_on_batch(images[chosen], labels[chosen])
        yield float(np.sqrt(((head.kernel.numpy()[:, 8:] - before) ** 2).mean())) / rate


# ------------------------------------------------------------------------ tables


def show_continuity(bars: Bars) -> None:
    print("| optimizer | " + " | ".join(EDITS) + " |\n" + "|---" * (len(EDITS) + 1) + "|")
    worst = dict.fromkeys(EDITS, 0.0)
    for name, make in optimizers().items():
        found = continuity(make)
        print(f"| {name} | " + " | ".join(f"{value:.1e}" for value in found.values()) + " |")
        if name not in coupled():
            worst = {edit: max(worst[edit], found[edit]) for edit in EDITS}
    for edit, value in worst.items():
        bars.at_most(f"{edit}: uncoupled optimizers", value, 0 if edit in SAME_SIZES else _PAIRS)


def show_new_entries(bars: Bars) -> None:
    model, data = digits()
    rows = {
        f"{kind}, {name}": simulated(start, kind)
        for kind in (NOISE, CONSTANT)
        for name, start in (("mean", mean_start), ("zeros", zero_start))
    }
    rows |= {
        "digits, mean": digit_updates(model, data, zero=False),
        "digits, zeros": digit_updates(model, data, zero=True),
    }
    print("\n| update / learning rate | step 1 | 5 | 12 | 50 | largest |\n" + "|---" * 6 + "|")
    for name, row in rows.items():
        shown = " | ".join(f"{row[number - 1]:.2f}" for number in (1, 5, 12, 50))
        print(f"| {name} | {shown} | {row.max():.2f} |")
    for kind, steady in STEADY.items():
        bars.at_most(f"{kind}: mean to steady state", rows[f"{kind}, mean"].max() / steady, 1.1)
        bars.at_least(f"{kind}: zeros to steady state", rows[f"{kind}, zeros"].max() / steady, 6)
    ratio = float((rows["digits, mean"] / rows["digits, zeros"]).max())
    bars.at_most("digits: mean to zeros", ratio, 1)


def main() -> int:
    bars = Bars()
    show_continuity(bars)
    show_new_entries(bars)
    return bars.exit_code


if __name__ == "__main__":
    sys.exit(main())
