"""Undo files: what a patch dropped or overwrote, the container's own bytes included.

An undo file is a zip archive of two stored members.  `kept` holds the bytes of
the base outside of its listed weights, one behind the other, and then the old
values of listed weights of which the result has lost entries.  `undo.json`
lists the weights that the result still holds, and how they changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.model.axis import NEW, AxisMap
from patchc.storage.archive import Archive, read_archive
from patchc.storage.files import InputFile
from patchc.storage.jsontext import parse_json
from patchc.storage.members import central_directory, local_header, new_member
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Readable, Sink

VERSION = 1
_KEPT = "kept"
_INDEX = "undo.json"
_LARGEST = 256 << 20


@dataclass(frozen=True, slots=True)
class Carried:
    """A weight of the base that the result still holds.

    Args:
        address: in the base.
        path: layer and name.
        offset: of its bytes in the base file.
        nbytes: their number.
        shape, dtype: in the base.
        crc32: of its bytes in the base.
        now: address in the result.
        now_shape: shape there.
        changes: runs of the change of each axis; None where none changed.
        kept: where its old values lie in `kept`, where entries are lost; else None.
    """

    address: str
    path: str
    offset: int
    nbytes: int
    shape: tuple[int, ...]
    dtype: str
    crc32: int
    now: str
    now_shape: tuple[int, ...]
    changes: tuple[AxisMap, ...] | None = None
    kept: int | None = None


@dataclass(frozen=True, slots=True)
class Undo:
    """The index of an undo file.

    Args:
        patchc: version that wrote it.
        patches: ids of the patches that it takes back.
        sha256, size: of the base file.
        structure: structure hash of the result.
        result: contents digest of the result.
        weights: what the result still holds, in the order of the base file.
    """

    patchc: str
    patches: tuple[str, ...]
    sha256: str
    size: int
    structure: str
    result: str
    weights: tuple[Carried, ...]

    def literals(self) -> Iterator[tuple[int, int]]:
        """Offset and length of the ranges of the base file between the listed weights."""
        position = 0
        for weight in self.weights:
            yield position, weight.offset - position
            position = weight.offset + weight.nbytes
        yield position, self.size - position

    @property
    def container(self) -> int:
        """Number of bytes outside of the listed weights."""
        return self.size - sum(weight.nbytes for weight in self.weights)


def write_undo(undo: Undo, base: Readable, output: OutputFile) -> None:
    """Write an undo file.

    Args:
        base: the base file.
    """
    lost = [weight for weight in undo.weights if weight.kept is not None]
    size = undo.container + sum(weight.nbytes for weight in lost)
    kept = new_member(_KEPT, size).placed(0)
    with Sink(output, lambda _: None) as sink:
        sink.write(local_header(kept))
        sink.start_member()
        for offset, length in undo.literals():
            sink.copy(base, offset, length)
        for weight in lost:
            sink.copy(base, weight.offset, weight.nbytes)
        kept = replace(kept, crc=sink.crc())
        data = json.dumps(_to_json(undo)).encode()
        sink.start_member()
        index = new_member(_INDEX, len(data)).placed(sink.position)
        header_at = sink.position
        sink.write(local_header(index))
        sink.start_member()
        sink.write(data)
        index = replace(index, crc=sink.crc())
        sink.write(central_directory([kept, index]))
        output.write_at(0, local_header(kept))
        output.write_at(header_at, local_header(index))


def _to_json(undo: Undo) -> dict[str, Any]:
    weights = [
        {**asdict(weight), "changes": weight.changes and [list(c.runs) for c in weight.changes]}
        for weight in undo.weights
    ]
    return {"undo": VERSION, **asdict(undo), "weights": weights}


# -------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class UndoFile:
    """An undo file that is open.

    Args:
        file: the file.
        undo: its index.
        kept_at: where the kept bytes begin in the file.
    """

    file: InputFile
    undo: Undo
    kept_at: int

    def literal_into(self, buffer: memoryview, position: int) -> None:
        """Fill a buffer from a position of the kept bytes."""
        self.file.read_into(buffer, self.kept_at + position)


def read_undo(file: InputFile) -> UndoFile:
    """Read the index of an undo file.

    Raises:
        PatchError: PC410 where it is none, or one of another version.
    """
    archive = read_archive(file)
    kept, index = archive.find(_KEPT), archive.find(_INDEX)
    if kept is None or index is None or not kept.stored:
        raise refusal(file, "it is no undo file")
    undo = _parsed(archive, file)
    lost = sum(weight.nbytes for weight in undo.weights if weight.kept is not None)
    if kept.size != undo.container + lost or not _in_order(undo):
        raise refusal(file, "its index does not fit what it holds")
    return UndoFile(file, undo, kept.offset)


def _parsed(archive: Archive, file: InputFile) -> Undo:
    member = archive.find(_INDEX)
    assert member is not None
    try:
        data = parse_json(archive.read(member, _LARGEST))
        version = data.pop("undo")
        if version == VERSION:
            return _undo_of(data)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise refusal(file, "its index is not as patchc writes it") from None
    raise refusal(file, f"it has version {version}, this patchc knows {VERSION}")


def _undo_of(data: Mapping[str, Any]) -> Undo:
    weights = tuple(_carried(entry) for entry in data["weights"])
    undo = Undo(**{**data, "patches": tuple(data["patches"]), "weights": weights})
    texts = (undo.patchc, undo.sha256, undo.structure, undo.result, *undo.patches)
    if not (_sizes([undo.size]) and all(isinstance(text, str) for text in texts)):
        raise ValueError
    return undo


def _carried(entry: Mapping[str, Any]) -> Carried:
    changes = entry["changes"]
    carried = Carried(
        **{
            **entry,
            "shape": _sizes(entry["shape"]),
            "now_shape": _sizes(entry["now_shape"]),
            "changes": None if changes is None else tuple(map(_change, changes)),
        }
    )
    numbers = (carried.offset, carried.nbytes, carried.crc32, carried.kept or 0)
    texts = (carried.address, carried.path, carried.dtype, carried.now)
    if not all(isinstance(text, str) for text in texts) or min(_sizes(numbers), default=0) < 0:
        raise ValueError
    if changes is None and carried.shape != carried.now_shape:
        raise ValueError
    if changes is not None:
        _check_changes(carried)
    return carried


def _check_changes(carried: Carried) -> None:
    """Every entry of the changes lies inside the two shapes."""
    changes = carried.changes or ()
    if tuple(change.size for change in changes) != carried.now_shape:
        raise ValueError
    for change, size in zip(changes, carried.shape, strict=True):
        if any(start != NEW and not 0 <= start <= size - length for start, length in change.runs):
            raise ValueError


def _sizes(values: Sequence[Any]) -> tuple[int, ...]:
    if not all(isinstance(value, int) and value >= 0 for value in values):
        raise ValueError
    return tuple(values)


def _change(runs: Any) -> AxisMap:
    pairs = tuple((start, length) for start, length in runs)
    if not all(isinstance(n, int) and n >= NEW for pair in pairs for n in pair):
        raise ValueError
    return AxisMap(pairs)


def _in_order(undo: Undo) -> bool:
    """Whether the listed weights lie behind one another inside the base file."""
    position, lost = 0, undo.container
    for weight in undo.weights:
        if weight.offset < position or weight.kept not in (None, lost):
            return False
        position = weight.offset + weight.nbytes
        lost += weight.nbytes if weight.kept is not None else 0
    return position <= undo.size


def refusal(file: InputFile, what: str) -> PatchError:
    """What to raise where an undo file cannot be used, with a clause that says why."""
    message = f"the undo file cannot be used: {what}"
    way_out = "name a file that `patchc apply --undo-file FILE` wrote"
    return PatchError(Diagnostic("PC410", message, file=file.path, help=way_out))
