"""The groups and datasets that the weights of a result consist of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from patchc.compiler.plan import LedgerEntry, Plan
from patchc.storage.attach import OPTIMIZER, find
from patchc.storage.hdf5.tree import Attribute, Dataset, Group, dataset, group_at, text_attribute
from patchc.storage.history import recorded_in
from patchc.storage.keras_file import KerasFile

_NAME = "name"


def keeps_weights(source: KerasFile, plan: Plan) -> bool:
    """Whether the weights of the result are those of the base, in the same places."""
    if source.weights is None or source.older is not None:
        return False
    carried = all(
        entry.fate == "kept" and entry.address == entry.value.base
        for entry in (*plan.ledger.entries, *plan.optimizer.entries)
    )
    return carried and result_tree(source, plan) == source.tree


def result_tree(source: KerasFile, plan: Plan) -> Group:
    """Lay out groups and datasets; what is carried keeps its datatype and attributes."""
    tree = recorded_in(Group({}, source.tree.attributes), ())
    marked = any(_NAME in _attributes(source, group.base) for group in plan.groups)
    for group in plan.groups:
        attributes = dict(_attributes(source, group.base))
        if group.name is not None and (_NAME in attributes or (group.base is None and marked)):
            attributes[_NAME] = _text(attributes.get(_NAME), group.name)
        _place(tree, group.path, Group({}, attributes))
    for entry in plan.ledger.entries:
        _place(tree, entry.address, dataset_of(source, entry))
    if plan.optimizer.entries:
        tree.members[OPTIMIZER] = _bare(source.tree.members[OPTIMIZER])
    for entry in plan.optimizer.entries:
        _place(tree, entry.address, dataset_of(source, entry))
    return tree


def without_places(group: Group) -> Group:
    """The same groups and datasets, wherever the values lie."""
    members = {
        name: without_places(node) if isinstance(node, Group) else replace(node, offset=None)
        for name, node in group.members.items()
    }
    return Group(members, group.attributes)


def _bare(node: Group | Dataset) -> Group:
    """The groups below a group, with their attributes and without datasets."""
    assert isinstance(node, Group)
    inner: dict[str, Group | Dataset] = {
        name: _bare(item) for name, item in node.members.items() if isinstance(item, Group)
    }
    return Group(inner, dict(node.attributes))


def _attributes(source: KerasFile, path: str | None) -> Mapping[str, Attribute]:
    node = find(source.tree, path) if path is not None else None
    return node.attributes if isinstance(node, Group) else {}


def _text(old: Attribute | None, text: str) -> Attribute:
    """An attribute with other text, of the kind that the file has."""
    if old is None or old.strings is None:
        return text_attribute(text)
    return old if old.strings == (text,) else old.with_strings([text])


def dataset_of(source: KerasFile, entry: LedgerEntry) -> Dataset:
    """The dataset of a weight of the result: as in the base where it comes from there."""
    base = find(source.tree, entry.value.base) if entry.value.base is not None else None
    if not isinstance(base, Dataset):
        return dataset(entry.shape, entry.dtype)
    if not entry.value.growths:
        return base
    return Dataset(entry.shape, base.datatype, None, base.attributes)


def _place(tree: Group, path: str, node: Group | Dataset) -> None:
    """Put a group or dataset at a path, with the groups on the way."""
    *parents, name = path.split("/")
    current = group_at(tree, parents)
    existing = current.members.get(name)
    if isinstance(existing, Group) and isinstance(node, Group):
        existing.attributes.update(node.attributes)
    else:
        current.members[name] = node
