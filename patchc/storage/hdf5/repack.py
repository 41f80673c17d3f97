"""Files that the strict HDF5 reader does not take: brought into the dialect it takes.

Copies stand in a temporary folder and vanish with the block that made them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from patchc.errors import Diagnostic, PatchError
from patchc.storage.files import InputFile, open_regular
from patchc.storage.members import Member

_CHILD = Path(__file__).with_name("repack_child.py")
_SECONDS = 60
_BYTES_PER_SECOND = 100_000_000
_RATIO = 100
"""How many times its size a file may unpack to."""
_SMALL = 1 << 30
_SLAB = 1 << 20


@contextmanager
def repacked(path: str, size: int, shown: str) -> Iterator[InputFile]:
    """A copy of an HDF5 file in the dialect that Keras writes, made by a child process.

    Args:
        path: of the file.
        size: of it.
        shown: what to call it in messages.

    Raises:
        PatchError: PC403, PC310 where h5py is missing.
    """
    if find_spec("h5py") is None:
        message = "the file is HDF5 of another dialect than Keras writes, and h5py is not installed"
        help_text = "`pip install 'patchc[hdf5]'`"
        raise PatchError(Diagnostic("PC310", message, file=shown, help=help_text))
    with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
        target = os.path.join(folder, "weights.h5")
        _run(os.path.abspath(path), target, size, shown)
        with open_regular(target) as copy:
            yield copy


def _run(path: str, target: str, size: int, shown: str) -> None:
    limit = max(_SMALL, _RATIO * size)
    command = [sys.executable, "-I", os.fspath(_CHILD), path, target, str(limit)]
    environment = {"PATH": os.environ.get("PATH", ""), "HDF5_PLUGIN_PRELOAD": "::"}
    try:
        done = subprocess.run(  # noqa: S603 (our own program)
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_SECONDS + size // _BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _damaged(shown, "reading it takes without end") from None
    if done.returncode < 0:
        raise _damaged(shown, f"it brings libhdf5 down (signal {-done.returncode})")
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _damaged(shown, lines[-1][:200] if lines else "it cannot be read")


def _damaged(shown: str, reason: str) -> PatchError:
    message = f"the HDF5 file cannot be read: {reason}"
    help_text = "get an undamaged copy, or save the model again with Keras"
    return PatchError(Diagnostic("PC403", message, file=shown, help=help_text))


@contextmanager
def zipped(folder: str | os.PathLike[str]) -> Iterator[InputFile]:
    """An unzipped `.keras` folder as the archive it came from.

    Raises:
        PatchError: PC401 where the folder holds something that is no file.
    """
    root = os.fspath(folder)
    with tempfile.TemporaryDirectory(prefix="patchc-") as place:
        target = os.path.join(place, "model.keras")
        with zipfile.ZipFile(target, "w") as archive:
            for path in _files(root):
                name = os.path.relpath(path, root).replace(os.sep, "/")
                with open_regular(path) as file, archive.open(_member(name), "w") as out:
                    for start in range(0, file.size, _SLAB):
                        out.write(file.read_at(start, min(_SLAB, file.size - start)))
        with open_regular(target) as file:
            file.path = root
            yield file


def _files(root: str) -> Iterator[str]:
    """Keras's own files first, in its order, then the assets."""
    for name in ("metadata.json", "config.json", "model.weights.h5"):
        if os.path.lexists(os.path.join(root, name)):
            yield os.path.join(root, name)
    for folder, folders, names in os.walk(os.path.join(root, "assets")):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted(names))


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))


@contextmanager
def unpacked(file: InputFile, member: Member) -> Iterator[InputFile]:
    """A member of an archive as a file, uncompressed, its CRC checked on the way.

    Raises:
        PatchError: PC403 where it is damaged, or unpacks to far more than it should.
    """
    if member.size > max(_SMALL, _RATIO * member.compressed_size):
        raise _broken(file, member, "unpacks to far more than a weights file of its size")
    with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
        target = os.path.join(folder, "weights.h5")
        with open(target, "wb") as out:
            crc = size = 0
            for piece in _pieces(file, member):
                crc = zlib.crc32(piece, crc)
                size += len(piece)
                if size > member.size:
                    break
                out.write(piece)
        if (crc, size) != (member.crc, member.size):
            raise _broken(file, member, "is damaged: its CRC-32 is not what the archive records")
        with open_regular(target) as copy:
            yield copy


def _pieces(file: InputFile, member: Member) -> Iterator[bytes]:
    unpacker = None if member.stored else zlib.decompressobj(-zlib.MAX_WBITS)
    done = 0
    try:
        while done < member.compressed_size:
            length = min(_SLAB, member.compressed_size - done)
            data = file.read_at(member.offset + done, length)
            done += length
            if unpacker is None:
                yield data
                continue
            yield unpacker.decompress(data, _SLAB)
            while unpacker.unconsumed_tail:
                yield unpacker.decompress(unpacker.unconsumed_tail, _SLAB)
    except zlib.error:
        raise _broken(file, member, "is damaged: its data do not unpack") from None


def _broken(file: InputFile, member: Member, reason: str) -> PatchError:
    message = f"`{member.name}` {reason}"
    help_text = "get an undamaged copy of the file"
    return PatchError(Diagnostic("PC403", message, file=file.path, help=help_text))
