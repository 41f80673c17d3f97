"""`.keras` archives of Keras 2, seen as Keras 3 has them.

Keras 2 numbers its groups in the order of the configuration's list, where
Keras 3 goes by the connections; Keras 2.12 to 2.14 call the group of a model's
layers after an attribute; some layers keep their parts under private names;
and the learning rate is no variable of the optimizer.
(`keras.src.saving.saving_lib` of Keras 2.12 to 2.15.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from patchc.compiler.optimizer import Trainable, stored_optimizer, trainable_weights
from patchc.errors import Diagnostic, PatchError
from patchc.layers.infer import InferenceError, rule_of, weight_specs
from patchc.layers.optimizers import Variable, layout, slot_shape
from patchc.legacy.repair import era_of
from patchc.model.addresses import addresses
from patchc.model.config import write_config
from patchc.model.graph import Graph, Layer, walk
from patchc.model.initializers import snake_case
from patchc.storage.attach import OPTIMIZER, attach_weights, datasets, find
from patchc.storage.configuration import in_keras_order, root_of
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.older.seen import (
    Behind,
    Older,
    Seen,
    put_learning_rate,
    repaired_config,
)
from patchc.storage.older.view import Place, View, assume_shapes, empty_groups, settle_shapes
from patchc.storage.stream import Readable

FIRST_ERA = 3
"""Major version of the Keras whose files need no view."""
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")


def see_archive(
    config: Any, tree: Group, data: Readable, size: int, keras_version: str, path: str
) -> Seen:
    """See a `.keras` archive of Keras 2 as Keras 3 would have written it.

    Args:
        config: its `config.json`.
        tree: the root group of its weights.
        data: their bytes.
        size: number of them.

    Raises:
        PatchError: PC404 or PC405 where configuration and weights are not
            understood.
    """
    repaired = repaired_config(config, None, keras_version, path)
    root = root_of(repaired.config, path)
    old = {layer.path: node for layer, node in _old_addresses(root, split_names(tree))}
    for layer in walk(root):
        if layer.is_operation:  # Keras 2 had a layer there, which is built
            layer.extra.pop("build_config", None)
    in_listed_order = [leaf.path for leaf in trainable_order(root)]
    in_keras_order(root)
    settle_shapes(root, path)
    new_config = write_config(root)
    view = _view(root, old, path)
    assumed = _assume(new_config, old, path)
    if assumed is not None:
        root, view = assumed
    older = Older(config, repaired, view, assumed=assumed is not None)
    behind = Behind(size)
    stored = find(split_names(tree), f"{OPTIMIZER}/vars")
    if isinstance(stored, Group) and stored.members:
        _see_optimizer(older, root, in_listed_order, stored, behind, path)
    return Seen(new_config, view.tree, behind.joined(data), older)


def _view(root: Layer, old: Mapping[str, Group], path: str) -> View:
    view = View()
    groups = addresses(root)
    empty_groups(view, groups)
    for layer, group in groups.items():
        if layer.graph is None and layer.path in old:
            _enter(view, layer, group, old[layer.path], path)
    return view


def _assume(config: Any, old: Mapping[str, Group], path: str) -> tuple[Layer, View] | None:
    """The model with assumed shapes behind opaque layers; None where weights speak against it."""
    root = root_of(config, path)
    settle_shapes(root, path)
    try:
        return (root, _view(root, old, path)) if assume_shapes(root) else None
    except (InferenceError, PatchError):
        return None


def is_older(keras_version: str, tree: Group) -> bool:
    """Whether an archive is of Keras 2, by what it says or by how its groups are called."""
    if keras_version[:1].isdecimal():
        return era_of(keras_version) < FIRST_ERA
    return any(name.startswith(("_layer_checkpoint", "layers\\")) for name in tree.members)


def data_end(tree: Group) -> int:
    """Where the last dataset ends: what is placed behind it collides with none."""
    return max(((d.offset or 0) + d.nbytes for _, d in datasets(tree)), default=0)


def split_names(tree: Group) -> Group:
    """The tree with names that hold backslashes, as Windows wrote them, as nested groups."""
    if not _is_split(tree):
        return tree
    result = Group({}, dict(tree.attributes))
    for name, member in tree.members.items():
        node = split_names(member) if isinstance(member, Group) else member
        *parents, own = name.split("\\")
        current = result
        for part in parents:
            inner = current.members.setdefault(part, Group())
            assert isinstance(inner, Group)
            current = inner
        existing = current.members.get(own)
        if isinstance(existing, Group) and isinstance(node, Group):
            existing.members.update(node.members)
        else:
            current.members[own] = node
    return result


def _is_split(tree: Group) -> bool:
    return any(
        "\\" in name or (isinstance(member, Group) and _is_split(member))
        for name, member in tree.members.items()
    )


# -------------------------------------------------------------------------- layers


def _old_addresses(model: Layer, node: Group) -> Iterator[tuple[Layer, Group]]:
    """Layers with the groups that Keras 2 gave them: by class, in the order of the list."""
    held = next((found for name in _CONTAINERS if (found := node.members.get(name))), None)
    if model.graph is None or not isinstance(held, Group):
        return
    seen: Counter[str] = Counter()
    for layer in listed(model.graph):
        kind = snake_case(layer.class_name)
        numbers = sorted(_numbers(held, kind))
        if seen[kind] < len(numbers):
            number = numbers[seen[kind]]
            group = held.members[f"{kind}_{number}" if number else kind]
            assert isinstance(group, Group)
            yield layer, group
            yield from _old_addresses(layer, group)
        seen[kind] += 1


def listed(graph: Graph) -> Iterator[Layer]:
    """The layers of a model to which Keras 2 gave groups."""
    for layer in graph.layers:
        if not layer.is_operation and not (layer.is_input and graph.sequential):
            yield layer


def _numbers(held: Group, kind: str) -> Iterator[int]:
    """Numbers of the groups of a class: `dense` is 0, `dense_3` is 3."""
    for name, member in held.members.items():
        if not isinstance(member, Group):
            continue
        if name == kind:
            yield 0
        elif name.startswith(f"{kind}_") and name[len(kind) + 1 :].isdecimal():
            yield int(name[len(kind) + 1 :])


def trainable_order(root: Layer) -> list[Layer]:
    """Leaf layers in the order of the configuration's lists."""
    found: list[Layer] = []
    pending = [root]
    while pending:
        layer = pending.pop()
        if layer.graph is None:
            found.append(layer)
        else:
            pending += reversed(layer.graph.layers)
    return found


