"""The programs of `examples/`, which the documentation shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import patchc
from examples import patch_folder, train_on
from tests.conftest import Zoo
from tests.project.readme import ROOT

PATCH = """
patchc: 1
id: one-more
expect: {output_shape: [null, 10]}
edits:
  - {select: {head: 0}, expand: {by: 1}}
"""


def test_a_model_is_trained_patched_trained_on_and_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    model = train_on.main(str(tmp_path / "ten.keras"))
    told = capsys.readouterr().out
    assert "optimizer {'kept': 6, 'grown': 4, 'new': 0, 'dropped': 0}" in told
    saved: Any = keras.models.load_model(tmp_path / "ten.keras")
    assert saved.output_shape == (None, 10)
    assert int(saved.optimizer.iterations) == int(model.optimizer.iterations) > 0


def test_a_folder_is_patched_and_failures_are_told_by_their_codes(
    zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models, out = tmp_path / "models", tmp_path / "out"
    models.mkdir()
    (tmp_path / "p.yaml").write_text(PATCH)
    shutil.copy(zoo("mlp"), models / "a.keras")
    shutil.copy(zoo("mlp"), models / "b.keras")
    (models / "b.keras").chmod(0o644)
    (models / "c.keras").write_bytes(b"PK no archive")
    patch = patchc.load(tmp_path / "p.yaml")
    patchc.apply(models / "a.keras", patch, models / "b.keras", force=True)

    ended = patch_folder.main(str(models), str(tmp_path / "p.yaml"), str(out))

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ended == 1
    assert [line["status"] for line in lines] == ["patched", "done before", "failed"]
    assert lines[2]["why"] == "the file is damaged"
    assert [path.name for path in out.iterdir()] == ["a.keras"]


@pytest.mark.parametrize("name", ["train_on.py", "patch_folder.py"])
def test_the_documentation_shows_them_as_they_are(name: str) -> None:
    shown = (ROOT / "docs" / "programs.md").read_text()
    assert f"```py\n{(ROOT / 'examples' / name).read_text()}```" in shown
