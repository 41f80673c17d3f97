"""What README and documentation say is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import patchc
from tests.project.readme import DOCS, README, ROOT, blocks, prepare, refreshed

_VARIES = re.compile(
    r"(?:sha256|contents):[0-9a-f]{12,}|[\d,]+ bytes|\b[0-9a-f]{16}\b|Keras 3[.\d]+"
)
"""Depends on the values that Keras starts weights with, or on its version."""


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the patch and the model that README and documentation speak of."""
    folder = tmp_path_factory.mktemp("start")
    prepare(folder)
    return folder


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.name)
def test_commands_print_what_is_shown_and_python_runs(
    start: Path, page: Path, tmp_path: Path
) -> None:
    shutil.copytree(start, tmp_path, dirs_exist_ok=True)
    text = page.read_text()

    now = refreshed(text, tmp_path)

    assert _VARIES.sub("...", text) == _VARIES.sub("...", now)
    for code in blocks(text, "python"):
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.name)
def test_patches_are_valid(page: Path) -> None:
    patches = [block for block in blocks(page.read_text(), "yaml") if "patchc: 1\n" in block]

    assert [patchc.loads(text).warnings for text in patches] == [()] * len(patches)


def test_shell_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = "".join(blocks(README.read_text(), "sh")).splitlines()

    targets = {line.split()[1] for line in lines if line.startswith("make ")}
    extras = set(re.findall(r"pip install '\.\[(\w+)\]'", "\n".join(lines)))

    assert targets
    assert targets <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    assert extras
    assert extras <= set(project["optional-dependencies"])
    assert all(line.startswith(("make ", "pip install ")) for line in lines)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / name).read_text())

    assert [link for link in links if not (ROOT / link).exists()] == []
