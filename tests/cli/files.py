"""Saved models changed in one place, as a training or another program would."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py


def rewritten(path: Path, out: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Pack an archive anew, each member as `change` makes it from its name and contents."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name, (1990, 1, 1, 0, 0, 0))
            new.writestr(info, change(name, old.read(name)))


def with_values(path: Path, out: Path, *addresses: str) -> None:
    """Add one to every entry of stored weights."""

    def change(name: str, data: bytes) -> bytes:
        if name != "model.weights.h5":
            return data
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:
            for address in addresses:
                file[address][...] += 1
        return buffer.getvalue()

    rewritten(path, out, change)


def with_json(path: Path, out: Path, member: str, **values: Any) -> None:
    """Set keys of a JSON member; a value of None takes the key out."""

    def change(name: str, data: bytes) -> bytes:
        if name != member:
            return data
        merged = {**json.loads(data), **values}
        return json.dumps({k: v for k, v in merged.items() if v is not None}).encode()

    rewritten(path, out, change)


def metadata(path: Path) -> dict[str, Any]:
    """What stands in `metadata.json`."""
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("metadata.json"))
    return found
