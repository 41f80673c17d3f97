"""All free axes of an architecture of `keras.applications` at once, as the benchmark does it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import patchc
from benchmarks.growth import (
    build,
    calibrate,
    difference,
    free_axes,
    images_for,
    offset_and_scale,
    outputs,
    patch_back,
    patch_text,
)


def test_all_axes_of_an_architecture_grow_and_shrink_back(tmp_path: Path) -> None:
    model, images = build("MobileNetV3Small", "float32"), images_for("MobileNetV3Small", "float32")
    offset_and_scale(model)
    calibrate(model, images)
    model.save(tmp_path / "before.keras")
    axes, refused = free_axes(tmp_path / "before.keras")
    assert len(axes) == 27
    assert all("makes an output" in reason for reason in refused)
    patchc.apply(tmp_path / "before.keras", patchc.loads(patch_text(axes)), tmp_path / "wide.keras")
    wide = keras.models.load_model(tmp_path / "wide.keras")
    assert difference(outputs(model, images), outputs(wide, images)) <= 3e-5
    assert wide.count_params() > 1.25 * model.count_params()
    back = patch_back(axes)
    patchc.apply(tmp_path / "wide.keras", patchc.loads(back), tmp_path / "back.keras")
    again = keras.models.load_model(tmp_path / "back.keras")
    for one, other in zip(model.weights, again.weights, strict=True):
        assert one.path == other.path
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
