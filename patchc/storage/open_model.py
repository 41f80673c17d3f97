"""Opening a model file of any format, told by its content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from patchc.errors import Diagnostic, PatchError
from patchc.storage.files import InputFile, open_regular
from patchc.storage.formats import (
    Format,
    check_zip_is_keras,
    container_of,
    hdf5_format,
    is_folder,
    read_json_file,
)
from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.repack import repacked, zipped
from patchc.storage.hdf5.tree import DialectError, Group, Hdf5Error
from patchc.storage.keras_file import KerasFile, keras_archive
from patchc.storage.older.architecture import architecture, as_architecture
from patchc.storage.older.archive import data_end, is_older, see_archive
from patchc.storage.older.open_weights import keras_weights, recorded_weights
from patchc.storage.older.recorded import read_recorded
from patchc.storage.older.seen import see_recorded
from patchc.storage.older.sharded import open_shards
from patchc.storage.stream import Readable


@contextmanager
def open_model(
    path: str | os.PathLike[str], beside: str | os.PathLike[str] | None = None
) -> Iterator[KerasFile]:
    """Open a model file and read its headers, no weights.

    Args:
        beside: a file beside which the architecture of weights is looked for
            too, where none stands beside `path`.

    Raises:
        PatchError: PC401 to PC405, saying what the file is and what to do.
    """
    with ExitStack() as stack:
        if is_folder(path):
            yield _archive(stack.enter_context(zipped(path)), stack)
            return
        file = stack.enter_context(open_regular(path))
        kind = container_of(file)
        if kind == "zip":
            check_zip_is_keras(file)
            yield _archive(file, stack)
        elif kind == "hdf5":
            yield _hdf5(file, stack, beside)
        else:
            yield _sharded(file, stack, beside)


def _sharded(file: InputFile, stack: ExitStack, beside: str | os.PathLike[str] | None) -> KerasFile:
    """Sharded weights by their index; other JSON is refused by what it is."""
    data = read_json_file(file)
    if not isinstance(data, dict) or "weight_map" not in data:
        known = as_architecture(data, file.path) is not None
        kind = "a model's architecture, without weights" if known else "a JSON text"
        help_text = "name the file with the weights" if known else "name a model file of Keras"
        message = f"this is {kind}"
        raise PatchError(Diagnostic("PC402", message, file=file.path, help=help_text))
    shards = open_shards(file, data, stack)
    found = architecture(file.path, beside)
    source = keras_weights(file, Format.SHARDED, shards.tree, shards.data, found)
    return replace(source, shards=shards)


def _archive(file: InputFile, stack: ExitStack) -> KerasFile:
    source = keras_archive(file, stack)
    if not is_older(source.keras_version, source.tree):
        return source
    size = data_end(source.tree)
    seen = see_archive(
        source.config, source.tree, source.data, size, source.keras_version, file.path
    )
    return replace(source, config=seen.config, tree=seen.tree, data=seen.data, older=seen.older)


def _hdf5(file: InputFile, stack: ExitStack, beside: str | os.PathLike[str] | None) -> KerasFile:
    tree, data, size = _hdf5_tree(file, stack)
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
    return KerasFile(
        file=file,
        config=seen.config,
        tree=seen.tree,
        data=seen.data,
        keras_version=recorded.keras_version,
        format=format_,
        older=seen.older,
    )


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
