"""What is written suits the Keras that wrote the base, not only today's."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import patchc
from tests.conftest import Zoo

PATCH = """
patchc: 1
id: branch
edits:
  - select: dense
    insert_after:
      residual: [{Dense: {units: 16, name: branch}}]
"""


def _as_of(version: str, base: Path, out: Path) -> Path:
    """A copy of a model file that says another version of Keras wrote it."""
    with zipfile.ZipFile(base) as source, zipfile.ZipFile(out, "w") as copy:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "metadata.json":
                data = json.dumps(json.loads(data) | {"keras_version": version}).encode()
            copy.writestr(member, data)
    return out


@pytest.mark.parametrize(("version", "lists"), [("3.0.5", True), ("3.6.0", False)])
def test_a_sequential_that_becomes_a_functional(
    zoo: Zoo, tmp_path: Path, version: str, lists: bool
) -> None:
    """Keras before 3.6 reads a single input or output from a list only."""
    base = _as_of(version, zoo("mlp"), tmp_path / "base.keras")
    patchc.apply(base, patchc.loads(PATCH), tmp_path / "out.keras")
    with zipfile.ZipFile(tmp_path / "out.keras") as result:
        config: Any = json.loads(result.read("config.json"))
    assert config["class_name"] == "Functional"
    for key in ("input_layers", "output_layers"):
        assert isinstance(config["config"][key][0], list) is lists
