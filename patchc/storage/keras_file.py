"""`.keras` files: reading the headers of one into a Document."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from patchc.errors import Diagnostic, PatchError
from patchc.model.document import Document
from patchc.model.graph import Loading
from patchc.model.history import Applied
from patchc.storage.archive import Archive, read_archive
from patchc.storage.attach import attach_weights
from patchc.storage.configuration import root_of
from patchc.storage.digest import Digest
from patchc.storage.files import InputFile, open_regular
from patchc.storage.formats import Format
from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.repack import repacked, unpacked
from patchc.storage.hdf5.tree import DialectError, Group, Hdf5Error
from patchc.storage.history import contents_digest, read_history
from patchc.storage.jsontext import parse_json
from patchc.storage.members import Member
from patchc.storage.stream import Readable
from patchc.storage.window import Joined, Window

if TYPE_CHECKING:  # neither is of a file that Keras 3 wrote
    from patchc.storage.older.seen import Older
    from patchc.storage.older.sharded import Shards

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
_DIALECTS = (Format.KERAS_2, Format.MODEL, Format.WEIGHTS, Format.KERAS_WEIGHTS)
"""Formats in which the file of an older Keras stays one."""
_MAX_JSON = 256 << 20
_MAX_ASSET = 256 << 20


@dataclass(slots=True)
class KerasFile:
    """An open model file whose headers have been read.

    Whatever its format, it is seen as Keras 3 would have written it.

    Args:
        config: the model's configuration, as Keras 3 has it.
        tree: groups and datasets of the weights, under Keras 3's addresses.
        data: what the offsets in `tree` count from.
        keras_version: of the Keras that wrote the file, as it says.
        format: what the file is.
        archive, weights: the zip archive, and its member with the weights,
            where there is one and its weights are not compressed.
        older: what an older file looks like before it is seen this way.
        metadata: what Keras and patchc say of the file; empty where the format
            has no place for it.
        shards: the files of sharded weights.
        digest: SHA-256 of all its bytes, where it is computed anyway.
    """

    file: InputFile
    config: Any
    tree: Group
    data: Readable
    keras_version: str
    format: Format = Format.KERAS
    archive: Archive | None = None
    weights: Member | None = None
    older: Older | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    shards: Shards | None = None
    digest: Digest | None = None

    @property
    def whole(self) -> Joined:
        """All bytes of the model: of its one file, or of an index and its shards behind it."""
        shards = self.shards.files if self.shards is not None else ()
        return Joined.of((self.file, *shards))

    def unchanged(self) -> bool:
        """Whether no file of it was changed since it was opened."""
        shards = self.shards.files if self.shards is not None else ()
        return all(file.unchanged() for file in (self.file, *shards))

    @property
    def history(self) -> tuple[Applied, ...]:
        """The patches that made the model, oldest first; PatchError PC404 where it is damaged."""
        return read_history(self.metadata, self.file.path)

    def contents(self) -> str:
        """SHA-256 of what the file holds: what the history calls it by.

        Of an archive it is taken over names, sizes and CRC-32 of the members,
        which costs no pass over the file; else over all its bytes.
        """
        if self.archive is not None:
            return contents_digest(self.archive.members)
        if self.digest is not None and self.digest.wanted:
            return str(self.digest.hex())
        with Digest(self.whole, self.whole.size) as digest:
            return str(digest.hex())

    @property
    def root_group(self) -> Group:
        """What the HDF5 file holds, as it stands."""
        return self.tree if self.older is None else self.older.root_group

    @property
    def bare(self) -> bool:
        """Whether it holds weights of which nothing tells how they are connected."""
        return self.older is not None and self.older.bare

    def document(self, digest: str | None = None, target: Format | None = None) -> Document:
        """A fresh document: compiling edits it.

        Args:
            target: format of the file that is to come of it; left out, the same.

        Raises:
            PatchError: PC404 or PC405 where configuration or weights are not
                understood.
        """
        path = self.file.path
        root = root_of(self.config, path)
        if self.older is not None:
            self.older.prepare(root, path)
        attached = attach_weights(root, self.tree, path)
        if self.older is not None:
            self.older.mark_unmatched(root)
            root.loading = self.loading_of(target or self.format)
        crc = {} if self.weights is None else {"weights_crc32": f"{self.weights.crc:08x}"}
        return Document(
            root=root,
            path=path,
            weights=attached.weights,
            optimizer=() if self.lost_state(target) else attached.optimizer,
            assets=tuple(self.assets),
            read_asset=self.read_asset,
            fingerprint={**crc, "bytes": self.whole.size},
            digest=digest,
            history=self.history,
            keras_version=self.keras_version,
            repairs=() if (target or self.format) is Format.KERAS_2 else self._repairs(),
            unconnected=self.bare,
        )

    @property
    def assets(self) -> Mapping[str, Member]:
        """The archive's members that belong to layers, by the names that Keras 3 gives them."""
        members = self.archive.members if self.archive is not None else ()
        seen = self.older.seen_asset if self.older is not None else str
        return {seen(m.name): m for m in members if m.name.startswith("assets/")}

    def read_asset(self, name: str) -> bytes:
        """The contents of a member that belongs to a layer.

        Raises:
            PatchError: PC403 where it is damaged or too large.
        """
        assert self.archive is not None
        return self.archive.read(self.assets[name], _MAX_ASSET)

    def loading_of(self, target: Format) -> Loading:
        """What loads a file that is made of this one in a format."""
        if self.older is None or target not in _DIALECTS:
            return Loading.KERAS_3
        return self.older.loading

    def lost_state(self, target: Format | None = None) -> str:
        """Why the optimizer's state is left out of a result; "" where it is not."""
        if self.older is None:
            return ""
        return self.older.lost_as(self.loading_of(target or self.format))

    def _repairs(self) -> tuple[Mapping[str, str], ...]:
        if self.older is None:
            return ()
        return tuple(repair.to_dict() for repair in self.older.repaired.repairs)


