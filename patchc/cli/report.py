"""`patchc report`: a page about what patches do to a model."""

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
    Model,
    Patches,
    QuietOption,
    SetOption,
)


@app.command(
    short_help="Write a page about a plan.",
    help=help_text(
        "Write one self-contained HTML page: the graph before and after with what changes marked, "
        "every weight and what becomes of it, parameter counts, and the patches. With --result "
        "also what a check of that file against model and patches finds, as `verify` does.",
        "patchc report model.keras add_classes.yaml -o report.html",
        "patchc report model.keras add_classes.yaml --result patched.keras -o report.html",
    ),
)
def report(
    model: Model,
    patches: Patches,
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="R.html", help="The page to write.")
    ],
    result: Annotated[
        str | None, typer.Option("--result", metavar="OUT", help="A result, to check it too.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the page if it exists.")] = False,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Write a page about a plan."""
    settings = settings_of(set_)
    with command("report", form, color, quiet=quiet, modules=modules) as session:
        loaded = load(patches, settings, model)
        from patchc.pages import write_page  # noqa: PLC0415 (`validate` needs no models)

        found = patchc.verify(model, result, loaded) if result is not None else None
        plan = write_page(model, loaded, out, force=force, report=found)
        session.result(lambda words: words.planned(plan), plan.warnings)