def _enter(view: View, layer: Layer, group: str, node: Group, path: str) -> None:
    """Enter a layer's weights, at the slots that Keras 3 has for them."""
    slots = _slots(layer)
    if slots is None:
        for name, stored in datasets(node):
            view.put(f"{group}/{name}", stored, Place(group, name))
        return
    for slot, shape in slots.items():
        dataset = _at(node, slot)
        if dataset is None or dataset.shape != shape:
            found = "nothing" if dataset is None else f"{list(dataset.shape)}"
            message = f"`{layer.path}` should have {list(shape)} at `{slot}`, and has {found}"
            help_text = "save the model again with the Keras that wrote it"
            raise PatchError(Diagnostic("PC405", message, file=path, help=help_text))
        view.put(f"{group}/{slot}", dataset, Place(group, slot))


def _slots(layer: Layer) -> Mapping[str, tuple[int, ...]] | None:
    if rule_of(layer) is None:
        return None
    try:
        return {spec.slot: spec.shape for spec in weight_specs(layer)[0]}
    except InferenceError:
        return None


def _at(node: Group, slot: str) -> Dataset | None:
    """The dataset at a slot, whose parts may stand under private names."""
    current: Group | Dataset | None = node
    for part in slot.split("/"):
        members = current.members if isinstance(current, Group) else {}
        current = members.get(part) or members.get(f"_{part}")
    return current if isinstance(current, Dataset) else None


# ----------------------------------------------------------------------- optimizer


def _see_optimizer(
    older: Older, root: Layer, order: list[str], stored: Group, behind: Behind, path: str
) -> None:
    """Bring the optimizer's variables into Keras 3's order, the learning rate among them."""
    attached = attach_weights(root, older.view.tree, path)
    optimizer = stored_optimizer(root, attached.optimizer)
    new = trainable_weights(root)
    place = {path: number for number, path in enumerate(order)}
    rank = {group: place[x.path] for x, group in addresses(root).items() if x.path in place}
    old = sorted(new, key=lambda weight: _rank(str(weight.value.base), rank))
    keys = _keys(optimizer, old)
    found = {int(name): item for name, item in stored.members.items() if name.isdecimal()}
    if len(keys) == len(found) + 1:
        keys = [key for key in keys if key[0] != "learning_rate"]
    values = dict(zip(keys, (found[number] for number in sorted(found)), strict=False))
    wanted = _keys(optimizer, new)
    if len(keys) != len(found) or not wanted or not _fit(optimizer, new, values):
        older.lost_state = "what is stored is not what the optimizer keeps for these weights"
        return
    for number, key in enumerate(wanted):
        address = f"{OPTIMIZER}/vars/{number}"
        item = values.get(key)
        if isinstance(item, Dataset):
            older.view.put(address, item, Place(OPTIMIZER, address))
        else:
            put_learning_rate(older.view, address, behind, optimizer)


def _rank(address: str, rank: Mapping[str, int]) -> int:
    """Number of the layer in whose group an address lies."""
    while address not in rank:
        address = address.rpartition("/")[0]
    return rank[address]


_Key = tuple[str, str]


def _key(variable: Variable, weights: list[Trainable]) -> _Key:
    owner = "" if variable.weight is None else str(weights[variable.weight].value.base)
    return (variable.name, owner)


def _keys(optimizer: Mapping[str, Any], weights: list[Trainable]) -> list[_Key]:
    variables = layout(optimizer, [weight.trained for weight in weights]) or []
    return [_key(variable, weights) for variable in variables]


def _fit(
    optimizer: Mapping[str, Any], weights: list[Trainable], values: Mapping[_Key, Any]
) -> bool:
    for variable in layout(optimizer, [weight.trained for weight in weights]) or []:
        item = values.get(_key(variable, weights))
        if variable.slot is None or variable.weight is None:
            continue
        shape = slot_shape(variable.slot, weights[variable.weight].shape)
        if not isinstance(item, Dataset) or item.shape != shape:
            return False
    return True
