"""Sizes: edits for layers that are larger or smaller than their counterparts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patchc.diff.chains import selector_of
from patchc.diff.entries import Entries
from patchc.diff.pairs import Pairs
from patchc.layers.base import complete
from patchc.layers.infer import rule_of
from patchc.model.axis import NEW
from patchc.model.graph import Layer

Edit = dict[str, Any]
_DEFAULT_AXIS: Mapping[str, str] = {}


class Sizes:
    """Proposes `expand` and `shrink`.

    Args:
        root: the model before.
        entries: tells which entries of a resized layer were there before; left
            out, the first ones.
    """

    def __init__(self, root: Layer, pairs: Pairs, entries: Entries | None) -> None:
        self._root = root
        self._pairs = pairs
        self._entries = entries

    def edits(self, before: Layer, after: Layer) -> Iterator[Edit]:
        """Edits that may give a layer the sizes of its counterpart."""
        rule = rule_of(before)
        if rule is None or before.opaque or after.opaque:
            return
        if before.is_input:
            yield from self._features(before, after)
            return
        old, new = complete(rule, before.config), complete(rule, after.config)
        dimensions = rule.dimensions(old)
        for dimension in dimensions:
            sizes = rule.size_of(old, dimension), rule.size_of(new, dimension)
            axis = {} if dimension == dimensions[0] else {"axis": dimension}
            if sizes[0] != sizes[1]:
                found = self._entries.find(before, after, dimension) if self._entries else None
                yield from self._changed_size(before, sizes, found, axis)

    def _features(self, before: Layer, after: Layer) -> Iterator[Edit]:
        """Another number of features of an input; what reads them tells which are old."""
        sizes = [(layer.config.get("batch_shape") or [None])[-1] for layer in (before, after)]
        if all(isinstance(size, int) for size in sizes):
            old, new = sizes
            if old != new:
                yield from self._changed_size(before, (old, new), self._read_entries(after))

    def _read_entries(self, after: Layer) -> list[int] | None:
        """Which features of an input were there before, as a layer that reads them tells."""
        graph = after.home
        for reader in graph.layers if graph is not None and self._entries is not None else ():
            reads = any(t.layer is after for call in reader.calls for t in call.tensors())
            before = self._pairs.backward.get(reader)
            if reads and before is not None and self._entries is not None:
                found = self._entries.find(before, reader, "input")
                if found is not None:
                    return found
        return None

    def _changed_size(
        self,
        before: Layer,
        sizes: tuple[int, int],
        found: list[int] | None,
        axis: Mapping[str, str] = _DEFAULT_AXIS,
    ) -> Iterator[Edit]:
        if sizes[0] > sizes[1]:
            keep = found or list(range(sizes[1]))
            drop = [number for number in range(sizes[0]) if number not in keep]
            shorter = {"drop": drop} if len(drop) < len(keep) else {"keep": keep}
            yield self._edit(before, "shrink", {**shorter, **axis})
            return
        places = _places(found or [])
        at = {"at": places} if any(place != sizes[0] for place in places) else {}
        grown = {"to": sizes[1], **at, **axis}
        yield self._edit(before, "expand", grown)
        yield self._edit(before, "expand", {**grown, "preserve": False})

    def _edit(self, layer: Layer, verb: str, value: Any) -> Edit:
        return {"select": selector_of(self._root, layer), verb: value}


def _places(found: Sequence[int]) -> list[int]:
    """For each new entry, the old one before which it stands."""
    return [
        sum(other != NEW for other in found[:place])
        for place, number in enumerate(found)
        if number == NEW
    ]