@contextmanager
def open_keras(path: str | os.PathLike[str]) -> Iterator[KerasFile]:
    """Open a `.keras` file and read its headers, no weights.

    Raises:
        PatchError: PC401 to PC405, saying what the file is and what to do.
    """
    with open_regular(path) as file, ExitStack() as stack:
        yield keras_archive(file, stack)


def keras_archive(file: InputFile, stack: ExitStack) -> KerasFile:
    """The `.keras` archive in an open file; raises as `open_keras`.

    Args:
        stack: keeps a copy of weights that cannot be read where they are.
    """
    archive = read_archive(file)
    config = _read_json(archive, CONFIG)
    metadata = _read_json(archive, METADATA)
    if not isinstance(metadata, dict):
        raise _refusal("PC404", file.path, f"`{METADATA}` is no mapping")
    member = _weights_member(archive)
    tree, data = _read_weights(file, member, stack)
    return KerasFile(
        file=file,
        archive=archive,
        config=config,
        tree=tree,
        data=data,
        weights=member if isinstance(data, Window) else None,
        keras_version=str(metadata.get("keras_version", "")),
        metadata=metadata,
    )


def _refusal(code: str, path: str, message: str, way_out: str | None = None) -> PatchError:
    help_text = way_out or "save the model again with Keras 3"
    return PatchError(Diagnostic(code, message, file=path, help=help_text))


def _read_json(archive: Archive, name: str) -> Any:
    path = archive.file.path
    member = archive.find(name)
    if member is None:
        raise _refusal(
            "PC402",
            path,
            f"the archive has no `{name}`: it is no Keras model",
            "name a file that `model.save(...)` wrote",
        )
    try:
        return parse_json(archive.read(member, _MAX_JSON))
    except ValueError as error:
        raise _refusal("PC404", path, f"`{name}` cannot be read: {error}") from None


def _weights_member(archive: Archive) -> Member:
    path = archive.file.path
    member = archive.find(WEIGHTS)
    if member is None:
        held = ", ".join(f"`{m.name}`" for m in archive.members[:6])
        raise _refusal("PC402", path, f"the archive has no `{WEIGHTS}`; it holds {held}")
    return member


def _read_weights(file: InputFile, member: Member, stack: ExitStack) -> tuple[Group, Readable]:
    """The weights' structure, and what its offsets count from.

    Weights that another program zipped again with compression are unpacked,
    those of another HDF5 dialect are brought into Keras's.
    """
    copy = None if member.stored else stack.enter_context(unpacked(file, member))
    try:
        if copy is not None:
            return read_hdf5(copy.read_at, copy.size), copy
        return _read_tree(file, member), Window(file, member.offset)
    except DialectError:
        copy = copy or stack.enter_context(unpacked(file, member))
        copy = stack.enter_context(repacked(copy.path, copy.size, f"{file.path}: {WEIGHTS}"))
        return _read_whole(copy, file.path), copy
    except Hdf5Error as error:
        raise _refusal("PC403", file.path, f"`{WEIGHTS}` {error}") from None


def _read_whole(copy: InputFile, path: str) -> Group:
    try:
        return read_hdf5(copy.read_at, copy.size)
    except Hdf5Error as error:
        raise _refusal("PC403", path, f"`{WEIGHTS}` {error}") from None


def _read_tree(file: InputFile, member: Member) -> Group:
    def read_at(offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > member.size:
            raise Hdf5Error("points past its end")
        return file.read_at(member.offset + offset, length)

    return read_hdf5(read_at, member.size)
