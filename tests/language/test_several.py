"""Several patches in one call."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchc.errors import PatchError
from patchc.language.several import load_all

PLAIN = "patchc: 1\nid: plain\nedits: [{select: a, freeze: true}]\n"
WITH_PARAMETER = (
    "patchc: 1\nid: with\nparams: {size: {type: integer}}\n"
    "edits: [{select: a, expand: {to: $size}}]\n"
)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    texts = {"plain.yaml": PLAIN, "with.yaml": WITH_PARAMETER}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return [str(tmp_path / name) for name in texts]


def codes(paths: list[str], settings: dict[str, str]) -> list[str]:
    with pytest.raises(PatchError) as caught:
        load_all(paths, settings)
    return [found.code for found in caught.value.diagnostics]


def test_a_setting_goes_where_it_is_declared(files: list[str]) -> None:
    plain, with_parameter = load_all(files, {"size": "3"})
    assert (plain.params, with_parameter.params) == ({}, {"size": 3})


def test_a_setting_that_nobody_declares_is_reported(files: list[str]) -> None:
    assert codes(files, {"size": "3", "other": "1"}) == ["PC108", "PC108"]
    assert codes(files[:1], {"size": "3"}) == ["PC108"]


def test_a_value_that_is_missing_is_reported(files: list[str]) -> None:
    assert codes(files, {}) == ["PC108"]


def test_what_is_wrong_with_any_of_them_comes_together(files: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("patchc: 2\n", encoding="utf-8")
    found = codes([str(bad), str(tmp_path / "none.yaml"), *files], {"size": "x"})
    assert {"PC104", "PC401", "PC108"} <= set(found)
