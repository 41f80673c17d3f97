"""The command line: one short function per command.

Each parses, calls the Python interface, and hands the result to a reporter.
What is slow to import is imported by the command that needs it.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

import patchc
from patchc.errors import Diagnostic, PatchError
from patchc.options import (
    CheckOption,
    Color,
    ColorOption,
    ForceOption,
    Format,
    FormatOption,
    ImportOption,
    InPlaceOption,
    Model,
    NoDigestOption,
    OutOption,
    Patches,
    QuietOption,
    SchemaName,
    SetOption,
)
from patchc.report.progress import progress_bar
from patchc.session import FAILED, INTERRUPTED, Ended, Session, running
from patchc.storage.signals import Terminated, signals_as_exceptions

if TYPE_CHECKING:
    from patchc.codes import Code
    from patchc.language.patch import Patch

app = typer.Typer(
    name="patchc",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    try:
        with signals_as_exceptions():
            app(prog_name="patchc")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Terminated as signal:
        sys.exit(128 + signal.signum)


def _help(text: str, *examples: str) -> str:
    """The help of a command, whose examples keep their lines."""
    listed = "\n".join(f"  {example}" for example in examples)
    return f"{text}\n\n\b\nExample{'s' if len(examples) > 1 else ''}:\n{listed}"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"patchc {patchc.__version__}")
        raise typer.Exit


@app.callback(
    help=_help(
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


@contextmanager
def _command(
    name: str, form: Format, color: Color, *, quiet: bool, modules: Sequence[str] | None = None
) -> Iterator[Session]:
    """Run a command; how it ends becomes the exit code."""
    try:
        with running(Session(name, form.value, quiet, color.value)) as session:
            _refuse_imports(modules)
            yield session
    except Ended as ended:
        raise typer.Exit(ended.code) from None


def _refuse_imports(modules: Sequence[str] | None) -> None:
    if modules:
        message = f"`--import {modules[0]}` is not available in this version"
        help_text = "leave it out: layers of unknown classes are carried through as they are"
        raise PatchError(Diagnostic("PC310", message, help=help_text))


def _settings(values: Sequence[str] | None) -> dict[str, str]:
    """The values of `--set` by name; wrong usage where one is no NAME=VALUE, or given twice."""
    settings: dict[str, str] = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{value!r} is no NAME=VALUE", param_hint="--set")
        if name in settings:
            raise typer.BadParameter(f"{name!r} is set twice", param_hint="--set")
        settings[name] = text
    return settings


def _load(paths: Sequence[str], settings: dict[str, str]) -> tuple[Patch, ...]:
    from patchc.language.several import load_all  # noqa: PLC0415 (`explain` needs no YAML)

    return load_all(paths, settings)


def _code(name: str) -> Code:
    from patchc.codes import CODES  # noqa: PLC0415 (as in `explain`)

    if name in CODES:
        return CODES[name]
    near = difflib.get_close_matches(name, CODES, n=3, cutoff=0.5)
    listed = " or ".join(f"`{code}`" for code in near)
    help_text = f"did you mean {listed}?" if near else "`patchc explain` lists all codes"
    raise PatchError(Diagnostic("PC104", f"there is no code `{name}`", help=help_text))


# ------------------------------------------------------------------------- commands


@app.command(
    short_help="Check patches without a model.",
    help=_help(
        "Check the syntax of patches, hold them against the schema, and look for what is "
        "probably not meant. All errors are reported at once, with line and column. With "
        "--model they are compiled against a model too, as `plan` does.",
        "patchc validate patches/*.yaml",
        "patchc validate add_classes.yaml --model model.keras",
    ),
)
def validate(
    patches: Patches,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Compile against it too.")
    ] = None,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Check patches."""
    settings = _settings(set_)
    with _command("validate", form, color, quiet=quiet, modules=modules) as session:
        loaded = _load(patches, settings)
        warnings = [warning for patch in loaded for warning in patch.warnings]
        if model is not None:
            warnings = list(patchc.plan(model, loaded).warnings)
        session.result(lambda out: out.validated(loaded, warnings), warnings)


