"""What holds of the files of the project, whatever they are about."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).relative_to(ROOT)

MACHINE_PATHS = re.compile(r"(?<![\w.~])/(?:home|root|work|Users|mnt)/\w")
REGISTRIES = re.compile(r"index[-_]url|pypi\.(?:org|python)|find[-_]links", re.IGNORECASE)


def _files() -> Iterator[Path]:
    """Files that are, or would be, part of a commit."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and Path(name) != HERE:
            yield Path(name)


def _lines() -> Iterator[tuple[str, str]]:
    for path in _files():
        try:
            text = (ROOT / path).read_text("utf-8")
        except UnicodeDecodeError:  # test data
            continue
        for number, line in enumerate(text.splitlines(), 1):
            yield f"{path}:{number}: {line.strip()}", line


@pytest.mark.parametrize("pattern", [MACHINE_PATHS, REGISTRIES], ids=["paths", "registries"])
def test_no_file_depends_on_one_machine(pattern: re.Pattern[str]) -> None:
    assert [shown for shown, line in _lines() if pattern.search(line)] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE_PATHS, "cd /home/someone/patchc"),
        (MACHINE_PATHS, "open('/root/x')"),
        (REGISTRIES, "pip install --index-url x"),
    ],
)
def test_what_depends_on_one_machine_is_found(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


def test_relative_paths_and_addresses_are_no_machine_paths() -> None:
    assert not MACHINE_PATHS.search("see docs/root/x, https://example.org/home/x and ~/work/x")


def _make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def test_make_without_a_target_explains_every_target() -> None:
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    explained = [line.split()[0] for line in _make().splitlines()]

    assert explained == targets[0].split()


@pytest.mark.parametrize("target", ["demo", "test", "bench", "lint", "docs", "fmt", "clean"])
def test_every_target_knows_what_to_do(target: str) -> None:
    assert _make("--dry-run", target).strip()


def test_the_gate_is_a_program() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
