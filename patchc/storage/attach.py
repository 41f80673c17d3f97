"""Attach: stored weights to the layers that they belong to.

Where a rule knows a layer's weights, they are held against what is stored; a
layer whose weights are not what its rule says is carried through as opaque.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from patchc.errors import Diagnostic, PatchError
from patchc.layers.base import WeightSpec
from patchc.layers.infer import InferenceError, infer, rule_of, weight_specs
from patchc.layers.opaque import no_rule
from patchc.layers.operations import operation_rule
from patchc.model.addresses import addresses
from patchc.model.document import StoredWeight
from patchc.model.graph import Layer, Weight, walk
from patchc.model.values import Value
from patchc.storage.hdf5.tree import Dataset, Group, Hdf5Error

OPTIMIZER = "optimizer"


@dataclass(slots=True)
class Attached:
    """What was found in the weights of a model.

    Args:
        weights: every stored weight of a layer, by address.
        optimizer: the optimizer's variables, in their order.
    """

    weights: dict[str, StoredWeight] = field(default_factory=dict)
    optimizer: tuple[StoredWeight, ...] = ()


def attach_weights(root: Layer, tree: Group, path: str) -> Attached:
    """Give every layer below `root` its stored weights.

    Args:
        tree: the HDF5 file's root group.
        path: of the model file, for messages.

    Raises:
        PatchError: PC405 where groups and configuration contradict each other.
    """
    if root.graph is not None:
        _infer(root, path)
    attached = Attached()
    groups = addresses(root)
    taken = [f"{group}/" for group in groups.values() if group]
    for layer, group in groups.items():
        node = find(tree, group)
        layer.address = group
        if isinstance(node, Group):
            _check_name(layer, node, path)
            _attach(attached, layer, group, dict(_own(node, layer)))
    _attach_rest(attached, root, tree, taken)
    state = dict(datasets(tree, OPTIMIZER))
    attached.optimizer = tuple(
        StoredWeight(address, OPTIMIZER, address, state[address].shape, state[address].dtype_name)
        for address in sorted(state, key=_numeric)
    )
    _mark_operations(root)
    return attached


def _infer(root: Layer, path: str) -> None:
    assert root.graph is not None
    try:
        infer(root.graph)
    except InferenceError as error:
        layer = error.layer
        message = f"the configuration contradicts itself at `{layer.path}`: {error}"
        raise PatchError(
            Diagnostic("PC404", message, file=path, help="save the model again with Keras")
        ) from None


def _attach(attached: Attached, layer: Layer, group: str, stored: Mapping[str, Dataset]) -> None:
    """Weights of one layer, by slot."""
    specs = _specs(layer, stored)
    by_slot = {spec.slot: spec for spec in specs}
    order = [spec.slot for spec in specs] + sorted(stored.keys() - by_slot.keys(), key=_numeric)
    for slot in order:
        dataset, spec = stored[slot], by_slot.get(slot)
        address = f"{group}/{slot}" if group else slot
        name = spec.name if spec else slot
        dtype = dataset.dtype_name
        layer.weights.append(
            Weight(
                name=name,
                slot=slot,
                shape=dataset.shape,
                dtype=dtype,
                trainable=spec.trainable if spec else True,
                value=Value(base=address),
                axes=spec.axes if spec else None,
                initializer=spec.initializer if spec else None,
                twin=spec.twin if spec else None,
            )
        )
        where = layer.path if layer.home is not None else ""
        attached.weights[address] = StoredWeight(address, where, name, dataset.shape, dtype)


def _specs(layer: Layer, stored: Mapping[str, Dataset]) -> list[WeightSpec]:
    """What the rule says, where it agrees with what is stored; else the layer is opaque."""
    if layer.graph is not None:
        return []
    if rule_of(layer) is None:
        layer.opaque = no_rule(layer.class_name, layer.module)
        return []
    try:
        specs, _ = weight_specs(layer)
    except InferenceError as error:
        layer.opaque = f"it {error}"
        return []
    if {spec.slot: spec.shape for spec in specs} != {s: d.shape for s, d in stored.items()}:
        layer.opaque = "its stored weights are not those that its configuration calls for"
        return []
    return list(specs)


def _own(node: Group, layer: Layer) -> Iterator[tuple[str, Dataset]]:
    """The datasets of a layer itself, and on the way the groups that it has."""
    suffixes: list[str] = []
    pending: list[tuple[str, Group]] = [("", node)]
    while pending:
        prefix, current = pending.pop()
        for name, member in current.members.items():
            slot = f"{prefix}{name}"
            if isinstance(member, Dataset):
                yield slot, member
            elif layer.graph is None or name == "vars" or prefix:
                pending.append((f"{slot}/", member))
                if name == "vars":
                    suffixes.append(prefix.rstrip("/"))
    layer.groups = tuple(sorted(suffixes))


def _attach_rest(attached: Attached, root: Layer, tree: Group, taken: list[str]) -> None:
    """What belongs to no layer of the graph stays with the root: custom models keep more."""
    known = {*attached.weights}
    prefixes = (*taken, f"{OPTIMIZER}/")
    for address, dataset in datasets(tree):
        if address in known or address.startswith(prefixes):
            continue
        value = Value(base=address)
        dtype = dataset.dtype_name
        root.weights.append(
            Weight(address, address, dataset.shape, dtype, trainable=True, value=value)
        )
        attached.weights[address] = StoredWeight(address, "", address, dataset.shape, dtype)


def _check_name(layer: Layer, node: Group, path: str) -> None:
    """Keras 3.6 and later write each layer's name beside its weights: it has to agree."""
    own = node.members.get("vars")
    mark = own.attributes.get("name") if isinstance(own, Group) else None
    if mark is None or layer.home is None:
        return
    try:
        name = mark.text
    except Hdf5Error:
        return
    if name != layer.name:
        message = f"the weights stored for `{layer.path}` are marked as those of `{name}`"
        raise PatchError(
            Diagnostic("PC405", message, file=path, help="save the model again with Keras")
        )


def _mark_operations(root: Layer) -> None:
    for layer in walk(root):
        if layer.is_operation and operation_rule(layer.class_name, layer.module) is None:
            layer.opaque = f"it is the operation {layer.class_name}, for which patchc has no rule"


def find(tree: Group, path: str) -> Group | Dataset | None:
    """The group or dataset at a path; None where there is none."""
    node: Group | Dataset | None = tree
    for part in path.split("/") if path else ():
        node = node.members.get(part) if isinstance(node, Group) else None
    return node


def datasets(tree: Group, below: str = "") -> Iterator[tuple[str, Dataset]]:
    """Every dataset below a path, with its whole path, in the order of the file."""
    start = find(tree, below)
    pending: list[tuple[str, Group | Dataset]] = [(below, start)] if start is not None else []
    while pending:
        path, node = pending.pop()
        if isinstance(node, Dataset):
            yield path, node
            continue
        prefix = f"{path}/" if path else ""
        pending += [(f"{prefix}{name}", node.members[name]) for name in reversed(node.members)]


def _numeric(path: str) -> list[tuple[int, str]]:
    """Sort key that counts `vars/2` before `vars/10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.split("/")]
