"""The work to compile a patch grows with the model, and not faster.

Work is counted in executed bytecodes, which are the same on a busy machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import patchc
from benchmarks.deep_model import model_file
from patchc.language.patch import Patch
from tests.properties.patches import patch_of

SMALL, LARGE = 150, 450

PATCHES: dict[str, list[dict[str, Any]]] = {
    "head": [{"select": {"head": 0}, "expand": {"by": 2}}],
    "freeze": [{"select": {"not": {"head": 0}}, "freeze": True}],
    "growth through all blocks": [{"select": "layer_0", "expand": {"by": 1}}],
    "after": [{"select": {"class": "Dense", "after": "layer_0", "last": 3}, "init": "he_normal"}],
    "many matches of one edit": [{"select": {"class": "Activation"}, "remove": True}],
}


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Functional models of two depths."""
    folder = tmp_path_factory.mktemp("deep")
    paths = {size: folder / f"{size}.keras" for size in (SMALL, LARGE)}
    for size, path in paths.items():
        path.write_bytes(model_file(size))
    return paths


def work(path: Path, patch: Patch) -> int:
    """Bytecodes of one run; a patch that is refused counts as it is."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        patchc.plan(path, patch)
    except patchc.PatchError as error:
        assert {found.code for found in error.diagnostics} == {"PC306"}
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", PATCHES)
def test_three_times_the_layers_are_about_three_times_the_work(
    name: str, deep: dict[int, Path]
) -> None:
    patch = patch_of(PATCHES[name])
    patchc.plan(deep[SMALL], patch_of(PATCHES["head"]))  # what is imported once does not count
    small, large = (work(deep[size], patch) for size in (SMALL, LARGE))
    assert large < 3.5 * small
