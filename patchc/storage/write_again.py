"""Writing a model file once more: with another history, or laid out anew."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.model.history import Applied
from patchc.storage.archive import Archive
from patchc.storage.attach import datasets, find
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.hdf5.writer import layout
from patchc.storage.history import recorded_in, with_history
from patchc.storage.keras_file import METADATA, WEIGHTS, KerasFile
from patchc.storage.keras_tree import without_places
from patchc.storage.keras_write import copy_weight, write_bytes, write_copy, write_tree
from patchc.storage.members import central_directory
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Comparison, Sink


def write_history(
    source: KerasFile, archive: Archive, history: Sequence[Applied], output: OutputFile
) -> None:
    """Write a copy of an archive that has another history."""
    with Sink(output, lambda _: None) as sink:
        written = [
            write_bytes(sink, member, with_history(source.metadata, history))
            if member.name == METADATA
            else write_copy(source, sink, member)
            for member in archive.members
        ]
        sink.write(central_directory(written))


def copy_tree(
    source: KerasFile, tree: Group, history: Sequence[Applied], output: OutputFile
) -> None:
    """Write an HDF5 file once more, with another history."""
    place = layout(recorded_in(tree, history))
    with Sink(output, lambda _: None) as sink:
        sink.write(place.metadata)
        for path, offset in place.offsets.items():
            sink.pad_to(offset)
            copy_weight(source, sink, path, tree)
        sink.pad_to(place.size)


def write_again(source: KerasFile, archive: Archive, tree: Group, output: OutputFile) -> None:
    """Write an archive with its weights laid out anew, which all stand in `tree`."""
    place = layout(tree)
    with Sink(output, lambda _: None) as sink:
        written = [
            write_tree(sink, member, place, lambda address: copy_weight(source, sink, address))
            if member.name == WEIGHTS
            else write_copy(source, sink, member)
            for member in archive.members
        ]
        sink.write(central_directory(written))


def changed_member(first: Archive, second: Archive) -> str | None:
    """The first member but for the metadata that two archives do not share bit for bit."""
    compare = Comparison(lambda _: None)
    for member in first.members:
        other = second.find(member.name)
        size = member.compressed_size
        if member.name != METADATA and not (
            other is not None
            and other.compressed_size == size
            and compare.same(first.file, member.offset, second.file, other.offset, size)
        ):
            return member.name
    return None


def changed_dataset(first: KerasFile, second: KerasFile) -> str | None:
    """What two HDF5 files do not share bit for bit, but for their histories."""
    compare = Comparison(lambda _: None)
    trees = [recorded_in(file.root_group, ()) for file in (first, second)]
    if without_places(trees[0]) != without_places(trees[1]):
        return "the structure"
    for path, one in datasets(trees[0]):
        two = find(trees[1], path)
        assert isinstance(two, Dataset)
        start, other = one.offset or 0, two.offset or 0
        if not compare.same(first.data, start, second.data, other, one.nbytes):
            return f"`{path}`"
    return None
