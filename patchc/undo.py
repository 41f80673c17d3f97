"""Undo: what is kept when a patch is applied, and the way back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

import patchc
from patchc.arrays.produce import composed
from patchc.arrays.restore import is_complete, restored
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.model.axis import AxisMap
from patchc.model.document import structure_hash
from patchc.results import Written
from patchc.storage.attach import OPTIMIZER, datasets, find
from patchc.storage.digest import Digest
from patchc.storage.files import open_regular
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.keras_file import KerasFile, keras_archive, open_keras
from patchc.storage.older.rebuilt import Rebuilt
from patchc.storage.open_model import open_model
from patchc.storage.publish import OutputFile, publishing
from patchc.storage.stream import Comparison, Sink, crc32_of
from patchc.storage.undo_file import Carried, Undo, UndoFile, read_undo, refusal, write_undo
from patchc.storage.values import raw_bytes, stored_values
from patchc.storage.write_again import write_again

Path = str | os.PathLike[str]
_MOST_NAMED = 5

# ---------------------------------------------------------------------- on the way out


def keep_undo(
    source: KerasFile, plan: Plan, written: Path, sha256: str, output: OutputFile
) -> None:
    """Write the undo file of a result.

    Args:
        source: the base.
        written: the result, which has been checked.
        sha256: of the base file.
        output: the undo file.
    """
    with open_model(written) as result:
        undo = Undo(
            patchc=patchc.__version__,
            patches=tuple(patch.id for patch in plan.patches),
            sha256=sha256,
            size=source.file.size,
            structure=plan.structure,
            result=result.contents(),
            weights=_carried(source, plan, result),
        )
    write_undo(undo, source.file, output)


def _carried(source: KerasFile, plan: Plan, result: KerasFile) -> tuple[Carried, ...]:
    """The weights of the base that the result holds, with room for what it has lost of them."""
    entries = _entries_by_base(plan)
    paths = {address: stored.path for address, stored in plan.base.weights.items()}
    found = []
    for address, stored in _by_offset(source):
        entry = entries.get(address)
        changes = None if entry is None else _changes(source, result, stored, entry)
        if entry is not None and (changes is not None or not entry.value.growths):
            path = paths.get(address, address)
            found.append(_weight(source, stored, entry, changes, path))
    container = source.file.size - sum(weight.nbytes for weight in found)
    return tuple(_with_places(found, container))


def _entries_by_base(plan: Plan) -> dict[str, LedgerEntry]:
    entries = (*plan.ledger.entries, *plan.optimizer.entries)
    return {e.value.base: e for e in entries if e.value.base is not None and not e.value.copied}


def _by_offset(source: KerasFile) -> list[tuple[str, Dataset]]:
    stored = [(address, data) for address, data in datasets(source.tree) if data.nbytes]
    return sorted(stored, key=lambda item: item[1].offset or 0)


def _changes(
    source: KerasFile, result: KerasFile, stored: Dataset, entry: LedgerEntry
) -> tuple[AxisMap, ...] | None:
    """How the axes changed; None where that does not lead back, as after a rescaling."""
    value = entry.value
    if not value.growths:
        return None
    changes = tuple(composed(value.growths, axis, n) for axis, n in enumerate(stored.shape))
    before = stored_values(source, str(value.base))
    back = restored(stored_values(result, entry.address), changes, before)
    return changes if raw_bytes(back) == raw_bytes(before) else None


def _weight(
    source: KerasFile,
    stored: Dataset,
    entry: LedgerEntry,
    changes: tuple[AxisMap, ...] | None,
    path: str,
) -> Carried:
    return Carried(
        address=str(entry.value.base),
        path=path,
        offset=_weights_at(source) + (stored.offset or 0),
        nbytes=stored.nbytes,
        shape=stored.shape,
        dtype=stored.dtype_name,
        crc32=crc32_of(source.data, stored.offset or 0, stored.nbytes),
        now=entry.address,
        now_shape=entry.shape,
        changes=changes,
        kept=None if changes is None or is_complete(changes, stored.shape) else 0,
    )


def _weights_at(source: KerasFile) -> int:
    assert source.weights is not None
    return source.weights.offset


def _with_places(found: Sequence[Carried], container: int) -> Iterator[Carried]:
    """Give the old values that are kept beside the container their places behind it."""
    place = container
    for weight in found:
        if weight.kept is None:
            yield weight
        else:
            yield replace(weight, kept=place)
            place += weight.nbytes


# --------------------------------------------------------------------------- and back


def revert_file(
    model: Path, undo: Path, out: Path, *, force: bool = False, in_place: bool = False
) -> Written:
    """Take a patch back.

    Where nothing was trained since, the base file comes back byte for byte.
    Else it gets its structure back: weights that it shares with the result
    carry what they have learned, and the report says what could not be.

    Args:
        model: what the patch made, trained and saved since or not.
        undo: what `apply_opened` kept.
        force: replace an existing file.
        in_place: replace the model.

    Raises:
        PatchError: PC410 where the undo file is none, or is that of another
            model; nothing was written.
    """
    with open_regular(undo) as file, open_keras(model) as source:
        kept = read_undo(file)
        _check_model(source, kept)
        rebuilt = Rebuilt(kept, source)
        place = publishing(
            out,
            force=force,
            in_place_of=source.file.identity if in_place else None,
            inputs=[source.file.identity, file.identity],
        )
        with place as output:
            trained = rebuilt.trained()
            if trained:
                told = _write_structure(rebuilt, kept, trained, output)
            else:
                told = _write_base(rebuilt, kept, output)
            return replace(
                told,
                base={"path": source.file.path},
                output={"path": os.fspath(out), "bytes": output.size},
                summary=f"Wrote {os.fspath(out)}: {told.summary}",
            )


def _check_model(source: KerasFile, kept: UndoFile) -> None:
    """The model is built as the result was that the undo file belongs to."""
    undo = kept.undo
    if undo.result == source.contents():
        return
    if structure_hash(source.document().root) == undo.structure:
        return
    patches = ", ".join(f"`{name}`" for name in undo.patches)
    message = f"its structure is not that which {patches or 'the patch'} gave to its model"
    way_out = "name the model that was written with the undo file; take later patches back first"
    raise PatchError(Diagnostic("PC410", message, file=source.file.path, help=way_out))


def _write_base(rebuilt: Rebuilt, kept: UndoFile, output: OutputFile) -> Written:
    """The base file, byte for byte."""
    with Sink(output, lambda _: None) as sink:
        sink.copy(rebuilt, 0, rebuilt.size)
    with Digest(output, output.size) as digest:
        if digest.hex() != kept.undo.sha256:
            message = "the bytes of the original file did not come back: the undo file is damaged"
            raise PatchError(
                Diagnostic("PC501", message, file=kept.file.path, help="use the original file")
            )
    facts = {"exact": True, "weights": None}
    return Written("revert", {}, {}, "the original file, byte for byte.", facts=facts)


def _write_structure(
    rebuilt: Rebuilt, kept: UndoFile, trained: Sequence[Carried], output: OutputFile
) -> Written:
    """The base's structure, with what its weights have learned since."""
    with ExitStack() as stack:
        return _write_parts(keras_archive(rebuilt, stack), rebuilt, kept, trained, output)


