"""Train, patch the model in memory, train on, save.

A classifier knows the digits 0 to 7.  It learns 8 and 9 without beginning
anew: patchc grows its head, and the weights, the optimizer's averages and its
step counter go on where they were.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

import patchc

PATCH = """
patchc: 1
id: two-more-digits
edits:
  - select: {head: 0}
    expand: {by: 2}
verify: {outputs: extends}     # the old logits, compared with Keras before you get the model
"""


def main(path: str = "ten_digits.keras") -> Any:
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    old = labels < 8

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, "relu"),
            keras.layers.Dense(8, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images[old], labels[old], epochs=20, verbose=0)

    wider, report = patchc.apply(model, patchc.loads(PATCH), report=True)
    print("weights", report.to_dict()["ledger"])
    print("optimizer", report.to_dict()["optimizer"])
    assert model.output_shape == (None, 8)  # the model that went in is as it was
    assert int(wider.optimizer.iterations) == int(model.optimizer.iterations)
    probabilities = wider.predict(images[old], verbose=0)[:, :8]
    kept = np.mean(probabilities.argmax(axis=1) == labels[old])
    print(f"before a single further step, {kept:.1%} of the old digits are told apart")

    wider.fit(images, labels, epochs=20, verbose=0)  # no `compile`: that would begin anew
    loss, accuracy = wider.evaluate(images, labels, verbose=0)
    print(f"after training on, {accuracy:.1%} of all ten, loss {loss:.3f}")
    wider.save(path)
    return wider


if __name__ == "__main__":
    main()
