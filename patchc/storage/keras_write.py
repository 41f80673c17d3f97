"""Writing the result of a plan as a `.keras` file.

Weights stream from the old archive into the new one; only a weight that
changes is held in memory, one at a time.  Where no weight changes, the whole
member is copied as one range of bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeGuard

import patchc
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.model.history import Applied
from patchc.model.vocabulary import with_lines
from patchc.storage.attach import find
from patchc.storage.background import Background
from patchc.storage.formats import Format
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.hdf5.writer import Layout, layout
from patchc.storage.history import (
    PENDING,
    is_clear,
    recorded_in,
    settle_pending,
    with_history,
)
from patchc.storage.keras_file import CONFIG, METADATA, WEIGHTS, KerasFile
from patchc.storage.keras_tree import keeps_weights, result_tree
from patchc.storage.members import (
    STREAMED,
    Member,
    central_directory,
    local_header,
    new_member,
    rewritten,
)
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Piece, Progress, Sink

if TYPE_CHECKING:
    from patchc.arrays.dtypes import Array

# What is written loads in every Keras 3; a date would make each result another file.
_METADATA = {"keras_version": "3.0.0", "date_saved": "1980-01-01@00:00:00"}

Made = dict[str, bytes]
"""Address of a changed weight -> fingerprint of the values that were made for it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of an output once it is written.

    Args:
        made: fingerprints of the weights that were made or changed.
        pieces: the large ranges that were copied from the base.
    """

    made: Made
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What the members of an archive are to hold.

    Args:
        metadata: without the history.
        config: None: as in the base.
        tree: groups and datasets of the weights; None: as in the base.
        held: by path in `tree`, where its values come from: what the plan says,
            or a dataset of the base.
        renamed: asset as the plan calls it -> as the file does, where not alike.
    """

    metadata: Mapping[str, Any]
    config: Any
    tree: Group | None
    held: Mapping[str, LedgerEntry | Dataset]
    renamed: Mapping[str, str] = field(default_factory=dict)


def contents_of(source: KerasFile, plan: Plan) -> Contents:
    """What the result of a plan holds as an archive of Keras 3."""
    is_new = source.older is not None or source.archive is None
    held = {e.address: e for e in (*plan.ledger.entries, *plan.optimizer.entries)}
    return Contents(
        metadata=metadata_of(source, Format.KERAS),
        config=plan.config if is_new or plan.config != source.config else None,
        tree=None if keeps_weights(source, plan) else result_tree(source, plan),
        held=held,
    )


def metadata_of(source: KerasFile, target: Format) -> Mapping[str, Any]:
    """What the metadata of a result say beside its history."""
    is_new = source.archive is None or (source.older is not None and source.format is not target)
    return _METADATA if is_new else source.metadata


def write_keras(
    source: KerasFile,
    plan: Plan,
    output: OutputFile,
    progress: Progress,
    contents: Contents | None = None,
) -> Written:
    """Write the whole result.

    Args:
        source: the base that the plan was compiled against.
        output: an empty file.
        progress: told how many bytes have been written.
        contents: what it holds; left out, what Keras 3 has.
    """
    made: Made = {}
    contents = contents or contents_of(source, plan)
    with Sink(output, progress) as sink:
        members = _members(source, plan)
        written = [_write_member(source, plan, contents, sink, m, made) for m in members]
        sink.write(central_directory(written))
    return Written(made, tuple(sink.pieces))


def copy_file(source: KerasFile, output: OutputFile, progress: Progress) -> Written:
    """Write the base once more, byte by byte."""
    file, weights = source.file, source.weights
    with Sink(output, progress) as sink:
        if weights is not None:
            sink.copy(file, 0, weights.offset)
            sink.copy(source.data, 0, weights.compressed_size)
        sink.copy(file, sink.position, file.size - sink.position)
    return Written({}, tuple(sink.pieces))


