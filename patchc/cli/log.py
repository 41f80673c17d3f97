"""`patchc log`: show the patches in a model."""

from __future__ import annotations

import patchc
from patchc.cli.app import app, help_text
from patchc.cli.common import command
from patchc.cli.options import Color, ColorOption, Format, FormatOption, Model, QuietOption


@app.command(
    short_help="Show the patches in a model.",
    help=help_text(
        "Show the patches that made a model, newest first, as its history records them. "
        "--format json prints their whole texts too.",
        "patchc log patched.keras",
    ),
)
def log(
    model: Model,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Show the patches in a model."""
    with command("log", form, color, quiet=quiet) as session:
        found = patchc.log(model)
        session.result(lambda words: words.logged(found))
