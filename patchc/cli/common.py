"""What several commands do: run as a session, read settings, load patches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import patchc
from patchc.cli.options import Color, Format
from patchc.cli.session import Ended, Session, running
from patchc.errors import Diagnostic, PatchError

if TYPE_CHECKING:
    from patchc.language.patch import Patch
    from patchc.storage.checked import CheckedBase


@contextmanager
def command(
    name: str, form: Format, color: Color, *, quiet: bool, modules: Sequence[str] | None = None
) -> Iterator[Session]:
    """Run a command; how it ends becomes the exit code.

    Args:
        name: what the command is called.
        modules: what `--import` names.
    """
    try:
        with running(Session(name, form.value, quiet, color.value)) as session:
            _import(modules or ())
            yield session
    except Ended as ended:
        raise typer.Exit(ended.code) from None


def _import(modules: Sequence[str]) -> None:
    """Import what `--import` names: classes of the user's own, and their rules.

    The current directory is looked at last, so that nothing in it can stand in
    for a module that is installed.

    Raises:
        PatchError: PC312 where one cannot be imported.
    """
    if modules:
        sys.path.append(str(Path.cwd()))
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # whatever the user's own code raises
            message = f"the module `{name}` cannot be imported: {type(error).__name__}: {error}"
            way_out = "give its dotted name; it is looked for where Python looks, and here"
            raise PatchError(Diagnostic("PC312", message, help=way_out)) from error


def settings_of(values: Sequence[str] | None) -> dict[str, str]:
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


def output_of(out: str | None, model: str, *, in_place: bool) -> str:
    """The file to write; wrong usage where it is not named."""
    if out is None and not in_place:
        raise typer.BadParameter("name the output, or pass --in-place", param_hint="-o")
    return model if out is None else out


def load(
    paths: Sequence[str], settings: dict[str, str], model: str | None = None
) -> tuple[Patch, ...]:
    """The patches, with their parameters set.

    Args:
        paths: patch files, and folders.
        model: the model whose history says which patches of a folder are left
            out; without one, all of them are loaded.

    Raises:
        PatchError: everything that is wrong with any of them.
    """
    from patchc.language.several import load_all  # noqa: PLC0415 (`explain` needs no YAML)

    return load_all([file for path in paths for file in _files(path, model)], settings)


def _files(path: str, model: str | None) -> Sequence[str]:
    if not os.path.isdir(path):
        return [path]
    from patchc.language.folder import pending_in  # noqa: PLC0415 (as above)

    history = () if model is None else patchc.log(model).history[::-1]
    return pending_in(path, {applied.id: applied.sha256 for applied in history})


@contextmanager
def opened(
    model: str, paths: Sequence[str], settings: dict[str, str], *, sha256: bool
) -> Iterator[tuple[CheckedBase, tuple[Patch, ...]]]:
    """A base, whose checksums are computed while the patches are read, and the patches.

    Args:
        sha256: whether the SHA-256 of the base is wanted.

    Raises:
        PatchError: everything that is wrong with model or patches.
    """
    from patchc.storage.checked import open_checked  # noqa: PLC0415 (`validate` needs no models)

    with ExitStack() as stack:
        try:
            base = stack.enter_context(open_checked(model, sha256=sha256))
        except PatchError as error:
            raise PatchError(*_problems(paths, settings), *error.diagnostics) from None
        yield base, load(paths, settings, model)


def _problems(paths: Sequence[str], settings: dict[str, str]) -> tuple[Diagnostic, ...]:
    """What is wrong with patches, where the model cannot say which of a folder are pending."""
    try:
        load([path for path in paths if not os.path.isdir(path)], settings)
    except PatchError as error:
        return error.diagnostics
    return ()
