"""`patchc apply`: patch a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command, opened, output_of, settings_of
from patchc.cli.options import (
    AgainOption,
    Color,
    ColorOption,
    ForceOption,
    Format,
    FormatOption,
    ImportOption,
    InPlaceOption,
    Model,
    NoDigestOption,
    OutOption,
    PlanOption,
    ProvenanceOption,
    QuietOption,
    SetOption,
    SomePatches,
    UndoFileOption,
)
from patchc.report.progress import progress_bar

if TYPE_CHECKING:
    from patchc.language.patch import Patch
    from patchc.saved import SavedPlan
    from patchc.storage.checked import CheckedBase


@app.command(
    short_help="Patch a model.",
    help=help_text(
        "Apply patches to a model file and write the result. Weights that no edit touches are "
        "copied bit for bit, and the written file is read back and compared with the input "
        "before it gets its name. When anything goes wrong nothing is written, and MODEL is "
        "changed only with --in-place. The patches are recorded in the result's history.",
        "patchc apply model.keras add_classes.yaml -o patched.keras",
        "patchc apply model.keras --plan add_classes.plan.json -o patched.keras",
        "patchc apply model.keras patches/ -o patched.keras",
        "patchc apply model.keras add_classes.yaml --in-place",
    ),
)
def apply(
    model: Model,
    patches: SomePatches = None,
    plan: PlanOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    in_place: InPlaceOption = False,
    again: AgainOption = False,
    undo_file: UndoFileOption = None,
    provenance: ProvenanceOption = False,
    no_digest: NoDigestOption = False,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Patch a model."""
    settings = settings_of(set_)
    target = output_of(out, model, in_place=in_place)
    _check_usage(patches, plan, settings)
    with command("apply", form, color, quiet=quiet, modules=modules) as session:
        wanted = provenance or undo_file is not None or not no_digest
        with (
            _opened(model, patches or (), plan, settings, sha256=wanted) as found,
            progress_bar(shown=session.is_watched) as bar,
        ):
            base, loaded, saved = found
            from patchc.beside import Beside  # noqa: PLC0415 (`--help` needs none)
            from patchc.pipeline import apply_opened  # noqa: PLC0415 (takes a while)

            report = apply_opened(
                base,
                loaded,
                target,
                force=force,
                in_place=in_place,
                again=again,
                saved=saved,
                beside=Beside(undo_file, provenance),
                progress=bar,
            )
        session.result(lambda words: words.reported(report), report.diagnostics)
        if undo_file is not None:
            session.tell(f"To take it back: patchc revert {target} --undo {undo_file} -o OUT")


def _check_usage(patches: Sequence[str] | None, plan: str | None, settings: dict[str, str]) -> None:
    if plan is None and not patches:
        raise typer.BadParameter("name a patch, or pass --plan", param_hint="PATCH")
    if plan is not None and (patches or settings):
        message = "a saved plan holds its patches and their parameters: name none"
        raise typer.BadParameter(message, param_hint="--plan")


@contextmanager
def _opened(
    model: str, patches: Sequence[str], plan: str | None, settings: dict[str, str], *, sha256: bool
) -> Iterator[tuple[CheckedBase, tuple[Patch, ...], SavedPlan | None]]:
    """The base, the patches, and the saved plan that they come from, if there is one."""
    if plan is None:
        with opened(model, patches, settings, sha256=sha256) as (base, loaded):
            yield base, loaded, None
        return
    from patchc.saved import read_plan  # noqa: PLC0415 (other runs have none)
    from patchc.storage.checked import open_checked  # noqa: PLC0415 (`--help` needs no models)

    with open_checked(model) as base:
        saved = read_plan(plan)
        yield base, saved.patches(), saved
