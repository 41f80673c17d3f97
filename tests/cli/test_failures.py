"""Bad input: one clear diagnostic, exit code 1, nothing left behind, the input unchanged."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from patchc.cli import program


@pytest.fixture
def untouched(desk: Path) -> Iterator[Path]:
    """The desk, which must hold the same files with the same bytes afterwards."""
    before = {path.name: path.read_bytes() for path in desk.iterdir()}
    yield desk
    after = {path.name: path.read_bytes() for path in desk.iterdir() if path.name != "bad.keras"}
    assert after == before


def refused(*args: str, code: str) -> str:
    result = CliRunner().invoke(program(), args)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"{code} ")
    assert result.stderr.endswith("Found 1 error.\n")
    return result.stderr


def apply(model: str, code: str, out: str = "out.keras") -> str:
    return refused("apply", model, "grow.yaml", "-o", out, code=code)


def test_a_truncated_file(untouched: Path) -> None:
    whole = Path("small.keras").read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        Path("bad.keras").write_bytes(whole[:size])
        result = CliRunner().invoke(
            program(), ["apply", "bad.keras", "grow.yaml", "-o", "out.keras"]
        )
        assert result.exit_code == 1
        assert "bad.keras" in result.stderr
        assert "help: " in result.stderr


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "git lfs pull"),
        (b"\x80\x04\x95" + bytes(100), "pickle"),
        (b"<!doctype html><html>", "web page"),
        (b"patchc: 1\n", "text file"),
    ],
)
def test_a_wrong_file_under_the_right_name(untouched: Path, data: bytes, word: str) -> None:
    Path("bad.keras").write_bytes(data)
    assert word in apply("bad.keras", "PC402")


def test_a_damaged_hdf5_file(untouched: Path) -> None:
    Path("bad.keras").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert "HDF5" in apply("bad.keras", "PC403")


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_missing_member(untouched: Path, member: str) -> None:
    with zipfile.ZipFile("small.keras") as whole, zipfile.ZipFile("bad.keras", "w") as part:
        for name in whole.namelist():
            if name != member:
                part.writestr(name, whole.read(name))
    assert member in apply("bad.keras", "PC402")


def test_a_missing_model_names_one_that_is_near(untouched: Path) -> None:
    assert "did you mean `small.keras`" in apply("smal.keras", "PC401")


def test_an_output_that_is_the_input(untouched: Path) -> None:
    assert "--in-place" in apply("small.keras", "PC406", "small.keras")
    os.link("small.keras", "bad.keras")
    assert "--in-place" in apply("small.keras", "PC406", "bad.keras")


def test_an_output_that_exists(untouched: Path) -> None:
    assert "--force" in apply("small.keras", "PC406", "two.keras")


@pytest.mark.parametrize("out", ["nowhere/out.keras", "grow.yaml/out.keras"])
def test_an_output_that_cannot_be_written(untouched: Path, out: str) -> None:
    apply("small.keras", "PC406", out)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(untouched: Path) -> None:
    untouched.chmod(0o555)
    try:
        apply("small.keras", "PC406")
    finally:
        untouched.chmod(0o755)


def test_an_output_of_another_kind(untouched: Path) -> None:
    assert "ends in .keras" in apply("small.keras", "PC406", "out.h5")


def test_a_patch_for_another_model(untouched: Path) -> None:
    result = CliRunner().invoke(program(), ["apply", "two.keras", "wrong.yaml", "-o", "out.keras"])
    assert result.exit_code == 1
    assert "Found 2 errors." in result.stderr


def test_a_selector_that_picks_too_much_says_what(untouched: Path) -> None:
    Path("bad.keras").write_text(
        "patchc: 1\nid: x\nedits: [{select: 'conv*', rename: y}]", encoding="utf-8"
    )
    text = refused("plan", "two.keras", "bad.keras", code="PC202")
    assert "`conv1`, `conv2`" in text