def _write_parts(
    base: KerasFile,
    rebuilt: Rebuilt,
    kept: UndoFile,
    trained: Sequence[Carried],
    output: OutputFile,
) -> Written:
    archive = base.archive
    assert archive is not None
    lost = [weight for weight in trained if not rebuilt.present[weight.address]]
    tree = base.tree
    if not all(_is_of_optimizer(weight) for weight in lost):  # though the structure is the same
        raise refusal(kept.file, "its index does not fit the model")
    if lost:
        tree = Group({k: v for k, v in tree.members.items() if k != OPTIMIZER}, tree.attributes)
    write_again(base, archive, tree, output)
    _check_again(base, tree, output)
    return _told(base, kept, trained, lost)


def _check_again(base: KerasFile, tree: Group, output: OutputFile) -> None:
    compare = Comparison(lambda _: None)
    with open_keras(output.temporary) as result:
        wrong = [
            address
            for address, stored in datasets(tree)
            if not _same(base, stored, result, address, compare)
        ]
    if wrong:
        message = f"`{wrong[0]}` was not written as it should be"
        raise PatchError(Diagnostic("PC501", message, file=output.path, help="look at the disk"))


def _same(
    base: KerasFile, stored: Dataset, result: KerasFile, address: str, compare: Comparison
) -> bool:
    found = find(result.tree, address)
    return (
        isinstance(found, Dataset)
        and (found.shape, found.datatype) == (stored.shape, stored.datatype)
        and compare.same(
            base.data, stored.offset or 0, result.data, found.offset or 0, stored.nbytes
        )
    )


def _told(
    base: KerasFile, kept: UndoFile, trained: Sequence[Carried], lost: Sequence[Carried]
) -> Written:
    """What came back, and what could not: nothing has trained what the patch took away."""
    listed = {weight.address for weight in kept.undo.weights}
    partly = [weight.path for weight in kept.undo.weights if weight.kept is not None]
    paths = {address: w.path for address, w in base.document().weights.items()}
    old = [path for address, path in paths.items() if address not in listed]
    layers = [weight for weight in trained if not _is_of_optimizer(weight)]
    warnings = [
        _warning(text, kept)
        for names, text in (
            (old, f"{_named(old)} have their values from before the patch"),
            (partly, f"what the patch took out of {_named(partly)} has its values from before"),
            (lost, "the optimizer's state is not that of the result and is left out"),
        )
        if names
    ]
    counts = {
        "unchanged": len(listed & paths.keys()) - len(layers),
        "trained": len(layers),
        "restored": len(old),
    }
    text = f"the structure from before, with {len(layers)} weights as they were trained since."
    return Written(
        "revert",
        {},
        {},
        text,
        facts={"exact": False, "weights": counts},
        warnings=tuple(warnings),
    )


def _is_of_optimizer(weight: Carried) -> bool:
    return weight.address.startswith(f"{OPTIMIZER}/")


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return ", ".join(f"`{path}`" for path in paths[:_MOST_NAMED]) + more


def _warning(text: str, kept: UndoFile) -> Diagnostic:
    way_out = "nothing to do; train on, and compare with the model from before the patch"
    return Diagnostic("PC911", text, file=kept.file.path, help=way_out, severity="warning")
