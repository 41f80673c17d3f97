"""`patchc revert`: take a patch back."""

from __future__ import annotations

from typing import Annotated

import typer

import patchc
from patchc.cli.app import app, help_text
from patchc.cli.common import command, output_of
from patchc.cli.options import (
    Color,
    ColorOption,
    ForceOption,
    Format,
    FormatOption,
    InPlaceOption,
    Model,
    OutOption,
    QuietOption,
)


@app.command(
    short_help="Take a patch back.",
    help=help_text(
        "Take back what `apply --undo-file FILE` did. Where nothing was trained since, the "
        "original file comes back byte for byte. Else the structure does: weights carry what "
        "they have learned, and warnings name what the patch had dropped or overwritten and "
        "what comes back as it was then.",
        "patchc revert patched.keras --undo patched.undo -o original.keras",
    ),
)
def revert(
    model: Model,
    undo: Annotated[
        str, typer.Option("--undo", metavar="FILE", help="What `apply --undo-file` wrote.")
    ],
    out: OutOption = None,
    force: ForceOption = False,
    in_place: InPlaceOption = False,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Take a patch back."""
    target = output_of(out, model, in_place=in_place)
    with command("revert", form, color, quiet=quiet) as session:
        done = patchc.revert(model, undo, target, force=force, in_place=in_place)
        session.result(lambda words: words.written(done), done.warnings)
