"""Reading the one dialect of HDF5 that Keras writes; anything else is refused.

libhdf5 crashes, hangs or follows links out of the file when it is given a
damaged or hostile one.  This reader takes superblock 0, version-1 object
headers, symbol tables and contiguous data, and nothing else.  Every byte of
the file belongs to one structure at most, which bounds time and memory by the
file's size.

Format: HDF5 File Format Specification 1.1.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from patchc.storage.hdf5.blocks import Blocks
from patchc.storage.hdf5.tables import ENTRY, Table, Tables, cached_table
from patchc.storage.hdf5.tree import (
    Attribute,
    Dataset,
    DialectError,
    Group,
    Hdf5Error,
    decode,
    decode_strings,
    parse_dataspace,
    parse_datatype,
)

MAX_OBJECTS = 1_000_000
MAX_DEPTH = 64

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_UNDEFINED = 0xFFFFFFFFFFFFFFFF

_SUPERBLOCK = struct.Struct("<8s8B2HL4Q")
_HEADER = struct.Struct("<BxHLL4x")
_MESSAGE = struct.Struct("<2HB3x")
_COLLECTION = struct.Struct("<4sB3xQ")
_HEAP_OBJECT = struct.Struct("<2H4xQ")
_STRING_ID = struct.Struct("<LQL")
_ATTRIBUTE = struct.Struct("<Bx3H")

_NIL, _SPACE, _TYPE, _LAYOUT, _ATTRIBUTE_KIND = 0x00, 0x01, 0x03, 0x08, 0x0C
_CONTINUATION, _TABLE = 0x10, 0x11
_FIELDS = {_SPACE: "space", _TYPE: "type", _LAYOUT: "layout", _TABLE: "table"}
# Fill values and times of change: they say nothing about data that are there.
_SKIPPED = {0x04, 0x05, 0x0E, 0x12}
_NEWER_GROUPS = "has members in a newer format, as h5py writes for names outside ASCII"
_REWRITTEN = "was rewritten by another program: save it again with Keras or h5py's defaults"
_REFUSED = {
    0x02: _NEWER_GROUPS,
    0x06: _NEWER_GROUPS,
    0x07: "keeps its data in another file, which is not followed",
    0x0A: _NEWER_GROUPS,
    0x0B: f"is compressed or filtered; it {_REWRITTEN}",
    0x15: f"uses attributes of a newer file format; it {_REWRITTEN}",
}
_REFUSED_LAYOUTS = {
    0: f"is stored inside its header; it {_REWRITTEN}",
    2: f"is stored in chunks; it {_REWRITTEN}",
    3: "is a virtual dataset, which is not followed",
}
_EXTERNAL, _VIRTUAL = 0x07, 3
# Flags of a message: constant, shared, do not share.
_FLAGS, _SHARED = 0b101, 0b010


def read_hdf5(read_at: Callable[[int, int], bytes], size: int) -> Group:
    """Read the structure of an HDF5 file of Keras: everything but the datasets' values.

    Args:
        read_at: returns bytes of the file by offset and length.
        size: of the file in bytes.

    Raises Hdf5Error where the file is damaged or not as Keras writes it.
    """
    return _Reader(read_at, size).read()


@dataclass(slots=True)
class _Header:
    """What the messages of an object header say."""

    space: bytes | None = None
    type: bytes | None = None
    layout: bytes | None = None
    table: bytes | None = None
    attributes: list[bytes] | None = None


class _Reader:
    def __init__(self, read_at: Callable[[int, int], bytes], size: int) -> None:
        self._blocks = Blocks(read_at, size)
        self._heaps: dict[int, dict[int, bytes]] = {}
        self._tables = Tables(self._blocks, 0, 0)

    def read(self) -> Group:
        """Read all objects, group by group."""
        address, cached = self._superblock()
        root, table = self._object(address, cached)
        if not isinstance(root, Group):
            raise Hdf5Error("is damaged: its root is no group")
        groups = [(root, table, "", 1)]
        objects = 1
        while groups:
            group, table, path, depth = groups.pop()
            for name, address, cached in self._entries(table, path):
                place = f"{path}/{name}"
                objects += 1
                if objects > MAX_OBJECTS or depth > MAX_DEPTH:
                    raise Hdf5Error(
                        f"has more than {MAX_OBJECTS} objects or groups deeper than {MAX_DEPTH}"
                    )
                try:
                    child, below = self._object(address, cached)
                except Hdf5Error as error:
                    raise type(error)(f"is refused: {place} {error}") from error
                group.members[name] = child
                if isinstance(child, Group):
                    groups.append((child, below, place, depth + 1))
        self._blocks.check_overlaps()
        return root

    def _superblock(self) -> tuple[int, Table | None]:
        """Return address and cached table of the root group."""
        self._check_signature()
        if self._blocks.size < _SUPERBLOCK.size + ENTRY.size:
            raise Hdf5Error("is truncated")
        buffer, at = self._blocks.at(0, _SUPERBLOCK.size + ENTRY.size)
        fields = _SUPERBLOCK.unpack_from(buffer, at)
        if fields[1]:
            raise DialectError(
                f"is of a newer HDF5 format (superblock {fields[1]}); it {_REWRITTEN}"
            )
        leaf_k, node_k, flags, base, free, end, driver = fields[9:]
        if fields[2:9] != (0, 0, 0, 0, 8, 8, 0) or flags or free != _UNDEFINED:
            raise Hdf5Error("has a damaged superblock")
        if base or driver != _UNDEFINED:
            raise Hdf5Error("has a user block or a driver block, which Keras does not write")
        if end != self._blocks.size:
            what = "truncated" if end > self._blocks.size else "followed by other data"
            raise Hdf5Error(f"is {what}: it should have {end} bytes and has {self._blocks.size}")
        self._blocks.claim(0, _SUPERBLOCK.size + ENTRY.size)
        self._tables = Tables(self._blocks, 2 * leaf_k, 2 * node_k)
        _, address, cache, tree, heap = ENTRY.unpack_from(buffer, at + _SUPERBLOCK.size)
        return address, cached_table(cache, tree, heap)

    def _check_signature(self) -> None:
        offset = 0
        while offset + 8 <= self._blocks.size:
            buffer, at = self._blocks.at(offset, 8)
            if buffer[at : at + 8] == _SIGNATURE:
                if offset:
                    raise Hdf5Error("has a user block, which Keras does not write")
                return
            offset = max(512, 2 * offset)
        raise Hdf5Error("is no HDF5 file")

    def _object(self, address: int, cached: Table | None) -> tuple[Group | Dataset, Table]:
        """Read the object at `address`; for a group also where its table is."""
        header = self._header(address)
        attributes = {}
        for body in header.attributes or ():
            name, attribute = self._attribute(body)
            if name in attributes:
                raise Hdf5Error(f"has two attributes {name!r}")
            attributes[name] = attribute
        if header.table is not None:
            if header.space or header.type or header.layout:
                raise Hdf5Error("is damaged: it is a group and a dataset")
            table = _table(header.table)
            if cached not in {None, table}:
                raise Hdf5Error("is damaged: two places for its table are recorded")
            return Group({}, attributes), table
        if cached is not None or not (header.space and header.type and header.layout):
            raise Hdf5Error("is damaged, or neither a group nor a dataset")
        return self._dataset(header.space, header.type, header.layout, attributes), (0, 0)

    def _header(self, address: int) -> _Header:
        header = _Header()
        for kind, body in self._messages(address):
            if kind == _ATTRIBUTE_KIND:
                header.attributes = header.attributes or []
                header.attributes.append(body)
                continue
            field = _FIELDS.get(kind)
            if field is None:
                error = DialectError if kind in _REFUSED and kind != _EXTERNAL else Hdf5Error
                raise error(_REFUSED.get(kind, f"has an unknown message of type {kind:#x}"))
            if getattr(header, field) is not None:
                raise Hdf5Error("is damaged: a message occurs twice")
            setattr(header, field, body)
        return header

    def _messages(self, address: int) -> Iterator[tuple[int, bytes]]:
        """Yield type and body of the messages of an object header that are of interest."""
        buffer, at = self._blocks.at(address, _HEADER.size)
        version, count, links, length = _HEADER.unpack_from(buffer, at)
        if version != 1:
            newer = buffer[at : at + 4] == b"OHDR"
            if newer:
                raise DialectError(f"is of a newer format; it {_REWRITTEN}")
            raise Hdf5Error("is damaged")
        if links != 1:
            raise DialectError(f"is linked {links} times")
        self._blocks.claim(address, _HEADER.size + length)
        chunks = deque([(address + _HEADER.size, length)])
        while chunks:
            start, length = chunks.popleft()
            buffer, at = self._blocks.at(start, length)
            end = at + length
            while at < end:
                kind, body = _message(buffer, at, end)
                at += _MESSAGE.size + len(body)
                count -= 1
                if kind == _CONTINUATION:
                    chunks.append(self._continuation(body))
                elif kind != _NIL and kind not in _SKIPPED:
                    yield kind, body
        if count:
            raise Hdf5Error("is damaged: the number of its messages is wrong")

    def _continuation(self, body: bytes) -> tuple[int, int]:
        if len(body) < 16:
            raise Hdf5Error("is damaged: its header breaks off")
        start, length = struct.unpack_from("<2Q", body)
        self._blocks.claim(start, length)
        return start, length

    def _dataset(
        self, space: bytes, type_: bytes, layout: bytes, attributes: dict[str, Attribute]
    ) -> Dataset:
        kind = parse_datatype(type_)
        if kind.name == "string":
            raise Hdf5Error("holds text of variable length, which is no weight")
        shape = parse_dataspace(space)
        if layout[0] in {3, 4} and layout[1] in _REFUSED_LAYOUTS:
            error = Hdf5Error if layout[1] == _VIRTUAL else DialectError
            raise error(_REFUSED_LAYOUTS[layout[1]])
        if layout[:2] != b"\x03\x01" or len(layout) < 18:
            raise Hdf5Error("has a damaged layout, or one of another format version")
        offset, length = struct.unpack_from("<2Q", layout, 2)
        if length != prod(shape) * kind.itemsize:
            raise Hdf5Error(f"has shape {list(shape)} but {length} bytes of data")
        if not length:
            return Dataset(shape, kind, None, attributes)
        if offset == _UNDEFINED:
            raise DialectError("was never written: there are no data for it in the file")
        self._blocks.claim(offset, length)
        return Dataset(shape, kind, offset, attributes)

    def _attribute(self, body: bytes) -> tuple[str, Attribute]:
        if len(body) < _ATTRIBUTE.size:
            raise Hdf5Error("has a damaged attribute")
        version, name_size, type_size, space_size = _ATTRIBUTE.unpack_from(body)
        if version != 1:
            raise DialectError(f"has an attribute of a newer format; it {_REWRITTEN}")
        type_at = _ATTRIBUTE.size + _padded(name_size)
        space_at = type_at + _padded(type_size)
        data_at = space_at + _padded(space_size)
        name, zero, rest = body[_ATTRIBUTE.size :][:name_size].partition(b"\0")
        if data_at > len(body) or not zero or rest or not name:
            raise Hdf5Error("has a damaged attribute")
        text = decode(name)
        type_ = body[type_at : type_at + type_size]
        space = body[space_at : space_at + space_size]
        try:
            return text, self._value(type_, space, body[data_at:])
        except Hdf5Error as error:
            raise type(error)(f"has an attribute {text!r} that {error}") from error

    def _value(self, type_: bytes, space: bytes, data: bytes) -> Attribute:
        kind = parse_datatype(type_)
        length = prod(parse_dataspace(space)) * kind.itemsize
        if length > len(data):
            raise Hdf5Error("has a shape that its data do not fill")
        raw = data[:length]
        if kind.name == "string":
            return Attribute(kind, space, b"", self._strings(raw))
        return Attribute(
            kind, space, raw, decode_strings(kind, raw) if kind.name[0] == "S" else None
        )

    def _strings(self, raw: bytes) -> tuple[str, ...]:
        """Texts of variable length; each place of a heap belongs to one of them."""
        texts = []
        for length, address, index in _STRING_ID.iter_unpack(raw):
            text = b""
            if length:
                if address not in self._heaps:
                    self._heaps[address] = self._collection(address)
                stored = self._heaps[address].pop(index, b"")
                if len(stored) != length:
                    raise Hdf5Error("is damaged: its text is not where it should be")
                text = stored
            texts.append(decode(text))
        return tuple(texts)

    def _collection(self, address: int) -> dict[int, bytes]:
        """Read a global heap collection: its objects by index."""
        buffer, at = self._blocks.at(address, _COLLECTION.size)
        magic, version, size = _COLLECTION.unpack_from(buffer, at)
        if magic != b"GCOL" or version != 1 or size < _COLLECTION.size:
            raise Hdf5Error("is damaged: its text is not where it should be")
        self._blocks.claim(address, size)
        buffer, at = self._blocks.at(address, size)
        end = at + size
        at += _COLLECTION.size
        objects = {}
        while end - at >= _HEAP_OBJECT.size:
            index, _, length = _HEAP_OBJECT.unpack_from(buffer, at)
            if not index:
                break
            start = at + _HEAP_OBJECT.size
            if length > end - start or index in objects:
                raise Hdf5Error("is damaged: the heap of its texts breaks off")
            objects[index] = buffer[start : start + length]
            at = start + _padded(length)
        return objects

    def _entries(self, table: Table, path: str) -> list[tuple[str, int, Table | None]]:
        """Return name, header address and cached table of a group's members, in order."""
        try:
            return self._tables.entries(table)
        except Hdf5Error as error:
            raise type(error)(f"is refused: {path or '/'} {error}") from error


def _message(buffer: bytes, at: int, end: int) -> tuple[int, bytes]:
    """Return type and body of the message at `at` in a block that ends at `end`."""
    start = at + _MESSAGE.size
    if start > end:
        raise Hdf5Error("is damaged: its header breaks off")
    kind, length, flags = _MESSAGE.unpack_from(buffer, at)
    if length > end - start or length % 8:
        raise Hdf5Error("is damaged: its header breaks off")
    if flags & _SHARED:
        raise DialectError("uses a named datatype, which Keras does not write")
    if flags & ~_FLAGS and kind != _NIL:
        raise Hdf5Error("has a message with unknown flags")
    return kind, buffer[start : start + length]


def _table(body: bytes) -> Table:
    if len(body) < 16:
        raise Hdf5Error("is damaged: its table is missing")
    tree, heap = struct.unpack_from("<2Q", body)
    return tree, heap


def _padded(length: int) -> int:
    return length + 7 & ~7
