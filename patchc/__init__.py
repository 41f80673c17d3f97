"""Change trained Keras models with reviewed patch files, and keep what they learned.

>>> import patchc
>>> patch = patchc.load("patches/add_classes.yaml")
>>> print(patchc.plan("model.keras", patch))
>>> report = patchc.apply("model.keras", patch, "out.keras")
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from patchc.errors import Diagnostic, PatchError

if TYPE_CHECKING:
    from patchc.compiler.plan import Plan
    from patchc.language.patch import Patch
    from patchc.results import Report

__all__ = ["Diagnostic", "PatchError", "__version__", "apply", "load", "loads", "plan", "verify"]
__version__ = "0.1.0"

_Path = str | os.PathLike[str]


def load(path: _Path, params: Mapping[str, str] | None = None) -> Patch:
    """Read and validate a patch file.

    Args:
        path: the YAML file.
        params: values for the patch's parameters, as on the command line.

    Raises:
        PatchError: everything that is wrong with it, with line and column.
    """
    from patchc import language  # noqa: PLC0415 (keeps `import patchc` fast)

    return language.load(path, params)


def loads(text: str, name: str = "<string>", params: Mapping[str, str] | None = None) -> Patch:
    """Validate a patch given as text.

    Args:
        text: YAML.
        name: what messages call it.
        params: values for the patch's parameters.

    Raises:
        PatchError: everything that is wrong with it, with line and column.
    """
    from patchc import language  # noqa: PLC0415 (keeps `import patchc` fast)

    return language.loads(text, name, params)


def plan(model: _Path, patch: Patch | Sequence[Patch]) -> Plan:
    """Compile one or several patches against a model, without changing anything.

    Args:
        model: path of a `.keras` file; its headers are read, not its weights.
        patch: what `load` returned; several are one transaction, in order.

    Returns:
        The plan; `str(plan)` is what the command line prints.

    Raises:
        PatchError: the model is not understood, or a patch does not fit it.
    """
    from patchc.pipeline import plan_file  # noqa: PLC0415 (keeps `import patchc` fast)

    return plan_file(model, _listed(patch))


def apply(
    model: _Path,
    patch: Patch | Sequence[Patch],
    out: _Path,
    *,
    force: bool = False,
    in_place: bool = False,
    digest: bool = True,
) -> Report:
    """Apply one or several patches to a model file.

    The result appears under its name only when it is whole and checked; after
    an error nothing has changed.

    Args:
        model: path of a `.keras` file.
        patch: what `load` returned; several are one transaction, in order.
        out: path of the result.
        force: replace an existing file.
        in_place: `out` is the model itself.
        digest: put the SHA-256 of both files into the report.

    Raises:
        PatchError: nothing was written; `.diagnostics` says why.
    """
    from patchc.pipeline import apply_file  # noqa: PLC0415 (keeps `import patchc` fast)

    return apply_file(model, _listed(patch), out, force=force, in_place=in_place, digest=digest)


def verify(before: _Path, after: _Path, patch: Patch | Sequence[Patch]) -> Report:
    """Check, from the files alone, that `after` is what the patch makes of `before`.

    Returns:
        A report; `.ok` says whether every check holds, `.checks` lists them.

    Raises:
        PatchError: a file is not understood, or the patch does not fit.
    """
    from patchc.pipeline import verify_files  # noqa: PLC0415 (keeps `import patchc` fast)

    return verify_files(before, after, _listed(patch))


def _listed(patch: Patch | Sequence[Patch]) -> Sequence[Patch]:
    return patch if isinstance(patch, Sequence) else [patch]