def entries(plan: Plan, source: KerasFile, base: str | None = None) -> tuple[Applied, ...]:
    """What the history gains by a plan: nothing where there is nothing to do.

    Args:
        base: what it calls the base; left out, the digest of its contents.
    """
    if plan.is_empty:
        return ()
    base = base or source.contents()
    return tuple(
        Applied(
            id=patch.id,
            sha256=patch.sha256,
            text=patch.text,
            params=patch.params,
            seed=patch.seed,
            patchc=patchc.__version__,
            base=base,
        )
        for patch in plan.patches
    )


def begun_history(source: KerasFile, plan: Plan) -> tuple[Applied, ...]:
    """The history of an HDF5 file, with a mark for the digest of the base, which takes a while."""
    found = (*source.history, *entries(plan, source, PENDING))
    return found if is_clear(found) else (*source.history, *entries(plan, source))


def end_history(
    source: KerasFile, output: OutputFile, beginning: bytes, history: Sequence[Applied]
) -> None:
    """Write the digest of the base where `begun_history` left its mark."""
    if any(applied.base == PENDING for applied in history):
        settle_pending(output, beginning, history, source.contents())


def _members(source: KerasFile, plan: Plan) -> list[tuple[str, Member]]:
    """Members of the result with the name that the plan gives each, in the base's order."""
    if source.archive is None:
        return [(name, new_member(name, 0)) for name in (METADATA, CONFIG, WEIGHTS)]
    assets = source.assets
    new_names = {assets[old].name: new for new, old in plan.assets.items()}
    return [
        (new_names.get(member.name, member.name), member)
        for member in source.archive.members
        if not member.name.startswith("assets/") or member.name in new_names
    ]


def _write_member(
    source: KerasFile,
    plan: Plan,
    contents: Contents,
    sink: Sink,
    named: tuple[str, Member],
    made: Made,
) -> Member:
    name, member = named
    if member.name == METADATA:
        history = (*source.history, *entries(plan, source))
        return write_bytes(sink, member, with_history(contents.metadata, history))
    if member.name == CONFIG and contents.config is not None:
        return write_bytes(sink, member, json.dumps(contents.config).encode())
    if member.name == WEIGHTS and contents.tree is not None:
        place = layout(contents.tree)
        return _write_weights(source, plan, sink, member, place, contents.held, made)
    own = contents.renamed.get(name, name)
    new = member if own == member.name else replace(member, name=own, raw_name=own.encode())
    if name in plan.appended:
        data = with_lines(source.read_asset(plan.assets[name]), plan.appended[name])
        return write_bytes(sink, new, data)
    return write_copy(source, sink, new)


def write_bytes(sink: Sink, member: Member, data: bytes) -> Member:
    """Append a member with other contents; returns it as it stands in the result."""
    new = rewritten(member, len(data), zlib.crc32(data)).placed(sink.position)
    sink.write(local_header(new))
    sink.write(data)
    return new


def write_copy(source: KerasFile, sink: Sink, member: Member) -> Member:
    """Append a member of the base as it is; returns it as it stands in the result."""
    new = replace(member, flags=member.flags & ~STREAMED).placed(sink.position)
    sink.write(local_header(new))
    if member.name == WEIGHTS:
        sink.copy(source.data, 0, member.compressed_size)
    else:
        sink.copy(source.file, member.offset, member.compressed_size)
    return new


# ----------------------------------------------------------------------- weights


def write_weights(source: KerasFile, plan: Plan, output: OutputFile, progress: Progress) -> Written:
    """Write the weights of a result as a file of their own, `.weights.h5`."""
    entries = {e.address: e for e in (*plan.ledger.entries, *plan.optimizer.entries)}
    return write_hdf5(source, plan, output, progress, result_tree(source, plan), entries)


def write_hdf5(
    source: KerasFile,
    plan: Plan,
    output: OutputFile,
    progress: Progress,
    tree: Group,
    entries: Mapping[str, LedgerEntry],
    base: Group | None = None,
    *,
    history: Sequence[Applied] | None = None,
) -> Written:
    """Write an HDF5 file.

    Args:
        tree: what it holds.
        entries: its weights by path.
        base: what else it holds is copied from the same path of this tree.
        history: what it says of its past; left out, what the plan makes of it.
    """
    told = begun_history(source, plan) if history is None else history
    place = layout(recorded_in(tree, told))
    made: Made = {}
    with Sink(output, progress, checksum=False) as sink:
        sink.write(place.metadata)
        for path, offset in place.offsets.items():
            sink.pad_to(offset)
            if path in entries:
                write_weight(source, plan, sink, entries[path], made)
            else:
                copy_weight(source, sink, path, base)
        sink.pad_to(place.size)
    end_history(source, output, place.metadata, told)
    return Written(made, tuple(sink.pieces))


