"""The values that patchc makes are part of its format: same patch, same bytes.

A digest below may only change together with a new version of the patch format.
A change here means that patches give other files than they used to.
"""

import json
import os
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("golden.py")

DIGESTS = {
    "glorot_uniform float32": "042aceec5e4d6de42b0a7b8115619980",
    "glorot_uniform bfloat16": "1546e17d752e2221de4ccab153cb96f0",
    "he_normal float32": "68113db78abde6304593fe9297be7388",
    "random_normal float64": "f2bfa6ac7cc270e06f74c71932404df7",
    "random_normal float16": "c8640d220efd75a67a934c90f4ae9d7f",
    "truncated_normal float64": "905ba78fc4a1bf7b9b091e95cdb87aa4",
    "orthogonal float64": "480f3c2ecf8a7597248f0568d4580017",
    "orthogonal float32": "a31cb82a76780357045a8a62375be4d3",
    "stft float64": "825839ae42726b4af19472926f957b0c",
    "blocks float32": "15378a4958a23d5fcb8e25107ab4e515",
    "assembled mean": "b877c23eec16f9ac8a97b67004516a5a",
    "assembled sample": "6441f1208ad5178a071d77fe91e05f8b",
    "assembled copy": "2cbdff283a0da15db2dcc9bf0b0640a3",
    "assembled GlorotNormal": "f04537ca42341e53fa1dc6bc2e74b6d6",
}


def test_values_are_those_of_the_format() -> None:
    assert runpy.run_path(str(GOLDEN))["digests"]() == DIGESTS


def test_values_do_not_depend_on_the_processor() -> None:
    core = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    numbers = import_module(f"{core}._multiarray_umath")
    present = [name for name in numbers.__cpu_dispatch__ if numbers.__cpu_features__.get(name)]
    plain = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(present)}
    run = subprocess.run([sys.executable, GOLDEN], env=plain, capture_output=True, check=True)
    assert json.loads(run.stdout) == DIGESTS
