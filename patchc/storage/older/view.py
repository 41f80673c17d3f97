"""View: an older file as if Keras 3 had written it.

The datasets of the file, told apart by their recorded names, stand in a tree
under the addresses that Keras 3 gives them.  Nothing is copied: they keep
their offsets in the file.  What Keras 3 stores and an older Keras did not, a
learning rate for example, stands behind the file's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from patchc.errors import Diagnostic, PatchError
from patchc.layers.base import WeightSpec
from patchc.layers.freezing import leaf_flags
from patchc.layers.infer import InferenceError, infer, rule_of, weight_specs
from patchc.model.addresses import addresses
from patchc.model.graph import Call, Layer, TensorSpec, walk
from patchc.storage.hdf5.tree import Dataset, Group, group_at
from patchc.storage.older.matching import MatchError, Wanted, match, parts_of
from patchc.storage.older.recorded import TOP_LEVEL, Recorded

UNMATCHED = "unmatched"
"""Group at the root in which weights stand whose names do not tell what they are."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an older file keeps a weight.

    Args:
        layer: the recorded layer.
        weight: the recorded name.
    """

    layer: str
    weight: str


@dataclass(slots=True)
class View:
    """An older file under Keras 3's addresses.

    Args:
        tree: groups and datasets as Keras 3 would have them.
        places: where the file keeps each dataset of the tree.
        unmatched: path of each layer whose weights cannot be told apart, with
            the reason.
    """

    tree: Group = field(default_factory=Group)
    places: dict[str, Place] = field(default_factory=dict)
    unmatched: dict[str, str] = field(default_factory=dict)

    def put(self, address: str, dataset: Dataset, place: Place) -> None:
        """Enter a dataset; the second place of a shared layer's weight is passed over."""
        if address not in self.places:
            self.places[address] = place
            *parents, name = address.split("/")
            group_at(self.tree, parents).members[name] = dataset


def view_of(root: Layer, recorded: Recorded, path: str) -> View:
    """See a recorded file through the model that it holds.

    Args:
        root: of the repaired configuration; its layers are not changed.
        path: of the file, for messages.

    Raises:
        PatchError: PC405 where layers of the file and of the configuration
            contradict each other.
    """
    view = View()
    groups = addresses(root)
    empty_groups(view, groups)
    known = {layer.name: layer for layer in root.graph.layers} if root.graph else {}
    for name, weights in recorded.layers.items():
        layer = known.get(name)
        if layer is not None:
            _enter(view, layer, groups, name, weights)
        elif weights:
            message = f"it holds weights of `{name}`, which is no layer of the configuration"
            raise _refusal(message, path)
    for number, (name, dataset) in enumerate(recorded.top.items()):
        view.put(f"vars/{number}", dataset, Place(TOP_LEVEL, name))
    return view


def _refusal(message: str, path: str) -> PatchError:
    help_text = "save configuration and weights together: `model.save(...)`"
    return PatchError(Diagnostic("PC405", message, file=path, help=help_text))


def assume_shapes(root: Layer) -> bool:
    """Take each opaque layer to hand on the shape of its inputs; says whether there was one.

    Older files record no shapes, so what follows a Lambda or a custom layer
    would be unknown.  The assumption stands only where all weights behind it
    have the shapes that follow from it.
    """
    found = False
    while root.graph is not None and (behind := _unknown(root)):
        found = True
        for call, spec in behind:
            call.outputs = [spec]
        for model in [root, *walk(root)]:
            for call in model.graph.calls() if model.graph is not None else ():
                call.seen = None if call.outputs is None else call.seen
        infer(root.graph)
    return found


def _unknown(root: Layer) -> list[tuple[Call, TensorSpec]]:
    """Calls of opaque layers whose inputs are known and alike, and whose output is not."""
    found = []
    for layer in walk(root):
        opaque = layer.graph is None and not layer.is_input and rule_of(layer) is None
        for call in layer.calls if opaque else ():
            specs = {tensor.spec for tensor in call.main_tensors()}
            (spec,) = specs if len(specs) == 1 else (None,)
            if call.outputs is None and spec is not None:
                found.append((call, spec))
    return found


def settle_shapes(root: Layer, path: str) -> None:
    """Work out the shapes through a model whose configuration does not record them.

    Raises:
        PatchError: PC404 where a layer does not take what it is given.
    """
    if root.graph is None:
        return
    try:
        infer(root.graph)
    except InferenceError as error:
        message = f"the configuration contradicts itself at `{error.layer.path}`: {error}"
        help_text = "save the model again with the Keras that wrote it"
        raise PatchError(Diagnostic("PC404", message, file=path, help=help_text)) from None


