"""Sharded weights of Keras 3: an index, `NAME.weights.json`, and HDF5 files beside it.

The index says for each group in which files its datasets lie.  The files are
seen as one: their groups merged, their bytes one behind the other.
(`keras.src.saving.saving_lib.ShardedH5IOStore`.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from patchc.errors import Diagnostic, PatchError
from patchc.storage.files import InputFile, open_regular
from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.tree import Dataset, Group, Hdf5Error
from patchc.storage.window import Joined


@dataclass(frozen=True, slots=True)
class Shards:
    """Sharded weights, seen as one file.

    Args:
        tree: all groups and datasets.
        data: what their offsets count from.
        files: in the order of the index.
        names: of the files.
        index: what the index says.
        home: name of the file in which each dataset lies, by path.
        trees: what each file holds.
    """

    tree: Group
    data: Joined
    files: tuple[InputFile, ...]
    names: tuple[str, ...]
    index: Mapping[str, Any]
    home: Mapping[str, str]
    trees: Mapping[str, Group]


def open_shards(
    file: InputFile, index: Mapping[str, Any], stack: ExitStack, parts: Mapping[str, str]
) -> Shards:
    """Open the files of an index.

    Args:
        stack: keeps them open.
        parts: where a file lies that has not its name yet.

    Raises:
        PatchError: PC401 where a file is missing, PC403 where index and files
            contradict each other.
    """
    folder = os.path.dirname(file.path)
    names = _names(file, index)
    files: list[InputFile] = []
    tree, start = Group(), 0
    home: dict[str, str] = {}
    trees: dict[str, Group] = {}
    for name in names:
        place = parts.get(name) or os.path.join(folder, name)
        shard = stack.enter_context(open_regular(place))
        try:
            trees[name] = read_hdf5(shard.read_at, shard.size)
        except Hdf5Error as error:
            _refuse(shard.path, f"the HDF5 file {error}")
        _merge(tree, trees[name], start, name, home, "", file.path)
        files.append(shard)
        start += shard.size
    return Shards(tree, Joined.of(files), tuple(files), names, index, home, trees)


def _names(file: InputFile, index: Mapping[str, Any]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    groups = index.get("weight_map")
    if not isinstance(groups, Mapping):
        _refuse(file.path, "the index has no `weight_map`")
    for listed in groups.values():
        for name in [listed] if isinstance(listed, str) else listed:
            if not isinstance(name, str) or os.path.basename(name) != name or name in {"", ".."}:
                _refuse(file.path, f"the index names {name!r}, which is no file beside it")
            found[name] = None
    return tuple(found)


def _refuse(path: str, message: str) -> NoReturn:
    help_text = "get all files of the sharded weights again"
    raise PatchError(Diagnostic("PC403", message, file=path, help=help_text))


def _merge(
    tree: Group,
    part: Group,
    start: int,
    shard: str,
    home: dict[str, str],
    path: str,
    index: str,
) -> None:
    """Enter what one file holds, its offsets moved to where it begins."""
    tree.attributes.update(part.attributes)
    for name, member in part.members.items():
        below = f"{path}{name}"
        if isinstance(member, Dataset):
            if name in tree.members:
                _refuse(index, f"two of its files hold `{below}`")
            moved = None if member.offset is None else member.offset + start
            tree.members[name] = replace(member, offset=moved)
            home[below] = shard
            continue
        inner = tree.members.setdefault(name, Group())
        if not isinstance(inner, Group):
            _refuse(index, f"`{below}` is a group in one of its files and a dataset in another")
        _merge(inner, member, start, shard, home, f"{below}/", index)
