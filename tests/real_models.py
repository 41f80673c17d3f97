"""Real models of many eras, which other people published: where they lie, and what they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[2] / "shared" / "models"

FILES = {
    "bt-keras": "model.keras",
    "car-v2": "model.h5",
    "cleandoc": "model_256_YUV_32_64.keras",
    "cvae-encoder": "zinc_encoder.h5",
    "fc-emotion-102": "fer2013_mini_XCEPTION.102-0.66.hdf5",
    "kz-point": "point_history_classifier.hdf5",
    "mm-mtsplice0": "mtsplice0.h5",
    "pm-binary": "binary_model.h5",
    "tiny-resnet": "pretrainedResnet.h5",
    "tiny-vww": "vww_96.h5",
    "tr-rnn": "numbers_summation_rnn.h5",
}
"""Whole models, by the name of their folder."""


def real_model(name: str) -> Path:
    """A file of `FILES`; the test is skipped where the folder is absent."""
    path = Path(os.environ.get("PATCHC_MODEL_ZOO", _DEFAULT)) / name / FILES[name]
    if not path.exists():
        pytest.skip(f"no real models at {path.parents[1]} (set PATCHC_MODEL_ZOO)")
    return path
