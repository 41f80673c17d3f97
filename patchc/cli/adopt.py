"""`patchc adopt`: carry a history over to a model that was trained and saved since."""

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
    OutOption,
    QuietOption,
)


@app.command(
    short_help="Carry the history over to a model that was trained since.",
    help=help_text(
        "Keras drops the history when it saves a model. Write AFTER, which Keras saved, with the "
        "history of BEFORE, from which it was trained, once it is clear that both have the same "
        "structure. --in-place changes AFTER.",
        "patchc adopt patched.keras trained.keras -o adopted.keras",
    ),
)
def adopt(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A model with a history.")],
    after: Annotated[
        str, typer.Argument(metavar="AFTER", help="The same model, as Keras saved it.")
    ],
    out: OutOption = None,
    force: ForceOption = False,
    in_place: InPlaceOption = False,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Carry a history over."""
    target = output_of(out, after, in_place=in_place)
    with command("adopt", form, color, quiet=quiet) as session:
        done = patchc.adopt(before, after, target, force=force, in_place=in_place)
        session.result(lambda words: words.written(done), done.warnings)
