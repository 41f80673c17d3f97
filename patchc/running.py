"""Running models with Keras, where a patch or a user asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from patchc.checks import Check
from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Patch

Path = str | os.PathLike[str]


def run_patches(
    model: Path, temporary: str, patches: Sequence[Patch], plan: Plan
) -> tuple[Check, ...]:
    """What the patches say under `verify`; Keras is imported only where they say something."""
    if all(patch.verify is None for patch in patches):
        return ()
    return tuple(keras_runner().run_patches(model, temporary, patches, plan))


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
