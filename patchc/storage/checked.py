"""A base whose digest is computed beside everything else, from the moment it is open."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from patchc.errors import Diagnostic, PatchError
from patchc.storage.digest import Digest
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model
from patchc.storage.stream import Piece, crc_of


@dataclass(frozen=True, slots=True)
class CheckedBase:
    """An open model file and the digest of it that is on its way.

    Args:
        path: as the user wrote it.
        source: the file.
        digest: SHA-256 of the file, where it is wanted; the history of a file
            that is no archive needs it in any case.
        is_shown: whether reports tell it, and that of the result.
    """

    path: str
    source: KerasFile
    digest: Digest
    is_shown: bool = True

    @property
    def sha256(self) -> str | None:
        """What reports tell of the digest."""
        return self.digest.hex() if self.is_shown else None

    def check(self, pieces: Sequence[Piece] = ()) -> None:
        """Refuse a base that is damaged, or that another program has changed meanwhile.

        Args:
            pieces: what was copied out of it, with checksums; the rest is read.

        Raises:
            PatchError: PC408 or PC403.
        """
        if not self.source.unchanged():
            message = "the model file was changed by another program meanwhile"
            help_ = "apply the patch again"
            raise PatchError(Diagnostic("PC408", message, file=self.path, help=help_))
        weights = self.source.weights
        if weights is None:
            return
        if crc_of(self.source.data, weights.size, pieces) != weights.crc:
            message = f"`{weights.name}` is damaged: its CRC-32 is not what the archive records"
            help_ = "get an undamaged copy of the file"
            raise PatchError(Diagnostic("PC403", message, file=self.path, help=help_))


@contextmanager
def open_checked(model: str | os.PathLike[str], *, sha256: bool = True) -> Iterator[CheckedBase]:
    """Open a model file, and start on its SHA-256 at once.

    Args:
        sha256: whether it is wanted.

    Raises:
        PatchError: as `open_model`.
    """
    with open_model(model) as source:
        known = source.archive is not None  # by what its history calls it
        with Digest(source.whole, source.whole.size, wanted=sha256 or not known) as digest:
            source.digest = digest
            yield CheckedBase(os.fspath(model), source, digest, is_shown=sha256)
