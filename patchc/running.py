"""Running models with Keras, where a patch or a user asks for it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from patchc.checks import Check
from patchc.compiler.compile import compile_patches
from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Patch
from patchc.storage.formats import Format
from patchc.storage.keras_file import KerasFile
from patchc.storage.publish import publishing
from patchc.storage.write_model import check_writable, plan_for, write_model


def run_patches(
    base: KerasFile, result: KerasFile, patches: Sequence[Patch], plan: Plan
) -> tuple[Check, ...]:
    """What the patches say under `verify`; Keras is imported only where they say something.

    Raises:
        PatchError: PC501, at the patch, for what does not hold; PC308 where
            Keras cannot open or run one of them.
    """
    if all(patch.verify is None for patch in patches):
        return ()
    runner = keras_runner()
    with runnable(base) as one, runnable(result) as two:
        return tuple(runner.run_patches(one, two, patches, plan))


def keras_runner() -> Any:
    """The module that runs models.

    Raises:
        PatchError: PC310 where Keras cannot be imported.
    """
    try:
        with _muted():
            from patchc.storage.live import run as live_run  # noqa: PLC0415 (it imports Keras)
    except ImportError as error:
        message = f"running the models needs Keras, which cannot be imported: {error}"
        way_out = "`pip install 'patchc[tensorflow]'`, or leave `verify` out"
        raise PatchError(Diagnostic("PC310", message, help=way_out)) from None
    return live_run


@contextmanager
def runnable(source: KerasFile) -> Iterator[str]:
    """A file with the model that Keras opens: the model's own, or a conversion for the while.

    Keras opens few older files, and some of them as another function than they
    were trained for.

    Raises:
        PatchError: the model cannot be converted; what is raised inside speaks
            of the model and not of its conversion.
    """
    path = source.file.path
    if source.older is None and source.archive is not None and os.path.isfile(path):
        yield path
        return
    plan = compile_patches(source.document(target=Format.KERAS), ())
    check_writable(source, plan, Format.KERAS, path)
    plan = plan_for(source, plan, Format.KERAS)
    with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
        converted = str(Path(folder, "model.keras"))
        with publishing(converted) as output:
            write_model(source, plan, Format.KERAS, output, lambda _: None)
        try:
            yield converted
        except PatchError as error:
            raise PatchError(*_told_of(error.diagnostics, {converted: path})) from None


def _told_of(found: Sequence[Diagnostic], names: Mapping[str, str]) -> Iterator[Diagnostic]:
    for diagnostic in found:
        file = diagnostic.file
        yield replace(diagnostic, file=names.get(file, file) if file is not None else None)


@contextmanager
def _muted() -> Iterator[None]:
    """Keep what TensorFlow's libraries write while they load from the user's terminal."""
    try:
        stderr = os.dup(2)
    except OSError:  # closed by the caller, who wants none of it
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
