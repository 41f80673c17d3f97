"""The way through the house: from paths and patches to plans and reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchc.beside import Beside, withdrawn_on_failure, write_beside
from patchc.checks import Check, check_result
from patchc.compiler.compile import compile_patches
from patchc.compiler.plan import Plan
from patchc.compiler.stack import compile_stack
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Patch
from patchc.results import Report
from patchc.running import keras_runner, run_patches, runnable
from patchc.saved import SavedPlan, saved_text
from patchc.snapshot import snapshot, weight_crcs
from patchc.storage.background import Background
from patchc.storage.checked import CheckedBase, open_checked
from patchc.storage.digest import Digest
from patchc.storage.formats import Format
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_write import Made
from patchc.storage.open_model import open_model
from patchc.storage.publish import OutputFile, publishing
from patchc.storage.stream import Progress
from patchc.storage.window import Joined
from patchc.storage.write_model import (
    check_writable,
    name_repairs,
    output_format,
    place_for,
    plan_for,
    write_model,
)

Path = str | os.PathLike[str]
ProgressFactory = Callable[[int], Progress]
"""Given the number of bytes to come, makes what is told of them."""
Further = Callable[[KerasFile], tuple[Check, ...]]
"""Checks of a written file, beside those that always run."""


def no_progress(total: int) -> Progress:
    """Progress that nobody looks at."""
    return lambda _: None


def plan_file(model: Path, patches: Sequence[Patch], *, again: bool = False) -> Plan:
    """Compile patches against a model file; reads its headers.

    Args:
        again: take patches that are in the model's history already.

    Raises:
        PatchError: the file is not understood, or a patch does not fit it.
    """
    with open_model(model) as source, _expected_digest(source, patches) as digest:
        _check_bare(source, patches)
        plan = compile_stack(lambda: source.document(digest.hex()), patches, again=again)
        return _completed(source, plan, source.format)


def save_plan(
    model: Path, patches: Sequence[Patch], out: Path, *, force: bool = False, again: bool = False
) -> Plan:
    """Compile patches against a model file, and write the plan; reads the whole file.

    Args:
        force: replace an existing file.
        again: take patches that are in the model's history already.

    Raises:
        PatchError: nothing was written.
    """
    with open_checked(model) as base:
        source = base.source
        with publishing(out, force=force, inputs=[source.file.identity]) as output:
            crcs = weight_crcs(source)  # beside the digest, which reads the same bytes
            sha256 = base.digest.hex()
            plan = compile_stack(lambda: source.document(sha256), patches, again=again)
            base.check()
            kept = snapshot(source, plan, str(sha256), crcs)
            output.write_at(0, saved_text(plan, kept).encode())
    return plan


def _expected_digest(source: KerasFile, patches: Sequence[Patch]) -> Digest:
    """The base's SHA-256, where a patch expects one."""
    wanted = any(p.expect is not None and "sha256" in p.expect.values for p in patches)
    return Digest(source.whole, source.whole.size, wanted=wanted)


def _check_bare(source: KerasFile, patches: Sequence[Patch]) -> None:
    """Refuse what needs the architecture, where there are weights alone (PC411)."""
    if source.bare:
        from patchc.storage.older.bare_edits import check_verbs  # noqa: PLC0415 (rare)

        check_verbs(source, patches)


def _compile(source: KerasFile, patches: Sequence[Patch], target: Format, *, again: bool) -> Plan:
    _check_bare(source, patches)
    with _expected_digest(source, patches) as digest:
        plan = compile_patches(source.document(digest.hex(), target), patches, again=again)
    return _completed(source, plan, target)


def _completed(source: KerasFile, plan: Plan, target: Format) -> Plan:
    """A plan with what only the file tells.

    Raises:
        PatchError: PC411, where weights alone do not tell what would have to follow.
    """
    if source.bare:
        from patchc.storage.older.bare_readers import check_readers  # noqa: PLC0415 (rare)

        plan = check_readers(source, plan)
    warnings = (*plan.warnings, *_lost_state(source, target))
    found = name_repairs(source, plan) if source.format is not Format.KERAS_2 else ()
    repairs = tuple(repair.to_dict() for repair in found)
    base = replace(plan.base, repairs=(*plan.base.repairs, *repairs))
    return replace(plan, base=base, warnings=warnings)


