"""Layers that prepare images, against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_saved,
    keras,
    make,
)

CASES: dict[str, dict[str, Any]] = {
    "CenterCrop": {"height": 3, "width": 2},
    "RandomBrightness": {"factor": 0.2},
    "RandomContrast": {"factor": 0.2},
    "RandomFlip": {},
    "RandomRotation": {"factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.2},
    "RandomZoom": {"height_factor": 0.1},
    "Resizing": {"height": 3, "width": 9},
}


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_arguments(name: str, tmp_path: Path) -> None:
    spec = call((None, 6, 5, 3))
    assert check_case(name, CASES[name], spec)
    check_saved(name, CASES[name], spec, tmp_path)
    check_arguments(name, CASES[name])


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"CenterCrop", "Resizing"}))
def test_augmentation_is_an_identity_at_inference(name: str) -> None:
    images = np.random.default_rng(1).uniform(0, 255, (2, 6, 5, 3)).astype("float32")
    layer = make(name, canonical(name, CASES[name]))
    made = keras.ops.convert_to_numpy(layer(images, training=False))
    np.testing.assert_array_equal(made, images)


@pytest.mark.parametrize("name", ["CenterCrop", "Resizing"])
def test_each_channel_is_treated_like_any_other(name: str) -> None:
    images = np.random.default_rng(1).uniform(0, 255, (2, 6, 5, 3)).astype("float32")
    layer = make(name, canonical(name, CASES[name]))
    made = keras.ops.convert_to_numpy(layer(images))
    turned = keras.ops.convert_to_numpy(layer(images[..., ::-1]))
    np.testing.assert_allclose(turned, made[..., ::-1], rtol=1e-6)
