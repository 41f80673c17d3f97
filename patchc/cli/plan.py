"""`patchc plan`: show what patches would do."""

from __future__ import annotations

import patchc
from patchc.cli.app import app, help_text
from patchc.cli.common import command, load, settings_of
from patchc.cli.options import (
    CheckOption,
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
from patchc.cli.session import FAILED, Ended


@app.command(
    short_help="Show what patches would do to a model.",
    help=help_text(
        "Compile patches against a model and show what would be done, layer by layer and weight "
        "by weight. Nothing is written. With --check the exit code is 1 when there is something "
        "to do, and also when a patch does not fit.",
        "patchc plan model.keras add_classes.yaml",
        "patchc plan model.keras add_classes.yaml --set classes=12 --format json",
    ),
)
def plan(
    model: Model,
    patches: Patches,
    check: CheckOption = False,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Show what patches would do."""
    settings = settings_of(set_)
    with command("plan", form, color, quiet=quiet, modules=modules) as session:
        made = patchc.plan(model, load(patches, settings))
        session.result(lambda out: out.planned(made), made.warnings)
        if check and not made.is_empty:
            raise Ended(FAILED)
