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
    from patchc.conversion import Conversion
    from patchc.history import Log
    from patchc.language.patch import Patch
    from patchc.results import Report, Written

__all__ = [
    "Diagnostic",
    "PatchError",
    "__version__",
    "adopt",
    "apply",
    "apply_plan",
    "convert",
    "load",
    "loads",
    "log",
    "plan",
    "revert",
    "verify",
]
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


def plan(
    model: _Path | Any,
    patch: Patch | Sequence[Patch],
    out: _Path | None = None,
    *,
    force: bool = False,
    again: bool = False,
) -> Plan:
    """Compile one or several patches against a model, without changing anything.

    Args:
        model: path of a `.keras` file, whose headers are read, not its weights;
            or a `keras.Model` in memory.
        patch: what `load` returned; several are one transaction, in order.
        out: where to save the plan of a file, for `apply_plan`; the file is
            read once for its digest.
        force: replace an existing file.
        again: take patches that are in the model's history already.

    Returns:
        The plan; `str(plan)` is what the command line prints.

    Raises:
        PatchError: the model is not understood, or a patch does not fit it.
        TypeError: `out` for a model in memory.
    """
    if not isinstance(model, (str, os.PathLike)):
        if out is not None:
            raise TypeError("the plan of a model in memory cannot be saved: save the model first")
        from patchc.live import plan_live  # noqa: PLC0415 (it imports Keras)

        return plan_live(model, _listed(patch), again=again)
    from patchc.pipeline import plan_file, save_plan  # noqa: PLC0415 (keeps `import patchc` fast)

    if out is None:
        return plan_file(model, _listed(patch), again=again)
    return save_plan(model, _listed(patch), out, force=force, again=again)


@overload
def apply(
    model: _Path,
    patch: Patch | Sequence[Patch],
    out: _Path,
    *,
    force: bool = False,
    in_place: bool = False,
    digest: bool = True,
    again: bool = False,
    undo_file: _Path | None = None,
    provenance: bool = False,
) -> Report: ...


@overload
def apply(
    model: Any, patch: Patch | Sequence[Patch], *, again: bool = False, report: Literal[True]
) -> tuple[Any, Report]: ...


@overload
def apply(
    model: Any,
    patch: Patch | Sequence[Patch],
    *,
    again: bool = False,
    report: Literal[False] = False,
) -> Any: ...


def apply(
    model: _Path | Any,
    patch: Patch | Sequence[Patch],
    out: _Path | None = None,
    *,
    force: bool = False,
    in_place: bool = False,
    digest: bool = True,
    again: bool = False,
    undo_file: _Path | None = None,
    provenance: bool = False,
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
        again: take patches that are in the model's history already.
        undo_file: where to keep what a file's patches drop or overwrite, for `revert`.
        provenance: write an in-toto statement too, as `OUT.patchc.json`.
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
        if undo_file is not None or provenance:
            raise TypeError("`undo_file` and `provenance` go with files: a model stays as it is")
        from patchc.live import apply_live  # noqa: PLC0415 (it imports Keras)

        new, told = apply_live(model, _listed(patch), again=again)
        return (new, told) if report else new
    if out is None:
        raise TypeError("a model file gives a file: name it with `out`")
    from patchc.beside import Beside  # noqa: PLC0415 (keeps `import patchc` fast)
    from patchc.pipeline import apply_file  # noqa: PLC0415 (as above)

    return apply_file(
        model,
        _listed(patch),
        out,
        force=force,
        in_place=in_place,
        digest=digest,
        again=again,
        beside=Beside(undo_file, provenance),
    )


def apply_plan(
    model: _Path, plan: _Path, out: _Path, *, force: bool = False, in_place: bool = False
) -> Report:
    """Carry out a saved plan, exactly as it was reviewed.

    Args:
        model: path of the model that was planned.
        plan: path of the plan.
        out: path of the result.
        force: replace an existing file.
        in_place: `out` is the model itself.

    Raises:
        PatchError: model or patch have changed since (PC408), or the file is
            no plan that this version carries out (PC409); nothing was written.
    """
    from patchc.pipeline import apply_file  # noqa: PLC0415 (keeps `import patchc` fast)
    from patchc.saved import read_plan  # noqa: PLC0415 (as above)

    saved = read_plan(plan)
    return apply_file(model, saved.patches(), out, force=force, in_place=in_place, saved=saved)


def log(model: _Path) -> Log:
    """The history of a model file: the patches that made it.

    Returns:
        A log; its `.history` lists the patches, newest first.

    Raises:
        PatchError: the file is not understood.
    """
    from patchc.history import log_of  # noqa: PLC0415 (keeps `import patchc` fast)

    return log_of(model)


def adopt(
    before: _Path, after: _Path, out: _Path, *, force: bool = False, in_place: bool = False
) -> Written:
    """Give a model that Keras has trained and saved the history of the one before.

    Args:
        before: a model with a history.
        after: the same model, as Keras saved it.
        out: path of the result.
        force: replace an existing file.
        in_place: `out` is `after` itself.

    Raises:
        PatchError: `before` has no history, or the models are not built alike
            (PC316); nothing was written.
    """
    from patchc.history import adopt_history  # noqa: PLC0415 (keeps `import patchc` fast)

    return adopt_history(before, after, out, force=force, in_place=in_place)


def revert(
    model: _Path, undo: _Path, out: _Path, *, force: bool = False, in_place: bool = False
) -> Written:
    """Take a patch back.

    Where nothing was trained since, the original file comes back byte for
    byte; else its structure does, and `.warnings` names what could not be.

    Args:
        model: what the patch made.
        undo: the undo file that was kept then.
        out: path of the result.
        force: replace an existing file.
        in_place: `out` is the model itself.

    Raises:
        PatchError: the undo file is none, or that of another model (PC410);
            nothing was written.
    """
    from patchc.undo import revert_file  # noqa: PLC0415 (keeps `import patchc` fast)

    return revert_file(model, undo, out, force=force, in_place=in_place)


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


def convert(model: _Path, out: _Path, *, force: bool = False, digest: bool = True) -> Conversion:
    """Write a model file of an older Keras as a `.keras` file that Keras 3 opens.

    The configuration is repaired; weights are found by their recorded names
    and copied byte by byte.  Custom layers and Lambdas are carried through.

    Args:
        model: path of an HDF5 model, or of a `.keras` file of Keras 2.
        out: path of the result, which ends in `.keras`.
        force: replace an existing file.
        digest: put the SHA-256 of both files into the report.

    Returns:
        `.repairs` with layer and reason, `.missing` with what needs the user's
        code, and `.report`.

    Raises:
        PatchError: nothing was written; `.diagnostics` says why.
    """
    from patchc.conversion import convert_file  # noqa: PLC0415 (keeps `import patchc` fast)

    return convert_file(model, out, force=force, digest=digest)


def _listed(patch: Patch | Sequence[Patch]) -> Sequence[Patch]:
    return patch if isinstance(patch, Sequence) else [patch]
