"""A team's work with one model, from its first version to a patch that is taken back."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import keras
import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
PATCHC = [sys.executable, "-m", "patchc"]
NAME = ["-c", "user.name=a", "-c", "user.email=a@example.org"]

GROW = """\
    patchc: 1
    id: two-more
    description: the catalogue gained "tent" and "kayak"
    expect: {output_shape: [null, 10]}
    edits:
      - select: {head: 0}
        expand: {by: 2}
        why: two new classes
    """
FREEZE = """\
    patchc: 1
    id: freeze-body
    requires: two-more
    edits:
      - select: {not: {head: 0}}
        freeze: true
    """

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")


@dataclass(frozen=True)
class Clone:
    """A clone of the team's repository."""

    folder: Path

    def run(self, *command: str, code: int = 0) -> str:
        """Run a program; what it says, on stdout and stderr."""
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **quiet, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def git(self, *arguments: str, code: int = 0) -> str:
        return self.run("git", *NAME, *arguments, code=code)

    def patchc(self, *arguments: str, code: int = 0) -> str:
        return self.run(*PATCHC, *arguments, code=code)

    def commit(self, message: str, code: int = 0) -> str:
        self.git("add", "-A")
        return self.git("commit", "-qm", message, code=code)

    def ids(self) -> list[str]:
        """Ids of the patches in the model, newest first."""
        found = json.loads(self.patchc("log", "model.keras", "--format", "json"))
        return [entry["id"] for entry in found["history"]]

    def file(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture
def desk(tmp_path: Path) -> Clone:
    """A repository with the first version of a model and the hook that validates patches."""
    clone = Clone(tmp_path / "desk")
    clone.folder.mkdir()
    clone.git("init", "-q", "--initial-branch", "main")
    inputs = keras.Input((8,), name="features")
    x = keras.layers.Dense(16, activation="relu", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", name="head")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    _train(model, 10)
    model.save(clone.file("model.keras"))
    clone.file("patches").mkdir()
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    entry = shlex.join([*PATCHC, *hook["entry"].split()[1:]])
    changed = "$(git diff --cached --name-only --diff-filter=ACM -- patches)"
    script = clone.file(".git/hooks/pre-commit")
    script.write_text(
        f'#!/bin/sh\nset -e\nchanged={changed}\n[ -z "$changed" ] || {entry} $changed\n'
    )
    script.chmod(0o755)
    clone.commit("The model")
    return clone


def _train(model: keras.Model, classes: int) -> None:
    model.run_eagerly = True
    model.train_on_batch(np.random.default_rng(1).normal(size=(12, 8)), np.arange(12) % classes)
    model.run_eagerly = False


def _patch(clone: Clone, name: str, text: str) -> None:
    clone.file(f"patches/{name}.yaml").write_text(dedent(text))


def test_from_the_first_patch_to_the_one_that_is_taken_back(desk: Clone, tmp_path: Path) -> None:
    original = desk.file("model.keras").read_bytes()
    untrained, trained = tmp_path / "untrained.keras", tmp_path / "trained.keras"
    _write_the_patch(desk)
    _review_its_plan(desk)
    _apply_it_elsewhere(desk, tmp_path / "pipeline")
    _cannot_be_applied_again(desk)
    shutil.copy(desk.file("model.keras"), untrained)
    _train_and_adopt(desk, trained)
    _apply_what_is_pending(desk, untrained)
    _take_the_first_one_back(desk, untrained, original)


def _write_the_patch(desk: Clone) -> None:
    """The hook refuses a patch as long as it is wrong."""
    _patch(desk, "1-two-more", GROW.replace("expand", "expnad"))
    assert "1-two-more.yaml:7:5: PC101" in desk.commit("Two more classes", code=1)
    _patch(desk, "1-two-more", GROW)
    desk.commit("Two more classes")


def _review_its_plan(desk: Clone) -> None:
    desk.patchc("plan", "model.keras", "patches", "--check", code=1)
    review = desk.patchc("plan", "model.keras", "patches", "-o", "plan.json")
    assert "  ~ head  Dense  units 10 -> 12\n" in review
    assert "Outputs    head [null, 10] -> head [null, 12]" in review
    desk.commit("The plan")


def _apply_it_elsewhere(desk: Clone, folder: Path) -> None:
    """A pipeline does what was reviewed, and keeps the way back."""
    desk.git("clone", "-q", ".", str(folder))
    pipeline = Clone(folder)
    plan = ("--plan", "plan.json", "--in-place", "--undo-file", "two-more.undo", "--provenance")
    done = pipeline.patchc("apply", "model.keras", *plan, "--format", "concise")
    assert done.startswith("Wrote model.keras, all 7 checks hold.\n")
    pipeline.patchc("plan", "model.keras", "patches", "--check")
    pipeline.commit("Two more classes, applied")
    desk.git("pull", "-q", "--no-rebase", str(folder), "main")
    assert desk.ids() == ["two-more"]
    assert 'the catalogue gained "tent" and "kayak"' in desk.patchc("log", "model.keras")
    statement = json.loads(desk.file("model.keras.patchc.json").read_text())
    digest = hashlib.sha256(desk.file("model.keras").read_bytes()).hexdigest()
    assert statement["subject"][0]["digest"]["sha256"] == digest


def _cannot_be_applied_again(desk: Clone) -> None:
    stale = desk.patchc("apply", "model.keras", "--plan", "plan.json", "-o", "x.keras", code=1)
    assert "it has `two-more` in its history" in stale
    assert "`head/kernel` was float32 (16, 10) and is float32 (16, 12)" in stale


def _train_and_adopt(desk: Clone, trained: Path) -> None:
    """Keras drops the history; what builds on it is refused until it is carried over."""
    model = keras.models.load_model(desk.file("model.keras"))
    _train(model, 12)
    model.save(trained)
    _patch(desk, "2-freeze-body", FREEZE)
    refused = desk.patchc("plan", str(trained), "patches/2-freeze-body.yaml", code=1)
    assert "`two-more` is required, and is not in the history" in refused
    assert "patchc adopt" in refused
    desk.patchc("adopt", "model.keras", str(trained), "-o", "adopted.keras")
    desk.file("adopted.keras").replace(desk.file("model.keras"))
    assert desk.ids() == ["two-more"]
    desk.commit("Trained; freeze the body")


def _apply_what_is_pending(desk: Clone, untrained: Path) -> None:
    desk.patchc("apply", "model.keras", "patches", "--in-place")
    assert desk.ids() == ["freeze-body", "two-more"]
    assert not keras.models.load_model(desk.file("model.keras")).get_layer("hidden").trainable
    difference = desk.patchc("diff", str(untrained), "model.keras")
    assert "hidden" in difference
    assert "units" not in difference
    desk.commit("The body is frozen")


def _take_the_first_one_back(desk: Clone, untrained: Path, original: bytes) -> None:
    desk.git("checkout", "-q", "--detach", "HEAD~2")
    assert desk.file("model.keras").read_bytes() == untrained.read_bytes()
    told = desk.patchc("revert", "model.keras", "--undo", "two-more.undo", "-o", "first.keras")
    assert told == "Wrote first.keras: the original file, byte for byte.\n"
    assert desk.file("first.keras").read_bytes() == original
