"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

Zoo = Callable[[str], Path]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Saved models by name (see `tests.models`), each built once when a test asks for it."""
    folder = tmp_path_factory.mktemp("zoo")
    known: dict[str, Path] = {}

    def path(name: str) -> Path:
        from tests import models

        if name not in known:
            known[name] = models.save(name, folder)
            known[name].chmod(0o444)
        return known[name]

    return path
