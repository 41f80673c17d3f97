"""The result of a plan as an archive of the Keras 2 that wrote the base, in its dialect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.compiler.optimizer import stored_optimizer, trainable_weights
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.layers.infer import weight_specs
from patchc.legacy.dialect import Dialect, RestoreError, version_of
from patchc.legacy.restore import Restorer
from patchc.model.addresses import addresses
from patchc.model.config import write_config
from patchc.model.graph import Layer, flatten, walk
from patchc.model.values import ZEROS, Value
from patchc.storage.attach import OPTIMIZER, datasets, find
from patchc.storage.configuration import comparable, in_keras_order, root_of
from patchc.storage.formats import Format
from patchc.storage.hdf5.tree import Dataset, Group, group_at
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_tree import dataset_of
from patchc.storage.keras_write import Contents, Written, metadata_of, write_hdf5
from patchc.storage.older.archive import (
    NOT_STARTED,
    in_order,
    kept_by_keras_2,
    state_keys,
    without_rate,
)
from patchc.storage.older.archive_names import (
    CONTAINERS,
    SCHEMES,
    Scheme,
    classes_in,
    group_names,
    scheme_of,
)
from patchc.storage.older.recorded_state import same_training
from patchc.storage.older.recorded_tree import by_group, origins_of
from patchc.storage.older.seen import OldArchive, Older, repaired_config, with_prefix
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Progress

_PRIVATE_PARTS = frozenset({"MultiHeadAttention"})
"""Classes whose parts Keras 2 keeps under names with an underscore before them."""


def archive_result(source: KerasFile, plan: Plan) -> Contents:
    """Lay out the whole file.

    Raises:
        PatchError: PC406 where the dialect of the base cannot say it.
    """
    older = source.older
    assert older is not None
    try:
        config = _config(source, older, plan)
        archive = _Archive(source, older, plan, classes_in(config))
        tree = archive.build()
    except RestoreError as error:
        message = f"the result cannot be written in the format of the input: {error}"
        help_text = "make a file of Keras 3 of the input first: `patchc convert`"
        path = source.file.path
        raise PatchError(Diagnostic("PC406", message, file=path, help=help_text)) from None
    return Contents(
        metadata=metadata_of(source, Format.KERAS_2),
        config=None if config is older.raw else config,
        tree=tree.root,
        held=tree.held,
        renamed={name: with_prefix(name, archive.moved) for name in plan.assets},
    )


def write_groups(source: KerasFile, plan: Plan, output: OutputFile, progress: Progress) -> Written:
    """Write the weights of a result as a file of their own, in the groups of its Keras 2.

    Raises:
        PatchError: PC406 where the dialect of the base cannot say it.
    """
    contents = archive_result(source, plan)
    assert contents.tree is not None
    made = {path: item for path, item in contents.held.items() if isinstance(item, LedgerEntry)}
    return write_hdf5(source, plan, output, progress, contents.tree, made, contents.tree)


# ------------------------------------------------------------------------ configuration


def _config(source: KerasFile, older: Older, plan: Plan) -> Any:
    """The configuration of the result in the words of the base.

    Raises:
        RestoreError: it has none for it, or they would say something else.
    """
    path = source.file.path
    wanted = comparable(plan.config, path)
    if wanted == comparable(source.config, path):
        return older.raw
    dialect = Dialect(version_of(source.keras_version), archived=True)
    restorer = Restorer(dialect, origins_of(plan.base), _rebuilt(source, plan))
    seen, new = source.config, _listed(plan.config, path)
    config = restorer.model(older.raw, seen, new)
    compiled = [side.get("compile_config") or {} for side in (seen, new)]
    if compiled[0] != compiled[1]:
        config["compile_config"] = restorer.training(older.raw["compile_config"], *compiled)
    again = repaired_config(config, None, source.keras_version, path)
    if comparable(again.config, path) != wanted:
        raise RestoreError("an older Keras has other words for it")
    return config


def _listed(config: Any, path: str) -> Any:
    """A configuration whose layers stand in the order in which Keras lists them."""
    root = root_of(config, path)
    in_keras_order(root)
    return write_config(root)


def _rebuilt(source: KerasFile, plan: Plan) -> frozenset[str]:
    """Paths of the layers that take other shapes than in the base, new ones among them."""
    base = source.document().root
    before = {layer.path: _taken(layer) for layer in walk(base)} | {"": _taken(base)}
    root = plan.base.root
    found = {x.path for x in walk(root) if before.get(str(x.origin)) != _taken(x)}
    return frozenset(found | ({""} if _taken(root) != before[""] else set()))


def _taken(layer: Layer) -> list[Any]:
    """The shapes that a layer takes; of a model, those of its inputs."""
    if layer.graph is not None:
        return [tensor.spec for tensor in flatten(layer.graph.inputs)]
    return [[tensor.spec for tensor in call.tensors()] for call in layer.calls]


# ------------------------------------------------------------------------------ weights


@dataclass(slots=True)
class _Tree:
    """Groups and datasets of a result, and by path where the values come from."""

    root: Group = field(default_factory=Group)
    held: dict[str, LedgerEntry | Dataset] = field(default_factory=dict)

    def put(self, path: str, dataset: Dataset, item: LedgerEntry | Dataset) -> None:
        """Enter a dataset."""
        *parents, name = path.split("/")
        group_at(self.root, parents).members[name] = dataset
        self.held[path] = item

    def take(self, base: Group, path: str) -> None:
        """Enter a group of the base as it is."""
        node = find(base, path)
        assert isinstance(node, Group)
        *parents, name = path.split("/")
        group_at(self.root, parents).members[name] = bare(node)
        for inner, dataset in datasets(base, path):
            self.put(inner, dataset, dataset)


def bare(node: Group) -> Group:
    """A group and the groups below it, without datasets."""
    inner = {name: bare(item) for name, item in node.members.items() if isinstance(item, Group)}
    return Group(dict(inner), dict(node.attributes))


class _Archive:
    """Lays out the weights; one use."""

    def __init__(
        self, source: KerasFile, older: Older, plan: Plan, classes: Mapping[str, str]
    ) -> None:
        assert older.archive is not None
        self.source, self.older, self.plan = source, older, plan
        self.archive: OldArchive = older.archive
        self.root = plan.base.root
        self.groups = addresses(self.root)
        self.entries = by_group(plan, self.groups)
        self.scheme = self._scheme()
        weighted = [layer for layer, group in self.groups.items() if group in self.entries]
        self.names = group_names(self.root, self.scheme, classes, _with_models(weighted))

    @property
    def moved(self) -> Mapping[str, str]:
        """Group that Keras 3 gives a layer of the result -> the one that Keras 2 gives it."""
        return {
            self.groups[layer]: name for layer, name in self.names.items() if layer in self.groups
        }

    def build(self) -> _Tree:
        tree = _Tree(Group({}, dict(self.archive.tree.attributes)))
        for name in self.archive.tree.members:
            if name not in {*CONTAINERS, OPTIMIZER}:
                tree.take(self.archive.tree, name)
        for layer, name in self.names.items():
            self._put_layer(tree, layer, name)
        self._put_state(tree)
        return _by_backslash(tree) if self.archive.by_backslash else tree

    def _scheme(self) -> Scheme:
        """How the base calls its groups: as its Keras does, or as another one does.

        Raises:
            RestoreError: as none does, or a layer that two models share has one alone.
        """
        base = self.source.document().root
        models = [base, *walk(base), *walk(self.root)]
        if any(layer.alias_of is not None for layer in models):
            raise RestoreError("two of its models share a layer, which no Keras 2 opens")
        groups = addresses(base)
        weighted = _with_models([x for x, group in groups.items() if self._has_weights(group)])
        classes = classes_in(self.older.raw)
        fitting = [
            scheme
            for scheme in SCHEMES
            if self.archive.groups
            == {x.path: n for x, n in group_names(base, scheme, classes, weighted).items()}
        ]
        usual = scheme_of(self.source.keras_version)
        if usual not in fitting and len(fitting) != 1:
            raise RestoreError("the input does not call its groups as any Keras 2 does")
        return usual if usual in fitting else fitting[0]

    def _has_weights(self, group: str) -> bool:
        return any(datasets(self.source.tree, group)) if group else False

    # --------------------------------------------------------------------- one layer

    def _put_layer(self, tree: _Tree, layer: Layer, name: str) -> None:
        group = group_at(tree.root, name.split("/"))
        node = find(self.archive.tree, self._old_group(layer) or "/")
        if layer.graph is not None:
            kept = {} if not isinstance(node, Group) else node.members
            own = kept.get("vars")
            group.members["vars"] = bare(own) if isinstance(own, Group) else Group()
            group_at(group, [self.scheme.container])
            return
        if isinstance(node, Group):
            group.attributes.update(node.attributes)
            group.members.update(bare(node).members)
        else:
            for suffix in _suffixes(layer):
                parts = [_part(layer, part) for part in suffix.split("/") if part]
                group_at(group, [*parts, "vars"])
        for entry in self.entries.get(self.groups.get(layer, ""), ()):
            path = f"{name}/{self._place(layer, entry)}"
            tree.put(path, dataset_of(self.source, entry), entry)

    def _old_group(self, layer: Layer) -> str | None:
        return self.archive.groups.get(layer.origin) if layer.origin is not None else None

    def _place(self, layer: Layer, entry: LedgerEntry) -> str:
        """Where Keras 2 keeps a weight below its layer's group."""
        slot = entry.address.removeprefix(f"{self.groups[layer]}/")
        base = None if entry.value.copied else entry.value.base or entry.value.replaces
        place = self.older.view.places.get(base or "")
        if place is not None and place.layer == self._old_group(layer):
            return place.weight
        *parts, vars_, number = slot.split("/")
        return "/".join([*(_part(layer, part) for part in parts), vars_, number])

    # --------------------------------------------------------------- the optimizer

    def _put_state(self, tree: _Tree) -> None:
        """Enter the optimizer's variables, in the order in which Keras 2 keeps them."""
        stored = self.archive.tree.members.get(OPTIMIZER)
        if not isinstance(stored, Group):
            return
        count = sum(1 for _ in datasets(self.archive.tree, OPTIMIZER))
        lost = bool(self.older.lost_state) and same_training(self.source, self.plan)
        if lost or count <= NOT_STARTED:
            tree.take(self.archive.tree, OPTIMIZER)
            return
        tree.root.members[OPTIMIZER] = bare(stored)
        for number, entry in enumerate(self._state()):
            tree.put(f"{OPTIMIZER}/vars/{number}", dataset_of(self.source, entry), entry)

    def _state(self) -> Iterator[LedgerEntry]:
        entries = self.plan.optimizer.entries
        if not entries:
            return
        optimizer = stored_optimizer(self.root, self.plan.base.optimizer)
        weights = trainable_weights(self.root, self.groups)
        by_key = dict(zip(state_keys(optimizer, weights), entries, strict=True))
        shapes = {weight.path: (weight.shape, weight.dtype) for weight in weights}
        old = in_order(weights, [layer.path for layer in self.names])
        keys = state_keys(kept_by_keras_2(optimizer), old)
        for key in keys if self.archive.has_rate else without_rate(keys):
            yield by_key.get(key) or _zeros("/".join(key), *shapes[key[1]])


