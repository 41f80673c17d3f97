"""Laying out an HDF5 file in the dialect that Keras writes.

All metadata come first and the datasets' values behind them, in tree order, so
that a file of any size is written in one pass.  The same tree always gives the
same bytes.

Format: HDF5 File Format Specification 1.1; sizes of tables as h5py has them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import TypeVar

from patchc.storage.hdf5.tree import Attribute, Dataset, Group, Hdf5Error, dataspace, encode

_UNDEFINED = 0xFFFFFFFFFFFFFFFF
_LEAF_K, _NODE_K = 4, 16
_LEAF_BYTES = 8 + 40 * 2 * _LEAF_K
_NODE_BYTES = 24 + 8 * (4 * _NODE_K + 1)
_SUPERBLOCK_BYTES = 96
_COLLECTION_BYTES = 4096
_MAX_MESSAGE = 0xFFF8
_MAX_MESSAGES = 0xFFFF

_SPACE, _TYPE, _FILL, _LAYOUT, _ATTRIBUTE, _TABLE = 0x01, 0x03, 0x05, 0x08, 0x0C, 0x11
# No fill value of its own, room made when data are written: as h5py has it.
_FILL_VALUE = bytes((2, 2, 2, 1, 0, 0, 0, 0))

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of a new HDF5 file goes.

    Args:
        size: of the file in bytes.
        metadata: the file's beginning; the data lie behind it, each dataset at a
            multiple of 8, with zeros between them.
        offsets: place of each dataset's data, in ascending order, by path
            (`layers/dense/vars/0`); datasets of size 0 have none.
    """

    size: int
    metadata: bytes
    offsets: dict[str, int]


def layout(root: Group) -> Layout:
    """Lay out the file that holds `root`; the offsets in its datasets are not read.

    Raises Hdf5Error where the format cannot hold it: an impossible name, or
    attributes that are too large.
    """
    heap = _StringHeap()
    objects = [(path, item, _attribute_messages(path, item, heap)) for path, item in _walk(root)]
    places: dict[str, _Place] = {}
    position = heap.end
    for path, item, attributes in objects:
        place = _Place(position, item, attributes, _coded_names(path, item))
        places[path] = place
        position += place.size
    offsets, end = _place_data(objects, position)
    pieces = [_superblock(places[""], end), *heap.blocks()]
    for path, place in places.items():
        if isinstance(place.item, Group):
            pieces.append(_group(place, _children(path, place.item, places)))
        else:
            pieces.append(_dataset(place.item, place.attributes, offsets.get(path)))
    return Layout(end, b"".join(pieces), offsets)


@dataclass(frozen=True, slots=True)
class _Place:
    """An object's metadata in the file: its header, and a group's tables behind it.

    Args:
        address: of the header.
        item: the object.
        attributes: its attribute messages.
        names: of a group's members, coded and sorted.
    """

    address: int
    item: Group | Dataset
    attributes: list[bytes]
    names: list[bytes]

    @property
    def heap(self) -> int:
        """Address of the heap of names."""
        return self.address + len(_header([bytes(24), *self.attributes]))

    @property
    def leaves(self) -> int:
        """Address of the first leaf."""
        return self.heap + 32 + 8 + sum(_padded(len(name) + 1) for name in self.names)

    @property
    def tree(self) -> int:
        """Address of the first node of the B-tree."""
        return self.leaves + _LEAF_BYTES * _ceil(len(self.names), 2 * _LEAF_K)

    @property
    def root(self) -> int:
        """Address of the B-tree's root, which is its last node."""
        return self.tree + _NODE_BYTES * (_node_count(len(self.names)) - 1)

    @property
    def size(self) -> int:
        """Bytes of the header and the tables."""
        if isinstance(self.item, Dataset):
            return len(_dataset(self.item, self.attributes, None))
        return self.root + _NODE_BYTES - self.address


