"""The time to compile a patch grows with the model, and not faster."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import patchc
from benchmarks.deep_model import model_file
from tests.properties.patches import patch_of

PATCHES: dict[str, list[dict[str, Any]]] = {
    "head": [{"select": {"head": 0}, "expand": {"by": 2}}],
    "freeze": [{"select": {"not": {"head": 0}}, "freeze": True}],
    "growth through all blocks": [{"select": "layer_0", "expand": {"by": 1}}],
    "after": [{"select": {"class": "Dense", "after": "layer_0", "last": 3}, "init": "he_normal"}],
}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Functional models of 1,000 and of 3,000 layers."""
    folder = tmp_path_factory.mktemp("deep")
    paths = {size: folder / f"{size}.keras" for size in (1000, 3000)}
    for size, path in paths.items():
        path.write_bytes(model_file(size))
    return paths


def seconds(path: Path, edits: list[dict[str, Any]]) -> float:
    """The shortest of three runs; a patch that is refused counts as it is."""
    runs = []
    for _ in range(3):
        start = time.process_time()
        try:
            patchc.plan(path, patch_of(edits))
        except patchc.PatchError as error:
            assert {found.code for found in error.diagnostics} == {"PC306"}
        runs.append(time.process_time() - start)
    return min(runs)


@pytest.mark.parametrize("name", PATCHES)
def test_three_times_the_layers_take_about_three_times_as_long(
    name: str, deep: dict[int, Path]
) -> None:
    small, large = (seconds(deep[size], PATCHES[name]) for size in (1000, 3000))
    assert large < 6 * small


def test_many_matches_of_one_edit_are_one_step(deep: dict[int, Path]) -> None:
    edits = [{"select": {"class": "Activation"}, "remove": True}]
    small, large = (seconds(deep[size], edits) for size in (1000, 3000))
    assert large < 6 * small
