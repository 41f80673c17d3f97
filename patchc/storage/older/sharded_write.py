"""Writing sharded weights: an index and HDF5 files, grouped as in the base.

A weight goes to the file in which the base has it, a new one to that of the
weight before it.  (`keras.src.saving.saving_lib.ShardedH5IOStore`.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.model.history import Applied
from patchc.storage.attach import datasets, find
from patchc.storage.hdf5.tree import Group, group_at
from patchc.storage.history import joined
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_tree import result_tree
from patchc.storage.keras_write import Made, Written, entries, write_hdf5
from patchc.storage.older.bare_edits import bare_entries, with_changes
from patchc.storage.older.sharded import Shards
from patchc.storage.publish import OutputFile, PathLike, publishing
from patchc.storage.stream import Piece, Progress, Sink

ENDING = ".weights.json"


@dataclass(frozen=True, slots=True)
class Result:
    """What sharded weights are going to be.

    Args:
        trees: what each file holds, by its name.
        entries: the weights of the result by path; the others are copied from
            the same path of the base.
        tree: of the base, all files as one.
    """

    trees: Mapping[str, Group]
    entries: Mapping[str, LedgerEntry]
    tree: Group

    def index(self, base: Mapping[str, Any], history: Sequence[Applied]) -> str:
        """The index, with what that of the base says beside sizes, names and history."""
        groups: dict[str, list[str]] = {}
        size = 0
        for name, tree in self.trees.items():
            for path, stored in datasets(tree):
                listed = groups.setdefault(f"/{path.rpartition('/')[0]}", [])
                listed += [] if name in listed else [name]
                size += stored.nbytes
        metadata = {**(base.get("metadata") or {}), "total_size": float(size)}
        told = {**base, "metadata": metadata, "weight_map": groups}
        return json.dumps(joined(told, history), indent=4)


def sharded_result(source: KerasFile, plan: Plan, out: PathLike) -> Result:
    """Lay out the files of a result; where the base has none left to it, it is left out."""
    shards = source.shards
    assert shards is not None
    if source.bare:
        assert source.older is not None
        weights = bare_entries(source, plan)
        trees = {n: with_changes(source, weights, t) for n, t in shards.trees.items()}
        whole = source.older.root_group
    else:
        weights = {e.address: e for e in (*plan.ledger.entries, *plan.optimizer.entries)}
        trees = _split(source, plan, shards, weights)
        whole = source.tree
    stem = os.path.basename(os.fspath(out)).removesuffix(ENDING)
    used = [tree for tree in trees.values() if any(datasets(tree))]
    named = {f"{stem}_{number:05}.weights.h5": tree for number, tree in enumerate(used)}
    return Result(named, weights, whole)


def _split(
    source: KerasFile, plan: Plan, shards: Shards, entries: Mapping[str, LedgerEntry]
) -> dict[str, Group]:
    """The weights of a result, and its groups, in the files of the base."""
    whole = result_tree(source, plan)
    homes = _homes(shards, entries)
    trees = {name: Group() for name in shards.names}
    for path, stored in datasets(whole):
        *parents, own = path.split("/")
        group_at(trees[homes[path]], parents).members[own] = stored
    used = [name for name, tree in trees.items() if tree.members]
    bases = {group.path: group.base for group in plan.groups}
    for path, group in _groups(whole, ""):
        base = bases.get(path, path)
        holding = [n for n in used if base is not None and find(shards.trees[n], base) is not None]
        filled = [name for name in used if find(trees[name], path) is not None]
        name = (holding or filled or used)[0]
        group_at(trees[name], path.split("/")).attributes.update(group.attributes)
    return trees


def _homes(shards: Shards, entries: Mapping[str, LedgerEntry]) -> dict[str, str]:
    """The base's file for each weight of the result."""
    found, last = {}, shards.names[0]
    for path, entry in entries.items():
        last = shards.home.get(str(entry.value.base or entry.value.replaces), last)
        found[path] = last
    return found


def _groups(tree: Group, path: str) -> Iterator[tuple[str, Group]]:
    for name, member in tree.members.items():
        if isinstance(member, Group):
            yield f"{path}{name}", member
            yield from _groups(member, f"{path}{name}/")


@contextmanager
def publishing_sharded(
    source: KerasFile, plan: Plan, out: PathLike, *, force: bool, in_place: bool = False
) -> Iterator[OutputFile]:
    """An index whose `parts` are the shards; the index gets its name last.

    After an exception none of them is there.

    Raises:
        PatchError: as `publishing`; PC406 for a result in place of its input.
    """
    assert source.shards is not None
    if in_place:
        message = "sharded weights are several files, which cannot all change at once"
        help_text = "write them under another name, and remove the old ones"
        raise PatchError(Diagnostic("PC406", message, file=os.fspath(out), help=help_text))
    inputs = [file.identity for file in (source.file, *source.shards.files)]
    folder = os.path.dirname(os.fspath(out))
    done: list[str] = []
    try:
        with publishing(out, force=force, inputs=inputs) as index, ExitStack() as stack:
            for name in sharded_result(source, plan, out).trees:
                path = os.path.join(folder, name)
                place = _noted(path, done, force=force, inputs=inputs)
                index.parts[name] = stack.enter_context(place)
            yield index
    except BaseException:
        for path in done:
            with suppress(FileNotFoundError):
                os.unlink(path)
        raise


@contextmanager
def _noted(
    path: str, done: list[str], *, force: bool, inputs: list[tuple[int, int]]
) -> Iterator[OutputFile]:
    """A file that is entered into a list when it has its name."""
    with publishing(path, force=force, inputs=inputs) as output:
        yield output
    done.append(path)


def write_sharded(source: KerasFile, plan: Plan, output: OutputFile, progress: Progress) -> Written:
    """Write the shards and the index; where nothing changes, the same shards once more.

    Args:
        output: as `publishing_sharded` gives it.
    """
    shards = source.shards
    assert shards is not None
    result = sharded_result(source, plan, output.path)
    made: Made = {}
    pieces: list[Piece] = []
    for number, (name, tree) in enumerate(result.trees.items()):
        part = output.parts[name]
        if plan.is_empty and len(result.trees) == len(shards.files):
            with Sink(part, progress, checksum=False) as sink:
                sink.copy(shards.files[number], 0, shards.files[number].size)
            continue
        written = write_hdf5(
            source, plan, part, progress, tree, result.entries, result.tree, history=()
        )
        made |= written.made
        pieces += written.pieces
    history = (*source.history, *entries(plan, source))
    output.write_at(0, result.index(shards.index, history).encode())
    return Written(made, tuple(pieces))
