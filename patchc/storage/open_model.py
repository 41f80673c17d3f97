"""Opening a model file of any format, told by its content."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from patchc.storage.files import InputFile, open_regular
from patchc.storage.formats import check_zip_is_keras, container_of, is_folder
from patchc.storage.keras_file import KerasFile, keras_archive

_NO_PARTS: Mapping[str, str] = {}


@contextmanager
def open_model(
    path: str | os.PathLike[str],
    beside: str | os.PathLike[str] | None = None,
    parts: Mapping[str, str] = _NO_PARTS,
) -> Iterator[KerasFile]:
    """Open a model file and read its headers, no weights.

    Args:
        beside: a file beside which the architecture of weights is looked for
            too, where none stands beside `path`.
        parts: where the files of sharded weights lie that have not their names yet.

    Raises:
        PatchError: PC401 to PC405, saying what the file is and what to do.
    """
    with ExitStack() as stack:
        if is_folder(path):
            from patchc.storage.hdf5.repack import zipped  # noqa: PLC0415 (rare)

            yield _archive(stack.enter_context(zipped(path)), stack)
            return
        file = stack.enter_context(open_regular(path))
        kind = container_of(file)
        if kind == "zip":
            check_zip_is_keras(file)
            yield _archive(file, stack)
            return
        from patchc.storage.older import opening  # noqa: PLC0415 (takes a while)

        if kind == "hdf5":
            yield opening.open_hdf5(file, stack, beside)
        else:
            yield opening.open_sharded(file, stack, beside, parts)


def _archive(file: InputFile, stack: ExitStack) -> KerasFile:
    source = keras_archive(file, stack)
    if source.keras_version.startswith("3."):
        return source
    from patchc.storage.older import opening  # noqa: PLC0415 (takes a while)

    return opening.see_if_older(source)
