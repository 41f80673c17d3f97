"""Two small models with names of their own, and patches for them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import keras
import numpy as np
from keras import layers


def save_models(folder: Path) -> None:
    """Save `small.keras`, with a trained optimizer, and `two.keras`, with two outputs."""
    _small().save(folder / "small.keras")
    _two().save(folder / "two.keras")


def _small() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((8,), name="features"),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.2, name="drop"),
            layers.Dense(10, activation="softmax", name="predictions"),
        ],
        name="small",
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(np.zeros((4, 8)), np.zeros(4), verbose=0)
    return model


def _two() -> keras.Model:
    inner_input = keras.Input((8, 8, 8), name="inner_input")
    inner = layers.Conv2D(4, 1, name="inner")(inner_input)
    backbone = keras.Model(inner_input, inner, name="backbone")
    x = image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="conv1")(x)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.ReLU(name="act1")(x)
    x = layers.Conv2D(8, 3, padding="same", name="conv2")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(backbone(x))
    label = layers.Dense(5, activation="softmax", name="label")(x)
    value = layers.Dense(1, name="value")(x)
    return keras.Model(image, [label, value], name="two")


def _patch(text: str) -> str:
    return f"patchc: 1\n{dedent(text).lstrip()}"


PATCHES = {
    "grow.yaml": _patch(
        """
        id: grow
        description: the catalogue gained "tent" and "kayak"
        expect: {output_shape: [null, 10]}
        edits:
          - select: {head: 0}
            expand: {by: 2}
            init: {kernel: glorot_uniform, bias: {constant: -2.0}}
            why: two new classes
          - select: hidden
            expand: {to: 20}
        """
    ),
    "freeze.yaml": _patch(
        """
        id: freeze
        edits:
          - select: {not: {head: "*"}}
            freeze: true
          - select: conv1
            set: {use_bias: false}
          - select: act1
            rename: relu1
        """
    ),
    "swap.yaml": _patch(
        """
        id: swap
        edits:
          - select: label
            replace: [{Dropout: {rate: 0.2}}, {Dense: {units: 7, activation: softmax}}]
          - select: pool
            add_output: {Dense: {units: 3, name: extra}}
          - select: act1
            insert_after: {copy_of: conv2}
          - select: backbone/inner
            init: default
        """
    ),
    "cut.yaml": _patch(
        """
        id: cut
        description: |
          the features
          of the first stage
        edits:
          - select: bn1
            truncate: true
            why: nothing else is needed
        """
    ),
    "nothing.yaml": _patch(
        """
        id: nothing
        edits:
          - select: hidden
            freeze: false
        """
    ),
    "lint.yaml": _patch(
        """
        id: lint
        edits:
          - select: drop
            freeze: true
        """
    ),
    "wrong.yaml": _patch(
        """
        id: wrong
        edits:
          - select: predicitons
            expand: {by: 2}
          - select: hiden
            freeze: true
        """
    ),
    "invalid.yaml": _patch(
        """
        id: Not Kebab
        edits:
          - select: a
            frezee: true
          - select: b
            expand: {by: 0}
        """
    ),
    "params.yaml": _patch(
        """
        id: params
        params:
          classes: {type: integer, minimum: 11}
        edits:
          - select: {head: 0}
            expand: {to: $classes}
        """
    ),
}
"""Patches by file name: the first two are for `small`, the next three for `two`."""


def write_patches(folder: Path) -> None:
    """Write all patches into a folder."""
    for name, text in PATCHES.items():
        (folder / name).write_text(text, encoding="utf-8")
