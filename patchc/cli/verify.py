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
    Outputs,
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
        "what the plan says. With --run both models are run with Keras too, on the same inputs, "
        "and their outputs compared as `verify` in the patch says, or the options here. The exit "
        "code is 1 when a check does not hold.",
        "patchc verify model.keras patched.keras add_classes.yaml",
        "patchc verify model.keras patched.keras freeze.yaml --run --outputs same",
    ),
)
def verify(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The model before.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The result to check.")],
    patches: Patches,
    run: Annotated[bool, typer.Option("--run", help="Run both models with Keras too.")] = False,
    outputs: Annotated[
        Outputs | None,
        typer.Option(
            "--outputs",
            help="same: no output has changed; extends: no old entry of the pre-activation.",
        ),
    ] = None,
    probes: Annotated[
        str | None,
        typer.Option(
            "--probes",
            metavar="N|FILE.npz",
            help="How many seeded inputs to run on, or a file of arrays by input name.",
        ),
    ] = None,
    atol: Annotated[
        float | None, typer.Option("--atol", min=0, help="Absolute tolerance (1e-6).")
    ] = None,
    rtol: Annotated[
        float | None, typer.Option("--rtol", min=0, help="Relative tolerance (1e-5).")
    ] = None,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Check a result."""
    settings = settings_of(set_)
    wanted = {"outputs": outputs, "probes": _probes(probes), "atol": atol, "rtol": rtol}
    given = {key: value for key, value in wanted.items() if value is not None}
    if given and not run:
        option = f"--{next(iter(given))}"
        raise typer.BadParameter("it says how to run the models: pass --run", param_hint=option)
    with command("verify", form, color, quiet=quiet, modules=modules) as session:
        report = patchc.verify(
            before, after, load(patches, settings, before), run=given if run else False
        )
        session.result(lambda out: out.reported(report), report.diagnostics)
        if not report.ok:
            raise Ended(FAILED)


def _probes(text: str | None) -> int | str | None:
    if text is None or text.endswith(".npz"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise typer.BadParameter(
            f"{text!r} is neither a number nor an .npz file", param_hint="--probes"
        )
    return int(text)
