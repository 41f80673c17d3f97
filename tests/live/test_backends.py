"""The other backends of Keras: a process for each, because Keras has one backend for good."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SELECTED = (
    "test_everywhere.py",
    "test_carried.py::test_policies_are_carried_through[mixed_float16]",
    "test_carried.py::test_a_lora_adapter_stays_what_it_is",
    "test_carried.py::test_a_quantised_layer_is_carried_through",
    "test_subclassed.py::test_parts_of_a_subclassed_model[{select: e0, freeze: true}-2]",
    "test_subclassed.py::test_parts_of_a_subclassed_model[{select: e0, expand: {by: 2}}-0]",
    "test_subclassed.py::test_init_in_a_subclassed_model",
)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_models_in_memory_come_out_alike(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: `pip install '.[backends]'`")
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "--disable-warnings", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(str(here / name) for name in SELECTED)],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTEST_ADDOPTS": ""},
        cwd=here.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
    assert "skipped" not in done.stdout.splitlines()[-1]
