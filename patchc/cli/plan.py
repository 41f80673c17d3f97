"""`patchc plan`: show what patches would do."""

from __future__ import annotations

import patchc
from patchc.cli.app import app, help_text
from patchc.cli.common import command, load, settings_of
from patchc.cli.options import (
    AgainOption,
    CheckOption,
    Color,
    ColorOption,
    ForceOption,
    Format,
    FormatOption,
    ImportOption,
    Model,
    Patches,
    PlanOutOption,
    QuietOption,
    SetOption,
)
from patchc.cli.session import FAILED, Ended


@app.command(
    short_help="Show what patches would do to a model.",
    help=help_text(
        "Compile patches against a model and show what would be done, layer by layer and weight "
        "by weight. Nothing is written but the plan, with -o: `apply --plan` carries out exactly "
        "that. With --check the exit code is 1 when there is something to do; one that does not "
        "fit exits with 1 in any case, and the JSON tells which.",
        "patchc plan model.keras add_classes.yaml",
        "patchc plan model.keras add_classes.yaml -o add_classes.plan.json",
        "patchc plan model.keras add_classes.yaml --set classes=12 --format json",
    ),
)
def plan(
    model: Model,
    patches: Patches,
    out: PlanOutOption = None,
    force: ForceOption = False,
    again: AgainOption = False,
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
        loaded = load(patches, settings, model)
        made = patchc.plan(model, loaded, out, force=force, again=again)
        session.result(lambda words: words.planned(made), made.warnings)
        if out is not None:
            session.tell(f"To do exactly this: patchc apply {model} --plan {out} -o OUT")
        if check and not made.is_empty:
            raise Ended(FAILED)
