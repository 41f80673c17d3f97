"""Models in memory: a live `keras.Model` read into a Document, and a plan made into a new one.

The model saves its variables to a store in memory and the new one loads them
from there, so a model in memory and the same model in a file go through one
compiler and come out alike.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras.src.saving.serialization_lib import ObjectSharingScope

from patchc.arrays.dtypes import Array, ValuesError
from patchc.arrays.produce import produce
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.layers.freezing import is_shut, trains
from patchc.model.addresses import addresses
from patchc.model.config import ConfigError, check_order, read_config
from patchc.model.document import Document
from patchc.model.graph import Layer, Loading, walk
from patchc.model.vocabulary import with_lines
from patchc.storage.attach import attach_weights
from patchc.storage.hdf5.tree import Group
from patchc.storage.live.objects import MODEL, Objects, build, compiles_itself, copied, refusal
from patchc.storage.live.parts import (
    build_parts,
    check_built,
    is_graph,
    layers_by_node,
    outline_of,
    saving_parts,
)
from patchc.storage.live.state import (
    CapturingStore,
    Maker,
    capture,
    carried,
    restore,
    stored,
    tree_of,
    unstored,
)

_ASSETS = "assets/"


@dataclass(slots=True)
class LiveModel:
    """A model in memory whose configuration and variables have been looked at.

    Args:
        model: the model; nothing here changes it.
        outline: the configuration that the compiler sees.
        objects: the model's own classes and functions.
        values: its variables by the address at which saving puts them.
        tree: the same as groups and datasets, without values.
        assets: folder with its vocabularies and the like.
    """

    model: Any
    outline: Mapping[str, Any]
    objects: Objects
    values: Mapping[str, Any]
    tree: Group
    assets: str

    def document(self) -> Document:
        """A fresh document: compiling edits it."""
        root = read_root(self.outline)
        attached = attach_weights(root, self.tree, MODEL)
        _mark_trainable(root, layers_by_node(root, self.model), self.values)
        return Document(
            root=root,
            path=MODEL,
            weights=attached.weights,
            optimizer=attached.optimizer,
            assets=tuple(_ASSETS + name for name in _files(self.assets)),
            read_asset=self.read_asset,
        )

    def read_asset(self, name: str) -> bytes:
        """The contents of one of its vocabularies or the like."""
        return Path(self.assets, name.removeprefix(_ASSETS)).read_bytes()

    def stored(self, address: str) -> Array:
        """The value of a variable as an array."""
        return stored(self.values[address])


@contextmanager
def open_live(model: Any) -> Iterator[LiveModel]:
    """Look at a model in memory.

    Raises:
        PatchError: PC308 for a model that cannot be built anew.
    """
    check_built(model)
    objects = Objects(model)
    outline = objects.config(model) if is_graph(model) else outline_of(model, objects)
    with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
        assets = str(Path(folder, "assets"))
        store = look(model, read_root(outline), assets)
        yield LiveModel(model, outline, objects, store.values, tree_of(store), assets)


def look(model: Any, root: Layer, assets: str | None = None) -> CapturingStore:
    """The variables of a model by address, those of LoRA adapters included.

    Saving merges the latter into the weights that they adapt.
    """
    store = CapturingStore()
    capture(model, saving_parts(model, root), store, assets)
    groups = addresses(root)
    for node, layer in layers_by_node(root, model).items():
        if getattr(layer, "lora_enabled", False) and node in groups:
            adapters = [v for v in layer.variables if v.name.startswith("lora_")]
            store.values |= {f"{groups[node]}/vars/{v.name}": v for v in adapters}
    return store


def read_root(outline: Mapping[str, Any]) -> Layer:
    """The layers of a model in memory.

    Raises:
        PatchError: PC404 where its configuration is not understood.
    """
    try:
        root = read_config(outline)
        check_order(root)
    except (ConfigError, KeyError, TypeError, IndexError, AttributeError) as error:
        message = f"its configuration {error}" if isinstance(error, ConfigError) else str(error)
        raise refusal(message, "build the model with Keras 3", "PC404") from None
    root.loading = Loading.MEMORY
    return root


def _files(folder: str) -> list[str]:
    """Paths of the files in a folder, from there."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def _mark_trainable(root: Layer, layers: Mapping[Layer, Any], values: Mapping[str, Any]) -> None:
    """Where no rule tells which weights of a layer train, and in which order, the layer does."""
    for node in walk(root):
        if node.opaque is None or node not in layers:
            continue
        below = layers[node]._flatten_layers()
        trainable = {id(v) for layer in below for v in layer._trainable_variables}
        order = {id(v): number for number, v in enumerate(layers[node].variables)}
        held = {weight: id(values[str(weight.value.base)]) for weight in node.weights}
        for weight in node.weights:
            weight.trainable = held[weight] in trainable
        node.weights.sort(key=lambda weight: order.get(held[weight], len(order)))


# ---------------------------------------------------------------------- result


def build_live(live: LiveModel, plan: Plan) -> Any:
    """Carry a plan out: a new model, the old one untouched.

    Raises:
        PatchError: PC305 where a strategy cannot make a value, PC308 where a
            class of the model cannot be built anew.
    """
    root = plan.base.root
    config = {key: value for key, value in plan.config.items() if key != "compile_config"}
    with ObjectSharingScope(), undrawn():
        if is_graph(live.model):
            new = build(config, live.objects)
        else:
            new = build_parts(live.model, live.outline, plan.config, live.objects)
    if new.dtype_policy != live.model.dtype_policy:
        new.dtype_policy = live.model.dtype_policy  # a Functional's own is not written
    layers = layers_by_node(root, new)
    base = layers_by_node(read_root(live.outline), live.model)
    _freeze(root, layers, base)
    _compile(live, plan, new)
    with tempfile.TemporaryDirectory(prefix="patchc-") as assets:
        for name, held in plan.assets.items():
            place = Path(assets, name.removeprefix(_ASSETS))
            place.parent.mkdir(parents=True, exist_ok=True)
            if name in plan.appended:
                place.write_bytes(with_lines(live.read_asset(held), plan.appended[name]))
            else:
                shutil.copyfile(Path(live.assets, held.removeprefix(_ASSETS)), place)
        restore(new, saving_parts(new, root), _makers(live, plan), assets)
    _copy_adapters(layers, base)
    return new


