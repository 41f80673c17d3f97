"""Ledger: each weight of input and output accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from patchc.compiler.plan import Ledger, LedgerEntry
from patchc.layers.freezing import trains
from patchc.model.document import Document, StoredWeight
from patchc.model.graph import Layer, Weight, walk
from patchc.model.values import Value


def ledger_of(document: Document, groups: Mapping[Layer, str]) -> Ledger:
    """Write down where each weight of the edited model comes from.

    Args:
        groups: storage group of each layer of the result.
    """
    entries = tuple(_entries(document, groups))
    used = {entry.value.base for entry in entries} | {entry.value.replaces for entry in entries}
    dropped = {a: stored.path for a, stored in document.weights.items() if a not in used}
    return Ledger(entries, dropped)


def _entries(document: Document, groups: Mapping[Layer, str]) -> Iterator[LedgerEntry]:
    for layer in [document.root, *walk(document.root)]:
        if layer.alias_of is not None:
            continue
        prefix = f"{groups[layer]}/" if groups.get(layer) else ""
        path = f"{layer.path}/" if layer.home is not None else ""
        for weight in layer.weights:
            yield LedgerEntry(
                address=f"{prefix}{weight.slot}",
                path=f"{path}{weight.name}",
                shape=weight.shape,
                dtype=weight.dtype,
                trainable=weight.trainable and trains(layer, document.root),
                fate=_fate(weight, document.weights),
                value=weight.value,
            )


def _fate(weight: Weight, stored: Mapping[str, StoredWeight]) -> str:
    value: Value = weight.value
    if value.base is None:
        return "reinitialised" if value.replaces else "new"
    if value.copied:
        return "new"
    if not value.growths:
        return "kept"
    if any(growth.rescales for growth in value.growths):
        return "rescaled"
    return "grown" if weight.size > _size(stored[value.base].shape) else "shrunk"


def _size(shape: tuple[int, ...]) -> int:
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def parameter_counts(root: Layer) -> tuple[int, int]:
    """All parameters of a model, and those that train."""
    trainable = sum(
        weight.size
        for layer in [root, *walk(root)]
        if layer.alias_of is None and layer.weights and trains(layer, root)
        for weight in layer.weights
        if weight.trainable
    )
    return parameter_count(root), trainable


def parameter_count(root: Layer) -> int:
    """All parameters of a model."""
    return sum(
        weight.size
        for layer in [root, *walk(root)]
        if layer.alias_of is None
        for weight in layer.weights
        if weight.twin is None
    )
