"""Several patches in one call: where they overlap, contradict, and may change places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner

import patchc
from patchc.cli import program
from patchc.compiler.plan import Plan
from patchc.language.schema import read_schema
from tests.cli.conftest import desk, shelf

__all__ = ["desk", "shelf"]


def patch(name: str, *edits: dict[str, Any], **keys: Any) -> Any:
    text = json.dumps({"patchc": 1, "id": name, "edits": list(edits), **keys}, indent=1)
    Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    return patchc.load(f"{name}.yaml")


def stacked(*patches: Any) -> Plan:
    return patchc.plan("small.keras", patches)


def overlaps(plan: Plan) -> list[tuple[str, str]]:
    return [
        (w.span.source.name if w.span else "", w.message)
        for w in plan.warnings
        if w.code == "PC910"
    ]


GROW: dict[str, Any] = {"select": "predictions", "expand": {"by": 2}}
FREEZE: dict[str, Any] = {"select": "hidden", "freeze": True}


def test_patches_of_different_layers_may_change_places(desk: Path) -> None:
    plan = stacked(patch("a", GROW), patch("b", FREEZE))
    assert plan.independent == (("a", "b"),)
    assert overlaps(plan) == []
    assert "Order      a and b give the same in either order" in str(plan)


def test_one_patch_is_never_held_against_itself(desk: Path) -> None:
    plan = stacked(patch("a", FREEZE, {"select": "hidden", "freeze": False}))
    assert overlaps(plan) == []
    assert plan.independent == ()


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        (
            FREEZE,
            {"select": "hidden", "freeze": False},
            "contradicts `a.yaml:5`: both set `trainable` of `hidden`, and this one wins",
        ),
        (
            {"select": "drop", "set": {"rate": 0.5}},
            {"select": "drop", "set": {"rate": 0.6}},
            "contradicts `a.yaml:5`: both set `rate` of `drop`, and this one wins",
        ),
        (
            {"select": "drop", "rename": "x"},
            {"select": "x", "rename": "y"},
            "contradicts `a.yaml:5`: both set `name` of `drop`, and this one wins",
        ),
        (GROW, GROW, "changes `units` of `predictions` once more, after `a.yaml:5`"),
        (
            {"select": "drop", "set": {"rate": 0.5}},
            {"select": "drop", "remove": True},
            "takes out `drop`, which `a.yaml:5` has changed",
        ),
        (
            {"select": "hidden", "init": {"kernel": "zeros"}},
            {"select": "hidden", "init": {"kernel": "ones"}},
            "makes `hidden/kernel` anew, as `a.yaml:5` does",
        ),
    ],
)
def test_what_overlaps_is_told_with_both_places(
    desk: Path, one: dict[str, Any], other: dict[str, Any], told: str
) -> None:
    plan = stacked(patch("a", one), patch("b", other))
    assert overlaps(plan) == [("b.yaml", told)]


def test_order_matters_where_the_results_differ(desk: Path) -> None:
    plan = stacked(
        patch("a", {"select": "drop", "insert_after": "ReLU"}),
        patch("b", {"select": "drop", "insert_after": "LayerNormalization"}),
    )
    assert plan.independent == ()
    plan = stacked(patch("a", GROW), patch("b", FREEZE, expect={"output_shape": [None, 12]}))
    assert plan.independent == ()


def test_a_patch_that_an_earlier_one_prevents_names_it(desk: Path) -> None:
    a = patch("a", FREEZE, {"select": "drop", "remove": True})
    b = patch("b", {"select": "drop", "set": {"rate": 0.5}})
    with pytest.raises(patchc.PatchError) as caught:
        stacked(a, b)
    found = {d.code: d for d in caught.value.diagnostics}
    assert set(found) == {"PC201", "PC314"}
    contradiction = found["PC314"]
    assert contradiction.message == "without `a` the patch `b` would fit: they contradict"
    assert contradiction.span is not None
    assert (contradiction.span.source.name, contradiction.span) == ("a.yaml", a.edits[1].span)
    assert contradiction.help == "give them in the other order"


def test_a_patch_that_fits_no_way_blames_nobody(desk: Path) -> None:
    with pytest.raises(patchc.PatchError) as caught:
        stacked(patch("a", FREEZE), patch("b", {"select": "nowhere", "freeze": True}))
    assert {d.code for d in caught.value.diagnostics} == {"PC201"}


def test_validate_tells_it_in_every_format(desk: Path) -> None:
    patch("a", GROW)
    patch("b", FREEZE)
    args = ["validate", "a.yaml", "b.yaml", "--model", "small.keras"]
    line = "a and b give the same in either order"
    for form in ("text", "concise"):
        told = CliRunner().invoke(program(), [*args, "--format", form]).stdout
        assert told.splitlines()[-1] == line
    data = json.loads(CliRunner().invoke(program(), [*args, "--format", "json"]).stdout)
    assert data["independent"] == [["a", "b"]]
    assert not list(Draft7Validator(json.loads(read_schema("report"))).iter_errors(data))


def test_each_edit_tells_what_it_costs_and_together_they_cost_what_the_plan_says(
    desk: Path,
) -> None:
    plan = stacked(patch("a", GROW, FREEZE), patch("b", {"select": "hidden", "expand": {"by": 3}}))
    costs = [edit.params for edit in plan.edits]
    assert [bool(cost) for cost in costs] == [True, False, True]
    assert sum(costs) == plan.params["after"] - plan.params["before"]
    assert f"edits[0] expand  b.yaml:5  {costs[2]:+} params" in str(plan)