def _lost_state(source: KerasFile, target: Format) -> tuple[Diagnostic, ...]:
    """A warning where an older file's optimizer cannot be told apart."""
    reason = source.lost_state(target)
    if not reason:
        return ()
    message = f"the optimizer's state is left out where it would have to change: {reason}"
    help_ = "training goes on with a fresh optimizer state"
    path = source.file.path
    return (Diagnostic("PC905", message, file=path, help=help_, severity="warning"),)


def _planned(
    base: CheckedBase,
    patches: Sequence[Patch],
    target: Format,
    saved: SavedPlan | None,
    *,
    again: bool,
) -> Plan:
    """What to do; with a saved plan, exactly that."""
    if saved is None:
        return _compile(base.source, patches, target, again=again)
    saved.check_base(base)
    # The base is the planned one, history included.
    plan = _compile(base.source, patches, target, again=True)
    saved.check_plan(plan)
    return plan


def apply_file(
    model: Path,
    patches: Sequence[Patch],
    out: Path,
    *,
    force: bool = False,
    in_place: bool = False,
    digest: bool = True,
    again: bool = False,
    saved: SavedPlan | None = None,
    beside: Beside = Beside(),  # noqa: B008 (frozen)
) -> Report:
    """Apply patches to a model file, see `apply_opened`.

    Args:
        digest: compute SHA-256 of input and output for the report.
    """
    wanted = digest or saved is not None or beside.is_wanted
    with open_checked(model, sha256=wanted) as base:
        return apply_opened(
            base,
            patches,
            out,
            force=force,
            in_place=in_place,
            again=again,
            saved=saved,
            beside=beside,
        )


def apply_opened(
    base: CheckedBase,
    patches: Sequence[Patch],
    out: Path,
    *,
    force: bool = False,
    in_place: bool = False,
    again: bool = False,
    saved: SavedPlan | None = None,
    beside: Beside = Beside(),  # noqa: B008 (frozen)
    progress: ProgressFactory = no_progress,
) -> Report:
    """Apply patches to a model file that is open.

    The result appears under its name only when it is whole and checked.

    Args:
        force: replace an existing file.
        in_place: replace the input.
        again: take patches that are in the model's history already.
        saved: the plan that the patches come from, of which nothing may differ.
        beside: what to write beside the result.

    Raises:
        PatchError: nothing was written.
    """
    target = output_format(base.source, out)  # a name that tells none is refused first
    plan = _planned(base, patches, target, saved, again=again)

    def further(result: KerasFile) -> tuple[Check, ...]:
        return run_patches(base.source, result, patches, plan)

    return carry_out(
        base,
        plan,
        out,
        force=force,
        in_place=in_place,
        progress=progress,
        further=further,
        saved=saved,
        beside=beside,
    )


def carry_out(
    base: CheckedBase,
    plan: Plan,
    out: Path,
    *,
    command: str = "apply",
    force: bool = False,
    in_place: bool = False,
    progress: ProgressFactory = no_progress,
    target: Format | None = None,
    further: Further | None = None,
    saved: SavedPlan | None = None,
    beside: Beside = Beside(),  # noqa: B008 (frozen)
) -> Report:
    """Write the result of a plan, read it back, and publish it when all holds.

    Args:
        command: which the report is of.
        target: the format of the output; left out, what its name and the base say.
        further: checks of the written file, where the others hold.
        saved: the plan that the patches come from, of which nothing may differ.
        beside: what to write beside the result.

    Raises:
        PatchError: nothing was written.
    """
    source = base.source
    target = target or output_format(source, out)
    _check_target(source, plan, target, out, beside)
    plan = plan_for(source, plan, target)
    name = os.fspath(out)
    place = place_for(source, plan, target, name, force=force, in_place=in_place)
    with withdrawn_on_failure() as published, place as output:
        told = progress(2 * source.whole.size)
        written = write_model(source, plan, target, output, told)
        whole = Joined.of((output, *output.parts.values()))
        with (
            Background(output.settle) as on_disk,
            Digest(whole, whole.size, wanted=base.is_shown) as digest,
        ):
            checks = _read_back(source, plan, output, told, written.made, further)
            report = Report(
                command=command,
                plan=plan,
                base={"path": base.path, "sha256": base.sha256},
                output={"path": name, "sha256": digest.hex(), "bytes": whole.size},
                checks=checks,
            )
            on_disk.result()
        base.check(written.pieces)
        if saved is not None:
            saved.check_digest(base)
        _refuse_failures(report)
        for path in write_beside(beside, base, report, output.temporary, force=force):
            published.append(path)
    return report


