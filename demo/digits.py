"""Teach a trained digit classifier two more classes, and keep what it knows.

Trains on eight of scikit-learn's ten digits, adds the other two with a patch
through the command line, checks with Keras what came through, and trains on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

PATCH = Path(__file__).with_name("add_digits.yaml")
OLD = 8
SEED = 1

Array = np.ndarray[Any, Any]
Data = tuple[Array, Array]


def main() -> None:
    with _quiet_start():
        import keras

    keras.utils.set_random_seed(SEED)
    train, test = digits()
    with tempfile.TemporaryDirectory(prefix="patchc-demo-") as folder, contextlib.chdir(folder):
        shutil.copy(PATCH, PATCH.name)
        before = train_and_save(keras, only_old(train), test)
        patchc("plan", "digits.keras", PATCH.name)
        patchc("apply", "digits.keras", PATCH.name, "-o", "ten_digits.keras")
        after = compare(keras, before, test[0])
        train_on(after, train, test)


def digits() -> tuple[Data, Data]:
    """Images (n, 8, 8, 1) in 0..1 with their labels, to train on and to test with."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).reshape(-1, 8, 8, 1).astype("float32")
    parts = train_test_split(images, labels, test_size=0.3, random_state=SEED, stratify=labels)
    return (parts[0], parts[2]), (parts[1], parts[3])


def only_old(data: Data) -> Data:
    """The examples of the first eight digits."""
    images, labels = data
    return images[labels < OLD], labels[labels < OLD]


def build(keras: Any) -> Any:
    """A small classifier of the digits 0 to 7, compiled."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(OLD, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train_and_save(keras: Any, train: Data, test: Data) -> Any:
    heading("Train a classifier on the digits 0 to 7, and save it with Keras")
    model = build(keras)
    model.fit(*train, epochs=15, verbose=0)
    model.save("digits.keras")
    print(f"trained for {int(model.optimizer.iterations)} steps")
    show_accuracy(model, test)
    return model


def compare(keras: Any, before: Any, images: Array) -> Any:
    heading("Open the result in Keras, and look what came through")
    after = keras.models.load_model("ten_digits.keras")
    print(f"output shape  {before.output_shape} -> {after.output_shape}")
    show_kept("weights", before.weights, after.weights)
    show_kept("optimizer variables", before.optimizer.variables, after.optimizer.variables)
    old, new = logits(before, images), logits(after, images)[:, :OLD]
    difference = np.abs(new - old).max() / np.abs(old).max()
    assert difference < 1e-5, f"the old logits have moved by {difference}"
    print(
        f"logits of the old classes on {len(images)} test images: {difference:.1e} apart at most,"
    )
    print("relative to the largest one")
    return after


def show_kept(what: str, before: list[Any], after: list[Any]) -> None:
    """Compare every old entry bit for bit; a grown array holds the old one at its start."""
    same = 0
    for old, new in zip(before, after, strict=True):
        values = np.asarray(old)
        corner = tuple(slice(size) for size in values.shape)
        same += values.tobytes() == np.asarray(new)[corner].tobytes()
    assert same == len(before), f"{len(before) - same} of {len(before)} {what} have changed"
    print(f"{same} of {len(before)} {what}: every old value is bit for bit what it was")


def logits(model: Any, images: Array) -> Array:
    """What the last layer computes before its softmax."""
    head = model.layers[-1]
    features = images
    for layer in model.layers[:-1]:
        features = layer(features)
    kernel, bias = head.get_weights()
    return np.asarray(np.asarray(features) @ kernel + bias)


def train_on(model: Any, train: Data, test: Data) -> None:
    heading("Train on, with all ten digits")
    print("before:")
    show_accuracy(model, test)
    start = int(model.optimizer.iterations)
    model.fit(*train, epochs=15, verbose=0)
    print(f"after: the optimizer went on from step {start} to {int(model.optimizer.iterations)}")
    show_accuracy(model, test)


def show_accuracy(model: Any, test: Data) -> None:
    """Print the share of test images that are recognised, old and new digits apart."""
    images, labels = test
    right = model.predict(images, verbose=0).argmax(axis=-1) == labels
    old = labels < OLD
    print(
        f"  accuracy  all ten digits {right.mean():6.1%}"
        f"   0 to 7 {right[old].mean():6.1%}   8 and 9 {right[~old].mean():6.1%}"
    )


def patchc(*arguments: str) -> None:
    """Run the command line, and show it with what it prints."""
    heading("$ patchc " + " ".join(arguments))
    program = Path(sysconfig.get_path("scripts"), "patchc")
    subprocess.run([program, *arguments], check=True)


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Hold back what TensorFlow's libraries log while they start; show it after an error."""
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(terminal, log.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


if __name__ == "__main__":
    main()
