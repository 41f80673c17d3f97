"""`patchc inspect`: show what is inside a model."""

from __future__ import annotations

from typing import Annotated

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command
from patchc.cli.options import (
    Color,
    ColorOption,
    Format,
    FormatOption,
    ImportOption,
    Model,
    QuietOption,
)
from patchc.cli.session import FAILED, Ended


@app.command(
    short_help="Show what is inside a model.",
    help=help_text(
        "Show the layers of a model with their classes, output shapes and parameters. With "
        "--select, show instead which layers a selector picks, and why it does not pick the "
        "others. Reads headers, not weights. With --for-diff print one line for each fact, with "
        "the beginning of the SHA-256 of each weight: a `textconv` for git.",
        "patchc inspect model.keras",
        "patchc inspect model.keras --select '{class: Conv2D, last: 3}'",
    ),
)
def inspect(
    model: Model,
    select: Annotated[
        str | None,
        typer.Option("--select", metavar="SELECTOR", help="A selector: YAML in one line."),
    ] = None,
    for_diff: Annotated[
        bool,
        typer.Option("--for-diff", help="A line for each fact and weight, for `git diff`."),
    ] = False,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Show what is inside a model."""
    from patchc.inspect import inspect_file  # noqa: PLC0415 (`validate` needs no models)

    with command("inspect", form, color, quiet=quiet, modules=modules) as session:
        if for_diff:
            from patchc.diff.listing import listing  # noqa: PLC0415 (it reads whole files)

            session.data(listing(model))
            return
        found = inspect_file(model, select)
        session.result(lambda out: out.inspected(found))
        if not found.ok:
            session.complain(found.diagnostics)
            raise Ended(FAILED)
