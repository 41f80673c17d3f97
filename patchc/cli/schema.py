"""`patchc schema`: print a JSON Schema."""

from __future__ import annotations

from typing import Annotated

import typer

from patchc.cli.app import app, help_text
from patchc.cli.common import command
from patchc.cli.options import Color, Format, SchemaName


@app.command(
    short_help="Print a JSON Schema.",
    help=help_text(
        "Print the JSON Schema (draft-07) of patches, of plans (`plan --format json`), or of "
        "the JSON that the other commands print. Editors complete and check patches with it.",
        "patchc schema patch > patch.v1.schema.json",
    ),
)
def schema(
    name: Annotated[SchemaName, typer.Argument(help="Which one.")] = SchemaName.PATCH,
) -> None:
    """Print a JSON Schema."""
    from patchc.language.schema import read_schema  # noqa: PLC0415 (`explain` needs no YAML)

    with command("schema", Format.TEXT, Color.NEVER, quiet=False) as session:
        session.data(read_schema(name.value).rstrip("\n"))
