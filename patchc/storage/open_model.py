"""Opening a model file of any format, told by its content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from patchc.errors import Diagnostic, PatchError
from patchc.storage.files import InputFile, open_regular
from patchc.storage.formats import check_zip_is_keras, container_of, hdf5_format
from patchc.storage.hdf5 import DialectError, Group, Hdf5Error
from patchc.storage.hdf5_reader import read_hdf5
from patchc.storage.keras_file import KerasFile, keras_archive
from patchc.storage.older import see_recorded
from patchc.storage.older_archive import data_end, is_older, see_archive
from patchc.storage.recorded import read_recorded
from patchc.storage.repack import repacked
from patchc.storage.stream import Readable


@contextmanager
def open_model(path: str | os.PathLike[str]) -> Iterator[KerasFile]:
    """Open a model file and read its headers, no weights.

    Raises:
        PatchError: PC401 to PC405, saying what the file is and what to do.
    """
    with open_regular(path) as file, ExitStack() as stack:
        kind = container_of(file)
        if kind == "zip":
            check_zip_is_keras(file)
            yield _archive(file, stack)
        else:
            yield _hdf5(file, stack)


def _archive(file: InputFile, stack: ExitStack) -> KerasFile:
    source = keras_archive(file, stack)
    if not is_older(source.keras_version, source.tree):
        return source
    size = data_end(source.tree)
    seen = see_archive(
        source.config, source.tree, source.data, size, source.keras_version, file.path
    )
    return replace(source, config=seen.config, tree=seen.tree, data=seen.data, older=seen.older)


def _hdf5(file: InputFile, stack: ExitStack) -> KerasFile:
    tree, data, size = _hdf5_tree(file, stack)
    format_ = hdf5_format(tree)
    if format_ is None:
        message = "this is an HDF5 file, but not of Keras: it holds no layers"
        help_text = "name a file that `model.save(...)` or `model.save_weights(...)` wrote"
        raise PatchError(Diagnostic("PC402", message, file=file.path, help=help_text))
    recorded = read_recorded(tree, file.path)
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