class _StringHeap:
    """Texts of variable length, in collections right behind the superblock."""

    def __init__(self) -> None:
        self.end = _SUPERBLOCK_BYTES
        self._collections: list[tuple[int, list[bytes]]] = []
        self._address = self._room = 0

    def add(self, text: str) -> bytes:
        """Keep `text`; return the reference that stands in its place."""
        coded = encode(text)
        if not coded:
            return bytes(16)
        needed = 16 + _padded(len(coded))
        if needed > self._room:
            size = max(_COLLECTION_BYTES, 16 + needed)
            self._collections.append((size, []))
            self._address, self._room = self.end, size - 16
            self.end += size
        texts = self._collections[-1][1]
        texts.append(coded)
        self._room -= needed
        return struct.pack("<LQL", len(coded), self._address, len(texts))

    def blocks(self) -> Iterator[bytes]:
        """Yield the collections."""
        for size, texts in self._collections:
            block = struct.pack("<4sB3xQ", b"GCOL", 1, size) + b"".join(
                struct.pack("<2H4xQ", index, 0, len(text)) + _pad(text)
                for index, text in enumerate(texts, 1)
            )
            if size - len(block) >= 16:
                block += struct.pack("<2H4xQ", 0, 0, size - len(block))
            yield block.ljust(size, b"\0")


def _walk(root: Group) -> Iterator[tuple[str, Group | Dataset]]:
    """Yield every object with its path, groups before their members."""
    stack: list[tuple[str, Group | Dataset]] = [("", root)]
    while stack:
        path, item = stack.pop()
        yield path, item
        if isinstance(item, Group):
            names = sorted(item.members, key=encode, reverse=True)
            stack.extend((_join(path, name), item.members[name]) for name in names)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _coded_names(path: str, item: Group | Dataset) -> list[bytes]:
    if isinstance(item, Dataset):
        return []
    for name in item.members:
        if name in {"", ".", ".."} or "/" in name:
            raise Hdf5Error(f"cannot have a member {name!r} in /{path}")
    return sorted(map(encode, item.members))


def _children(path: str, group: Group, places: Mapping[str, _Place]) -> list[_Place]:
    return [places[_join(path, name)] for name in sorted(group.members, key=encode)]


def _place_data(
    objects: Sequence[tuple[str, Group | Dataset, list[bytes]]], position: int
) -> tuple[dict[str, int], int]:
    """Return the offset of each dataset's data, and the end of the file."""
    offsets = {}
    for path, item, _ in objects:
        if isinstance(item, Dataset) and item.nbytes:
            position = _padded(position)
            offsets[path] = position
            position += item.nbytes
    return offsets, position


def _superblock(root: _Place, end: int) -> bytes:
    head = struct.pack(
        "<8s8B2HL", b"\x89HDF\r\n\x1a\n", 0, 0, 0, 0, 0, 8, 8, 0, _LEAF_K, _NODE_K, 0
    )
    return head + struct.pack("<4Q", 0, _UNDEFINED, end, _UNDEFINED) + _entry(0, root)


def _entry(name: int, place: _Place) -> bytes:
    """A symbol table entry, which repeats where a group's tables are."""
    if isinstance(place.item, Group):
        return struct.pack("<2QL4x2Q", name, place.address, 1, place.root, place.heap)
    return struct.pack("<2QL20x", name, place.address, 0)


def _message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("<2HB3x", kind, _padded(len(body)), flags) + _pad(body)


def _header(messages: Sequence[bytes]) -> bytes:
    if len(messages) > _MAX_MESSAGES:
        raise Hdf5Error(f"cannot hold more than {_MAX_MESSAGES} attributes on one object")
    body = b"".join(messages)
    return struct.pack("<BxHLL4x", 1, len(messages), 1, len(body)) + body


def _dataset(item: Dataset, attributes: Sequence[bytes], offset: int | None) -> bytes:
    place = _UNDEFINED if offset is None else offset
    messages = [
        _message(_SPACE, dataspace(item.shape)),
        _message(_TYPE, item.datatype.message, flags=1),
        _message(_FILL, _FILL_VALUE, flags=1),
        _message(_LAYOUT, struct.pack("<2B2Q", 3, 1, place, item.nbytes)),
        *attributes,
    ]
    return _header(messages)


