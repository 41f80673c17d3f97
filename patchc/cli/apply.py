"""`patchc apply`: patch a model."""

from __future__ import annotations

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command, opened, settings_of
from patchc.cli.options import (
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
    Patches,
    QuietOption,
    SetOption,
)
from patchc.report.progress import progress_bar


@app.command(
    short_help="Patch a model.",
    help=help_text(
        "Apply patches to a model file and write the result. Weights that no edit touches are "
        "copied bit for bit, and the written file is read back and compared with the input "
        "before it gets its name. When anything goes wrong nothing is written, and MODEL is "
        "changed only with --in-place.",
        "patchc apply model.keras add_classes.yaml -o patched.keras",
        "patchc apply model.keras add_classes.yaml --in-place",
    ),
)
def apply(
    model: Model,
    patches: Patches,
    out: OutOption = None,
    force: ForceOption = False,
    in_place: InPlaceOption = False,
    no_digest: NoDigestOption = False,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Patch a model."""
    settings = settings_of(set_)
    if out is None and not in_place:
        raise typer.BadParameter("name the output, or pass --in-place", param_hint="-o")
    with command("apply", form, color, quiet=quiet, modules=modules) as session:
        with (
            opened(model, patches, settings, sha256=not no_digest) as (base, loaded),
            progress_bar(shown=session.is_watched) as bar,
        ):
            from patchc.pipeline import apply_opened  # noqa: PLC0415 (takes a while)

            target = model if out is None else out
            report = apply_opened(
                base, loaded, target, force=force, in_place=in_place, progress=bar
            )
        session.result(lambda words: words.reported(report), report.diagnostics)
