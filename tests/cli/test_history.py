"""The history of a model: recorded, shown, required, carried over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from jsonschema import Draft7Validator
from typer.testing import CliRunner, Result

import patchc
from patchc.cli import program
from patchc.language.schema import read_schema
from tests.cli.files import metadata, with_json

FREEZE = "patchc: 1\nid: freeze-norm\nrequires: grow\nedits:\n  - select: norm\n    freeze: true\n"


def run(*args: str) -> Result:
    return CliRunner().invoke(program(), args)


def data(*args: str) -> Any:
    """What a command prints as JSON, which has to follow the schema."""
    found = json.loads(run(*args, "--format", "json").stdout)
    validator = Draft7Validator(json.loads(read_schema("report")))
    assert [error.message for error in validator.iter_errors(found)] == []
    return found


@pytest.fixture
def patched(desk: Path) -> Path:
    """A desk with `once.keras`, which `grow.yaml` made, and a patch that requires it."""
    (desk / "freeze-norm.yaml").write_text(FREEZE)
    patchc.apply("small.keras", patchc.load("grow.yaml"), "once.keras")
    return desk


def ids(model: str) -> list[str]:
    return [applied.id for applied in patchc.log(model).history]


# ---------------------------------------------------------------------------- recorded


def test_what_was_applied_is_recorded_in_the_metadata(desk: Path) -> None:
    patchc.apply("small.keras", patchc.load("params.yaml", {"classes": "13"}), "out.keras")
    before, after = metadata(desk / "small.keras"), metadata(desk / "out.keras")
    kept = after.pop("patchc")
    assert after == before
    patch = patchc.load("params.yaml", {"classes": "13"})
    assert kept == {
        "version": 1,
        "history": [
            {
                "id": "params",
                "sha256": patch.sha256,
                "text": (desk / "params.yaml").read_text(),
                "params": {"classes": 13},
                "seed": None,
                "patchc": patchc.__version__,
                "base": patchc.log("small.keras").contents,
            }
        ],
    }


def test_keras_opens_a_model_with_a_history(patched: Path) -> None:
    model = keras.models.load_model("once.keras")
    assert model.output_shape == (None, 12)


def test_digests_in_the_report_do_not_change_the_file(patched: Path) -> None:
    assert run("apply", "small.keras", "grow.yaml", "-o", "x.keras", "--no-digest").exit_code == 0
    assert (patched / "x.keras").read_bytes() == (patched / "once.keras").read_bytes()


def test_an_empty_plan_is_not_recorded(desk: Path) -> None:
    assert run("apply", "small.keras", "nothing.yaml", "-o", "out.keras").exit_code == 0
    assert (desk / "out.keras").read_bytes() == (desk / "small.keras").read_bytes()
    assert ids("out.keras") == []


def test_a_byte_order_mark_is_part_of_the_text(desk: Path) -> None:
    raw = b"\xef\xbb\xbf" + (desk / "grow.yaml").read_bytes().replace(b"\n", b"\r\n")
    (desk / "marked.yaml").write_bytes(raw)
    patchc.apply("small.keras", patchc.load("marked.yaml"), "out.keras")
    assert patchc.log("out.keras").history[0].text.encode() == raw


def test_verify_holds_the_history_too(patched: Path) -> None:
    assert run("verify", "small.keras", "once.keras", "grow.yaml").exit_code == 0
    with_json(patched / "once.keras", patched / "none.keras", "metadata.json", patchc=None)
    result = run("verify", "small.keras", "none.keras", "grow.yaml")
    assert result.exit_code == 1
    assert "FAILED  history-as-planned" in result.stdout


# ------------------------------------------------------------------------------- shown


def test_log_lists_the_newest_first(patched: Path) -> None:
    patchc.apply("once.keras", patchc.load("freeze-norm.yaml"), "twice.keras")
    first, second = patchc.load("freeze-norm.yaml"), patchc.load("grow.yaml")
    base, once = patchc.log("small.keras").contents, patchc.log("once.keras").contents
    assert run("log", "twice.keras").stdout == (
        f"twice.keras  contents:{patchc.log('twice.keras').contents[:12]}"
        "  2 patches, newest first\n\n"
        f"freeze-norm  sha256:{first.sha256[:12]}  patchc {patchc.__version__}\n"
        f"  base    contents:{once[:12]}\n\n"
        f"grow  sha256:{second.sha256[:12]}  patchc {patchc.__version__}\n"
        '  the catalogue gained "tent" and "kayak"\n'
        f"  base    contents:{base[:12]}\n"
    )
    assert [entry["id"] for entry in data("log", "twice.keras")["history"]] == [
        "freeze-norm",
        "grow",
    ]
    assert len(run("log", "twice.keras", "--format", "concise").stdout.splitlines()) == 2


def test_parameters_and_seed_are_shown(desk: Path) -> None:
    text = (desk / "params.yaml").read_text().replace("id: params", "id: params\nseed: 7")
    patchc.apply("small.keras", patchc.loads(text, params={"classes": "13"}), "out.keras")
    shown = run("log", "out.keras").stdout
    assert "  params  classes=13\n  seed    7\n" in shown


def test_a_model_without_history_says_what_may_have_happened(desk: Path) -> None:
    assert "`patchc adopt BEFORE AFTER -o OUT` carries it over" in run("log", "small.keras").stdout
    assert data("log", "small.keras")["history"] == []


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (3, "has another form"),
        ({"version": 1}, "has another form"),
        ({"version": 2, "history": []}, "has version 2, this patchc knows 1"),
        ({"version": 1, "history": [{"id": "a"}]}, "has an entry with other keys"),
        ({"version": 1, "history": ["a"]}, "has an entry with other keys"),
    ],
)
def test_a_history_of_another_form_is_refused(desk: Path, kept: Any, told: str) -> None:
    with_json(desk / "small.keras", desk / "odd.keras", "metadata.json", patchc=kept)
    for args in (("log", "odd.keras"), ("plan", "odd.keras", "grow.yaml")):
        result = run(*args)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"PC404 the history {told}")


def test_an_entry_of_another_type_is_refused(patched: Path) -> None:
    kept = metadata(patched / "once.keras")["patchc"]
    kept["history"][0]["seed"] = True
    with_json(patched / "once.keras", patched / "odd.keras", "metadata.json", patchc=kept)
    assert "whose `seed` is no whole number" in run("log", "odd.keras").stderr


# ---------------------------------------------------------------------------- enforced


def test_what_is_required_has_to_be_in_the_history(patched: Path) -> None:
    assert run("apply", "once.keras", "freeze-norm.yaml", "-o", "out.keras").exit_code == 0
    refused = run("plan", "small.keras", "freeze-norm.yaml")
    assert refused.exit_code == 1
    assert "PC307 `grow` is required, and is not in the history of the model" in refused.stderr
    assert " --> freeze-norm.yaml:3:11" in refused.stderr
    assert "`patchc adopt BEFORE AFTER -o OUT` carries it over" in refused.stderr


def test_earlier_patches_of_the_call_count(patched: Path) -> None:
    both = run("apply", "small.keras", "grow.yaml", "freeze-norm.yaml", "-o", "out.keras")
    assert both.exit_code == 0
    assert ids("out.keras") == ["freeze-norm", "grow"]
    assert run("plan", "small.keras", "freeze-norm.yaml", "grow.yaml").exit_code == 1


def test_the_same_patch_again_has_to_be_meant(desk: Path) -> None:
    patch = patchc.loads("patchc: 1\nid: more\nedits: [{select: {head: 0}, expand: {by: 1}}]")
    patchc.apply("small.keras", patch, "one.keras")
    with pytest.raises(patchc.PatchError) as refused:
        patchc.apply("one.keras", patch, "two.keras")
    assert [found.code for found in refused.value.diagnostics] == ["PC313"]
    patchc.apply("one.keras", patch, "again.keras", again=True)
    assert ids("again.keras") == ["more", "more"]
    with pytest.raises(patchc.PatchError):
        patchc.plan("small.keras", [patch, patch])


def test_a_model_in_memory_has_no_history(patched: Path) -> None:
    model = keras.models.load_model("once.keras")
    with pytest.raises(patchc.PatchError) as refused:
        patchc.plan(model, patchc.load("freeze-norm.yaml"))
    assert refused.value.diagnostics[0].help == (
        "a model in memory has no history: apply the patch to the saved file"
    )
    small = keras.models.load_model("small.keras")
    patchc.plan(small, [patchc.load("grow.yaml"), patchc.load("freeze-norm.yaml")])
    freeze = patchc.loads("patchc: 1\nid: f\nedits: [{select: hidden, freeze: true}]")
    with pytest.raises(patchc.PatchError):
        patchc.plan(small, [freeze, freeze])
    assert not patchc.plan(small, [freeze, freeze], again=True).is_empty
    with pytest.raises(TypeError, match="go with files"):
        patchc.apply(small, freeze, undo_file="x.undo")  # type: ignore[call-overload]


# ----------------------------------------------------------------------------- folders


@pytest.fixture
def folder(patched: Path) -> Path:
    """A folder of patches in which names and requirements order differently."""
    folder = patched / "patches"
    folder.mkdir()
    (folder / "1-freeze.yaml").write_text(FREEZE)
    (folder / "2-grow.yaml").write_bytes((patched / "grow.yaml").read_bytes())
    (folder / "3-params.yml").write_bytes((patched / "params.yaml").read_bytes())
    (folder / "README.md").write_text("no patch")
    return folder


def test_a_folder_is_applied_as_far_as_it_is_pending(folder: Path) -> None:
    every = ("--set", "classes=14")
    assert run("apply", "small.keras", "patches", "-o", "all.keras", *every).exit_code == 0
    assert ids("all.keras") == ["params", "freeze-norm", "grow"]
    assert run("plan", "once.keras", "patches", "--check", *every).exit_code == 1
    assert run("apply", "once.keras", "patches/", "-o", "rest.keras", *every).exit_code == 0
    assert ids("rest.keras") == ids("all.keras")


def test_a_folder_stands_for_what_the_base_had_not(folder: Path) -> None:
    """`verify` and `report` take the patches of a folder as `apply` does."""
    run("apply", "once.keras", "patches", "-o", "all.keras", "--set", "classes=14")
    verified = data("verify", "once.keras", "all.keras", "patches", "--set", "classes=14")
    assert [patch["id"] for patch in verified["patches"]] == ["freeze-norm", "params"]
    page = ("report", "once.keras", "patches", "-o", "page.html", "--set", "classes=14")
    assert run(*page).exit_code == 0


def test_a_folder_with_nothing_pending_gives_the_same_bytes(folder: Path) -> None:
    """The parameters of what was applied need no values any more."""
    run("apply", "small.keras", "patches", "-o", "all.keras", "--set", "classes=14")
    assert run("plan", "all.keras", "patches", "--check").exit_code == 0
    assert data("apply", "all.keras", "patches", "-o", "out.keras")["patches"] == []
    assert Path("out.keras").read_bytes() == Path("all.keras").read_bytes()


def test_a_patch_that_was_edited_after_it_was_applied_is_refused(folder: Path) -> None:
    grow = folder / "2-grow.yaml"
    grow.write_text(grow.read_text().replace("by: 2", "by: 3"))
    result = run("plan", "once.keras", "patches")
    assert result.exit_code == 1
    assert "PC315 `grow` was edited after it was applied to the model" in result.stderr
    assert " --> patches/2-grow.yaml" in result.stderr


def test_patches_of_a_folder_that_cannot_be_read_are_reported(folder: Path) -> None:
    (folder / "0-broken.yaml").write_text("patchc: [")
    assert "patches/0-broken.yaml:1:" in run("plan", "once.keras", "patches").stderr


def test_a_folder_without_patches(desk: Path) -> None:
    Path("empty").mkdir()
    assert run("validate", "empty").stderr.startswith("PC401 no patch is in it")


def test_requirements_in_a_circle_are_refused(folder: Path) -> None:
    grow = folder / "2-grow.yaml"
    grow.write_text(grow.read_text().replace("id: grow", "id: grow\nrequires: freeze-norm"))
    result = run("plan", "small.keras", "patches", "--set", "classes=14")
    assert result.exit_code == 1
    assert "PC307 `grow` is required" in result.stderr


# ------------------------------------------------------------------------- carried over


@pytest.fixture
def trained(patched: Path) -> Path:
    """`trained.keras`: `once.keras` after a training step, as Keras saves it."""
    model = keras.models.load_model("once.keras")
    model.run_eagerly = True
    model.train_on_batch(np.ones((4, 8)), np.arange(4))
    model.save(patched / "trained.keras")
    return patched


def test_a_training_drops_the_history_and_adopt_brings_it_back(trained: Path) -> None:
    assert ids("trained.keras") == []
    result = run("adopt", "once.keras", "trained.keras", "-o", "adopted.keras")
    assert result.stdout == "Wrote adopted.keras with the history of once.keras: 1 patch.\n"
    assert patchc.log("adopted.keras").history == patchc.log("once.keras").history
    one, two = (keras.models.load_model(f"{n}.keras") for n in ("trained", "adopted"))
    variables = ([*model.weights, *model.optimizer.variables] for model in (one, two))
    for before, after in zip(*variables, strict=True):
        np.testing.assert_array_equal(before.numpy(), after.numpy())
    assert metadata(trained / "adopted.keras") == {
        **metadata(trained / "trained.keras"),
        "patchc": metadata(trained / "once.keras")["patchc"],
    }
    assert run("apply", "adopted.keras", "freeze-norm.yaml", "-o", "next.keras").exit_code == 0


def test_adopt_in_place_and_as_data(trained: Path) -> None:
    found = data("adopt", "once.keras", "trained.keras", "--in-place")
    assert [patch["id"] for patch in found["patches"]] == ["grow"]
    assert found["output"]["bytes"] == (trained / "trained.keras").stat().st_size
    assert ids("trained.keras") == ["grow"]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("small", "trained", "it has no history that could be carried over"),
        ("once", "small", "its structure is not that of once.keras: `hidden/kernel` was"),
        ("once", "other", "it has a history of its own, which is another one"),
    ],
)
def test_a_history_is_not_given_to_another_model(
    trained: Path, before: str, after: str, told: str
) -> None:
    patchc.apply("once.keras", patchc.load("freeze-norm.yaml"), "other.keras")
    result = run("adopt", f"{before}.keras", f"{after}.keras", "-o", "out.keras")
    assert result.exit_code == 1
    assert f"PC316 {told}" in result.stderr
    assert not Path("out.keras").exists()


def test_adopt_wants_an_output(trained: Path) -> None:
    assert run("adopt", "once.keras", "trained.keras").exit_code == 2
    assert run("adopt", "once.keras", "trained.keras", "-o", "once.keras").exit_code == 1
