"""Opening what is no archive of Keras 3: older archives, HDF5 files, weights alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from patchc.errors import Diagnostic, PatchError
from patchc.storage.files import InputFile
from patchc.storage.formats import Format, hdf5_format, read_json_file
from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.repack import repacked
from patchc.storage.hdf5.tree import DialectError, Group, Hdf5Error
from patchc.storage.history import KEY, metadata_of_hdf5
from patchc.storage.keras_file import KerasFile
from patchc.storage.older.architecture import architecture, as_architecture
from patchc.storage.older.archive import data_end, is_older, see_archive
from patchc.storage.older.open_weights import keras_weights, recorded_weights
from patchc.storage.older.recorded import read_recorded
from patchc.storage.older.seen import see_recorded
from patchc.storage.older.sharded import open_shards
from patchc.storage.stream import Readable


def see_if_older(source: KerasFile) -> KerasFile:
    """An archive of Keras 2 as Keras 3 has it; one of Keras 3 as it is."""
    if not is_older(source.keras_version, source.tree):
        return source
    size = source.weights.size if source.weights is not None else data_end(source.tree)
    seen = see_archive(
        source.config, source.tree, source.data, size, source.keras_version, source.file.path
    )
    return replace(
        source,
        config=seen.config,
        tree=seen.tree,
        data=seen.data,
        older=seen.older,
        format=Format.KERAS_2,
    )


def open_sharded(
    file: InputFile,
    stack: ExitStack,
    beside: str | os.PathLike[str] | None,
    parts: Mapping[str, str],
) -> KerasFile:
    """Sharded weights by their index; other JSON is refused by what it is."""
    data = read_json_file(file)
    if not isinstance(data, dict) or "weight_map" not in data:
        known = as_architecture(data, file.path) is not None
        kind = "a model's architecture, without weights" if known else "a JSON text"
        help_text = "name the file with the weights" if known else "name a model file of Keras"
        message = f"this is {kind}"
        raise PatchError(Diagnostic("PC402", message, file=file.path, help=help_text))
    shards = open_shards(file, data, stack, parts)
    found = architecture(file.path, beside)
    source = keras_weights(file, Format.SHARDED, shards.tree, shards.data, found)
    metadata = {KEY: data[KEY]} if KEY in data else {}
    return replace(source, shards=shards, metadata=metadata)


def open_hdf5(
    file: InputFile, stack: ExitStack, beside: str | os.PathLike[str] | None
) -> KerasFile:
    """A model or weights in HDF5, whatever Keras wrote them."""
    tree, data, size = _hdf5_tree(file, stack)
    source = _hdf5(file, tree, data, size, beside)
    return replace(source, metadata=metadata_of_hdf5(tree, file.path))


def _hdf5(
    file: InputFile,
    tree: Group,
    data: Readable,
    size: int,
    beside: str | os.PathLike[str] | None,
) -> KerasFile:
    format_ = hdf5_format(tree)
    if format_ is None:
        message = "this is an HDF5 file, but not of Keras: it holds no layers"
        help_text = "name a file that `model.save(...)` or `model.save_weights(...)` wrote"
        raise PatchError(Diagnostic("PC402", message, file=file.path, help=help_text))
    if format_ is Format.KERAS_WEIGHTS:
        return keras_weights(file, format_, tree, data, architecture(file.path, beside))
    recorded = read_recorded(tree, file.path)
    if format_ is Format.WEIGHTS:
        found = architecture(file.path, beside)
        return recorded_weights(file, recorded, tree, data, size, found)
    seen = see_recorded(recorded, tree, data, size, file.path)
    return seen.opened(file, format_, recorded.keras_version)


def _hdf5_tree(file: InputFile, stack: ExitStack) -> tuple[Group, Readable, int]:
    """Structure, bytes and their number: of the file, or of a copy in Keras's dialect."""
    try:
        return read_hdf5(file.read_at, file.size), file, file.size
    except DialectError:
        copy = stack.enter_context(repacked(file.path, file.size, file.path))
        return _strict(copy, file.path), copy, copy.size
    except Hdf5Error as error:
        raise _unreadable(file.path, error) from None


def _strict(copy: InputFile, path: str) -> Group:
    try:
        return read_hdf5(copy.read_at, copy.size)
    except Hdf5Error as error:
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Hdf5Error) -> PatchError:
    help_text = "save the model again with Keras, or get an undamaged copy of the file"
    return PatchError(Diagnostic("PC403", f"the HDF5 file {error}", file=path, help=help_text))
