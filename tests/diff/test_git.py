"""git shows a `.keras` file with patchc: as an external diff driver, and as a textconv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import patchc

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")

PATCHC = f"{sys.executable} -m patchc"


@pytest.fixture
def repository(desk: Path) -> Path:
    """A repository with a model in its second version."""
    git("init", "-q")
    Path(".gitattributes").write_text("*.keras diff=keras\n", encoding="utf-8")
    shutil.copy("small.keras", "model.keras")
    commit("first")
    grow = {"patchc": 1, "id": "p", "edits": [{"select": {"head": 0}, "expand": {"by": 2}}]}
    patchc.apply("model.keras", patchc.loads(json.dumps(grow)), "model.keras", in_place=True)
    return desk


def git(*args: str) -> str:
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat"}
    done = subprocess.run(
        ["git", *args], capture_output=True, text=True, check=False, env={**os.environ, **quiet}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(message: str) -> None:
    git("add", ".gitattributes", "model.keras")
    git("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-qm", message)


def test_an_external_diff_driver(repository: Path) -> None:
    git("config", "diff.keras.command", f"{PATCHC} diff")
    shown = git("diff")
    assert "--- a/model.keras  small  Sequential  5 layers" in shown
    assert "predictions  Dense  units 10 -> 12" in shown
    commit("second")
    assert "units 10 -> 12" in git("show", "--ext-diff", "HEAD")
    assert git("show", "--ext-diff", "HEAD~1").count("new model model.keras") == 1
    Path("model.keras").write_bytes(b"no model")
    assert "PC402" in git("diff")


def test_a_textconv(repository: Path) -> None:
    git("config", "diff.keras.textconv", f"{PATCHC} inspect --for-diff")
    lines = git("diff").splitlines()
    assert "-predictions units: 10" in lines
    assert "+predictions units: 12" in lines
    changed = [line for line in lines if line[:1] in "+-" and "hidden" in line]
    assert changed == []
