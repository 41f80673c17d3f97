"""The commands: what they take, say and return."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(program(), args, env={"NO_COLOR": "", **(env or {})})


# ------------------------------------------------------------------------- validate


def test_valid_patches_are_named(desk: Path) -> None:
    result = run("validate", "grow.yaml", "cut.yaml")
    assert result.exit_code == 0
    assert result.stdout == "ok  grow.yaml  grow  2 edits\nok  cut.yaml   cut   1 edit\n"
    assert result.stderr == ""


def test_all_errors_of_all_patches_come_at_once(desk: Path) -> None:
    result = run("validate", "invalid.yaml", "missing.yaml", "grow.yaml")
    assert result.exit_code == 1
    assert result.stdout == ""
    codes = ["PC104", "PC101", "PC104", "PC401"]
    assert [line[:5] for line in result.stderr.splitlines() if line.startswith("PC")] == codes
    assert result.stderr.endswith("Found 4 errors.\n")


def test_with_a_model_patches_are_compiled(desk: Path) -> None:
    assert run("validate", "grow.yaml", "--model", "small.keras").exit_code == 0
    result = run("validate", "wrong.yaml", "--model", "small.keras")
    assert result.exit_code == 1
    assert "did you mean `predictions`?" in result.stderr
    lint = run("validate", "lint.yaml", "--model", "small.keras")
    assert lint.exit_code == 0
    assert "PC901 warning: none of the selected layers has weights" in lint.stdout
    assert lint.stdout.endswith("ok  lint.yaml  lint  1 edit\nFound 1 warning.\n")


# ------------------------------------------------------------------------- settings


def test_settings_reach_the_patch(desk: Path) -> None:
    result = run("plan", "small.keras", "params.yaml", "--set", "classes=13")
    assert "units 10 -> 13" in result.stdout


def test_a_setting_goes_to_the_patches_that_declare_it(desk: Path) -> None:
    result = run("validate", "grow.yaml", "params.yaml", "--set", "classes=13")
    assert result.exit_code == 0


def test_a_setting_that_no_patch_declares_is_refused(desk: Path) -> None:
    result = run(
        "validate", "grow.yaml", "params.yaml", "--set", "clases=13", "--set", "classes=13"
    )
    assert result.exit_code == 1
    assert "`clases` is set, but the patch does not declare it" in result.stderr


@pytest.mark.parametrize("values", [["classes"], ["=3"], ["a=1", "a=2"]])
def test_settings_are_name_and_value(desk: Path, values: list[str]) -> None:
    flags = [part for value in values for part in ("--set", value)]
    assert run("validate", "params.yaml", *flags).exit_code == 2


# --------------------------------------------------------------------------- inspect


def test_inspect_shows_layers_and_totals(desk: Path) -> None:
    result = run("inspect", "two.keras")
    assert result.exit_code == 0
    assert "\n  inner        Conv2D " in result.stdout
    assert "Params     906, 890 train, 16 do not" in result.stdout


def test_a_selector_that_picks_nothing_names_what_is_near(desk: Path) -> None:
    result = run("inspect", "two.keras", "--select", "conv3")
    assert result.exit_code == 1
    assert "conv3 picks 0 of 11 layers." in result.stdout
    assert "its name is 'conv1'" in result.stdout
    assert "did you mean `conv2` or `conv1`?" in result.stderr


def test_a_selector_that_is_none_is_shown_with_a_caret(desk: Path) -> None:
    result = run("inspect", "two.keras", "--select", "{clas: Dense}")
    assert result.exit_code == 1
    assert "1 | {clas: Dense}\n  |  ^^^^\n" in result.stderr


# ------------------------------------------------------------------------------ plan


def test_plan_prints_what_python_prints(desk: Path) -> None:
    plan = patchc.plan("small.keras", patchc.load("grow.yaml"))
    assert run("plan", "small.keras", "grow.yaml").stdout == f"{plan}\n"


def test_check_says_by_its_exit_code_whether_there_is_something_to_do(desk: Path) -> None:
    assert run("plan", "small.keras", "grow.yaml").exit_code == 0
    assert run("plan", "small.keras", "grow.yaml", "--check").exit_code == 1
    assert run("plan", "small.keras", "nothing.yaml", "--check").exit_code == 0
    assert run("plan", "small.keras", "wrong.yaml", "--check").exit_code == 1


# -------------------------------------------------------------------- apply, verify


def test_apply_writes_and_says_so(desk: Path) -> None:
    result = run("apply", "small.keras", "grow.yaml", "-o", "out.keras")
    assert result.exit_code == 0
    assert result.stdout.endswith("\nWrote out.keras, all 7 checks hold.\n")
    assert "  ok      kept-weights-identical" in result.stdout
    verified = run("verify", "small.keras", "out.keras", "grow.yaml")
    assert verified.exit_code == 0
    assert verified.stdout.endswith("\nVerified out.keras, all 7 checks hold.\n")


def test_a_result_of_another_patch_fails(desk: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml", "-o", "out.keras").exit_code == 0
    result = run("verify", "small.keras", "out.keras", "lint.yaml")
    assert result.exit_code == 1
    assert "  FAILED  configuration-as-planned" in result.stdout
    assert " checks failed.\n" in result.stdout


def test_verify_runs_both_models_on_request(desk: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml", "-o", "out.keras").exit_code == 0
    names = ("verify", "small.keras", "out.keras", "grow.yaml")
    result = run(*names, "--run", "--probes", "3")
    assert result.exit_code == 0
    assert " on 3 probes, allowed 1e-06 + 1e-05 relative\n" in result.stdout
    assert result.stdout.endswith("\nVerified out.keras, all 8 checks hold.\n")
    refused = run(*names, "--run", "--outputs", "same", "--format", "json")
    assert refused.exit_code == 1
    check = json.loads(refused.stdout)["checks"][-1]
    assert (check["name"], check["ok"]) == ("outputs-same", False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--atol", "1"], "pass --run"),
        (["--run", "--probes", "p.txt"], "neither a number nor an .npz file"),
        (["--run", "--probes", "0"], "neither a number nor an .npz file"),
        (["--run", "--rtol", "-1"], "--rtol"),
    ],
)
def test_what_verify_does_not_take(desk: Path, options: list[str], said: str) -> None:
    result = run("verify", "small.keras", "small.keras", "grow.yaml", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_without_digests_there_are_none(desk: Path) -> None:
    assert "sha256:" in run("apply", "small.keras", "grow.yaml", "-o", "a.keras").stdout
    result = run("apply", "small.keras", "grow.yaml", "-o", "b.keras", "--no-digest")
    assert "sha256:" not in result.stdout
    assert Path("a.keras").read_bytes() == Path("b.keras").read_bytes()


def test_an_output_is_needed(desk: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml").exit_code == 2


def test_the_input_is_changed_on_request(desk: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml", "--in-place").exit_code == 0
    assert "[null, 12]" in run("inspect", "small.keras").stdout


def test_an_existing_output_is_replaced_on_request(desk: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml", "-o", "two.keras").exit_code == 1
    assert run("apply", "small.keras", "grow.yaml", "-o", "two.keras", "--force").exit_code == 0


def test_a_patch_without_effect_gives_the_same_bytes(desk: Path) -> None:
    result = run("apply", "small.keras", "nothing.yaml", "-o", "same.keras")
    assert "No changes." in result.stdout
    assert Path("same.keras").read_bytes() == Path("small.keras").read_bytes()


# --------------------------------------------------------------------------- options


def test_quiet_says_warnings_and_errors_only(desk: Path) -> None:
    done = run("apply", "small.keras", "grow.yaml", "-o", "out.keras", "-q")
    assert (done.exit_code, done.output) == (0, "")
    warned = run("plan", "small.keras", "lint.yaml", "-q")
    assert (warned.exit_code, warned.stdout) == (0, "")
    assert warned.stderr.startswith("PC901 warning: ")
    assert "PC201" in run("plan", "small.keras", "wrong.yaml", "-q").stderr
    assert run("plan", "small.keras", "grow.yaml", "-q", "--format", "json").stdout != ""


def test_colour_is_for_those_who_want_it(desk: Path) -> None:
    assert "\x1b[" not in run("plan", "small.keras", "grow.yaml").output
    always = run("plan", "small.keras", "grow.yaml", "--color", "always", env={"NO_COLOR": "1"})
    assert "\x1b[33m" in always.stdout
    wrong = run("plan", "small.keras", "wrong.yaml", "--color", "always")
    assert "\x1b[31m" in wrong.stderr


@pytest.mark.parametrize(
    "args",
    [
        ("validate", "grow.yaml"),
        ("inspect", "small.keras"),
        ("plan", "small.keras", "grow.yaml"),
        ("apply", "small.keras", "grow.yaml", "-o", "out.keras"),
        ("verify", "small.keras", "small.keras", "grow.yaml"),
    ],
)
def test_modules_are_imported_by_name_alone(desk: Path, args: tuple[str, ...]) -> None:
    Path("spy.py").write_text("open('imported', 'w')", encoding="utf-8")
    run(*args)
    assert not Path("imported").exists()
    try:
        run(*args, "--import", "spy")
        assert Path("imported").exists()
    finally:
        sys.modules.pop("spy", None)
        sys.path[:] = [entry for entry in sys.path if entry != str(Path.cwd())]


def test_a_module_that_fails_is_reported(desk: Path) -> None:
    Path("broken.py").write_text("1 / 0", encoding="utf-8")
    for name, says in (("nowhere_to_be_found", "ModuleNotFoundError"), ("broken", "ZeroDivision")):
        result = run("validate", "grow.yaml", "--import", name)
        assert result.exit_code == 1
        assert "PC312" in result.stderr
        assert says in result.stderr
    sys.path[:] = [entry for entry in sys.path if entry != str(Path.cwd())]


# -------------------------------------------------------------------- explain, schema


def test_every_code_is_listed_and_explained() -> None:
    from patchc.codes import CODES

    listed = run("explain").stdout.splitlines()
    assert [line[:5] for line in listed] == list(CODES)
    told = run("explain", "pc201").stdout
    assert told == f"PC201 {CODES['PC201'].title}\n\n{CODES['PC201'].explanation}\n"


def test_an_unknown_code_names_near_ones() -> None:
    result = run("explain", "PC2O1")
    assert result.exit_code == 1
    assert "did you mean" in result.stderr
    assert "`PC201`" in result.stderr


@pytest.mark.parametrize("name", ["patch", "plan", "report"])
def test_schemas_are_printed_as_published(name: str) -> None:
    published = Path(__file__).parents[2] / "schemas" / f"{name}.v1.schema.json"
    assert run("schema", name).stdout == published.read_text(encoding="utf-8")


def test_without_a_name_the_schema_is_that_of_patches() -> None:
    assert run("schema").stdout == run("schema", "patch").stdout
    assert run("schema", "nothing").exit_code == 2


# ------------------------------------------------------------------------------ help


def test_every_command_teaches() -> None:
    names = ["validate", "inspect", "plan", "apply", "verify", "explain", "schema"]
    overview = run("--help").stdout
    for name in names:
        text = run(name, "--help").stdout
        assert "Example" in text
        assert f"    patchc {name} " in text
        assert f"\n  {name} " in overview
        for line in text.splitlines():
            if line.startswith("  -"):
                assert len(line.split("  ")) > 2, f"{name}: {line} has no help"


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"patchc {patchc.__version__}\n"


@pytest.mark.parametrize(
    "args", [[], ["frobnicate"], ["plan"], ["plan", "a", "b", "--format", "x"]]
)
def test_wrong_usage_is_told_apart(args: list[str]) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_validate_checks_new_layers_without_a_model(desk: Path) -> None:
    wrong = [
        "{Dens: {units: 5}}",
        "{Dense: {units: -1}}",
        "{residual: [{Dense: {unit: 3}}, {Dropout: {rate: 2}}]}",
    ]
    edits = "".join(f"  - {{select: d{n}, insert_after: {x}}}\n" for n, x in enumerate(wrong))
    Path("layers.yaml").write_text(f"patchc: 1\nid: layers\nedits:\n{edits}")
    found = run("validate", "layers.yaml", "--format", "concise")
    assert found.exit_code == 1
    assert [line.split(": ", 1)[1] for line in found.stderr.splitlines()] == [
        "PC303 Keras has no layer class `Dens`",
        "PC303 `units` of Dense must be a positive integer, not `-1`",
        "PC303 Dense needs `units`",
        "PC303 Dense has no argument `unit`",
        "PC303 `rate` of Dropout must be a number from 0 to 1, not `2`",
    ]


def test_apply_tells_what_is_wrong_with_model_and_patch_at_once(desk: Path) -> None:
    found = run("apply", "absent.keras", "invalid.yaml", "-o", "out.keras", "--format", "concise")
    assert found.exit_code == 1
    codes = [line.split(": ")[1].split()[0] for line in found.stderr.splitlines()]
    assert set(codes) == {"PC101", "PC104", "PC401"}
