"""The pre-commit hook, the GitHub Action and completion do what they are there for."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import desk, shelf

__all__ = ["desk", "shelf"]

ROOT = Path(__file__).parents[2]
SCRIPTS = sysconfig.get_path("scripts")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


# ----------------------------------------------------------------------------- hook


def hook(*files: str) -> subprocess.CompletedProcess[str]:
    """Run the hook as pre-commit does: its entry with the changed files behind it."""
    (entry,) = read(".pre-commit-hooks.yaml")
    program, *options = shlex.split(entry["entry"])
    code = "import sys; from patchc.cli import main\ntry: main()\nfinally:\n"
    code += "  print(sorted({'tensorflow', 'keras'} & set(sys.modules)), file=sys.stderr)"
    assert program == "patchc"
    return subprocess.run(
        [sys.executable, "-c", code, *options, *files], capture_output=True, text=True, check=False
    )


def test_the_hook_checks_changed_patches_without_keras(desk: Path) -> None:
    good = hook("grow.yaml", "cut.yaml")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "[]\n")
    bad = hook("grow.yaml", "invalid.yaml")
    assert bad.returncode == 1
    assert "invalid.yaml:2:5: PC104" in bad.stderr
    assert bad.stderr.endswith("[]\n")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("patches/a.yaml", True),
        ("patches/deep/b.yml", True),
        ("config.yaml", False),
        ("my_patches/a.yaml", False),
        ("patches/readme.md", False),
    ],
)
def test_the_hook_is_for_patches(path: str, wanted: bool) -> None:
    (entry,) = read(".pre-commit-hooks.yaml")
    assert bool(re.search(entry["files"], path)) is wanted


# --------------------------------------------------------------------------- action


def plan(desk: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the action's script, with a `gh` that writes down what it is called with."""
    tools = desk / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(f'#!/bin/sh\necho "$@" > "{desk}/called"\ncat "$5" > "{desk}/said"\n')
    (tools / "gh").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), SCRIPTS, os.environ["PATH"]]),
        "GITHUB_STEP_SUMMARY": str(desk / "summary"),
        "GITHUB_OUTPUT": str(desk / "output"),
        "PATCHC_PULL_REQUEST": "7",
        **variables,
    }
    return subprocess.run(
        ["bash", ROOT / ".ci" / "plan"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")


@needs_bash
def test_the_action_plans_and_comments(desk: Path) -> None:
    done = plan(desk, PATCHC_MODEL="small.keras", PATCHC_PATCHES="gro*.yaml")
    assert done.returncode == 0, done.stderr
    assert "::notice file=grow.yaml,line=6,title=edits[0] expand::" in done.stdout
    assert "changes=true" in (desk / "output").read_text()
    said = (desk / "said").read_text()
    assert said == (desk / "summary").read_text()
    assert "Plan: 3 to resize." in said
    called = (desk / "called").read_text()
    assert re.match(r"pr comment 7 --body-file \S+ --edit-last --create-if-none\n", called)


@needs_bash
def test_a_patch_that_does_not_fit_fails_the_job(desk: Path) -> None:
    done = plan(desk, PATCHC_MODEL="small.keras", PATCHC_PATCHES="wrong.yaml")
    assert done.returncode == 1
    assert "::error file=wrong.yaml,line=4," in done.stdout
    assert "changes=false" in (desk / "output").read_text()
    assert "did you mean `predictions`?" in (desk / "said").read_text()
    none = plan(desk, PATCHC_MODEL="small.keras", PATCHC_PATCHES="nothing_like_it/*.yaml")
    assert none.returncode == 1
    assert "no patch matches" in none.stdout


@needs_bash
def test_what_users_give_is_never_run(desk: Path) -> None:
    hostile = '$(touch owned)"; touch owned; `touch owned`'
    settings = f"classes=12\nother={hostile}"
    done = plan(desk, PATCHC_MODEL=hostile, PATCHC_PATCHES="params.yaml", PATCHC_SETTINGS=settings)
    assert done.returncode != 0
    assert not (desk / "owned").exists()
    good = plan(
        desk, PATCHC_MODEL="small.keras", PATCHC_PATCHES="params.yaml", PATCHC_SETTINGS="classes=12"
    )
    assert good.returncode == 0, good.stdout


def test_the_action_hands_inputs_over_as_variables() -> None:
    action = read("action.yml")
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    script = (ROOT / ".ci" / "plan").read_text()
    (step,) = [step for step in action["runs"]["steps"] if step.get("id") == "plan"]
    for name in step["env"]:
        assert name == "GH_TOKEN" or name in script
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert used == set(action["inputs"])


# ----------------------------------------------------------------------- completion


def test_shells_complete_commands_and_options() -> None:
    asked = {"_PATCHC_COMPLETE": "complete_bash", "COMP_WORDS": "patchc va", "COMP_CWORD": "1"}
    assert _completed(asked).split() == ["validate"]
    asked |= {"COMP_WORDS": "patchc plan --form", "COMP_CWORD": "2"}
    assert _completed(asked).split() == ["--format"]


def _completed(asked: dict[str, str]) -> str:
    done = subprocess.run(
        [Path(SCRIPTS, "patchc")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **asked},
    )
    return done.stdout
