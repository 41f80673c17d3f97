"""The groups of an HDF5 model or weights file of the older kind, for the result of a plan.

Keras reads such a file by order: layers in the order of `model.layers`, and in
each the trainable weights before the others.  Names stay what they were where
weight and layer stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from patchc.compiler.plan import LedgerEntry, Plan
from patchc.layers.freezing import trains
from patchc.legacy.dialect import RestoreError
from patchc.legacy.repair import era_of
from patchc.model.addresses import addresses
from patchc.model.document import Document
from patchc.model.graph import Graph, Layer, walk
from patchc.model.order import keras_order
from patchc.storage.hdf5.tree import Attribute, Dataset, Group, group_at, names_attribute
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_tree import dataset_of
from patchc.storage.older.recorded import LAYER_NAMES, TOP_LEVEL, WEIGHT_NAMES, Recorded
from patchc.storage.older.view import leaves

_ATTRIBUTE_LIMIT = 64_512
"""Bytes from which on Keras splits a list of names over several attributes."""


@dataclass(frozen=True, slots=True)
class Held:
    """One dataset of the result.

    Args:
        name: below its group.
        dataset: shape and datatype.
        entry: where its values come from; None: they are those of `dataset` in the base.
        trainable: whether it trains.
    """

    name: str
    dataset: Dataset
    entry: LedgerEntry | None
    trainable: bool = False


@dataclass(slots=True)
class RecordedTree:
    """What a result consists of.

    Args:
        root: groups and datasets, without the attributes of the file itself.
        held: every dataset by its path.
        layers: the weights of each layer, both in the order in which Keras reads them.
    """

    root: Group = field(default_factory=Group)
    held: dict[str, Held] = field(default_factory=dict)
    layers: dict[str, list[Held]] = field(default_factory=dict)

    def put(self, path: str, group: Group, items: Sequence[Held]) -> None:
        """Enter a group with its datasets, whose names may be paths."""
        place = group_at(self.root, path.split("/"))  # the name of another layer may go on here
        place.attributes.update(group.attributes)
        place.members.update(group.members)
        group = place
        for item in items:
            *inner, name = [part for part in item.name.split("/") if part]
            group_at(group, inner).members[name] = item.dataset
            self.held["/".join([path, *inner, name])] = item


def layer_groups(source: KerasFile, plan: Plan) -> RecordedTree:
    """Lay out the layers of a result.

    Raises:
        RestoreError: the file's own format cannot hold it.
    """
    return _Layers(source, plan).build()


class _Layers:
    """Lays out the layers; one use."""

    def __init__(self, source: KerasFile, plan: Plan) -> None:
        assert source.older is not None
        assert source.older.recorded is not None
        self.source, self.plan = source, plan
        self.older = source.older
        self.recorded: Recorded = source.older.recorded
        self.root = plan.base.root
        self.groups = addresses(self.root)
        self.base = source.document()
        self.names = {layer.path: layer.name for layer in walk(self.base.root)}
        self.suffix = "" if era_of(self.recorded.keras_version) >= 3 else ":0"
        self.by_leaf = by_group(plan, self.groups)

    def build(self) -> RecordedTree:
        tree = RecordedTree()
        top = _tops(self.root)
        for name in self._order(top):
            layer = top[name]
            items = self._items(layer)
            tree.layers[name] = items
            tree.put(f"{self.recorded.prefix}{name}", self._group(layer, items), items)
        if self.recorded.top:
            self._put_top(tree)
        weights = group_at(tree.root, [p for p in self.recorded.prefix.split("/") if p])
        base = self.older.root_group
        for part in [p for p in self.recorded.prefix.split("/") if p]:
            inner = base.members[part]
            assert isinstance(inner, Group)
            base = inner
        weights.attributes.update(with_names(base.attributes, LAYER_NAMES, list(tree.layers)))
        empty = base.members.get(TOP_LEVEL)
        if TOP_LEVEL not in weights.members and isinstance(empty, Group):
            weights.members[TOP_LEVEL] = empty
        return tree

    def _put_top(self, tree: RecordedTree) -> None:
        """Weights of the model itself stay as they are."""
        path = f"{self.recorded.prefix}{TOP_LEVEL}"
        attributes = with_names({}, WEIGHT_NAMES, list(self.recorded.top))
        items = [Held(name, stored, None) for name, stored in self.recorded.top.items()]
        tree.put(path, Group({}, attributes), items)

    # ------------------------------------------------------------------- one layer

    def _items(self, layer: Layer) -> list[Held]:
        if layer.origin in self.older.view.unmatched:
            stored = self.recorded.layers[layer.origin]
            return [Held(name, dataset, None) for name, dataset in stored.items()]
        items = [item for leaf in leaves(layer) for item in self._of_leaf(layer, leaf)]
        if len({item.name for item in items}) != len(items):
            raise RestoreError(f"two weights of `{layer.name}` would have one name")
        return self._ordered(layer, items)

    def _of_leaf(self, top: Layer, leaf: Layer) -> Iterator[Held]:
        stored = leaf.alias_of or leaf
        group = self.groups.get(stored)
        if group is None:  # the input of a Sequential
            return
        twins = {f"{group}/{w.slot}" for w in stored.weights if w.twin is not None}
        for entry in self.by_leaf.get(group, ()):
            if entry.address not in twins:
                name = self._name(top, leaf, entry)
                yield Held(name, dataset_of(self.source, entry), entry, entry.trainable)

    def _name(self, top: Layer, leaf: Layer, entry: LedgerEntry) -> str:
        """The recorded name, where the weight keeps its layer and that its name."""
        base = None if entry.value.copied else entry.value.base or entry.value.replaces
        place = self.older.view.places.get(base or "")
        same = self.names.get(leaf.origin or "") == leaf.name
        if place is not None and same and place.layer == top.origin:
            return place.weight
        own = entry.path.removeprefix(f"{(leaf.alias_of or leaf).path}/")
        return f"{leaf.name}/{own}{self.suffix}"

    def _ordered(self, layer: Layer, items: list[Held]) -> list[Held]:
        """Weights in the order in which Keras reads them."""
        names = list(self.recorded.layers.get(layer.origin or "", ()))
        kept = sorted(item.name for item in items) == sorted(names)
        if layer.graph is None:
            return sorted(items, key=lambda item: names.index(item.name)) if kept else items
        wanted = sorted(items, key=lambda item: not item.trainable)
        if layer.origin is None or names == self._base_order(layer.origin):
            return wanted
        raise RestoreError(f"`{layer.name}` does not record its weights in Keras's order")

    def _base_order(self, origin: str) -> list[str]:
        """Names in the base as Keras would have ordered them."""
        layer = _tops(self.base.root)[origin]
        places = self.older.view.places
        found = [
            (not (w.trainable and trains(leaf, self.base.root)), places[str(w.value.base)].weight)
            for leaf in leaves(layer)
            for w in (leaf.alias_of or leaf).weights
            if w.twin is None
        ]
        return [name for _, name in sorted(found, key=lambda pair: pair[0])]

    def _group(self, layer: Layer, items: Sequence[Held]) -> Group:
        path = f"{self.recorded.prefix}{layer.origin}"
        node: Group | Dataset = self.older.root_group
        for part in path.split("/") if layer.origin in self.recorded.layers else ():
            assert isinstance(node, Group)
            node = node.members[part]
        old = node.attributes if node is not self.older.root_group else {}
        return Group({}, with_names(old, WEIGHT_NAMES, [item.name for item in items]))

    # ----------------------------------------------------------------- their order

    def _order(self, top: Mapping[str, Layer]) -> list[str]:
        """Names of the layers in the order of `model.layers`.

        Where the base's order is not the one that the connections give, its
        layers keep it, and new ones come behind the layer before them.
        """
        recorded = list(self.recorded.layers)
        known = set(recorded)
        computed = [n for n in _ordered_names(self.root) if n in top]
        listed = [name for name in computed if not top[name].is_operation or name in known]
        before = [name for name in _ordered_names(self.base.root) if name in known]
        if before == recorded:
            return listed
        kept = sorted(
            (n for n in listed if top[n].origin in known),
            key=lambda n: recorded.index(str(top[n].origin)),
        )
        for number, name in enumerate(listed):
            if name not in kept:
                at = kept.index(listed[number - 1]) + 1 if number else 0
                kept.insert(at, name)
        return kept


def _tops(root: Layer) -> dict[str, Layer]:
    graph = root.graph
    assert graph is not None
    return {x.name: x for x in graph.layers if not (x.is_input and graph.sequential)}


def _ordered_names(root: Layer) -> list[str]:
    assert isinstance(root.graph, Graph)
    return [layer.name for layer in keras_order(root.graph)]


def with_names(
    attributes: Mapping[str, Attribute], name: str, names: Sequence[str]
) -> dict[str, Attribute]:
    """Attributes with a list of names, of the kind that was there, split where it is long."""
    kept = {k: v for k, v in attributes.items() if k.rstrip("0123456789") != name}
    old = attributes.get(name)
    if old is not None and old.strings is not None and names == list(old.strings):
        return dict(attributes)
    width = max((len(text.encode()) for text in names), default=0)
    parts = -(-len(names) * width // _ATTRIBUTE_LIMIT) if names else 1
    if parts > 1:
        size = -(-len(names) // parts)
        pieces = [names[at : at + size] for at in range(0, len(names), size)]
        split = {f"{name}{i}": names_attribute(piece) for i, piece in enumerate(pieces)}
        return kept | split
    usable = old is not None and old.strings is not None and bool(names)
    return kept | {name: old.with_strings(names) if usable and old else names_attribute(names)}


def origins_of(document: Document) -> dict[str, str]:
    """Path of each layer of an edited model -> its path in the base, without new ones."""
    return {x.path: x.origin for x in walk(document.root) if x.origin is not None}


def by_group(plan: Plan, groups: Mapping[Layer, str]) -> dict[str, list[LedgerEntry]]:
    """Ledger entries by the group of the layer that they belong to."""
    known = set(groups.values()) - {""}
    found: dict[str, list[LedgerEntry]] = {}
    for entry in plan.ledger.entries:
        group = entry.address
        while group and group not in known:
            group = group.rpartition("/")[0]
        found.setdefault(group, []).append(entry)
    return found
