"""The program without its commands: what it is called and what it says about itself."""

from __future__ import annotations

from typing import Annotated

import typer

import patchc

app = typer.Typer(
    name="patchc",
    rich_markup_mode=None,
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def help_text(text: str, *examples: str) -> str:
    """The help of a command, whose examples keep their lines."""
    listed = "\n".join(f"  {example}" for example in examples)
    return f"{text}\n\n\b\nExample{'s' if len(examples) > 1 else ''}:\n{listed}"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"patchc {patchc.__version__}")
        raise typer.Exit


@app.callback(
    help=help_text(
        "Change trained Keras models with reviewed patch files, and keep what they learned.\n\n"
        "A patch is a YAML file that says which layers to replace, grow, freeze, insert or "
        "remove. It is compiled against a saved model into a plan, and carried out by copying "
        "the file; Keras is not needed.",
        "patchc inspect model.keras",
        "patchc plan model.keras patch.yaml",
        "patchc apply model.keras patch.yaml -o patched.keras",
    )
)
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass
