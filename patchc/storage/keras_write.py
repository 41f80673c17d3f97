"""Writing the result of a plan as a `.keras` file.

Weights stream from the old archive into the new one; only a weight that
changes is held in memory, one at a time.  Where no weight changes, the whole
member is copied as one range of bytes.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import replace

import numpy as np

from patchc.arrays.dtypes import Array, ValuesError
from patchc.arrays.produce import produce
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.storage.attach import find
from patchc.storage.hdf5 import Dataset
from patchc.storage.hdf5_writer import layout
from patchc.storage.keras_file import CONFIG, WEIGHTS, KerasFile
from patchc.storage.keras_tree import keeps_weights, result_tree
from patchc.storage.members import STREAMED, Member, central_directory, local_header, rewritten
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Progress, Sink

Made = dict[str, bytes]
"""Address of a changed weight -> fingerprint of the values that were made for it."""


def write_keras(source: KerasFile, plan: Plan, output: OutputFile, progress: Progress) -> Made:
    """Write the whole result.

    Returns fingerprints of the weights that were made or changed.

    Args:
        source: the base that the plan was compiled against.
        output: an empty file.
        progress: told how many bytes have been written.
    """
    with Sink(output, progress) as sink:
        if plan.is_empty:
            sink.copy(source.file, 0, source.file.size)
            return {}
        made: Made = {}
        members = _members(source, plan)
        written = [_write_member(source, plan, sink, named, made) for named in members]
        sink.write(central_directory(written))
    return made


def _members(source: KerasFile, plan: Plan) -> list[tuple[str, Member]]:
    """Members of the result with the name that each has there, in the base's order."""
    new_names = {old: new for new, old in plan.assets.items()}
    return [
        (new_names.get(member.name, member.name), member)
        for member in source.archive.members
        if not member.name.startswith("assets/") or member.name in new_names
    ]


def _write_member(
    source: KerasFile, plan: Plan, sink: Sink, named: tuple[str, Member], made: Made
) -> Member:
    name, member = named
    if member.name == CONFIG and plan.config != source.config:
        return _write_bytes(sink, member, json.dumps(plan.config).encode())
    if member.name == WEIGHTS and not keeps_weights(source, plan):
        return _write_weights(source, plan, sink, member, made)
    if name != member.name:
        member = replace(member, name=name, raw_name=name.encode())
    return _write_copy(source, sink, member)


def _write_bytes(sink: Sink, member: Member, data: bytes) -> Member:
    new = rewritten(member, len(data), zlib.crc32(data)).placed(sink.position)
    sink.write(local_header(new))
    sink.write(data)
    return new


def _write_copy(source: KerasFile, sink: Sink, member: Member) -> Member:
    new = replace(member, flags=member.flags & ~STREAMED).placed(sink.position)
    sink.write(local_header(new))
    sink.copy(source.file, member.offset, member.compressed_size)
    return new


# ----------------------------------------------------------------------- weights


def _write_weights(source: KerasFile, plan: Plan, sink: Sink, member: Member, made: Made) -> Member:
    """Lay the weights out anew and fill them in; the CRC is known only then."""
    place = layout(result_tree(source, plan))
    new = rewritten(member, place.size).placed(sink.position)
    header_at = sink.position
    sink.write(local_header(new))
    sink.start_member()
    sink.write(place.metadata)
    entries = {e.address: e for e in (*plan.ledger.entries, *plan.optimizer.entries)}
    for address, offset in place.offsets.items():
        sink.pad_to(new.offset + offset)
        _write_weight(source, plan, sink, entries[address], made)
    sink.pad_to(new.offset + place.size)
    new = replace(new, crc=sink.crc())
    sink.output.write_at(header_at, local_header(new))
    return new


def _write_weight(
    source: KerasFile, plan: Plan, sink: Sink, entry: LedgerEntry, made: Made
) -> None:
    if entry.value.base is None or entry.value.growths:
        values = made_values(source, plan, entry)
        made[entry.address] = fingerprint(values)
        sink.write(raw_bytes(values))
        return
    stored = find(source.tree, entry.value.base)
    assert isinstance(stored, Dataset)
    sink.copy(source.file, source.weights.offset + (stored.offset or 0), stored.nbytes)


def made_values(source: KerasFile, plan: Plan, entry: LedgerEntry) -> Array:
    """The values of a weight or slot that is new or changed, as they are stored.

    Raises:
        PatchError: PC305 where its strategy cannot make it.
    """
    value = entry.value
    old = None if value.base is None else stored_values(source, value.base)
    mirrored = None if value.mirror is None else _result_values(source, plan, value.mirror)
    try:
        values = produce(value, entry.shape, entry.dtype, old, mirrored)
    except ValuesError as error:
        message = f"`{entry.path}` {error}"
        raise PatchError(
            Diagnostic("PC305", message, file=source.file.path, help="use another `init`")
        ) from None
    return np.ascontiguousarray(values)


def _result_values(source: KerasFile, plan: Plan, address: str) -> Array:
    """A weight of the result, from the base and the plan."""
    entry = next(entry for entry in plan.ledger.entries if entry.address == address)
    if entry.value.base is not None and not entry.value.growths:
        return stored_values(source, entry.value.base)
    return made_values(source, plan, entry)


def stored_values(source: KerasFile, address: str) -> Array:
    """A stored weight as an array; bfloat16 stands as uint16."""
    stored = find(source.tree, address)
    assert isinstance(stored, Dataset)
    dtype = np.dtype(np.uint16) if stored.dtype_name == "bfloat16" else np.dtype(stored.dtype_name)
    values = np.empty(stored.shape, dtype)
    if stored.nbytes:
        source.file.read_into(raw_bytes(values), source.weights.offset + (stored.offset or 0))
    return values


def fingerprint(values: Array) -> bytes:
    """SHA-256 of a weight's stored bytes."""
    return hashlib.sha256(raw_bytes(values)).digest()


def raw_bytes(values: Array) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return values.reshape(-1).view(np.uint8).data