def _freeze(root: Layer, layers: Mapping[Layer, Any], base: Mapping[Layer, Any]) -> None:
    """Set the flags that a configuration cannot hold.

    Keras builds some classes as trainable whatever the configuration says, and
    the layers inside a custom layer have flags that it may not write.
    """
    origins = {node.path: layer for node, layer in base.items()}
    if is_shut(root):
        layers[root].trainable = False
    for node in walk(root):
        layer, old = layers.get(node), origins.get(node.origin or "")
        if layer is None or node.graph is not None:
            continue
        if not trains(node, root):
            layer.trainable = True  # TensorFlow drops the setting of what is set already
            layer.trainable = False
        if node.opaque and old is not None and type(old) is type(layer):
            _follow(old, layer)


def _follow(old: Any, new: Any) -> None:
    """Copy the flags of the layers inside a layer whose own flag is as it was."""
    if old.trainable != new.trainable:
        return
    inside = zip(old._flatten_layers(False), new._flatten_layers(False), strict=False)
    for one, other in inside:
        if other.trainable != one.trainable:
            other.trainable = one.trainable


def _compile(live: LiveModel, plan: Plan, new: Any) -> None:
    """Compile the new model as the plan says; the optimizer gets its variables now or later."""
    config = plan.config.get("compile_config")
    if not config:
        return
    with keras.saving.custom_object_scope(live.objects.by_name):
        if compiles_itself(live.model):
            new.compile_from_config(copied(config))
        else:
            new.compile(**keras.saving.deserialize_keras_object(copied(config)))
    optimizer = getattr(new, "optimizer", None)
    if optimizer is not None and len(plan.optimizer.entries) > len(optimizer.variables):
        optimizer.build(new.trainable_variables)


def _makers(live: LiveModel, plan: Plan) -> dict[str, Maker]:
    entries = (*plan.ledger.entries, *plan.optimizer.entries)
    return {entry.address: partial(_made, live, plan, entry) for entry in entries}


def _made(live: LiveModel, plan: Plan, entry: LedgerEntry) -> Any:
    """The value of a variable of the result, for it to be assigned."""
    if entry.value.base is not None and not entry.value.growths:
        return carried(live.values[entry.value.base])
    return unstored(made_values(live, plan, entry), entry.dtype)


def made_values(live: LiveModel, plan: Plan, entry: LedgerEntry) -> Array:
    """The values of a weight or slot of the result as an array.

    Raises:
        PatchError: PC305 where its strategy cannot make it.
    """
    value = entry.value
    old = None if value.base is None else live.stored(value.base)
    if old is not None and not value.growths:
        return old
    mirrored = None
    if value.mirror is not None:
        other = next(e for e in plan.ledger.entries if e.address == value.mirror)
        mirrored = made_values(live, plan, other)
    try:
        return produce(value, entry.shape, entry.dtype, old, mirrored)
    except ValuesError as error:
        raise refusal(f"`{entry.path}` {error}", "use another `init`", "PC305") from None


def _copy_adapters(new: Mapping[Layer, Any], base: Mapping[Layer, Any]) -> None:
    """Variables that saving merges into others: a LoRA adapter stays what it is."""
    origins = {node.path: layer for node, layer in base.items()}
    for node, layer in new.items():
        old = origins.get(node.origin or "")
        if node.graph is not None or old is None or type(old) is not type(layer):
            continue
        pairs = zip(old._flatten_layers(), layer._flatten_layers(), strict=False)
        for one, other in pairs:
            if getattr(one, "lora_enabled", False) and getattr(other, "lora_enabled", False):
                for source, target in zip(one.variables, other.variables, strict=True):
                    target.assign(carried(source))


# ------------------------------------------------------------------- no drawing

_DRAWING = threading.Lock()
_RANDOM = (
    keras.initializers.Orthogonal,
    keras.initializers.RandomNormal,
    keras.initializers.RandomUniform,
    keras.initializers.TruncatedNormal,
    keras.initializers.VarianceScaling,
)


@contextmanager
def undrawn() -> Iterator[None]:
    """Let Keras's own layers start from zeros, in this thread, while the block runs.

    All of their weights are assigned afterwards, and drawing them first takes
    longer than everything else.  Layers of other makers draw as ever: they may
    keep values that are not saved.
    """
    owner, original = threading.get_ident(), keras.Layer.add_weight

    def add_weight(layer: Any, *args: Any, **kwargs: Any) -> Any:
        own = type(layer).__module__.startswith("keras.src.layers.")
        if own and threading.get_ident() == owner and _draws(kwargs.get("initializer")):
            kwargs["initializer"] = "zeros"
        return original(layer, *args, **kwargs)

    with _DRAWING:
        keras.Layer.add_weight = add_weight
        try:
            yield
        finally:
            keras.Layer.add_weight = original


def _draws(initializer: Any) -> bool:
    if initializer is None or isinstance(initializer, str):
        return True
    return isinstance(initializer, _RANDOM)
