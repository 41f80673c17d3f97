"""`.keras` archives of Keras 2, seen as Keras 3 has them.

Keras 2 numbers its groups in the order of the configuration's list, where
Keras 3 goes by the connections; Keras 2.12 to 2.14 call the group of a model's
layers after an attribute; some layers keep their parts under private names;
and the learning rate is no variable of the optimizer.
(`keras.src.saving.saving_lib` of Keras 2.12 to 2.15.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
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
from patchc.storage.hdf5.tree import Dataset, Group, group_at
from patchc.storage.older.archive_names import CONTAINERS, classes_in
from patchc.storage.older.seen import (
    Behind,
    OldArchive,
    Older,
    Seen,
    put_learning_rate,
    repaired_config,
    trains_otherwise,
)
from patchc.storage.older.view import Place, View, assume_shapes, empty_groups, settle_shapes
from patchc.storage.stream import Readable

NOT_STARTED = 1
"""Variables of an optimizer that has met no weight yet: its counter."""
FIRST_ERA = 3
"""Major version of the Keras whose files need no view."""


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
    split = split_names(tree)
    classes = classes_in(config)
    old = dict(_old_groups(root, classes, split, "", path))
    for layer in walk(root):
        if layer.is_operation:  # Keras 2 had a layer there, which is built
            layer.extra.pop("build_config", None)
    in_listed_order = [leaf.path for leaf in trainable_order(root)]
    in_keras_order(root)
    settle_shapes(root, path)
    new_config = write_config(root)
    view = _view(root, old, split, path)
    _check_complete(view, split, path)
    assumed = _assume(new_config, old, split, path)
    if assumed is not None:
        root, view = assumed
    older = Older(config, repaired, view, assumed=assumed is not None)
    root.loading = older.loading
    moved = {old[x.path]: group for x, group in addresses(root).items() if x.path in old}
    older.archive = OldArchive(keras_version, split, old, moved, by_backslash=split != tree)
    behind = Behind(size)
    stored = find(split, f"{OPTIMIZER}/vars")
    if isinstance(stored, Group) and stored.members:
        _see_optimizer(older, root, in_listed_order, stored, behind, path)
    return Seen(new_config, view.tree, behind.joined(data), older)


def _view(root: Layer, old: Mapping[str, str], tree: Group, path: str) -> View:
    view = View()
    groups = addresses(root)
    empty_groups(view, groups)
    for layer, group in groups.items():
        if layer.graph is None and layer.home is not None:
            _enter(view, layer, group, tree, old.get(layer.path), path)
    return view


def _check_complete(view: View, tree: Group, path: str) -> None:
    """Refuse weights of layers that were not found to be any layer's."""
    placed = {f"{place.layer}/{place.weight}" for place in view.places.values()}
    stored = (name for top in CONTAINERS for name, _ in datasets(tree, top))
    lost = next((name for name in stored if name not in placed), None)
    if lost is not None:
        raise _refusal(f"the weights at `{lost}` are of no layer of the configuration", path)


def _refusal(message: str, path: str) -> PatchError:
    help_text = "save the model again with the Keras that wrote it, as HDF5: `model.save('m.h5')`"
    return PatchError(Diagnostic("PC405", message, file=path, help=help_text))


def _assume(
    config: Any, old: Mapping[str, str], tree: Group, path: str
) -> tuple[Layer, View] | None:
    """The model with assumed shapes behind opaque layers; None where weights speak against it."""
    root = root_of(config, path)
    settle_shapes(root, path)
    try:
        return (root, _view(root, old, tree, path)) if assume_shapes(root) else None
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
        current = group_at(result, parents)
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


def _old_groups(
    model: Layer, classes: Mapping[str, str], tree: Group, prefix: str, path: str
) -> Iterator[tuple[str, str]]:
    """Path of each layer, and the group that Keras 2 gave it: by class, in the order of the list.

    A layer that two models share has one group, where Keras came by first.
    """
    node = find(tree, prefix.rstrip("/"))
    held = {} if not isinstance(node, Group) else node.members
    container = next((name for name in CONTAINERS if name in held), None)
    if model.graph is None or container is None:
        return
    inside = held[container]
    assert isinstance(inside, Group)
    by_kind: dict[str, list[Layer]] = {}
    for layer in _listed(model.graph):
        by_kind.setdefault(snake_case(classes[layer.path]), []).append(layer)
    for kind, layers in by_kind.items():
        numbers = sorted(_numbers(inside.members, kind))
        if numbers and len(numbers) != len(layers):
            there = f"{len(numbers)} groups `{kind}` for {len(layers)} layers"
            raise _refusal(f"it holds {there}, two of which may be one", path)
        for layer, number in zip(layers, numbers, strict=False):
            group = f"{prefix}{container}/{kind}" + (f"_{number}" if number else "")
            yield layer.path, group
            yield from _old_groups(layer, classes, tree, f"{group}/", path)


def _listed(graph: Graph) -> Iterator[Layer]:
    """The layers of a model to which Keras 2 gave groups of their own."""
    for layer in graph.layers:
        if not (layer.is_input and graph.sequential) and layer.alias_of is None:
            yield layer


