"""The history of a model: in its `metadata.json`, an attribute of its HDF5 file, or its index.

Keras reads `metadata.json` and keeps no key of it: a model that was loaded and
saved again has no history.  A further member of the archive would have Keras
unpack the whole archive to disk on loading.  Of an HDF5 file's attributes at
the root, and of the keys of an index, every Keras reads its own alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.model.history import KEYS, Applied
from patchc.storage.hdf5.tree import Group, Hdf5Error, text_attribute
from patchc.storage.jsontext import parse_json
from patchc.storage.members import Member
from patchc.storage.publish import OutputFile

KEY = "patchc"
_VERSION = 1


def read_history(metadata: Mapping[str, Any], path: str) -> tuple[Applied, ...]:
    """The patches that made a model, oldest first.

    Args:
        metadata: contents of `metadata.json`, or what stands in its place.
        path: of the model file, for messages.

    Raises:
        PatchError: PC404 where the history is not one that this version knows.
    """
    if KEY not in metadata:
        return ()
    kept = metadata[KEY]
    if not isinstance(kept, dict) or not isinstance(kept.get("history"), list):
        raise _refusal(path, "has another form than patchc gives it")
    if kept.get("version") != _VERSION:
        raise _refusal(path, f"has version {kept.get('version')!r}, this patchc knows {_VERSION}")
    return tuple(_applied(entry, path) for entry in kept["history"])


def _applied(entry: Any, path: str) -> Applied:
    if not isinstance(entry, dict) or entry.keys() != KEYS.keys():
        raise _refusal(path, "has an entry with other keys than patchc writes")
    for key, kind in KEYS.items():
        value = entry[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _refusal(path, f"has an entry whose `{key}` is no {_WORDS.get(key, 'text')}")
    return Applied(**entry)


_WORDS = {"params": "mapping", "seed": "whole number"}


def _refusal(path: str, what: str) -> PatchError:
    message = f"the history {what}"
    way_out = "use the version of patchc that wrote the file, or save the model again with Keras"
    return PatchError(Diagnostic("PC404", message, file=path, help=way_out))


def with_history(metadata: Mapping[str, Any], history: Sequence[Applied]) -> bytes:
    """The contents of a `metadata.json` that holds a history, if there is any."""
    return json.dumps(joined(metadata, history)).encode()


def joined(metadata: Mapping[str, Any], history: Sequence[Applied]) -> dict[str, Any]:
    """What a `metadata.json` or an index says, with a history, if there is any."""
    if not history:
        return without_history(metadata)
    kept = {"version": _VERSION, "history": [applied.to_dict() for applied in history]}
    return {**metadata, KEY: kept}


def without_history(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What Keras itself wrote."""
    return {key: value for key, value in metadata.items() if key != KEY}


# ------------------------------------------------------------------------- HDF5

PENDING = "~patchc~" * 8
"""Stands for the digest of a base, which is as long, until that is known."""


def metadata_of_hdf5(tree: Group, path: str) -> Mapping[str, Any]:
    """What the attribute of an HDF5 file says, as `metadata.json` would.

    Raises:
        PatchError: PC404 where it is no JSON.
    """
    attribute = tree.attributes.get(KEY)
    if attribute is None:
        return {}
    try:
        return {KEY: parse_json(attribute.text.encode())}
    except (ValueError, Hdf5Error):
        raise _refusal(path, "cannot be read") from None


def recorded_in(tree: Group, history: Sequence[Applied]) -> Group:
    """The same tree with a history at its root, if there is any."""
    attributes = {key: value for key, value in tree.attributes.items() if key != KEY}
    if history:
        attributes[KEY] = text_attribute(_text(history))
    return Group(tree.members, attributes)


def is_clear(history: Sequence[Applied]) -> bool:
    """Whether a history holds the mark in the place of digests alone."""
    marked = sum(applied.base == PENDING for applied in history)
    return _text(history).count(PENDING) == marked


def settle_pending(
    output: OutputFile, beginning: bytes, history: Sequence[Applied], digest: str
) -> None:
    """Write the digest of the base into the history of a file that was begun without it.

    Args:
        beginning: the file's first bytes, in which the history stands.
        history: as it was written.
    """
    text = _text(history)
    start, at = beginning.index(text.encode()), text.find(PENDING)
    while at >= 0:
        output.write_at(start + at, digest.encode())
        at = text.find(PENDING, at + 1)


def _text(history: Sequence[Applied]) -> str:
    return json.dumps(joined({}, history)[KEY])


def contents_digest(members: Iterable[Member]) -> str:
    """SHA-256 over names, sizes and CRC-32 of all members: what a model file holds.

    It is known from the headers alone, so that recording it costs no pass over
    the file and does not depend on whether the report asks for digests.
    """
    facts = sorted((member.name, member.size, member.crc) for member in members)
    text = "".join(f"{crc:08x} {size} {name}\n" for name, size, crc in facts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
