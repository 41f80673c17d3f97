"""Writing the result of a plan in the format that is asked for.

What older formats need is imported where one is met: it takes a while.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.storage.formats import Format
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_write import Written, copy_file, write_keras, write_weights
from patchc.storage.publish import OutputFile, publishing
from patchc.storage.stream import Progress

if TYPE_CHECKING:
    from patchc.legacy.notes import Repair

_KERAS, _WEIGHTS, _INDEX = ".keras", ".weights.h5", ".weights.json"
_HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
_ENDINGS = {
    Format.MODEL: _HDF5,
    Format.WEIGHTS: _HDF5,
    Format.KERAS_WEIGHTS: (_WEIGHTS,),
    Format.SHARDED: (_INDEX, _WEIGHTS),
}
"""How an output of the same format may end; the first is the usual one."""


def output_format(source: KerasFile, out: str | os.PathLike[str]) -> Format:
    """The format of an output: `.keras` where its name says so, else that of the base.

    An archive of Keras 2 stays one; `convert` makes one of Keras 3.
    Sharded weights become one file where its name ends in `.weights.h5`.

    Raises:
        PatchError: PC406 where the name says neither.
    """
    name = os.fspath(out)
    if name.endswith(_KERAS):
        return Format.KERAS_2 if source.format is Format.KERAS_2 else Format.KERAS
    own = _ENDINGS.get(source.format, ())
    if name.endswith(own) and (source.format is not Format.MODEL or not name.endswith(_WEIGHTS)):
        joined = source.format is Format.SHARDED and name.endswith(_WEIGHTS)
        return Format.KERAS_WEIGHTS if joined else source.format
    message = "the name of the output does not tell its format"
    help_text = f"give it a name that ends in {' or '.join((_KERAS, *own[:1]))}"
    raise PatchError(Diagnostic("PC406", message, file=name, help=help_text))


def plan_for(source: KerasFile, plan: Plan, target: Format) -> Plan:
    """The plan of a result in a format: with the names that Keras 3 takes, in a `.keras` file."""
    if target is not Format.KERAS or source.older is None:
        return plan
    from patchc.legacy.slashes import without_slashes  # noqa: PLC0415 (see above)

    found = without_slashes(plan.config)
    ends = ([found.end(end) for end in side] for side in (plan.inputs, plan.outputs))
    inputs, outputs = map(tuple, ends)
    return replace(plan, config=found.config, inputs=inputs, outputs=outputs)


def name_repairs(source: KerasFile, plan: Plan) -> tuple[Repair, ...]:
    """The layers that `plan_for` gives another name in a `.keras` file."""
    if source.older is None:
        return ()
    from patchc.legacy.slashes import without_slashes  # noqa: PLC0415 (see above)

    return without_slashes(plan.config).repairs


def check_writable(source: KerasFile, plan: Plan, target: Format, out: str) -> None:
    """Refuse, before anything is written, what the format of the output cannot hold.

    Raises:
        PatchError: PC405 or PC406, with what cannot be written and the way out.
    """
    if source.bare:
        _check_bare(source, plan, target, out)
        return
    if target is Format.KERAS and source.older is not None:
        _check_told_apart(source)
    if target is Format.KERAS_2 and not plan.is_empty:
        from patchc.storage.older.archive_write import archive_result  # noqa: PLC0415 (see above)

        archive_result(source, plan)
    if target in {Format.MODEL, Format.WEIGHTS} and not plan.is_empty:
        from patchc.storage.older.recorded_write import recorded_result  # noqa: PLC0415 (see above)

        _check_laid_out(source, out)
        recorded_result(source, plan)
    if target in {Format.KERAS_WEIGHTS, Format.SHARDED} and not plan.is_empty:
        _check_architecture_stays(source, plan, out)
        if source.older is not None:
            from patchc.storage.older.archive_write import archive_result  # noqa: PLC0415 (see above)

            archive_result(source, plan)


def _check_laid_out(source: KerasFile, out: str) -> None:
    if source.older is not None and source.older.is_relaid:
        message = "the input lays out some weights in the way of an older Keras"
        help_text = "write the result as .keras: `-o NAME.keras`"
        raise PatchError(Diagnostic("PC406", message, file=out, help=help_text))


def _check_bare(source: KerasFile, plan: Plan, target: Format, out: str) -> None:
    from patchc.storage.older.bare_edits import check_state  # noqa: PLC0415 (see above)

    check_state(source, plan)
    if target is Format.KERAS:
        message = "a .keras file needs the architecture, and the input holds weights alone"
        help_text = "put what `model.to_json()` writes beside the input"
        raise PatchError(Diagnostic("PC411", message, file=out, help=help_text))


def _check_architecture_stays(source: KerasFile, plan: Plan, out: str) -> None:
    is_archived = source.older is None or source.older.archive is not None
    if plan.config != source.config or not is_archived:
        message = "the architecture changes with the weights, or is of an older Keras"
        help_text = "write both as .keras: `-o NAME.keras`"
        raise PatchError(Diagnostic("PC406", message, file=out, help=help_text))


def _check_told_apart(source: KerasFile) -> None:
    """A `.keras` file stores weights by what they are: all of them must be known."""
    assert source.older is not None
    found = [
        Diagnostic(
            "PC405",
            f"the weights of `{layer}` cannot be told apart: {reason}",
            file=source.file.path,
            help="write the result in the format of the input, or take the layer out by a patch",
        )
        for layer, reason in source.older.view.unmatched.items()
    ]
    if found:
        raise PatchError(*found)


def place_for(
    source: KerasFile, plan: Plan, target: Format, out: str, *, force: bool, in_place: bool
) -> AbstractContextManager[OutputFile]:
    """Where the result is written; it gets its name, or its names, when the block ends.

    Raises:
        PatchError: as `publishing`.
    """
    if target is Format.SHARDED:
        from patchc.storage.older.sharded_write import (  # noqa: PLC0415 (see above)
            publishing_sharded,
        )

        return publishing_sharded(source, plan, out, force=force, in_place=in_place)
    shards = source.shards.files if source.shards is not None else ()
    return publishing(
        out,
        force=force,
        in_place_of=source.file.identity if in_place else None,
        inputs=[file.identity for file in (source.file, *shards)],
    )


def write_model(
    source: KerasFile,
    plan: Plan,
    target: Format,
    output: OutputFile,
    progress: Progress,
) -> Written:
    """Write the result of a plan; where nothing changes, the same bytes once more.

    Args:
        source: the base that the plan was compiled against.
        target: the format to write.
        output: an empty file, which `place_for` gives.
        progress: told how many bytes have been written.
    """
    if target is Format.SHARDED:
        from patchc.storage.older.sharded_write import write_sharded  # noqa: PLC0415 (see above)

        return write_sharded(source, plan, output, progress)
    if plan.is_empty and target is source.format:
        return copy_file(source, output, progress)
    if source.bare:
        from patchc.storage.older.bare_edits import write_bare  # noqa: PLC0415 (see above)

        return write_bare(source, plan, output, progress)
    if target is Format.KERAS_WEIGHTS and source.older is not None:
        from patchc.storage.older.archive_write import write_groups  # noqa: PLC0415 (see above)

        return write_groups(source, plan, output, progress)
    if target is Format.KERAS_WEIGHTS:
        return write_weights(source, plan, output, progress)
    if target in {Format.MODEL, Format.WEIGHTS}:
        from patchc.storage.older.recorded_write import write_recorded  # noqa: PLC0415 (see above)

        return write_recorded(source, plan, output, progress)
    if target is Format.KERAS_2:
        from patchc.storage.older.archive_write import archive_result  # noqa: PLC0415 (see above)

        return write_keras(source, plan, output, progress, archive_result(source, plan))
    return write_keras(source, plan, output, progress)