def mark_unmatched(root: Layer, view: View) -> None:
    """Say on layers whose weights cannot be told apart why patchc does not look inside them."""
    for layer in walk(root):
        reason = next((view.unmatched[p] for p in _prefixes(layer.path) if p in view.unmatched), "")
        if reason:
            layer.opaque = f"its stored weights cannot be told apart: {reason}"


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def empty_groups(view: View, groups: Mapping[Layer, str]) -> None:
    """The groups that Keras 3 writes for every layer, with weights or without."""
    for layer, address in groups.items():
        for suffix in _suffixes(layer):
            parts = [part for part in f"{address}/{suffix}/vars".split("/") if part]
            group_at(view.tree, parts)


def _suffixes(layer: Layer) -> Sequence[str]:
    if layer.graph is None and rule_of(layer) is not None:
        try:
            return weight_specs(layer)[1]
        except InferenceError:
            pass
    return ("",)


def _enter(
    view: View,
    layer: Layer,
    groups: Mapping[Layer, str],
    recorded: str,
    weights: Mapping[str, Dataset],
) -> None:
    """Enter the weights of one recorded layer, which may be a nested model."""
    try:
        ruled, others = _sort_leaves(layer) if weights else ({}, [])
        slots = [(leaf, spec) for leaf, specs in ruled.items() for spec in specs]
        theirs = _of_others(weights, layer, others)
        mine = {name: dataset.shape for name, dataset in weights.items() if name not in theirs}
        found = match(mine, [_wanted(layer, leaf, spec) for leaf, spec in slots])
        if layer.graph is not None:
            _check_order(found, slots)
    except MatchError as error:
        view.unmatched[layer.path] = str(error)
        for number, (name, dataset) in enumerate(weights.items()):
            view.put(f"{UNMATCHED}/{layer.name}/{number}", dataset, Place(recorded, name))
        return
    for name, number in found.items():
        leaf, spec = slots[number]
        address = f"{groups[leaf.alias_of or leaf]}/{spec.slot}"
        view.put(address, weights[name], Place(recorded, name))
    for leaf, names in _by_owner(theirs, others).items():
        for number, name in enumerate(names):
            address = f"{groups[leaf.alias_of or leaf]}/vars/{number}"
            view.put(address, weights[name], Place(recorded, name))


def _check_order(found: Mapping[str, int], slots: Sequence[tuple[Layer, WeightSpec]]) -> None:
    """Refuse names of a nested model that are not quite those of its layers, and out of order.

    A session that made a layer twice numbered its name (`d_1` for `d`), which
    may be another layer's own name; then the order in which Keras wrote the
    weights, trainable ones first, has to say the same.

    Raises:
        MatchError: it does not.
    """
    order = sorted(range(len(slots)), key=lambda number: not _trains(*slots[number]))
    exact = all(slots[number][0].name in parts_of(name)[:-1] for name, number in found.items())
    if not exact and list(found.values()) != order:
        raise MatchError("recorded names and order contradict each other")


def _trains(leaf: Layer, spec: WeightSpec) -> bool:
    return spec.trainable and any(leaf_flags(leaf.config))


def _sort_leaves(layer: Layer) -> tuple[dict[Layer, Sequence[WeightSpec]], list[Layer]]:
    """Leaf layers with a rule, and what it says; and those without.

    Raises:
        MatchError: a rule cannot say, as the layer's input is not known.
    """
    ruled: dict[Layer, Sequence[WeightSpec]] = {}
    others = []
    for leaf in leaves(layer):
        if rule_of(leaf) is None:
            others.append(leaf)
            continue
        try:
            ruled[leaf] = [spec for spec in weight_specs(leaf)[0] if spec.twin is None]
        except InferenceError as error:
            raise MatchError(f"`{leaf.path}` {error}") from None
    return ruled, others


def leaves(layer: Layer) -> Iterator[Layer]:
    """A layer itself, or the layers inside a model at any depth, operations left out."""
    if layer.graph is None:
        if not layer.is_operation:
            yield layer
        return
    for inner in walk(layer, into_aliases=True):
        if inner.graph is None and not inner.is_operation:
            yield inner


def _wanted(top: Layer, leaf: Layer, spec: WeightSpec) -> Wanted:
    names = leaf.path.split("/")[len(top.path.split("/")) - 1 :]
    return Wanted((*names, *spec.name.split("/")), spec.shape)


def _of_others(
    weights: Mapping[str, Dataset], layer: Layer, others: Sequence[Layer]
) -> dict[str, Layer]:
    """Recorded names that belong to layers without a rule, with the layer.

    Alone in its group such a layer has all of them; inside a model, those that
    name it.
    """
    if layer in others:
        return dict.fromkeys(weights, layer)
    found = {}
    for name in weights:
        parts = parts_of(name)[:-1]
        owner = next((leaf for leaf in others if leaf.name in parts), None)
        if owner is not None:
            found[name] = owner
    return found


def _by_owner(theirs: Mapping[str, Layer], others: Sequence[Layer]) -> dict[Layer, list[str]]:
    owned: dict[Layer, list[str]] = {leaf: [] for leaf in others}
    for name, leaf in theirs.items():
        owned[leaf].append(name)
    return owned
