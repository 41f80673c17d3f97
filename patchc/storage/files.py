"""Input files: opened once, read by position, and told apart by their first bytes."""

from __future__ import annotations

import difflib
import os
import re
import stat
from itertools import islice
from types import TracebackType
from typing import Self

from patchc.errors import Diagnostic, PatchError

_NOT_REGULAR = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_NEIGHBOURS = 10_000


class InputFile:
    """A regular file, open for reading; a context manager.

    Attributes:
        path: the file name as the user wrote it.
        size: bytes, at opening.
        identity: device and inode, equal for two names of one file.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.size = status.st_size
        self.identity = (status.st_dev, status.st_ino)
        self._state = _state(status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def fileno(self) -> int:
        """The descriptor, for calls that copy between files."""
        return self._descriptor

    def read_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`; PatchError PC403 where the file ends before."""
        self._check_range(offset, length)
        pieces = []
        while length:
            piece = self._system_read(offset, length)
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill `buffer` from `offset`; PatchError PC403 where the file ends before."""
        view = memoryview(buffer).cast("B")
        self._check_range(offset, len(view))
        done = 0
        while done < len(view):
            try:
                count = os.preadv(self._descriptor, [view[done:]], offset + done)
            except OSError as error:
                raise self._unreadable(error) from error
            if not count:
                raise self._ended(offset + done)
            done += count

    def unchanged(self) -> bool:
        """Whether size, modification time and inode are those of the opening."""
        return _state(os.fstat(self._descriptor)) == self._state

    def _check_range(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise self._ended(offset + length)

    def _system_read(self, offset: int, length: int) -> bytes:
        try:
            piece = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise self._unreadable(error) from error
        if not piece:
            raise self._ended(offset)
        return piece

    def _ended(self, offset: int) -> PatchError:
        message = f"the file is truncated: it has {self.size} bytes, byte {offset} was needed"
        help_ = "get the complete file again"
        return PatchError(Diagnostic("PC403", message, help=help_, file=self.path))

    def _unreadable(self, error: OSError) -> PatchError:
        message = f"reading failed: {error.strerror or error}"
        return PatchError(Diagnostic("PC401", message, file=self.path))


def open_regular(path: str | os.PathLike[str]) -> InputFile:
    """Open a local regular file, or a link to one, for reading; never blocks.

    Raises PatchError PC401 where there is none: a missing file (with similar
    names of the folder), a remote address, a folder, pipe or device.
    """
    name = os.fspath(path)
    if _REMOTE.match(name):
        raise _refusal(
            name, "this is a remote address", "download it first: only local files are read"
        )
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _refusal(name, "there is no such file", _near_names(name)) from error
    except (OSError, ValueError) as error:
        raise _unopened(name, error) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _not_regular(name, mode)
    return InputFile(name, descriptor)


def sniff(first_bytes: bytes) -> str:
    """What a file that is no model archive looks like, as a phrase with its article.

    Args:
        first_bytes: the beginning of the file, best 512 bytes or more.
    """
    if not first_bytes:
        return "an empty file"
    for offset, magic, phrase in _MAGIC:
        if first_bytes.startswith(magic, offset):
            return phrase
    start = first_bytes.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page (a download that went wrong?)"
    if first_bytes[8:9] == b"{" and int.from_bytes(first_bytes[:8], "little") < 1 << 32:
        return "a safetensors file"
    if start.startswith((b"{", b"[")):
        return "a JSON text"
    if first_bytes[:1] == b"\x08" and first_bytes[2:3] in {b"\x12", b":", b"\x1a"}:
        return "a protobuf file (ONNX or a frozen TensorFlow graph?)"
    return "a text file" if _is_text(first_bytes) else "a file of unknown kind"


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"version https://git-lfs.github.com/", "a git-lfs pointer (fetch it with `git lfs pull`)"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ\x00", "an xz file"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-zip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x93NUMPY", "a NumPy array file"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"\x08\x01\x12", "a TensorFlow SavedModel protobuf"),
    *((0, bytes((0x80, version)), "a Python pickle (PyTorch?)") for version in range(2, 6)),
)


def _is_text(data: bytes) -> bool:
    try:
        data[:512].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(data), 512) - 3:
            return False
    return b"\0" not in data[:512]


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _unopened(name: str, error: OSError | ValueError) -> PatchError:
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        return _not_regular(name, mode)
    reason = error.strerror if isinstance(error, OSError) else error
    return _refusal(name, f"the file cannot be opened: {str(reason).lower()}")


def _not_regular(name: str, mode: int) -> PatchError:
    kind = _NOT_REGULAR.get(stat.S_IFMT(mode), "no regular file")
    help_ = "name a .keras, .weights.h5 or .h5 file"
    if stat.S_ISDIR(mode):
        if os.path.exists(os.path.join(name, "saved_model.pb")):
            kind = "a TensorFlow SavedModel folder"
            help_ = "save the model as .keras first: `model.save('model.keras')`"
        elif os.path.exists(os.path.join(name, "config.json")):
            kind = "an unzipped model folder"
            help_ = "zip its files into a .keras file first"
    return _refusal(name, f"this is {kind}, not a file", help_)


def _near_names(name: str) -> str | None:
    folder, base = os.path.split(name)
    try:
        with os.scandir(folder or ".") as entries:
            names = [entry.name for entry in islice(entries, _NEIGHBOURS)]
    except OSError:
        return f"there is no folder {folder}"
    near = difflib.get_close_matches(base, names, n=3, cutoff=0.6)
    found = " or ".join(f"`{os.path.join(folder, other)}`" for other in near)
    return f"did you mean {found}?" if found else None


def _refusal(name: str, message: str, help_: str | None = None) -> PatchError:
    return PatchError(Diagnostic("PC401", message, help=help_, file=name))
