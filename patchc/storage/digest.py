"""SHA-256 of whole files, in a thread beside other work."""

from __future__ import annotations

import hashlib
from threading import Thread

from patchc.storage.stream import Readable, slabs


class Digest:
    """The SHA-256 of a file, computed from the moment this is made.

    Args:
        file: what to read; it has to stay open until `hex` has returned.
        size: number of bytes.
    """

    def __init__(self, file: Readable, size: int) -> None:
        self._hash = hashlib.sha256()
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = Thread(target=self._run, args=(file, size), daemon=True)
        self._thread.start()

    def _run(self, file: Readable, size: int) -> None:
        try:
            for start, length in slabs(size):
                if self._stopped:
                    return
                buffer = bytearray(length)
                file.read_into(buffer, start)
                self._hash.update(buffer)
        except BaseException as error:  # noqa: BLE001 (handed to the caller by `hex`)
            self._error = error

    def hex(self) -> str:
        """Wait for the digest; raises what reading the file raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._hash.hexdigest()

    def stop(self) -> None:
        """Give up, and wait until the file is no longer read."""
        self._stopped = True
        self._thread.join()
