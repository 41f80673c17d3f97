"""Folders of patches: which of them a model has not seen yet, and in which order they come."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from patchc.errors import Diagnostic, PatchError
from patchc.language.source import SIZE_LIMIT, decode, parse

__all__ = ["pending_in"]

_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class _Head:
    """What a file says of itself; `id` is "" where it is no patch, which loading it reports."""

    path: str
    id: str
    sha256: str
    requires: tuple[str, ...]


def pending_in(folder: str, applied: Mapping[str, str]) -> list[str]:
    """Paths of the patches in a folder that are not applied yet.

    They come in the order of their names, except that what a patch requires
    comes before it.

    Args:
        applied: SHA-256 by id of the patches in the model's history.

    Raises:
        PatchError: the folder cannot be read or holds no patches (PC401), or an
            applied patch is not what it was (PC315).
    """
    heads = [_head(os.path.join(folder, name)) for name in _names(folder)]
    edited = [_edited(head) for head in heads if applied.get(head.id, head.sha256) != head.sha256]
    if edited:
        raise PatchError(*edited)
    return _ordered([head for head in heads if head.id not in applied])


def _names(folder: str) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(_ENDINGS))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"the folder cannot be read: {reason}"
        raise PatchError(
            Diagnostic("PC401", message, file=folder, help="look at its permissions")
        ) from None
    if not names:
        way_out = "name a folder with files that end in .yaml or .yml"
        raise PatchError(Diagnostic("PC401", "no patch is in it", file=folder, help=way_out))
    return names


def _head(path: str) -> _Head:
    try:
        with open(path, "rb") as file:
            text = file.read(SIZE_LIMIT + 1)
        data = parse(decode(text, path)).data
    except (OSError, PatchError):
        return _Head(path, "", "", ())
    requires = data.get("requires", [])
    listed = [requires] if isinstance(requires, str) else requires
    ids = tuple(item for item in listed if isinstance(item, str)) if listed else ()
    name = data.get("id")
    named = name if isinstance(name, str) else ""
    return _Head(path, named, hashlib.sha256(text).hexdigest(), ids)


def _edited(head: _Head) -> Diagnostic:
    message = f"`{head.id}` was edited after it was applied to the model"
    way_out = (
        "put the file back (`patchc log MODEL --format json` holds its text),"
        " or give the edited patch an id of its own"
    )
    return Diagnostic("PC315", message, file=head.path, help=way_out)


def _ordered(heads: Sequence[_Head]) -> list[str]:
    """The first whose requirements do not wait, and so on; a cycle is left to the compiler."""
    waiting = list(heads)
    ordered: list[str] = []
    while waiting:
        ids = {head.id for head in waiting}
        ready = (head for head in waiting if not ids.intersection(head.requires))
        head = next(ready, waiting[0])
        waiting.remove(head)
        ordered.append(head.path)
    return ordered
