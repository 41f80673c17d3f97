"""Copy an HDF5 file into the dialect that Keras writes; run as a process of its own.

libhdf5 may crash, hang or allocate without end on a damaged file, so it never
runs in patchc's own process.  This file is a program: it imports nothing of
patchc, follows no link, external file or virtual dataset, and ends with a line
on standard error that says why it refused.

Usage: `repack_child.py SOURCE TARGET MAX_BYTES`
"""

from __future__ import annotations

import resource
import sys
from typing import Any

_MAX_OBJECTS = 1_000_000
_SLAB = 1 << 22


class RefusedError(Exception):
    """The file holds something that no weights file needs."""


def main(source: str, target: str, max_bytes: int) -> None:
    """Copy groups, datasets and attributes from one file to the other."""
    import h5py  # noqa: PLC0415 (only this process has it)

    options = {"libver": ("earliest", "v108"), "track_order": False}
    with h5py.File(source, "r") as old, h5py.File(target, "w", **options) as new:
        copier = _Copier(h5py, max_bytes)
        copier.attributes(old, new)
        copier.group(old, new, 0)


class _Copier:
    def __init__(self, h5py: Any, max_bytes: int) -> None:
        self.h5py = h5py
        self.left = max_bytes
        self.objects = 0

    def group(self, old: Any, new: Any, depth: int) -> None:
        """Copy the members of a group."""
        if depth > 64:
            raise RefusedError("its groups are too deep")
        for name in old:
            self.objects += 1
            if self.objects > _MAX_OBJECTS:
                raise RefusedError("it has too many objects")
            link = old.get(name, getlink=True)
            if not isinstance(link, self.h5py.HardLink):
                raise RefusedError(f"{name!r} is a link, which is not followed")
            item = old[name]
            if isinstance(item, self.h5py.Group):
                inner = new.create_group(name)
                self.attributes(item, inner)
                self.group(item, inner, depth + 1)
            elif isinstance(item, self.h5py.Dataset):
                self.dataset(name, item, new)
            else:
                raise RefusedError(f"{name!r} is a named datatype")

    def dataset(self, name: str, item: Any, new: Any) -> None:
        """Copy a dataset, uncompressed and in one piece."""
        if item.is_virtual or item.external:
            raise RefusedError(f"{name!r} keeps its data elsewhere, which is not followed")
        if item.shape is None:
            raise RefusedError(f"{name!r} has no shape")
        self.left -= item.size * item.dtype.itemsize
        if self.left < 0:
            raise RefusedError("it unpacks to far more than a weights file of its size")
        made = new.create_dataset(name, item.shape, dtype=item.dtype)
        self.attributes(item, made)
        if item.shape == ():
            made[()] = item[()]
            return
        row = max(1, item.size // max(1, item.shape[0])) * item.dtype.itemsize
        step = max(1, _SLAB // row)
        for start in range(0, item.shape[0], step):
            made[start : start + step] = item[start : start + step]

    def attributes(self, old: Any, new: Any) -> None:
        """Copy attributes with their types."""
        for name in old.attrs:
            kind = old.attrs.get_id(name)
            value = old.attrs[name]
            if isinstance(value, self.h5py.Empty):
                raise RefusedError(f"the attribute {name!r} is empty")
            new.attrs.create(name, value, shape=kind.shape, dtype=kind.dtype)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent says it)
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        sys.exit(1)
