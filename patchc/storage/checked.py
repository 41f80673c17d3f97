"""A base whose checksums are computed beside everything else, from the moment it is open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from patchc.errors import Diagnostic, PatchError
from patchc.storage.digest import Digest
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model


@dataclass(frozen=True, slots=True)
class CheckedBase:
    """An open model file and the checksums of it that are on their way.

    Args:
        path: as the user wrote it.
        source: the file.
        digest: SHA-256 of the file where it is wanted, CRC-32 of the weights always.
    """

    path: str
    source: KerasFile
    digest: Digest

    def check(self) -> None:
        """Refuse a base that is damaged, or that another program has changed meanwhile.

        Raises:
            PatchError: PC408 or PC403.
        """
        if not self.source.file.unchanged():
            message = "the model file was changed by another program meanwhile"
            help_ = "apply the patch again"
            raise PatchError(Diagnostic("PC408", message, file=self.path, help=help_))
        weights = self.source.weights
        if weights is not None and self.digest.crc() != weights.crc:
            message = f"`{weights.name}` is damaged: its CRC-32 is not what the archive records"
            help_ = "get an undamaged copy of the file"
            raise PatchError(Diagnostic("PC403", message, file=self.path, help=help_))


@contextmanager
def open_checked(model: str | os.PathLike[str], *, sha256: bool = True) -> Iterator[CheckedBase]:
    """Open a model file, and start on its checksums at once.

    Args:
        sha256: whether to compute the SHA-256 of the whole file too.

    Raises:
        PatchError: as `open_model`.
    """
    with open_model(model) as source:
        part = source.checked_part
        with Digest(source.file, source.file.size, sha256=sha256, part=part) as digest:
            yield CheckedBase(os.fspath(model), source, digest)
