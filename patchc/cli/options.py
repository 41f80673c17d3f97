"""Arguments and options that the commands of the command line share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    CONCISE = "concise"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


class Color(StrEnum):
    """When there is colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Outputs(StrEnum):
    """What has to hold of the outputs of two models."""

    SAME = "same"
    EXTENDS = "extends"


class SchemaName(StrEnum):
    """The published schemas."""

    PATCH = "patch"
    PLAN = "plan"
    REPORT = "report"


Model = Annotated[str, typer.Argument(metavar="MODEL", help="A .keras file.")]
_PATCHES_HELP = (
    "Patch files; several are one transaction, in order. A folder stands for the patches in it"
    " that are not in the model's history."
)
Patches = Annotated[list[str], typer.Argument(metavar="PATCH", help=_PATCHES_HELP)]
SomePatches = Annotated[
    list[str] | None, typer.Argument(metavar="PATCH", help=_PATCHES_HELP, show_default=False)
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format", metavar="FORMAT", help="One of text, concise, json, github and sarif."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Value of a parameter of the patch; may be repeated."
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")
]
ColorOption = Annotated[
    Color, typer.Option("--color", help="auto: on terminals, unless NO_COLOR is set.")
]
ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import a module with layer classes of your own; may be repeated.",
    ),
]


OutOption = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="OUT", help="The file to write, a .keras file."),
]
PlanOutOption = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="PLAN", help="Save the plan, for `apply --plan`."),
]
PlanOption = Annotated[
    str | None,
    typer.Option("--plan", metavar="PLAN", help="Carry out a saved plan, exactly as it is."),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
InPlaceOption = Annotated[bool, typer.Option("--in-place", help="Replace MODEL itself.")]
NoDigestOption = Annotated[
    bool, typer.Option("--no-digest", help="Leave out the SHA-256 of both files; faster.")
]
UndoFileOption = Annotated[
    str | None,
    typer.Option(
        "--undo-file",
        metavar="FILE",
        help="Keep there what the patches drop or overwrite, for `revert`.",
    ),
]
ProvenanceOption = Annotated[
    bool,
    typer.Option("--provenance", help="Write an in-toto statement too, OUT.patchc.json."),
]
AgainOption = Annotated[
    bool, typer.Option("--again", help="Take patches that are in the model's history already.")
]
CheckOption = Annotated[
    bool, typer.Option("--check", help="Exit with 1 when there is something to do.")
]
