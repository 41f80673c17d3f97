"""Saved plans: `plan -o`, `apply --plan`, and every way in which a plan can be stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program
from patchc.language.schema import read_schema
from tests.cli.files import metadata, rewritten, with_json, with_values

PLAN = "grow.plan.json"


def run(*args: str) -> Result:
    return CliRunner().invoke(program(), args)


@pytest.fixture
def planned(desk: Path) -> Path:
    """A desk with a saved plan of `grow.yaml` for `small.keras`."""
    assert run("plan", "small.keras", "grow.yaml", "-o", PLAN).exit_code == 0
    return desk


def stale(model: str = "small.keras") -> str:
    """What is said when the plan is refused; nothing may have been written."""
    result = run("apply", model, "--plan", PLAN, "-o", "out.keras")
    assert result.exit_code == 1
    assert not Path("out.keras").exists()
    return result.stderr


# ------------------------------------------------------------------ what is carried out


def test_a_saved_plan_does_what_the_patch_does(planned: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml", "-o", "direct.keras").exit_code == 0
    result = run("apply", "small.keras", "--plan", PLAN, "-o", "out.keras")
    assert result.exit_code == 0
    assert (planned / "out.keras").read_bytes() == (planned / "direct.keras").read_bytes()
    report = patchc.apply_plan("small.keras", PLAN, "python.keras")
    assert report.ok
    assert report.base["sha256"] == json.loads(Path(PLAN).read_text())["snapshot"]["sha256"]


def test_saving_prints_the_plan_and_says_how_to_go_on(planned: Path) -> None:
    result = run("plan", "small.keras", "grow.yaml", "-o", "again.json")
    assert result.stdout == run("plan", "small.keras", "grow.yaml").stdout
    assert result.stderr == (
        "To do exactly this: patchc apply small.keras --plan again.json -o OUT\n"
    )
    assert Path("again.json").read_bytes() == Path(PLAN).read_bytes()


def test_a_saved_plan_follows_the_schema(planned: Path) -> None:
    data = json.loads(Path(PLAN).read_text())
    assert list(Draft7Validator(json.loads(read_schema("plan"))).iter_errors(data)) == []
    printed = json.loads(run("plan", "small.keras", "grow.yaml", "--format", "json").stdout)
    assert {key for key in data if data[key] != printed.get(key)} == {"base", "snapshot"}
    assert printed["base"] == {**data["base"], "sha256": None}


def test_a_saved_plan_stands_for_itself(planned: Path) -> None:
    """A pipeline needs the plan and the model, wherever they lie; not the patch."""
    (planned / "grow.yaml").unlink()
    (planned / "small.keras").rename("moved.keras")
    assert run("apply", "moved.keras", "--plan", PLAN, "-o", "out.keras").exit_code == 0


def test_parameters_are_those_that_were_planned(desk: Path) -> None:
    run("plan", "small.keras", "params.yaml", "--set", "classes=13", "-o", PLAN)
    assert run("apply", "small.keras", "--plan", PLAN, "-o", "out.keras").exit_code == 0
    recorded = metadata(desk / "out.keras")["patchc"]["history"][0]
    assert recorded["params"] == {"classes": 13}


def test_an_existing_plan_is_replaced_only_with_force(planned: Path) -> None:
    assert run("plan", "small.keras", "params.yaml", "--set", "classes=13", "-o", PLAN).exit_code
    assert json.loads(Path(PLAN).read_text())["patches"][0]["id"] == "grow"
    assert run("plan", "small.keras", "grow.yaml", "-o", PLAN, "--force").exit_code == 0


def test_a_plan_of_nothing_gives_the_same_bytes(desk: Path) -> None:
    run("plan", "small.keras", "nothing.yaml", "-o", PLAN)
    assert run("apply", "small.keras", "--plan", PLAN, "-o", "out.keras").exit_code == 0
    assert (desk / "out.keras").read_bytes() == (desk / "small.keras").read_bytes()


@pytest.mark.parametrize(
    "args",
    [
        ("small.keras", "-o", "out.keras"),
        ("small.keras", "grow.yaml", "--plan", PLAN, "-o", "out.keras"),
        ("small.keras", "--plan", PLAN, "--set", "a=1", "-o", "out.keras"),
    ],
)
def test_a_plan_and_patches_exclude_each_other(planned: Path, args: tuple[str, ...]) -> None:
    assert run("apply", *args).exit_code == 2


def test_check_tells_what_is_to_do_from_what_does_not_fit(desk: Path) -> None:
    todo = run("plan", "small.keras", "grow.yaml", "--check", "--format", "json")
    wrong = run("plan", "small.keras", "wrong.yaml", "--check", "--format", "json")
    assert (todo.exit_code, wrong.exit_code) == (1, 1)
    assert (json.loads(todo.stdout)["ok"], json.loads(wrong.stdout)["ok"]) == (True, False)


# ------------------------------------------------------------------------------- stale


def test_other_weights_are_named_those_that_the_plan_changes_first(planned: Path) -> None:
    model = planned / "small.keras"
    with_values(model, planned / "trained.keras", "layers/dense_1/vars/0", "optimizer/vars/0")
    told = stale("trained.keras")
    assert "PC408 the model is not the one that was planned: of what the plan changes," in told
    first, second = told.split("Found")[0].strip().split("\n\n")
    assert "`predictions/kernel` has other values" in first
    assert "of what the plan leaves alone, `optimizer/vars/0` has other values" in second


def test_another_structure_is_told_by_its_layers(planned: Path) -> None:
    with open("deeper.yaml", "w", encoding="utf-8") as file:
        file.write(
            "patchc: 1\nid: deeper\nedits:\n"
            "  - select: drop\n    insert_after: {Dense: {units: 16, name: extra}}\n"
        )
    assert run("apply", "small.keras", "deeper.yaml", "-o", "deeper.keras").exit_code == 0
    told = stale("deeper.keras")
    assert "the layer `extra` (Dense) is new" in told


def test_a_model_that_has_the_patch_already_is_told_so(planned: Path) -> None:
    run("apply", "small.keras", "--plan", PLAN, "-o", "once.keras")
    assert "it has `grow` in its history" in stale("once.keras")


@pytest.mark.parametrize(
    ("member", "values", "told"),
    [
        ("config.json", {"compile_config": None}, "`config.json` differs: configuration,"),
        ("metadata.json", {"date_saved": "x"}, "`metadata.json` differs: the model was saved"),
    ],
)
def test_other_members_are_named(
    planned: Path, member: str, values: dict[str, Any], told: str
) -> None:
    with_json(planned / "small.keras", planned / "other.keras", member, **values)
    assert told in stale("other.keras")


def test_the_same_contents_in_other_bytes_are_another_file(planned: Path) -> None:
    rewritten(planned / "small.keras", planned / "packed.keras", lambda _, data: data)
    assert "its bytes differ, though all that it holds is the same" in stale("packed.keras")


def test_an_edited_patch_is_named_with_the_line(planned: Path) -> None:
    patch = planned / "grow.yaml"
    patch.write_text(patch.read_text().replace("by: 2", "by: 3"))
    told = stale()
    assert "PC408 the patch `grow` was edited since it was planned, first in line 7" in told
    assert " --> grow.yaml" in told


def _edit(change: Callable[[Any], object]) -> None:
    data = json.loads(Path(PLAN).read_text())
    change(data)
    Path(PLAN).write_text(json.dumps(data))


@pytest.mark.parametrize("version", ["0.9", "1.1", "2.0", 1, None])
def test_another_format_version_is_refused(planned: Path, version: Any) -> None:
    _edit(lambda data: data.update(format_version=version))
    told = stale()
    assert f"PC409 the plan cannot be used: it has the format version {version}" in told
    assert "this patchc carries out 1.0" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data["operations"].pop(), "`operations[14]` is not what its patches give"),
        (lambda data: data["weights"][0].update(fate="kept"), "`weights[0]` is not what"),
        (lambda data: data["snapshot"].update(result="0" * 64), "would write other values"),
        (lambda data: data["snapshot"].update(texts=[]), "another number of patches"),
        (
            lambda data: data["patches"][0].update(sha256="0" * 64),
            "the text of `grow` in it is not",
        ),
        (lambda data: data.pop("snapshot"), "it does not say what its model was"),
        (lambda data: data.update(edits=3), "`$.edits` is not what `patchc schema plan` says"),
        (lambda data: data.update(command="apply"), "it is no plan"),
    ],
)
def test_an_edited_plan_is_refused(
    planned: Path, change: Callable[[Any], object], told: str
) -> None:
    Path("grow.yaml").unlink()
    _edit(change)
    found = stale()
    assert found.startswith("PC409 the plan cannot be used: ")
    assert told in found


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1, "a": 2}', "\0", "null"])
def test_what_is_no_plan_is_refused(planned: Path, text: str) -> None:
    Path(PLAN).write_text(text)
    assert stale().startswith("PC409 ")


def test_a_plan_that_is_not_there(desk: Path) -> None:
    assert stale().startswith("PC401 ")