def _zeros(path: str, shape: tuple[int, ...], dtype: str) -> LedgerEntry:
    """A variable that Keras 2 keeps and does not use."""
    value = Value(init=ZEROS)
    return LedgerEntry(path, path, shape, dtype, trainable=False, fate="new", value=value)


def _with_models(layers: list[Layer]) -> set[Layer]:
    """Layers, and the models that they are in."""
    found = set(layers)
    for layer in layers:
        home = layer.home
        while home is not None:
            found.add(home.owner)
            home = home.owner.home
    return found


def _suffixes(layer: Layer) -> tuple[str, ...]:
    return () if layer.is_operation else tuple(weight_specs(layer)[1])


def _part(layer: Layer, name: str) -> str:
    return f"_{name}" if layer.class_name in _PRIVATE_PARTS else name


def _by_backslash(tree: _Tree) -> _Tree:
    """The tree with the names of nested groups as Keras 2 wrote them on Windows."""
    flat = _Tree(Group({}, dict(tree.root.attributes)))
    pending = [("", tree.root)]
    while pending:
        prefix, node = pending.pop()
        for name, member in node.members.items():
            if name == "vars" and isinstance(member, Group):
                group = group_at(flat.root, [prefix] if prefix else [])
                group.members["vars"] = bare(member)
            elif isinstance(member, Group):
                pending.append((f"{prefix}\\{name}" if prefix else name, member))
    for path, item in tree.held.items():
        dataset = find(tree.root, path)
        assert isinstance(dataset, Dataset)
        *groups, inside, name = path.split("/")
        flat.put(
            "/".join(["\\".join(groups), inside, name] if groups else [inside, name]), dataset, item
        )
    return flat
