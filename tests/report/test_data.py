"""What `--format json` prints follows the published schemas, whatever the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner

import patchc
from patchc.cli import program
from patchc.language.schema import read_schema
from patchc.report.data import _text


def schema(name: str) -> Any:
    return json.loads(read_schema(name))


def run(*args: str) -> tuple[int, Any]:
    result = CliRunner().invoke(program(), [*args, "--format", "json"])
    assert result.stderr == ""
    return result.exit_code, json.loads(result.stdout)


def errors(data: Any, name: str) -> list[str]:
    return [error.message for error in Draft7Validator(schema(name)).iter_errors(data)]


@pytest.mark.parametrize("name", ["plan", "report"])
def test_the_schemas_are_sound_and_explain_every_key(name: str) -> None:
    data = schema(name)
    Draft7Validator.check_schema(data)
    for key, entry in properties(data):
        described = entry.get("description") or data["definitions"].get(
            entry.get("$ref", "").rpartition("/")[2], {}
        ).get("description")
        assert described, key


def properties(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for item in node.values():
            yield from properties(item)
    if isinstance(node, list):
        for item in node:
            yield from properties(item)


@pytest.mark.parametrize(
    ("model", "patch"),
    [("small", "grow"), ("small", "lint"), ("small", "nothing"), ("two", "swap"), ("two", "cut")],
)
def test_plans(desk: Path, model: str, patch: str) -> None:
    code, data = run("plan", f"{model}.keras", f"{patch}.yaml")
    assert code == 0
    assert errors(data, "plan") == []
    assert data == json.loads(json.dumps(patchc.plan(f"{model}.keras", [load(patch)]).to_dict()))


def load(name: str) -> Any:
    return patchc.load(f"{name}.yaml")


def test_apply_and_verify(desk: Path) -> None:
    code, data = run("apply", "two.keras", "swap.yaml", "-o", "out.keras")
    assert code == 0
    assert errors(data, "report") == []
    assert data["output"]["bytes"] == (desk / "out.keras").stat().st_size
    code, data = run("verify", "two.keras", "out.keras", "swap.yaml")
    assert (code, data["ok"]) == (0, True)
    assert errors(data, "report") == []


def test_a_result_that_is_not_the_patchs(desk: Path) -> None:
    code, data = run("verify", "two.keras", "two.keras", "swap.yaml")
    assert (code, data["ok"]) == (1, False)
    assert errors(data, "report") == []
    assert {found["code"] for found in data["diagnostics"]} == {"PC501"}


def test_validate(desk: Path) -> None:
    code, data = run("validate", "grow.yaml", "cut.yaml")
    assert code == 0
    assert errors(data, "report") == []
    assert [patch["edits"] for patch in data["patches"]] == [2, 1]


@pytest.mark.parametrize(
    "select", [None, "{class: Conv2D}", "bakbone", "{block: {from: conv1, to: conv2}}"]
)
def test_inspect(desk: Path, select: str | None) -> None:
    more = [] if select is None else ["--select", select]
    code, data = run("inspect", "two.keras", *more)
    assert errors(data, "report") == []
    assert code == (0 if data["ok"] else 1)
    assert len(data["model"]["layers"]) == 11


def test_explain() -> None:
    code, data = run("explain")
    assert code == 0
    assert errors(data, "report") == []
    assert len(run("explain", "PC201")[1]["codes"]) == 1


@pytest.mark.parametrize(
    "args",
    [
        ("validate", "invalid.yaml"),
        ("validate", "missing.yaml"),
        ("plan", "small.keras", "wrong.yaml"),
        ("plan", "missing.keras", "grow.yaml"),
        ("apply", "small.keras", "wrong.yaml", "-o", "out.keras"),
        ("apply", "small.keras", "grow.yaml", "-o", "small.keras"),
        ("apply", "small.keras", "grow.yaml", "-o", "out.keras", "--import", "missing_module"),
        ("verify", "small.keras", "missing.keras", "grow.yaml"),
        ("inspect", "grow.yaml"),
        ("inspect", "two.keras", "--select", "{clas: Dense}"),
        ("explain", "PC999"),
    ],
)
def test_refusals(desk: Path, args: tuple[str, ...]) -> None:
    code, data = run(*args)
    assert code == 1
    assert errors(data, "report") == []
    assert (data["ok"], data["command"]) == (False, args[0])
    if args[0] == "plan":
        assert errors(data, "plan") == []


def test_what_json_does_not_have_becomes_text() -> None:
    data = {"a": [float("nan"), float("-inf")], "b": (1.5,)}
    assert json.loads(_text(data)) == {"a": ["nan", "-inf"], "b": [1.5]}


def test_json_is_ascii(desk: Path) -> None:
    Path("ü\u202e.yaml").write_text("x", encoding="utf-8")
    result = CliRunner().invoke(program(), ["validate", "ü\u202e.yaml", "--format", "json"])
    assert result.stdout.isascii()
