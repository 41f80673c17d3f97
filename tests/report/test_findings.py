"""The formats `github` and `sarif`: findings where code hosts show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from patchc.cli import program
from patchc.errors import Diagnostic, Source, Span
from patchc.report.github import GitHub
from patchc.report.sarif import Sarif


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(program(), args)
    assert result.stderr == ""
    return result.exit_code, result.stdout


def sarif(*args: str) -> Any:
    return json.loads(run(*args, "--format", "sarif")[1])["runs"][0]


def test_errors_are_annotations_of_their_place(desk: Path) -> None:
    code, told = run("plan", "small.keras", "wrong.yaml", "--format", "github")
    assert code == 1
    first, second = told.splitlines()
    assert first == (
        "::error file=wrong.yaml,line=4,col=13,endColumn=24,title=PC201::no layer of small is"
        " called `predicitons`%0Ahelp: did you mean `predictions`?"
    )
    assert second.startswith("::error file=wrong.yaml,line=6,")


def test_a_plan_annotates_each_edit(desk: Path) -> None:
    code, told = run("plan", "small.keras", "grow.yaml", "--format", "github")
    assert code == 0
    notices = [line for line in told.splitlines() if line.startswith("::notice")]
    assert notices[0] == (
        "::notice file=grow.yaml,line=6,title=edits[0] expand::~ predictions Dense units 10 -> 12"
    )
    assert len(notices) == 2
    assert told.endswith("Plan: 3 to resize.\n")


def test_warnings_and_selectors(desk: Path) -> None:
    told = run("validate", "lint.yaml", "--model", "small.keras", "--format", "github")[1]
    assert told.startswith("::warning file=lint.yaml,line=4,")
    code, told = run("inspect", "small.keras", "--select", "nothing", "--format", "github")
    assert code == 1
    assert "::error file=--select,line=1,col=1," in told


def test_what_would_end_a_command_is_escaped() -> None:
    source = Source("a,b:c%.yaml", "x\n")
    found = Diagnostic("PC201", "50 % of\r\nit", Span(source, 1, 1, 1, 2))
    told = GitHub().refused("plan", [found])
    assert told == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=1,endColumn=2,title=PC201::50 %25 of\\r\\nit"
    )


def test_sarif_has_a_rule_for_each_code_and_a_region_for_each_place(desk: Path) -> None:
    found = sarif("plan", "small.keras", "wrong.yaml")
    assert [rule["id"] for rule in found["tool"]["driver"]["rules"]] == ["PC201"]
    result = found["results"][0]
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("PC201", 0, "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "wrong.yaml"}
    assert place["region"] == {"startLine": 4, "startColumn": 13, "endLine": 4, "endColumn": 24}


@pytest.mark.parametrize(
    "args",
    [
        ("validate", "grow.yaml"),
        ("inspect", "small.keras"),
        ("plan", "small.keras", "grow.yaml"),
        ("apply", "small.keras", "grow.yaml", "-o", "out.keras"),
        ("diff", "small.keras", "two.keras"),
        ("explain", "PC201"),
    ],
)
def test_every_command_gives_a_log(desk: Path, args: tuple[str, ...]) -> None:
    code, told = run(*args, "--format", "sarif")
    log = json.loads(told)
    assert code == 0
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"] == []


def test_files_become_references() -> None:
    found = [
        Diagnostic("PC401", "no", file="/a b/ü.keras"),
        Diagnostic("PC402", "no", file="m.keras"),
    ]
    results = json.loads(Sarif().refused("plan", found))["runs"][0]["results"]
    uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results]
    assert uris == ["file:///a%20b/%C3%BC.keras", "m.keras"]