@app.command(
    short_help="Show what is inside a model.",
    help=_help(
        "Show the layers of a model with their classes, output shapes and parameters. With "
        "--select, show instead which layers a selector picks, and why it does not pick the "
        "others. Reads headers, not weights.",
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
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Show what is inside a model."""
    from patchc.inspect import inspect_file  # noqa: PLC0415 (`validate` needs no models)

    with _command("inspect", form, color, quiet=quiet, modules=modules) as session:
        found = inspect_file(model, select)
        session.result(lambda out: out.inspected(found))
        if not found.ok:
            session.complain(found.diagnostics)
            raise Ended(FAILED)


@app.command(
    short_help="Show what patches would do to a model.",
    help=_help(
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
    settings = _settings(set_)
    with _command("plan", form, color, quiet=quiet, modules=modules) as session:
        made = patchc.plan(model, _load(patches, settings))
        session.result(lambda out: out.planned(made), made.warnings)
        if check and not made.is_empty:
            raise Ended(FAILED)


@app.command(
    short_help="Patch a model.",
    help=_help(
        "Apply patches to a model file and write the result. Weights that no edit touches are "
        "copied bit for bit, and the written file is read back and compared with the input "
        "before it gets its name. When anything goes wrong nothing is written, and MODEL is "
        "changed only with --in-place.",
        "patchc apply model.keras add_classes.yaml -o patched.keras",
        "patchc apply model.keras add_classes.yaml --in-place",
    ),
)
def apply(
    model: Model,
    patches: Patches,
    out: OutOption = None,
    force: ForceOption = False,
    in_place: InPlaceOption = False,
    no_digest: NoDigestOption = False,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Patch a model."""
    settings = _settings(set_)
    if out is None and not in_place:
        raise typer.BadParameter("name the output, or pass --in-place", param_hint="-o")
    with _command("apply", form, color, quiet=quiet, modules=modules) as session:
        loaded = _load(patches, settings)
        from patchc.pipeline import apply_file  # noqa: PLC0415 (`validate` needs no models)

        with progress_bar(shown=session.is_watched) as bar:
            report = apply_file(
                model,
                loaded,
                model if out is None else out,
                force=force,
                in_place=in_place,
                digest=not no_digest,
                progress=bar,
            )
        session.result(lambda words: words.reported(report), report.diagnostics)


@app.command(
    short_help="Check a result against its model and patches.",
    help=_help(
        "Check, from the files alone, that AFTER is what the patches make of BEFORE: every "
        "weight is accounted for, kept weights are the same byte by byte, and new ones hold "
        "what the plan says. The exit code is 1 when a check does not hold.",
        "patchc verify model.keras patched.keras add_classes.yaml",
    ),
)
def verify(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The model before.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The result to check.")],
    patches: Patches,
    set_: SetOption = None,
    modules: ImportOption = None,
    form: FormatOption = Format.TEXT,
    quiet: QuietOption = False,
    color: ColorOption = Color.AUTO,
) -> None:
    """Check a result."""
    settings = _settings(set_)
    with _command("verify", form, color, quiet=quiet, modules=modules) as session:
        report = patchc.verify(before, after, _load(patches, settings))
        session.result(lambda out: out.reported(report), report.diagnostics)
        if not report.ok:
            raise Ended(FAILED)


@app.command(
    short_help="Say what a diagnostic means.",
    help=_help(
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

    with _command("explain", form, color, quiet=False) as session:
        wanted = CODES if code is None else {code.upper(): _code(code.upper())}
        session.result(lambda out: out.explained(wanted))


@app.command(
    short_help="Print a JSON Schema.",
    help=_help(
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

    with _command("schema", Format.TEXT, Color.NEVER, quiet=False) as session:
        session.data(read_schema(name.value).rstrip("\n"))
