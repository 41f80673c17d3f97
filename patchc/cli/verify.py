"""`patchc verify`: check a result."""

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
from patchc.cli.session import FAILED, Ended


@app.command(
    short_help="Check a result against its model and patches.",
    help=help_text(
        "Check, from the files alone, that AFTER is what the patches make of BEFORE: every "
        "weight is accounted for, kept weights are the same byte by byte, and new ones hold "
        "what the plan says. The exit code is 1 when a check does not hold.",
        "patchc verify model.keras patched.keras add_classes.yaml",
    ),
)
def verify(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The model before.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The result to check.")],
    patches: Patches,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Check a result."""
    settings = settings_of(set_)
    with command("verify", form, color, quiet=quiet, modules=modules) as session:
        report = patchc.verify(before, after, load(patches, settings))
        session.result(lambda out: out.reported(report), report.diagnostics)
        if not report.ok:
            raise Ended(FAILED)
