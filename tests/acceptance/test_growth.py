"""All free axes of an architecture of `keras.applications` at once, as the benchmark does it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import patchc
from benchmarks.growth import build, difference, free_axes, patch_text


def test_all_axes_of_an_architecture_grow_and_shrink_back(tmp_path: Path) -> None:
    model, images = build("MobileNetV3Small", "float32")
    model.save(tmp_path / "before.keras")
    axes, refused = free_axes(tmp_path / "before.keras")
    assert len(axes) == 27
    assert all("makes an output" in reason for reason in refused)
    patchc.apply(tmp_path / "before.keras", patchc.loads(patch_text(axes)), tmp_path / "wide.keras")
    wide = keras.models.load_model(tmp_path / "wide.keras")
    before, after = (np.asarray(m(images, training=False)) for m in (model, wide))
    assert difference(before, after) <= 3e-5
    assert wide.count_params() > 1.25 * model.count_params()
    back = "patchc: 1\nid: back\nedits:\n" + "".join(
        f"  - select: {axis.layer}\n"
        f"    shrink: {{drop: {list(range(axis.size, axis.to))}, axis: {axis.key}}}\n"
        for axis in axes
    )
    patchc.apply(tmp_path / "wide.keras", patchc.loads(back), tmp_path / "back.keras")
    again = keras.models.load_model(tmp_path / "back.keras")
    for one, other in zip(model.weights, again.weights, strict=True):
        assert one.path == other.path
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
