"""`patchc explain`: say what a diagnostic means."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command
from patchc.cli.options import Color, ColorOption, Format, FormatOption
from patchc.errors import Diagnostic, PatchError

if TYPE_CHECKING:
    from patchc.codes import Code


@app.command(
    short_help="Say what a diagnostic means.",
    help=help_text(
        "Say what a diagnostic code means and how to fix what it reports. Without a code, list "
        "all of them.",
        "patchc explain PC201",
    ),
)
def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="Such as PC201; left out: all.")
    ] = None,
    form: FormatOption = Format.TEXT,
    color: ColorOption = Color.AUTO,
) -> None:
    """Say what a diagnostic means."""
    from patchc.codes import CODES  # noqa: PLC0415 (no other command shows them)

    with command("explain", form, color, quiet=False) as session:
        wanted = CODES if code is None else {code.upper(): _code(code.upper())}
        session.result(lambda out: out.explained(wanted))


def _code(name: str) -> Code:
    from patchc.codes import CODES  # noqa: PLC0415 (as in `explain`)

    if name in CODES:
        return CODES[name]
    near = difflib.get_close_matches(name, CODES, n=3, cutoff=0.5)
    listed = " or ".join(f"`{code}`" for code in near)
    way_out = f"did you mean {listed}?" if near else "`patchc explain` lists all codes"
    raise PatchError(Diagnostic("PC104", f"there is no code `{name}`", help=way_out))
