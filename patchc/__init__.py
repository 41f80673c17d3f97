"""Change trained Keras models with reviewed patch files, and keep what they learned.

>>> import patchc
>>> patch = patchc.load("patches/add_classes.yaml")
>>> print(patchc.plan("model.keras", patch))
>>> report = patchc.apply("model.keras", patch, "out.keras")
>>> model = patchc.apply(model, patch)  # a keras.Model in memory
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

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


def plan(model: _Path | Any, patch: Patch | Sequence[Patch]) -> Plan:
    """Compile one or several patches against a model, without changing anything.

    Args:
        model: path of a `.keras` file, whose headers are read, not its weights;
            or a `keras.Model` in memory.
        patch: what `load` returned; several are one transaction, in order.

    Returns:
        The plan; `str(plan)` is what the command line prints.

    Raises:
        PatchError: the model is not understood, or a patch does not fit it.
    """
    if not isinstance(model, (str, os.PathLike)):
        from patchc.live import plan_live  # noqa: PLC0415 (it imports Keras)

        return plan_live(model, _listed(patch))
    from patchc.pipeline import plan_file  # noqa: PLC0415 (keeps `import patchc` fast)

    return plan_file(model, _listed(patch))


@overload
def apply(
    model: _Path,
    patch: Patch | Sequence[Patch],
    out: _Path,
    *,
    force: bool = False,
    in_place: bool = False,
    digest: bool = True,
) -> Report: ...


@overload
def apply(
    model: Any, patch: Patch | Sequence[Patch], *, report: Literal[True]
) -> tuple[Any, Report]: ...


@overload
def apply(model: Any, patch: Patch | Sequence[Patch], *, report: Literal[False] = False) -> Any: ...


def apply(
    model: _Path | Any,
    patch: Patch | Sequence[Patch],
    out: _Path | None = None,
    *,
    force: bool = False,
    in_place: bool = False,
    digest: bool = True,
    report: bool = False,
) -> Any:
    """Apply one or several patches to a model file, or to a model in memory.

    A file's result appears under its name only when it is whole and checked;
    after an error nothing has changed.  A model in memory stays as it is.

    Args:
        model: path of a `.keras` file, or a `keras.Model`.
        patch: what `load` returned; several are one transaction, in order.
        out: path of the result, for a file.
        force: replace an existing file.
        in_place: `out` is the model itself.
        digest: put the SHA-256 of both files into the report.
        report: for a model in memory, give back the report too.

    Returns:
        For a file the report; for a model in memory the new model, or model
        and report.

    Raises:
        PatchError: nothing was written; `.diagnostics` says why.
        TypeError: a file without `out`, or a model in memory with it.
    """
    if not isinstance(model, (str, os.PathLike)):
        if out is not None:
            raise TypeError("a model in memory gives a model: save it with `model.save(...)`")
        from patchc.live import apply_live  # noqa: PLC0415 (it imports Keras)

        new, told = apply_live(model, _listed(patch))
        return (new, told) if report else new
    if out is None:
        raise TypeError("a model file gives a file: name it with `out`")
    from patchc.pipeline import apply_file  # noqa: PLC0415 (keeps `import patchc` fast)

    return apply_file(model, _listed(patch), out, force=force, in_place=in_place, digest=digest)


def verify(
    before: _Path,
    after: _Path,
    patch: Patch | Sequence[Patch],
    *,
    run: bool | Mapping[str, Any] = False,
) -> Report:
    """Check, from the files alone, that `after` is what the patch makes of `before`.

    Args:
        run: run both models with Keras too, and compare their outputs as the
            patch's `verify` says, else the old entries of the pre-activation.
            A mapping with the keys of `verify` goes before what the patch
            says: `run={"outputs": "same", "probes": "inputs.npz"}`.

    Returns:
        A report; `.ok` says whether every check holds, `.checks` lists them.

    Raises:
        PatchError: a file is not understood, or the patch does not fit.
    """
    from patchc.pipeline import verify_files  # noqa: PLC0415 (keeps `import patchc` fast)

    return verify_files(before, after, _listed(patch), run=run)


def _listed(patch: Patch | Sequence[Patch]) -> Sequence[Patch]:
    return patch if isinstance(patch, Sequence) else [patch]
