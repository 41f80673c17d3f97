"""The tables of a group: B-tree, leaves and heap of names, in HDF5's older form."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from patchc.storage.hdf5.blocks import Blocks
from patchc.storage.hdf5.tree import Hdf5Error, decode

_NODE = struct.Struct("<4s2BH2Q")
_LEAF = struct.Struct("<4sBxH")
ENTRY = struct.Struct("<2QL4x2Q")
_HEAP = struct.Struct("<4sB3x3Q")

Table = tuple[int, int]
"""Addresses of a group's B-tree and of its heap of names."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Reads the tables of groups.

    Args:
        blocks: of the file.
        leaf_size: entries that a leaf has room for.
        node_size: children that a node of a B-tree has room for.
    """

    blocks: Blocks
    leaf_size: int
    node_size: int

    def entries(self, table: Table) -> list[tuple[str, int, Table | None]]:
        """Return name, header address and cached table of a group's members, in order."""
        tree, heap = table
        names = self._local_heap(heap)
        entries = []
        previous = b""
        for leaf, low, high in self._leaves(tree):
            found = list(self._leaf(leaf, names))
            low_name, high_name = _name_at(names, low), _name_at(names, high)
            if not low_name <= previous <= found[0][0] or found[-1][0] > high_name:
                raise Hdf5Error("is damaged: its names are out of order")
            for name, address, cached in found:
                if name <= previous:
                    raise Hdf5Error("is damaged: a name is out of order, or occurs twice")
                entries.append((_member_name(name), address, cached))
                previous = name
        return entries

    def _local_heap(self, address: int) -> bytes:
        """Read the names of a group's members, one behind the other."""
        buffer, at = self.blocks.at(address, _HEAP.size)
        magic, version, size, _, data = _HEAP.unpack_from(buffer, at)
        if magic != b"HEAP" or version:
            raise Hdf5Error("is damaged: the names of its members are missing")
        self.blocks.claim(address, _HEAP.size)
        self.blocks.claim(data, size)
        buffer, at = self.blocks.at(data, size)
        return buffer[at : at + size]

    def _leaves(self, root: int) -> Iterator[tuple[int, int, int]]:
        """Yield address, lower and upper key of the leaves of a group's B-tree, in order."""
        length = _NODE.size + 8 * (2 * self.node_size + 1)
        nodes: list[tuple[int, int | None]] = [(root, None)]
        while nodes:
            address, expected = nodes.pop()
            buffer, at = self.blocks.at(address, length)
            magic, kind, level, count, _, _ = _NODE.unpack_from(buffer, at)
            if magic != b"TREE" or kind or count > self.node_size:
                raise Hdf5Error("is damaged: the index of its members is broken")
            if expected not in {None, level} or (not count and (level or expected is not None)):
                raise Hdf5Error("is damaged: the index of its members is broken")
            self.blocks.claim(address, length)
            words = struct.unpack_from(f"<{2 * count + 1}Q", buffer, at + _NODE.size)
            if level:
                nodes.extend((child, level - 1) for child in reversed(words[1::2]))
                continue
            for i in range(1, 2 * count, 2):
                yield words[i], words[i - 1], words[i + 1]

    def _leaf(self, address: int, names: bytes) -> Iterator[tuple[bytes, int, Table | None]]:
        length = _LEAF.size + self.leaf_size * ENTRY.size
        buffer, at = self.blocks.at(address, length)
        magic, version, count = _LEAF.unpack_from(buffer, at)
        if magic != b"SNOD" or version != 1 or not 0 < count <= self.leaf_size:
            raise Hdf5Error("is damaged: the index of its members is broken")
        self.blocks.claim(address, length)
        end = at + _LEAF.size + count * ENTRY.size
        for name, header, cache, tree, heap in ENTRY.iter_unpack(buffer[at + _LEAF.size : end]):
            yield _name_at(names, name), header, cached_table(cache, tree, heap)


def cached_table(cache: int, tree: int, heap: int) -> Table | None:
    """The table that a symbol table entry repeats from a group's header."""
    if cache == 2:
        raise Hdf5Error("has a soft link, which is not followed")
    if cache > 2:
        raise Hdf5Error("has a link of unknown type")
    return (tree, heap) if cache else None


def _name_at(names: bytes, offset: int) -> bytes:
    end = names.find(b"\0", offset) if offset < len(names) else -1
    if end < 0:
        raise Hdf5Error("is damaged: a name is missing")
    return names[offset:end]


def _member_name(name: bytes) -> str:
    if name in {b".", b".."} or b"/" in name:
        raise Hdf5Error(f"has a member with the impossible name {name!r}")
    return decode(name)
