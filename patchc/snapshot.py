"""Snapshot: what a model was when it was planned, and what differs since."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import patchc
from patchc.compiler.outline import classes
from patchc.compiler.plan import Plan
from patchc.model.document import Document
from patchc.storage.attach import datasets
from patchc.storage.keras_file import CONFIG, METADATA, WEIGHTS, KerasFile
from patchc.storage.stream import crc32_of


def weight_crcs(source: KerasFile) -> dict[str, int]:
    """CRC-32 of each stored weight, by address; reads all of them."""
    return {
        address: crc32_of(source.data, stored.offset or 0, stored.nbytes)
        for address, stored in datasets(source.tree)
    }


def member_crcs(source: KerasFile) -> dict[str, str]:
    """CRC-32 of each member of the archive by name; nothing where the file is none."""
    members = source.archive.members if source.archive is not None else ()
    return {member.name: f"{member.crc:08x}" for member in members}


def snapshot(source: KerasFile, plan: Plan, sha256: str, crcs: Mapping[str, int]) -> dict[str, Any]:
    """What a saved plan keeps of its base, as plain data.

    Args:
        sha256: of the whole file.
        crcs: CRC-32 of each stored weight by address.
    """
    return {
        "patchc": patchc.__version__,
        "sha256": sha256,
        "layers": dict(plan.before.layers),
        "weights": _weights(source, plan.base, crcs),
        "members": member_crcs(source),
        "texts": [patch.text for patch in plan.patches],
        "result": plan_digest(plan),
    }


def _weights(
    source: KerasFile, document: Document, crcs: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    paths = {address: stored.path for address, stored in document.weights.items()}
    return {
        address: {
            "path": paths.get(address, address),
            "shape": list(stored.shape),
            "dtype": stored.dtype_name,
            "crc32": f"{crcs[address]:08x}",
        }
        for address, stored in datasets(source.tree)
    }


def plan_digest(plan: Plan) -> str:
    """SHA-256 of everything in a plan that decides what is written."""
    facts = [
        plan.config,
        [asdict(entry) for entry in (*plan.ledger.entries, *plan.optimizer.entries)],
        [asdict(group) for group in plan.groups],
        plan.assets,
        plan.appended,
    ]
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


# --------------------------------------------------------------------- differences


def differences(
    source: KerasFile, kept: Mapping[str, Any], touched: Container[str]
) -> tuple[list[str], list[str]]:
    """How a model differs from its snapshot, in clauses: what the plan changes, and the rest.

    Args:
        kept: the snapshot.
        touched: paths of layers and weights that the plan changes.
    """
    document = source.document()
    found = [
        *_layers(kept["layers"], classes(document.root)),
        *_stored(kept["weights"], _weights(source, document, weight_crcs(source))),
    ]
    changed = [text for path, text in found if _is_touched(path, touched)]
    others = [text for path, text in found if not _is_touched(path, touched)]
    return changed, [*others, *_members(source, kept["members"], known=bool(found))]


def _is_touched(path: str, touched: Container[str]) -> bool:
    """Whether the plan changes what lies at a path, or a layer that it belongs to."""
    parts = path.split("/")
    return any("/".join(parts[:end]) in touched for end in range(1, len(parts) + 1))


def structural_differences(one: Document, two: Document) -> list[str]:
    """How the layers and stored weights of two models differ, in clauses."""
    weights = (
        {
            stored.address: {
                "path": stored.path,
                "shape": list(stored.shape),
                "dtype": stored.dtype,
                "crc32": "",
            }
            for stored in document.weights.values()
        }
        for document in (one, two)
    )
    layers = (classes(document.root) for document in (one, two))
    return [text for _, text in (*_layers(*layers), *_stored(*weights))]


def _layers(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for path in [*before, *(path for path in now if path not in before)]:
        old, new = before.get(path), now.get(path)
        if old is None:
            yield path, f"the layer `{path}` ({new}) is new"
        elif new is None:
            yield path, f"the layer `{path}` ({old}) is gone"
        elif old != new:
            yield path, f"the layer `{path}` was a {old} and is a {new}"


def _stored(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Weights by path: an address moves when a layer comes before it."""
    old = {entry["path"]: entry for entry in before.values()}
    new = {entry["path"]: entry for entry in now.values()}
    for path, entry in old.items():
        other = new.get(path)
        if other is None:
            yield path, f"the weight `{path}` is gone"
        elif (entry["shape"], entry["dtype"]) != (other["shape"], other["dtype"]):
            yield path, f"`{path}` was {_told(entry)} and is {_told(other)}"
        elif entry["crc32"] != other["crc32"]:
            yield path, f"`{path}` has other values"
    for path in new.keys() - old.keys():
        yield path, f"the weight `{path}` is new"


def _told(entry: Mapping[str, Any]) -> str:
    return f"{entry['dtype']} {tuple(entry['shape'])}"


def _members(source: KerasFile, before: Mapping[str, str], *, known: bool) -> list[str]:
    """Members whose difference is not explained by layers and weights."""
    now = member_crcs(source)
    differ = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    explained = {CONFIG, METADATA, WEIGHTS} if known else set()
    return [f"`{name}` differs{_MEANING.get(name, '')}" for name in differ if name not in explained]


_MEANING = {
    CONFIG: ": configuration, connections or what the model was compiled with",
    METADATA: ": the model was saved again, or its history is another one",
    WEIGHTS: ", though every weight in it is the same",
}
