"""From a patch file to a Patch, or to everything that is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace

from patchc.errors import Diagnostic, PatchError
from patchc.language.build import build_edits, build_patch
from patchc.language.params import fill_in
from patchc.language.patch import Patch
from patchc.language.schema import check
from patchc.language.source import SIZE_LIMIT, decode, parse

__all__ = ["load", "loads"]


def load(path: str | os.PathLike[str], set_values: Mapping[str, str] | None = None) -> Patch:
    """Read and validate a patch file.

    Args:
        set_values: values of parameters, as text; each must fit its declaration.

    Raises PatchError with everything that was found.
    """
    name = os.fspath(path)
    return _load(_read(name), name, set_values)


def loads(text: str, name: str = "<string>", set_values: Mapping[str, str] | None = None) -> Patch:
    """Validate the text of a patch; diagnostics call it `name`.

    Raises PatchError with everything that was found.
    """
    return _load(text.encode("utf-8", "surrogatepass"), name, set_values)


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        problem, hint = "there is no such file", "look at the path"
    except IsADirectoryError:
        problem, hint = "this is a directory", "name a patch file"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        problem, hint = f"the file cannot be read: {str(reason).lower()}", None
    raise PatchError(Diagnostic("PC401", problem, help=hint, file=name))


def _load(data: bytes, name: str, set_values: Mapping[str, str] | None) -> Patch:
    filled = fill_in(parse(decode(data, name)), set_values or {})
    document = filled.document
    findings = check(document)
    broken = document.broken.union(path for path, _ in findings)
    edits, further = build_edits(replace(document, broken=broken))
    problems = [*document.problems, *(found for _, found in findings), *further]
    if problems:
        raise PatchError(*problems)
    sha256 = hashlib.sha256(data).hexdigest()
    return build_patch(document, edits, sha256, filled.values, filled.warnings)
