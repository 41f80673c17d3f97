"""Plans as people read them, held against golden files.

Run with `PATCHC_GOLDEN=write` to write the files anew, and read the difference.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import patchc
from patchc.compiler.plan import Plan
from patchc.report.paint import Paint
from patchc.report.plan_text import plan_text, tally

GOLDEN = Path(__file__).parent / "golden"


def plan(model: str, *patches: str) -> Plan:
    return patchc.plan(f"{model}.keras", [patchc.load(f"{name}.yaml") for name in patches])


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PATCHC_GOLDEN") == "write":
        path.write_text(f"{text}\n", encoding="utf-8")
    assert f"{text}\n" == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "patches"),
    [
        ("small", ["grow"]),
        ("small", ["lint"]),
        ("small", ["nothing"]),
        ("small", ["grow", "lint"]),
        ("two", ["freeze"]),
        ("two", ["swap"]),
        ("two", ["cut"]),
        ("two", ["swap", "cut"]),
    ],
)
def test_plans(desk: Path, model: str, patches: list[str]) -> None:
    assert_golden(f"plan-{model}-{'-'.join(patches)}", str(plan(model, *patches)))


def test_an_empty_plan_says_so(desk: Path) -> None:
    text = str(plan("small", "nothing"))
    assert text.endswith("No changes. The model already is as the patch wants it.")


def test_the_same_plan_is_told_the_same_way_twice(desk: Path) -> None:
    assert str(plan("two", "swap")) == str(plan("two", "swap"))


def test_colour_changes_nothing_but_the_colour(desk: Path) -> None:
    made = plan("two", "swap")
    coloured = plan_text(made, Paint(on=True))
    assert "\x1b[32m  +\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == str(made)


def test_the_tally_counts_each_layer_once(desk: Path) -> None:
    assert tally(plan("two", "swap")) == (
        "Plan: 1 to replace, 2 to add, 1 to re-initialise, 1 to make an output."
    )


def test_every_weight_that_goes_is_told(desk: Path) -> None:
    """Layers that stand alone show each weight; a replaced layer's are below it."""
    made = plan("two", "swap")
    assert len(made.ledger.dropped) == 2
    assert str(made).count("  dropped") == 2


def test_a_removed_nested_model_names_the_weights_inside(desk: Path) -> None:
    text = "patchc: 1\nid: x\nedits: [{select: conv2, replace: Flatten}, {select: backbone,"
    text += " replace: {Reshape: {target_shape: [1, 1, 4]}}}]"
    with pytest.raises(patchc.PatchError):  # 512 entries are no 4
        patchc.plan("two.keras", patchc.loads(text))
    fits = "patchc: 1\nid: x\nedits: [{select: backbone, replace: {Conv2D: {filters: 4,"
    fits += " kernel_size: 1}}}]"
    told = str(patchc.plan("two.keras", patchc.loads(fits)))
    assert "inner/kernel  (1, 1, 8, 4)  dropped" in told
    assert "fresh values" not in told


def test_names_from_the_model_cannot_steer_the_terminal(desk: Path) -> None:
    made = plan("small", "grow")
    from dataclasses import replace

    operations = tuple(
        replace(o, address=o.address.replace("hidden", "hi\x1b[2Jdden")) for o in made.operations
    )
    text = str(replace(made, operations=operations))
    assert "\x1b" not in text
    assert r"hi\x1b[2Jdden" in text