def _write_weights(
    source: KerasFile,
    plan: Plan,
    sink: Sink,
    member: Member,
    place: Layout,
    held: Mapping[str, LedgerEntry | Dataset],
    made: Made,
) -> Member:
    """The weights of a result, copied or made; the next one is made while others are copied."""
    changed = [item for path in place.offsets if _is_changed(item := held[path])]
    with _Ahead(source, plan, changed) as ahead:

        def fill(path: str) -> None:
            item = held[path]
            if isinstance(item, Dataset):
                sink.copy(source.data, item.offset or 0, item.nbytes)
                return
            values = ahead.take(item) if _is_changed(item) else None
            write_weight(source, plan, sink, item, made, values)

        return write_tree(sink, member, place, fill)


class _Ahead:
    """Makes changed weights one by one, each from when the one before it was taken."""

    def __init__(self, source: KerasFile, plan: Plan, changed: Iterable[LedgerEntry]) -> None:
        self._source = source
        self._plan = plan
        self._changed = iter(changed)
        self._entry: LedgerEntry | None = None
        self._values: Background[Array] | None = None
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._values is not None:
            self._values.__exit__(None, None, None)

    def _start(self) -> None:
        entry = self._entry = next(self._changed, None)
        self._values = Background(lambda: _made(self._source, self._plan, entry)) if entry else None

    def take(self, entry: LedgerEntry) -> Array:
        """The values of a weight, which is the next one; raises what making them raised."""
        assert self._values is not None
        assert entry is self._entry, "weights are written in the order of the layout"
        values = self._values.result()
        self._start()
        return values


def _is_changed(item: LedgerEntry | Dataset) -> TypeGuard[LedgerEntry]:
    """Whether values are made, and not copied."""
    return isinstance(item, LedgerEntry) and (item.value.base is None or bool(item.value.growths))


def _made(source: KerasFile, plan: Plan, entry: LedgerEntry) -> Array:
    # NumPy takes a while to import, and only values that change need it
    from patchc.storage.values import made_values  # noqa: PLC0415

    return made_values(source, plan, entry)


def write_tree(sink: Sink, member: Member, place: Layout, fill: Callable[[str], None]) -> Member:
    """Write weights as they are laid out; the CRC is known only then."""
    new = rewritten(member, place.size).placed(sink.position)
    header_at = sink.position
    sink.write(local_header(new))
    sink.start_member()
    sink.write(place.metadata)
    for address, offset in place.offsets.items():
        sink.pad_to(new.offset + offset)
        fill(address)
    sink.pad_to(new.offset + place.size)
    new = replace(new, crc=sink.crc())
    sink.output.write_at(header_at, local_header(new))
    return new


def write_weight(
    source: KerasFile,
    plan: Plan,
    sink: Sink,
    entry: LedgerEntry,
    made: Made,
    values: Array | None = None,
) -> None:
    """Append the values of one weight of the result: copied, or made.

    Args:
        values: what was made for it already.
    """
    if not _is_changed(entry):
        assert entry.value.base is not None
        copy_weight(source, sink, entry.value.base)
        return
    # NumPy takes a while to import, and only values that change need it
    from patchc.storage.values import fingerprint, raw_bytes  # noqa: PLC0415

    if values is None:
        values = _made(source, plan, entry)
    made[entry.address] = fingerprint(values)
    sink.write(raw_bytes(values))


def copy_weight(source: KerasFile, sink: Sink, address: str, tree: Group | None = None) -> None:
    """Append the values of a weight of the base; `tree` is another one than its own."""
    stored = find(source.tree if tree is None else tree, address)
    assert isinstance(stored, Dataset)
    sink.copy(source.data, stored.offset or 0, stored.nbytes)
