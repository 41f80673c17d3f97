"""`patchc validate`: check patches."""

from __future__ import annotations

from typing import Annotated

import typer

import patchc
from patchc.cli.app import app, help_text
from patchc.cli.common import command, load, settings_of
from patchc.cli.options import (
    Color,
    ColorOption,
    Format,
    FormatOption,
    ImportOption,
    Patches,
    QuietOption,
    SetOption,
)


@app.command(
    short_help="Check patches without a model.",
    help=help_text(
        "Check the syntax of patches, hold them against the schema, and look for what is "
        "probably not meant. All errors are reported at once, with line and column. With "
        "--model they are compiled against a model too, as `plan` does.",
        "patchc validate patches/*.yaml",
        "patchc validate add_classes.yaml --model model.keras",
    ),
)
def validate(
    patches: Patches,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Compile against it too.")
    ] = None,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Check patches."""
    settings = settings_of(set_)
    with command("validate", form, color, quiet=quiet, modules=modules) as session:
        loaded = load(patches, settings, model)
        warnings = [warning for patch in loaded for warning in patch.warnings]
        independent: tuple[tuple[str, str], ...] = ()
        if model is not None:
            plan = patchc.plan(model, loaded)
            warnings, independent = list(plan.warnings), plan.independent
        elif any(hasattr(edit.verb, "chain") for patch in loaded for edit in patch.edits):
            from patchc.compiler.new_layers import check_new_layers  # noqa: PLC0415 (takes a while)

            check_new_layers(loaded)
        session.result(lambda out: out.validated(loaded, warnings, independent), warnings)
