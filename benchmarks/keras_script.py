"""What people write instead: grow the head of a classifier by 5 with Keras. BASE OUT."""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np


def main(base: str, out: str) -> None:
    old = keras.models.load_model(base)
    head = old.layers[-1]
    new = keras.models.clone_model(old, clone_function=lambda layer: _clone(layer, head))
    for before, after in zip(old.layers[:-1], new.layers[:-1], strict=True):
        after.set_weights(before.get_weights())
    grown = new.layers[-1].get_weights()
    for before, after in zip(head.get_weights(), grown, strict=True):
        after[..., : before.shape[-1]] = before
    new.layers[-1].set_weights(grown)
    for before, after in zip(old.layers[:-1], new.layers[:-1], strict=True):
        assert all(map(np.array_equal, before.get_weights(), after.get_weights()))
    new.save(out)


def _clone(layer: Any, head: Any) -> Any:
    config = layer.get_config()
    if layer is head:
        config["units"] += 5
    return layer.__class__.from_config(config)


if __name__ == "__main__":
    main(*sys.argv[1:])