def _numbers(held: Iterable[str], kind: str) -> Iterator[int]:
    """Numbers of the groups of a class: `dense` is 0, `dense_3` is 3."""
    for name in held:
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


def _enter(view: View, layer: Layer, group: str, tree: Group, old: str | None, path: str) -> None:
    """Enter a layer's weights, at the slots that Keras 3 has for them."""
    slots = _slots(layer)
    stored = {} if old is None else {n[len(old) + 1 :]: item for n, item in datasets(tree, old)}
    old = old or ""
    if slots is None:
        for name, dataset in stored.items():
            view.put(f"{group}/{name}", dataset, Place(old, name))
        return
    plain = {_public(name): name for name in stored}
    for slot, shape in slots.items():
        name = plain.get(slot, "")
        if name not in stored or stored[name].shape != shape:
            found = f"{list(stored[name].shape)}" if name in stored else "nothing"
            message = f"`{layer.path}` should have {list(shape)} at `{slot}`, and has {found}"
            raise _refusal(message, path)
        view.put(f"{group}/{slot}", stored[name], Place(old, name))


def _slots(layer: Layer) -> Mapping[str, tuple[int, ...]] | None:
    if rule_of(layer) is None:
        return None
    try:
        return {spec.slot: spec.shape for spec in weight_specs(layer)[0]}
    except InferenceError:
        return None


def _public(name: str) -> str:
    """A path without the underscores of Keras 2's private parts: `_key_dense/vars/0`."""
    return "/".join(part.removeprefix("_") for part in name.split("/"))


# ----------------------------------------------------------------------- optimizer


def _see_optimizer(
    older: Older, root: Layer, order: list[str], stored: Group, behind: Behind, path: str
) -> None:
    """Bring the optimizer's variables into Keras 3's order, the learning rate among them."""
    assert older.archive is not None
    attached = attach_weights(root, older.view.tree, path)
    optimizer = stored_optimizer(root, attached.optimizer)
    if not optimizer:
        older.lost_state = "nothing tells which optimizer it is of"
        return
    new = trainable_weights(root)
    old = in_order(new, order)
    found = {int(name): item for name, item in stored.members.items() if name.isdecimal()}
    if len(found) <= NOT_STARTED:
        return
    keys = state_keys(kept_by_keras_2(optimizer), old)
    has_rate = len(keys) == len(found)
    if not has_rate:
        keys = without_rate(keys)
    values = dict(zip(keys, (found[number] for number in sorted(found)), strict=False))
    wanted = state_keys(optimizer, new)
    if len(keys) != len(found) or not wanted or not _fit(optimizer, new, values):
        older.lost_state = "what is stored is not what the optimizer keeps for these weights"
        return
    older.archive = replace(older.archive, has_rate=has_rate)
    older.trains_otherwise = trains_otherwise(root)
    for number, key in enumerate(wanted):
        address = f"{OPTIMIZER}/vars/{number}"
        item = values.get(key)
        if isinstance(item, Dataset):
            older.view.put(address, item, Place(OPTIMIZER, f"vars/{keys.index(key)}"))
        else:
            put_learning_rate(older.view, address, behind, optimizer)


def in_order(weights: Sequence[Trainable], paths: Sequence[str]) -> list[Trainable]:
    """Weights in the order of their layers, whose paths are given."""
    rank = {path: number for number, path in enumerate(paths)}

    def number(weight: Trainable) -> int:
        path = weight.path
        while path not in rank:
            path = path.rpartition("/")[0]
        return rank[path]

    return sorted(weights, key=number)


def kept_by_keras_2(optimizer: Mapping[str, Any]) -> Mapping[str, Any]:
    """An optimizer that keeps in Keras 3 what this one keeps in Keras 2.

    An SGD without momentum has one there all the same, and multiplies it by zero.
    """
    config = optimizer.get("config")
    if optimizer.get("class_name") != "SGD" or not isinstance(config, Mapping):
        return optimizer
    return {**optimizer, "config": {**config, "momentum": config.get("momentum") or 1.0}}


StateKey = tuple[str, str]
"""Name of a variable of an optimizer, and path of the weight that it is for."""


def state_keys(optimizer: Mapping[str, Any], weights: Sequence[Trainable]) -> list[StateKey]:
    """What an optimizer keeps for these weights, in the order in which it stores it."""
    variables = layout(optimizer, [weight.trained for weight in weights]) or []
    return [_key(variable, weights) for variable in variables]


def without_rate(keys: Sequence[StateKey]) -> list[StateKey]:
    """The same as Keras 2 stores it: the learning rate stands in the configuration alone."""
    return [key for key in keys if key[0] != "learning_rate"]


def _key(variable: Variable, weights: Sequence[Trainable]) -> StateKey:
    return (variable.name, "" if variable.weight is None else weights[variable.weight].path)


def _fit(
    optimizer: Mapping[str, Any], weights: Sequence[Trainable], values: Mapping[StateKey, Any]
) -> bool:
    for variable in layout(optimizer, [weight.trained for weight in weights]) or []:
        item = values.get(_key(variable, weights))
        if variable.slot is None or variable.weight is None:
            continue
        shape = slot_shape(variable.slot, weights[variable.weight].shape)
        if not isinstance(item, Dataset) or item.shape != shape:
            return False
    return True
