"""Output files that appear whole or not at all.

An output is written to a temporary file beside its final name, and moved there
when it is complete.  Whatever goes wrong before leaves no trace.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from patchc.errors import Diagnostic, PatchError
from patchc.storage.signals import signals_held

Data = bytes | bytearray | memoryview
PathLike = str | os.PathLike[str]

_MOST_BYTES = 1 << 30  # what one system call is asked for: some refuse 2 GiB
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Identity = tuple[int, int]
"""Device and inode of a file: the same for all its names (`InputFile.identity`)."""


class OutputFile:
    """An output while it is written: positioned reads and writes.

    Args:
        fd: an open file descriptor, which stays the caller's.
        path: the final name, for messages.
        temporary: the name it has until it is published.
        replaces: whether a file gives way to it.

    Attributes:
        parts: further files that the model consists of, by name.
    """

    def __init__(self, fd: int, path: str, temporary: str, *, replaces: bool = False) -> None:
        self._fd = fd
        self.path = path
        self.temporary = temporary
        self.replaces = replaces
        self.parts: dict[str, OutputFile] = {}

    def fileno(self) -> int:
        """The file descriptor, open for reading and writing."""
        return self._fd

    @property
    def size(self) -> int:
        """Bytes that the file has now."""
        return os.fstat(self._fd).st_size

    def write_at(self, offset: int, data: Data) -> None:
        """Write all of `data` at `offset`; a gap before it reads as zeros.

        Raises:
            PatchError: the disk is full or fails (PC407).
        """
        view = memoryview(data)
        if not view.nbytes:
            return
        view, done = view.cast("B"), 0
        try:
            while done < len(view):
                piece = view[done : done + _MOST_BYTES]
                done += os.pwrite(self._fd, piece, offset + done)
        except OSError as error:
            raise self._failure(error, offset + len(view)) from error

    def read_into(self, buffer: bytearray | memoryview, offset: int) -> None:
        """Fill all of `buffer` with the bytes from `offset` on.

        Raises:
            PatchError: the file ends before, or the disk fails (PC407).
        """
        view = memoryview(buffer)
        if not view.nbytes:
            return
        view, done = view.cast("B"), 0
        while done < len(view):
            count = self._read_some(view[done : done + _MOST_BYTES], offset + done)
            if not count:
                message = f"the output has lost bytes: it ends at {offset + done:,}"
                raise PatchError(Diagnostic("PC407", message, file=self.path))
            done += count

    def _read_some(self, view: memoryview, offset: int) -> int:
        try:
            return os.preadv(self._fd, [view], offset)
        except OSError as error:
            raise self._failure(error, self.size) from error

    def read_at(self, offset: int, length: int) -> bytes:
        """The `length` bytes from `offset` on; raises as `read_into`."""
        buffer = bytearray(length)
        self.read_into(buffer, offset)
        return bytes(buffer)

    def truncate(self, size: int) -> None:
        """Cut the file, or extend it with zeros.  Raises PatchError (PC407)."""
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise self._failure(error, size) from error

    def reserve(self, size: int) -> None:
        """Refuse now (PC407) if the file is to have `size` bytes and the disk lacks them."""
        disk = os.fstatvfs(self._fd)
        missing = size - os.fstat(self._fd).st_blocks * 512
        if disk.f_blocks and missing > disk.f_bavail * disk.f_frsize:
            raise self._failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), size)

    def settle(self) -> None:
        """Wait until the disk has all of it, where a file gives way to it.

        A new file is left to the operating system, as `cp` leaves it: after a
        power failure its input is still there.

        Raises:
            PatchError: the disk fails (PC407).
        """
        if not self.replaces:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._failure(error, self.size) from error

    def _failure(self, error: OSError, needed: int) -> PatchError:
        disk = os.fstatvfs(self._fd)
        return _io_failure(self.path, error, needed, disk.f_bavail * disk.f_frsize)


def _io_failure(path: str, error: OSError, needed: int, free: int) -> PatchError:
    if error.errno == errno.EFBIG:
        message = f"the output needs {needed:,} bytes, more than a file may have here"
        help_ = "raise the limit (`ulimit -f`), or write to another disk"
    elif error.errno in _FULL:
        message = f"the disk is full: the output needs {needed:,} bytes, {free:,} are free"
        help_ = "make room, or write to another disk"
    else:
        message = f"the output could not be written: {_reason(error)}"
        help_ = f"look at the disk; {needed:,} bytes were needed, {free:,} are free"
    return PatchError(Diagnostic("PC407", message, help=help_, file=path))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@contextmanager
def publishing(
    path: PathLike,
    *,
    force: bool = False,
    in_place_of: Identity | None = None,
    inputs: Collection[Identity] = (),
) -> Iterator[OutputFile]:
    """Write a file that gets its name when the block ends without an exception.

    The temporary file, `.NAME.patchc-RANDOM.tmp`, stands in the same folder from
    the beginning, so that what forbids the output is found before any work.
    After an exception it is gone and nothing else has changed; a signal that
    comes while the file is moved waits until that is done.  The new file has the
    mode of the one it replaces, or what the umask leaves of 0666.

    Args:
        force: replace an existing file.
        in_place_of: the input that the output replaces; it must not change
            before it is replaced.
        inputs: files that are read, which the output must not be.

    Raises:
        PatchError: the output exists, is an input, is no regular file, or its
            folder does not take it (PC406); the disk is full or fails (PC407).
    """
    draft = _Draft(os.fspath(path), force, in_place_of, inputs)
    try:
        try:
            draft.check()
            with signals_held():
                draft.create()
            output = draft.output()
            yield output
            draft.set_mode()
            output.settle()
            with signals_held():
                draft.publish()
        finally:
            draft.discard()
    finally:
        draft.discard()  # a signal may have hit the first one


class _Draft:
    """The two names of an output, and the way from one to the other."""

    def __init__(
        self,
        path: str,
        force: bool,
        in_place_of: Identity | None,
        inputs: Collection[Identity],
    ) -> None:
        self.path = path
        self._replaces = force or in_place_of is not None
        self._in_place_of = in_place_of
        self._inputs = inputs
        self._folder, self._name = os.path.split(path)
        start = os.fsdecode(os.fsencode(self._name)[:200])
        self._temporary = f".{start}.patchc-{secrets.token_hex(8)}.tmp"
        self._folder_fd = -1
        self._old: os.stat_result | None = None
        self.fd = -1

    @property
    def temporary_path(self) -> str:
        return os.path.join(self._folder, self._temporary)

    def output(self) -> OutputFile:
        """The file, to be written to."""
        replaces = self._old is not None
        return OutputFile(self.fd, self.path, self.temporary_path, replaces=replaces)

    def check(self) -> None:
        """Open the folder, and refuse a name that must not be written to."""
        if self._name in ("", ".", ".."):
            raise self._refusal("the output is a folder", "name a file")
        if "\0" in self.path:
            raise self._refusal("the output's name holds a NUL", "name another file")
        try:
            self._folder_fd = os.open(self._folder or ".", os.O_RDONLY | os.O_DIRECTORY)
            self._old = self._stat(follow=False)
            if self._old is not None:
                self._check_old(self._old)
        except OSError as error:
            raise self._folder_refusal(error) from error
        if self._old is None and self._in_place_of is not None:
            raise self._refusal("the input is gone", "look who moved it, and run again")

    def _check_old(self, old: os.stat_result) -> None:
        is_link = stat.S_ISLNK(old.st_mode)
        found = self._stat(follow=True) if is_link else old
        identity = (found.st_dev, found.st_ino) if found else None
        if identity in self._inputs and identity != self._in_place_of:
            help_ = "pass --in-place to change it, or name another file"
            raise self._refusal("the output is the input", help_)
        if is_link:
            target = os.readlink(self._name, dir_fd=self._folder_fd)
            raise self._refusal("the output is a symbolic link", f"name its target, {target}")
        if stat.S_ISDIR(old.st_mode):
            raise self._refusal("the output is a folder", "name a file")
        if not stat.S_ISREG(old.st_mode):
            raise self._refusal("the output is no regular file", "name another file")
        if not self._replaces:
            raise self._exists()
        if self._in_place_of not in (None, identity):
            raise self._refusal("the output is another file than the input", "drop --in-place")

    def _check_unchanged(self) -> None:
        if self._in_place_of is not None and _state(self._stat(follow=False)) != _state(self._old):
            raise self._refusal("the input changed while it was patched", "run again")

    def _stat(self, *, follow: bool) -> os.stat_result | None:
        try:
            return os.stat(self._name, dir_fd=self._folder_fd, follow_symlinks=follow)
        except FileNotFoundError:
            return None

    def create(self) -> None:
        """Create the temporary file, which nobody else may read."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            self.fd = os.open(self._temporary, flags, 0o600, dir_fd=self._folder_fd)
        except OSError as error:
            raise self._folder_refusal(error) from error

    def set_mode(self) -> None:
        """Give the file the mode with which it is published."""
        os.fchmod(self.fd, self._old.st_mode & 0o777 if self._old else 0o666 & ~_umask())

    def publish(self) -> None:
        """Move the file to its final name; the disk has the name where a file gave way."""
        try:
            if self._replaces:
                self._check_unchanged()
                self._rename()
            else:
                self._move_to_free_name()
            if self._old is not None:
                self._sync_folder()
        except FileExistsError as error:
            raise self._exists() from error
        except OSError as error:
            raise self._folder_refusal(error) from error

    def _move_to_free_name(self) -> None:
        """A hard link fails where the name is taken, which a rename does not."""
        folder = self._folder_fd
        try:
            os.link(self._temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self._stat(follow=False) is not None:
                raise self._exists() from error
            self._rename()
        else:
            os.unlink(self._temporary, dir_fd=folder)

    def _rename(self) -> None:
        os.replace(
            self._temporary, self._name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd
        )

    def _sync_folder(self) -> None:
        try:
            os.fsync(self._folder_fd)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # folders that cannot be synced
                raise

    def discard(self) -> None:
        """Remove the temporary name, if there is one, and close everything; again is harmless."""
        with signals_held():
            if self.fd >= 0:
                with suppress(FileNotFoundError):
                    os.unlink(self._temporary, dir_fd=self._folder_fd)
                os.close(self.fd)
            if self._folder_fd >= 0:
                os.close(self._folder_fd)
            self.fd = self._folder_fd = -1

    def _refusal(self, message: str, help_: str) -> PatchError:
        return PatchError(Diagnostic("PC406", message, help=help_, file=self.path))

    def _exists(self) -> PatchError:
        return self._refusal("the output exists", "pass --force to replace it")

    def _folder_refusal(self, error: OSError) -> PatchError:
        folder = self._folder or "."
        match error.errno:
            case errno.ENOENT:
                return self._refusal(f"the folder {folder} does not exist", "create it first")
            case errno.ENOTDIR:
                return self._refusal(f"{folder} is no folder", "name a file in a folder")
            case errno.EACCES | errno.EPERM | errno.EROFS:
                message = f"the folder {folder} does not take the output: {_reason(error)}"
                return self._refusal(message, "write to a folder of your own")
            case errno.ENAMETOOLONG | errno.EISDIR | errno.EINVAL | errno.ELOOP:
                return self._refusal(
                    f"the output cannot have this name: {_reason(error)}", "name another file"
                )
        message = f"the output could not be made: {_reason(error)}"
        help_ = "make room, or write to another disk" if error.errno in _FULL else None
        return PatchError(Diagnostic("PC407", message, help=help_, file=self.path))


def _state(found: os.stat_result | None) -> tuple[int, ...] | None:
    return found and (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _umask() -> int:
    """The umask, which can only be read by setting it: for a moment, to a strict one."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
