"""Random patches on random models: what came through, Keras and the ledger agree on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import patchc
from tests.properties.graphs import leaves_of, random_model
from tests.properties.oracle import (
    assert_accounted,
    assert_close,
    assert_counts,
    assert_loads_as_planned,
    assert_resaves_alike,
    assert_shapes,
    loaded,
    outputs_of,
)
from tests.properties.patches import Facts, damaged, patch_of, random_edits

EXAMPLES = int(os.environ.get("PATCHC_EXAMPLES", "60"))
RANDOM = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),  # building a model is slow by nature
)


class Room:
    """A folder with one model in it, and what a patch makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base, self.result = folder / "base.keras", folder / "result.keras"
        self.again = folder / "again.keras"

    def reset(self, model: Any) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        model.save(self.base)

    def only_the_base_is_there(self) -> bool:
        return list(self.folder.iterdir()) == [self.base]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def _drawn(data: st.DataObject, room: Room) -> tuple[Any, Facts]:
    model = random_model(data.draw)
    room.reset(model)
    return model, Facts.of(model)


def refusal(action: Callable[[], object]) -> patchc.PatchError | None:
    """The PatchError that an action ends in; anything else is a bug and goes through."""
    try:
        action()
    except patchc.PatchError as error:
        return error
    return None


def _keeps_function(edit: dict[str, Any]) -> bool:
    inserts = any(key.startswith("insert") for key in edit) and edit.get("init") == "identity"
    grows = "expand" in edit and edit["expand"].get("preserve", True)
    return "freeze" in edit or "rename" in edit or inserts or grows


@RANDOM
@given(data=st.data())
def test_patches_do_what_their_plan_says(data: st.DataObject, room: Room) -> None:
    _, facts = _drawn(data, room)
    edits = random_edits(data.draw, facts)
    patch = patch_of(edits)
    original = room.base.read_bytes()
    refused = refusal(lambda: patchc.plan(room.base, patch))
    withheld = refusal(lambda: patchc.apply(room.base, patch, room.result))
    if refused is not None or withheld is not None:
        found = withheld.diagnostics if withheld is not None else ()
        # what a plan lets through, only a strategy that cannot make a shape stops
        assert refused is not None or {d.code for d in found} == {"PC305"}
        assert found
        assert room.only_the_base_is_there()
        return
    plan = patchc.plan(room.base, patch)
    assert room.base.read_bytes() == original
    assert plan.is_empty == (room.result.read_bytes() == original)
    patchc.apply(room.base, patch, room.again)
    assert room.again.read_bytes() == room.result.read_bytes()
    assert patchc.verify(room.base, room.result, patch).ok
    assert_accounted(room.base, plan, room.result)
    base, result = loaded(room.base), loaded(room.result)
    assert_loads_as_planned(base, plan, result)
    assert_counts(plan, result)
    assert_shapes(plan, result)
    if all(map(_keeps_function, edits)) and not _is_mixed(base):
        before, after = outputs_of(base), outputs_of(result)
        if all(a.shape == b.shape for a, b in zip(before, after, strict=True)):
            assert_close(before, after)
    assert_resaves_alike(loaded(room.result), room.result, room.folder / "saved.keras")


def _is_mixed(model: Any) -> bool:
    return any("mixed" in layer.dtype_policy.name for layer in leaves_of(model))


@RANDOM
@given(data=st.data())
def test_damaged_patches_end_in_diagnostics(data: st.DataObject, room: Room) -> None:
    _, facts = _drawn(data, room)
    written = {"patchc": 1, "id": "random", "edits": random_edits(data.draw, facts)}
    text = json.dumps(damaged(data.draw, written))
    refused = refusal(lambda: patchc.apply(room.base, patchc.loads(text), room.result))
    if refused is not None:
        assert refused.diagnostics
        assert all(d.code.startswith("PC") and d.message for d in refused.diagnostics)
        assert room.only_the_base_is_there()


@RANDOM
@given(data=st.data())
def test_verify_notices_a_changed_byte(data: st.DataObject, room: Room) -> None:
    _, facts = _drawn(data, room)
    if not facts.paths():
        return  # an output is an input: there is nothing to rename
    path = data.draw(st.sampled_from(facts.paths()))
    patch = patch_of([{"select": path, "rename": "another_name"}])
    if refusal(lambda: patchc.apply(room.base, patch, room.result)) is not None:
        return
    whole = bytearray(room.result.read_bytes())
    plan = patchc.plan(room.base, patch)
    kept = [e for e in plan.ledger.entries if e.fate == "kept" and e.dtype == "float32"]
    if not kept:
        return
    _flip(whole, room.result, data.draw(st.sampled_from(kept)).address)
    room.again.write_bytes(whole)
    report = patchc.verify(room.base, room.again, patch)
    assert [check.name for check in report.checks if not check.ok] == ["kept-weights-identical"]


def _flip(whole: bytearray, path: Path, address: str) -> None:
    """Change one byte of a stored weight; the archive's headers stay as they are."""
    from patchc.storage.attach import find
    from patchc.storage.hdf5 import Dataset
    from patchc.storage.keras_file import open_keras

    with open_keras(path) as file:
        dataset = find(file.tree, address)
        assert isinstance(dataset, Dataset)
        assert dataset.offset is not None
        whole[file.weights.offset + dataset.offset] ^= 1
