"""One line for each finding."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from patchc.cli import program


def run(*args: str) -> list[str]:
    return CliRunner().invoke(program(), [*args, "--format", "concise"]).output.splitlines()


def test_a_plan_names_the_line_of_each_edit(desk: Path) -> None:
    told = "(4 with weights, 1 of them BatchNormalization)"
    assert run("plan", "two.keras", "freeze.yaml") == [
        f"freeze.yaml:4: ~ 6 layers trainable true -> false {told}",
        "freeze.yaml:6: ~ conv1 Conv2D use_bias true -> false",
        "freeze.yaml:8: ~ act1 ReLU name act1 -> relu1",
        "Plan: 1 to set, 6 to freeze, 1 to rename.",
    ]


def test_diagnostics_are_sorted_by_place(desk: Path) -> None:
    lines = run("plan", "small.keras", "wrong.yaml")
    assert [line.split(" ")[:2] for line in lines] == [
        ["wrong.yaml:4:13:", "PC201"],
        ["wrong.yaml:6:13:", "PC201"],
    ]


def test_validate_names_what_is_valid(desk: Path) -> None:
    assert run("validate", "grow.yaml", "cut.yaml") == ["grow.yaml: ok", "cut.yaml: ok"]


def test_a_selector_gives_paths(desk: Path) -> None:
    assert run("inspect", "two.keras", "--select", "{class: Conv2D}") == [
        "conv1",
        "conv2",
        "backbone/inner",
    ]


def test_layers_come_one_to_a_line(desk: Path) -> None:
    assert run("inspect", "small.keras")[1] == "hidden: Dense [null, 16] 144"


def test_apply_says_one_line(desk: Path) -> None:
    lines = run("apply", "small.keras", "grow.yaml", "-o", "out.keras")
    assert lines == ["Wrote out.keras, all 7 checks hold."]
