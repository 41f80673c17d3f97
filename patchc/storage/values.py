"""The values of stored and of changed weights, as NumPy arrays."""

from __future__ import annotations

import hashlib

import numpy as np

from patchc.arrays.dtypes import Array, ValuesError
from patchc.arrays.produce import produce
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.storage.attach import find
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.keras_file import KerasFile


def made_values(source: KerasFile, plan: Plan, entry: LedgerEntry) -> Array:
    """The values of a weight or slot that is new or changed, as they are stored.

    Raises:
        PatchError: PC305 where its strategy cannot make it.
    """
    value = entry.value
    old = None if value.base is None else stored_values(source, value.base)
    mirrored = None if value.mirror is None else _result_values(source, plan, value.mirror)
    try:
        values = produce(value, entry.shape, entry.dtype, old, mirrored)
    except ValuesError as error:
        message = f"`{entry.path}` {error}"
        raise PatchError(
            Diagnostic("PC305", message, file=source.file.path, help="use another `init`")
        ) from None
    return np.ascontiguousarray(values)


def _result_values(source: KerasFile, plan: Plan, address: str) -> Array:
    """A weight of the result, from the base and the plan."""
    entry = next(entry for entry in plan.ledger.entries if entry.address == address)
    if entry.value.base is not None and not entry.value.growths:
        return stored_values(source, entry.value.base)
    return made_values(source, plan, entry)


def stored_values(source: KerasFile, address: str) -> Array:
    """A stored weight as an array; bfloat16 stands as uint16."""
    stored = find(source.tree, address)
    assert isinstance(stored, Dataset)
    dtype = np.dtype(np.uint16) if stored.dtype_name == "bfloat16" else np.dtype(stored.dtype_name)
    values = np.empty(stored.shape, dtype)
    if stored.nbytes:
        source.data.read_into(raw_bytes(values), stored.offset or 0)
    return values


def fingerprint(values: Array) -> bytes:
    """SHA-256 of a weight's stored bytes."""
    return hashlib.sha256(raw_bytes(values)).digest()


def raw_bytes(values: Array) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return values.reshape(-1).view(np.uint8).data
