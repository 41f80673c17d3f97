"""`.keras` files: reading the headers of one into a Document."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.model.config import ConfigError, check_order, read_config
from patchc.model.document import Document
from patchc.storage.archive import Archive, read_archive
from patchc.storage.attach import attach_weights
from patchc.storage.files import InputFile, open_regular
from patchc.storage.hdf5 import Group, Hdf5Error
from patchc.storage.hdf5_reader import read_hdf5
from patchc.storage.jsontext import parse_json
from patchc.storage.members import Member

CONFIG = "config.json"
METADATA = "metadata.json"
WEIGHTS = "model.weights.h5"
_MAX_JSON = 256 << 20


@dataclass(slots=True)
class KerasFile:
    """An open `.keras` file whose headers have been read.

    Args:
        config: the model's configuration.
        tree: groups and datasets of the weights.
        weights: the archive's member that holds them.
        keras_version: of the Keras that wrote the file, as it says.
    """

    file: InputFile
    archive: Archive
    config: Any
    tree: Group
    weights: Member
    keras_version: str

    def document(self, digest: str | None = None) -> Document:
        """A fresh document: compiling edits it.

        Raises:
            PatchError: PC404 or PC405 where configuration or weights are not
                understood.
        """
        path = self.file.path
        try:
            root = read_config(self.config)
            check_order(root)
        except (ConfigError, KeyError, TypeError, IndexError, AttributeError) as error:
            detail = str(error) if isinstance(error, ConfigError) else "has an unknown layout"
            raise _refusal("PC404", path, f"its configuration {detail}") from None
        attached = attach_weights(root, self.tree, path)
        names = (member.name for member in self.archive.members)
        return Document(
            root=root,
            path=path,
            weights=attached.weights,
            optimizer=attached.optimizer,
            assets=tuple(name for name in names if name.startswith("assets/")),
            fingerprint={"weights_crc32": f"{self.weights.crc:08x}", "bytes": self.file.size},
            digest=digest,
            keras_version=self.keras_version,
        )

    def read_weight(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill a buffer from an offset of the weights member."""
        self.file.read_into(buffer, self.weights.offset + offset)


@contextmanager
def open_keras(path: str | os.PathLike[str]) -> Iterator[KerasFile]:
    """Open a `.keras` file and read its headers, no weights.

    Raises:
        PatchError: PC401 to PC405, saying what the file is and what to do.
    """
    with open_regular(path) as file:
        archive = read_archive(file)
        config = _read_json(archive, CONFIG)
        metadata = _read_json(archive, METADATA)
        weights = _weights_member(archive)
        yield KerasFile(
            file=file,
            archive=archive,
            config=config,
            tree=_read_tree(file, weights),
            weights=weights,
            keras_version=str(metadata.get("keras_version", "")) if metadata else "",
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
    if not member.stored:
        raise _refusal(
            "PC403",
            path,
            f"`{WEIGHTS}` is compressed, which Keras never does",
            "zip it again without compression: `zip -0`",
        )
    return member


def _read_tree(file: InputFile, member: Member) -> Group:
    def read_at(offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > member.size:
            raise Hdf5Error("points past its end")
        return file.read_at(member.offset + offset, length)

    try:
        return read_hdf5(read_at, member.size)
    except Hdf5Error as error:
        raise _refusal("PC403", file.path, f"`{WEIGHTS}` {error}") from None