def _attribute_messages(path: str, item: Group | Dataset, heap: _StringHeap) -> list[bytes]:
    messages = []
    for name, attribute in item.attributes.items():
        coded = encode(name) + b"\0"
        kind, space = attribute.datatype.message, attribute.dataspace
        head = struct.pack("<Bx3H", 1, len(coded), len(kind), len(space))
        body = head + _pad(coded) + _pad(kind) + _pad(space) + _value(name, attribute, heap)
        if len(body) > _MAX_MESSAGE:
            raise Hdf5Error(
                f"cannot hold attribute {name!r} of /{path}: {len(body)} bytes are too many"
            )
        messages.append(_message(_ATTRIBUTE, body))
    return messages


def _value(name: str, attribute: Attribute, heap: _StringHeap) -> bytes:
    data = attribute.raw
    if attribute.datatype.name == "string":
        data = b"".join(heap.add(text) for text in attribute.strings or ())
    if len(data) != prod(attribute.shape) * attribute.datatype.itemsize:
        raise Hdf5Error(f"cannot hold attribute {name!r}: its value does not fill its shape")
    return data


def _group(place: _Place, children: Sequence[_Place]) -> bytes:
    """A group's header, heap of names, leaves and B-tree, one behind the other."""
    table = _message(_TABLE, struct.pack("<2Q", place.root, place.heap))
    names = b"".join(_pad(name + b"\0") for name in place.names)
    heap = struct.pack("<4s4x3Q", b"HEAP", 8 + len(names), 1, place.heap + 32) + bytes(8) + names
    steps = [8, *(_padded(len(name) + 1) for name in place.names)]
    starts = list(accumulate(steps))[:-1]
    entries = [_entry(start, child) for start, child in zip(starts, children, strict=True)]
    leaves = b"".join(
        struct.pack("<4sBxH", b"SNOD", 1, len(chunk))
        + b"".join(chunk).ljust(_LEAF_BYTES - 8, b"\0")
        for chunk in _chunks(entries, 2 * _LEAF_K)
    )
    keys = [chunk[-1] for chunk in _chunks(starts, 2 * _LEAF_K)]
    header = _header([table, *place.attributes])
    return header + heap + leaves + _tree(place.leaves, place.tree, keys)


def _tree(leaves: int, position: int, keys: list[int]) -> bytes:
    """The nodes of a B-tree, level by level, the root last.

    Args:
        leaves: address of the first leaf; they lie one behind the other.
        position: address of the first node.
        keys: for each leaf, where in the heap its last name is.
    """
    children = [leaves + _LEAF_BYTES * index for index in range(len(keys))]
    blocks: list[bytes] = []
    level = 0
    while level == 0 or len(children) > 1:
        count = max(1, _ceil(len(children), 2 * _NODE_K))
        nodes = [position + _NODE_BYTES * index for index in range(count)]
        neighbours = [_UNDEFINED, *nodes, _UNDEFINED]
        lowest = 0
        for index in range(count):
            part = slice(2 * _NODE_K * index, 2 * _NODE_K * (index + 1))
            sides = (neighbours[index], neighbours[index + 2])
            blocks.append(_node(level, sides, lowest, children[part], keys[part]))
            lowest = keys[part][-1] if keys else 0
        keys = [chunk[-1] for chunk in _chunks(keys, 2 * _NODE_K)]
        children = nodes
        position += _NODE_BYTES * count
        level += 1
    return b"".join(blocks)


def _node(
    level: int, sides: tuple[int, int], lowest: int, children: Sequence[int], keys: Sequence[int]
) -> bytes:
    head = struct.pack("<4s2BH2Q", b"TREE", 0, level, len(children), *sides)
    words = [lowest]
    for child, key in zip(children, keys, strict=True):
        words += (child, key)
    return (head + struct.pack(f"<{len(words)}Q", *words)).ljust(_NODE_BYTES, b"\0")


def _node_count(names: int) -> int:
    """Number of nodes in the B-tree over `names` names."""
    children = _ceil(names, 2 * _LEAF_K)
    total = 0
    while total == 0 or children > 1:
        children = max(1, _ceil(children, 2 * _NODE_K))
        total += children
    return total


def _chunks(items: list[_Item], length: int) -> Iterator[list[_Item]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _padded(length: int) -> int:
    return length + 7 & ~7


def _ceil(number: int, by: int) -> int:
    return -(-number // by)
