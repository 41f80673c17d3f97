"""`patchc diff`: how two models differ, and the patch that leads from one to the other."""

from __future__ import annotations

import gc
import os
from typing import Annotated

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command
from patchc.cli.options import Color, ColorOption, Format, FormatOption, QuietOption
from patchc.cli.session import FAILED, Ended, Session
from patchc.errors import PatchError

_FROM_GIT = (7, 9)
"""So many arguments git gives to an external diff driver: nine where the file was renamed."""


@app.command(
    short_help="Show how two models differ.",
    help=help_text(
        "Compare two models: layers, configuration, weights by the layer that they belong to, "
        "optimizer, training configuration. With --as-patch print the patch that leads from "
        "BEFORE to AFTER, as far as one does; its comments name the weights that differ all the "
        "same. Also an external diff driver for git: `patchc diff` as `diff.keras.command`.",
        "patchc diff model.keras trained.keras",
        "patchc diff model.keras patched.keras --as-patch > changes.yaml",
    ),
)
def diff(
    models: Annotated[
        list[str], typer.Argument(metavar="BEFORE AFTER", help="The two models, .keras files.")
    ],
    as_patch: Annotated[
        bool, typer.Option("--as-patch", help="Print the patch that leads there.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 when the models differ.")
    ] = False,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Show how two models differ."""
    if len(models) in _FROM_GIT:
        with command("diff", Format.TEXT, color, quiet=False) as session:
            _for_git(session, models[0], models[1], models[4])
        return
    if len(models) != 2:
        raise typer.BadParameter("give two models", param_hint="BEFORE AFTER")
    before, after = models
    with command("diff", form, color, quiet=quiet) as session:
        if as_patch:
            from patchc.diff.as_patch import as_patch as infer  # noqa: PLC0415 (as in `apply`)

            gc.enable()  # each try leaves a whole graph behind
            session.data(infer(before, after).text.rstrip("\n"))
            return
        from patchc.diff.compare import compare_files  # noqa: PLC0415 (as in `apply`)

        found = compare_files(before, after)
        session.result(lambda out: out.differed(found))
        if exit_code and not found.same:
            raise Ended(FAILED)


def _for_git(session: Session, name: str, before: str, after: str) -> None:
    """Show a change as git asks for it: a model that is new or gone has no other side.

    What is refused is told and no failure: git would stop at it.
    """
    from patchc.diff.compare import compare_files  # noqa: PLC0415 (as in `apply`)
    from patchc.inspect import inspect_file  # noqa: PLC0415 (as in `apply`)

    try:
        if os.devnull in {before, after}:
            session.data(f"{'new' if before == os.devnull else 'gone'} model {name}")
            facts = inspect_file(after if before == os.devnull else before)
            session.result(lambda out: out.inspected(facts))
            return
        found = compare_files(before, after, (f"a/{name}", f"b/{name}"))
        session.result(lambda out: out.differed(found))
    except PatchError as error:
        found_wrong = error.diagnostics
        session.result(lambda out: out.refused("diff", found_wrong))
