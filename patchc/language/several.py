"""Several patches in one call: each takes the settings that it declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchc.errors import Diagnostic, PatchError
from patchc.language.load import load
from patchc.language.patch import Patch
from patchc.language.source import SIZE_LIMIT, decode, parse

__all__ = ["load_all"]


def load_all(paths: Sequence[str], settings: Mapping[str, str]) -> tuple[Patch, ...]:
    """Read and validate several patch files.

    A setting goes to each patch that declares it; one that none of them
    declares is reported.

    Raises:
        PatchError: everything that is wrong with any of them.
    """
    shares = _shares(paths, settings)
    patches: list[Patch] = []
    found: list[Diagnostic] = []
    for path, share in zip(paths, shares, strict=True):
        try:
            patches.append(load(path, share))
        except PatchError as error:
            found += error.diagnostics
    if found:
        raise PatchError(*found)
    return tuple(patches)


def _shares(paths: Sequence[str], settings: Mapping[str, str]) -> list[Mapping[str, str]]:
    if len(paths) == 1 or not settings:
        return [settings] * len(paths)
    declared = [_declared(path) for path in paths]
    known = frozenset[str]().union(*declared)
    return [
        {name: text for name, text in settings.items() if name in own or name not in known}
        for own in declared
    ]


def _declared(path: str) -> frozenset[str]:
    """The names under `params`; none where the file cannot be read, which `load` reports."""
    try:
        with open(path, "rb") as file:
            data = parse(decode(file.read(SIZE_LIMIT + 1), path)).data
    except (OSError, ValueError, PatchError):
        return frozenset()
    params = data.get("params")
    return frozenset(params) if isinstance(params, dict) else frozenset()