def _check_target(source: KerasFile, plan: Plan, target: Format, out: Path, beside: Beside) -> None:
    """Refuse a format that cannot hold the result, or not be taken back as is wanted."""
    if beside.undo is not None:
        _check_undoable(source, target, os.fspath(out))
    if beside.provenance and (source.shards is not None or target is Format.SHARDED):
        message = "a statement is of one file, and sharded weights are several"
        way_out = "leave `--provenance` out, or write one file"
        raise PatchError(Diagnostic("PC310", message, file=os.fspath(out), help=way_out))
    check_writable(source, plan, target, os.fspath(out))


def _check_undoable(source: KerasFile, target: Format, path: str) -> None:
    if source.weights is None or source.older is not None or target is not Format.KERAS:
        message = "an undo file is kept for `.keras` files of Keras 3 only"
        way_out = "leave `--undo-file` out, and keep the base"
        raise PatchError(Diagnostic("PC310", message, file=path, help=way_out))


def _read_back(
    source: KerasFile,
    plan: Plan,
    output: OutputFile,
    progress: Progress,
    made: Made,
    further: Further | None,
) -> tuple[Check, ...]:
    parts = {name: part.temporary for name, part in output.parts.items()}
    with open_model(output.temporary, beside=source.file.path, parts=parts) as result:
        checks = check_result(source, plan, result, progress, made)
        if further is not None and all(check.ok for check in checks):
            checks += further(result)
        return checks


def _refuse_failures(report: Report) -> None:
    failed = [check for check in report.checks if not check.ok]
    if failed:
        raise PatchError(*(check.diagnostic(str(report.output["path"])) for check in failed))


def verify_files(
    before: Path,
    after: Path,
    patches: Sequence[Patch],
    *,
    run: bool | Mapping[str, Any] = False,
) -> Report:
    """Check that a file is what patches make of another one.

    Args:
        run: run both models with Keras too, and compare what they give; a
            mapping goes before what the patches say under `verify`.

    Raises:
        PatchError: a file is not understood, or a patch does not fit.
    """
    with open_model(before) as source, open_model(after, beside=before) as result:
        # What BEFORE went through earlier says nothing of AFTER.
        plan = _compile(source, patches, result.format, again=True)
        plan = plan_for(source, plan, result.format)
        checks = check_result(source, plan, result, no_progress(0))
        if run is not False:
            checks += _compared(source, result, patches, plan, {} if run is True else run)
        size = {"bytes": result.whole.size}
        return Report(
            command="verify",
            plan=plan,
            base={"path": os.fspath(before), "sha256": None},
            output={"path": os.fspath(after), "sha256": None, **size},
            checks=checks,
        )


def _compared(
    base: KerasFile,
    result: KerasFile,
    patches: Sequence[Patch],
    plan: Plan,
    given: Mapping[str, Any],
) -> tuple[Check, ...]:
    """One check for each patch that says what has to hold, or one for all."""
    runner = keras_runner()
    wishes = [runner.wanted_by(patch) for patch in patches if patch.verify is not None] or [{}]
    merged = [{**wish, **given} for wish in wishes]
    distinct = [wish for place, wish in enumerate(merged) if wish not in merged[:place]]
    with runnable(base) as before, runnable(result) as after:
        return tuple(runner.run_check(before, after, wish, plan) for wish in distinct)
