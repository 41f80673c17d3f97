"""`patchc convert`: make an older model loadable."""

from __future__ import annotations

from typing import Annotated

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command
from patchc.cli.options import (
    Color,
    ColorOption,
    ForceOption,
    Format,
    FormatOption,
    NoDigestOption,
    QuietOption,
)
from patchc.report.progress import progress_bar


@app.command(
    short_help="Make an older model loadable.",
    help=help_text(
        "Write a model file of an older Keras as a .keras file that Keras 3 opens. The "
        "configuration is repaired, and each repair is listed with its layer and reason. Weights "
        "are found by their recorded names and copied byte by byte, and so is the optimizer's "
        "state. Custom layers and Lambdas are carried through and named: Keras needs their code.",
        "patchc convert model.h5 -o model.keras",
    ),
)
def convert(
    model: Annotated[str, typer.Argument(metavar="OLD", help="A .h5, .hdf5 or .keras file.")],
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="NEW", help="The .keras file to write.")
    ],
    force: ForceOption = False,
    no_digest: NoDigestOption = False,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Make an older model loadable."""
    with command("convert", form, color, quiet=quiet) as session:
        from patchc.conversion import convert_opened  # noqa: PLC0415 (`--help` needs no models)
        from patchc.storage.checked import open_checked  # noqa: PLC0415 (as above)

        with (
            open_checked(model, sha256=not no_digest) as base,
            progress_bar(shown=session.is_watched) as bar,
        ):
            found = convert_opened(base, out, force=force, progress=bar)
        session.result(lambda words: words.converted(found), found.diagnostics)
