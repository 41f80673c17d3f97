"""The history of a model, as it stands in its `metadata.json`.

Keras reads `metadata.json` and keeps no key of it: a model that was loaded and
saved again has no history.  A further member of the archive would have Keras
unpack the whole archive to disk on loading.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.model.history import KEYS, Applied
from patchc.storage.members import Member

KEY = "patchc"
_VERSION = 1


def read_history(metadata: Mapping[str, Any], path: str) -> tuple[Applied, ...]:
    """The patches that made a model, oldest first.

    Args:
        metadata: contents of `metadata.json`.
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
    message = f"the history in `metadata.json` {what}"
    way_out = "use the version of patchc that wrote the file, or save the model again with Keras"
    return PatchError(Diagnostic("PC404", message, file=path, help=way_out))


def with_history(metadata: Mapping[str, Any], history: Sequence[Applied]) -> bytes:
    """The contents of a `metadata.json` that holds a history, if there is any."""
    if not history:
        return json.dumps(without_history(metadata)).encode()
    kept = {"version": _VERSION, "history": [applied.to_dict() for applied in history]}
    return json.dumps({**metadata, KEY: kept}).encode()


def without_history(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What Keras itself wrote."""
    return {key: value for key, value in metadata.items() if key != KEY}


def contents_digest(members: Iterable[Member]) -> str:
    """SHA-256 over names, sizes and CRC-32 of all members: what a model file holds.

    It is known from the headers alone, so that recording it costs no pass over
    the file and does not depend on whether the report asks for digests.
    """
    facts = sorted((member.name, member.size, member.crc) for member in members)
    text = "".join(f"{crc:08x} {size} {name}\n" for name, size, crc in facts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
