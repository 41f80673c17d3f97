"""A folder with models and patches, in which the tests stand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models and patches, built once."""
    from tests.report.samples import save_models, write_patches

    folder = tmp_path_factory.mktemp("shelf")
    save_models(folder)
    write_patches(folder)
    return folder


@pytest.fixture
def desk(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the shelf, as the current folder."""
    shutil.copytree(shelf, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
