"""Older files: repaired configuration and recorded weights, seen as Keras 3 has them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from patchc.compiler.optimizer import stored_optimizer, trainable_weights
from patchc.errors import Diagnostic, PatchError
from patchc.layers.infer import InferenceError
from patchc.layers.optimizers import layout, own_start
from patchc.legacy.repair import LegacyError, Repaired, era_of, repair_model
from patchc.model.config import write_config
from patchc.model.graph import Layer, Loading, walk
from patchc.storage.attach import attach_weights
from patchc.storage.configuration import in_keras_order, root_of
from patchc.storage.files import InputFile
from patchc.storage.formats import Format
from patchc.storage.hdf5.tree import Dataset, Group, dataset, group_at
from patchc.storage.keras_file import KerasFile
from patchc.storage.older.optimizer import OldState, OldTrained, StateError, read_state
from patchc.storage.older.recorded import OPTIMIZER_WEIGHTS, Recorded
from patchc.storage.older.relaid import relaid, relaid_slots, theano_layouts
from patchc.storage.older.view import (
    Place,
    View,
    assume_shapes,
    mark_unmatched,
    settle_shapes,
    view_of,
)
from patchc.storage.stream import Readable
from patchc.storage.window import Joined, Memory

_CODES = {"float32": "f", "float64": "d", "float16": "e", "int64": "q"}


@dataclass(frozen=True, slots=True)
class OldArchive:
    """A `.keras` archive of Keras 2 as it stands.

    Args:
        keras_version: of the Keras that wrote it, as it says.
        tree: groups and datasets of its weights.
        groups: group of each layer in `tree`, by path.
        moved: group in `tree` -> group that Keras 3 gives the same layer.
        by_backslash: whether the file names nested groups as on Windows.
        has_rate: whether the optimizer's learning rate is among its variables.
    """

    keras_version: str
    tree: Group
    groups: Mapping[str, str]
    moved: Mapping[str, str]
    by_backslash: bool = False
    has_rate: bool = False


def with_prefix(asset: str, moved: Mapping[str, str]) -> str:
    """The name of an asset, which lies under its layer's group, where that is called otherwise."""
    found = [group for group in moved if asset.startswith(f"assets/{group}/")]
    if not found:
        return asset
    group = max(found, key=len)
    return f"assets/{moved[group]}/{asset.removeprefix(f'assets/{group}/')}"


@dataclass(slots=True)
class Older:
    """An older file as it stands, and how it is seen.

    Args:
        raw: its configuration, unrepaired.
        repaired: the same for Keras 3, with what was done.
        view: where its weights stand under Keras 3's addresses.
        recorded: layers and weights by recorded name, in an HDF5 file.
        root_group: the HDF5 file's root group.
        assumed: whether opaque layers are taken to hand on their input's shape.
        state: where it keeps its optimizer's variables; None where it has
            none, or they cannot be told apart.
        lost_state: why not, then.
        bare: whether nothing tells how the layers are connected.
        archive: groups of the weights, in an archive of Keras 2.
        loading: what loads the file as it stands.
        trains_otherwise: whether Keras 3 trains other weights of the model.
    """

    raw: Any
    repaired: Repaired
    view: View
    recorded: Recorded | None = None
    root_group: Group = field(default_factory=Group)
    assumed: bool = False
    state: OldState | None = None
    lost_state: str = ""
    is_relaid: bool = False
    bare: bool = False
    archive: OldArchive | None = None
    loading: Loading = Loading.KERAS_2
    trains_otherwise: bool = False

    def mark_unmatched(self, root: Layer) -> None:
        """Say on layers whose weights cannot be told apart why patchc does not look inside them."""
        mark_unmatched(root, self.view)

    def prepare(self, root: Layer, path: str) -> None:
        """Give a model that was read from the repaired configuration the shapes it has here."""
        settle_shapes(root, path)
        if self.assumed:
            assume_shapes(root)

    def seen_asset(self, name: str) -> str:
        """What Keras 3 calls a member that belongs to a layer."""
        return with_prefix(name, self.archive.moved) if self.archive is not None else name

    def lost_as(self, target: Loading) -> str:
        """Why the optimizer's state is not one for what loads a result; "" where it is."""
        if self.trains_otherwise and target is not self.loading:
            return "the file freezes layers that Keras 3 loads as trainable, or the other way round"
        return self.lost_state


def trains_otherwise(root: Layer) -> bool:
    """Whether Keras 3 trains other weights of a model than what loads it as it stands."""
    own = [weight.path for weight in trainable_weights(root)]
    loading, root.loading = root.loading, Loading.KERAS_3
    other = [weight.path for weight in trainable_weights(root)]
    root.loading = loading
    return own != other


def loaded_by(keras_version: str) -> Loading:
    """What loads a file that this version wrote."""
    return Loading.KERAS_2 if era_of(keras_version) < 3 else Loading.KERAS_3


def repaired_config(config: Any, training: Any, keras_version: str, path: str) -> Repaired:
    """The configuration of an older file as Keras 3 has it.

    Raises:
        PatchError: PC404 where it is no model's configuration.
    """
    try:
        return repair_model(config, training, keras_version)
    except LegacyError as error:
        help_text = "save the model again with the Keras that wrote it"
        message = f"its configuration {error}"
        raise PatchError(Diagnostic("PC404", message, file=path, help=help_text)) from None


@dataclass(slots=True)
class Seen:
    """What an older file comes to.

    Args:
        config: as Keras 3 has it.
        tree: the weights under Keras 3's addresses.
        data: what their offsets count from.
    """

    config: Any
    tree: Group
    data: Readable
    older: Older

    def opened(self, file: InputFile, format_: Format, keras_version: str) -> KerasFile:
        """The file, as one that is open."""
        return KerasFile(
            file=file,
            config=self.config,
            tree=self.tree,
            data=self.data,
            keras_version=keras_version,
            format=format_,
            older=self.older,
        )


def see_recorded(recorded: Recorded, group: Group, data: Readable, size: int, path: str) -> Seen:
    """See an HDF5 model of Keras 1, Keras 2 or tf.keras, or Keras 3's older format.

    Args:
        recorded: what it records.
        group: its root group.
        data: its bytes.
        size: number of them.
    """
    repaired = repaired_config(recorded.config, recorded.training, recorded.keras_version, path)
    root = root_of(repaired.config, path)
    in_keras_order(root)
    settle_shapes(root, path)
    config = write_config(root)
    extra = Behind(size)
    stored = recorded
    classes = {layer.path: layer.class_name for layer in walk(root)}
    layouts = {**repaired.layouts, **theano_layouts(recorded, classes)}
    if layouts:
        recorded = relaid(recorded, layouts, data, extra.put, path)
    view = view_of(root, recorded, path)
    assumed = _assume(config, recorded, view, path)
    if assumed is not None:
        root, view = assumed
    older = Older(recorded.config, repaired, view, stored, group, assumed=assumed is not None)
    older.loading = root.loading = loaded_by(recorded.keras_version)
    older.is_relaid = bool(layouts)
    if recorded.optimizer:
        held = {layer: stored.layers[layer] for layer in layouts if stored.layers[layer]}
        turned = Turned({layer: layouts[layer] for layer in held}, held)
        _see_optimizer(older, root, recorded, turned, extra, data, path)
    return Seen(config, view.tree, extra.joined(data), older)


def _assume(config: Any, recorded: Recorded, view: View, path: str) -> tuple[Layer, View] | None:
    """The model with assumed shapes behind opaque layers; None where weights speak against it."""
    root = root_of(config, path)
    settle_shapes(root, path)
    try:
        if not assume_shapes(root):
            return None
    except InferenceError:
        return None
    seen = view_of(root, recorded, path)
    return None if set(seen.unmatched) - set(view.unmatched) else (root, seen)


class Behind:
    """Values that the older file does not hold, placed behind its end."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.bytes = b""

    def put(self, kind: Dataset, raw: bytes) -> Dataset:
        """Keep the values of a dataset; returns it with its offset."""
        placed = Dataset(kind.shape, kind.datatype, self._size + len(self.bytes), {})
        self.bytes += raw
        return placed

    def joined(self, data: Readable) -> Readable:
        """The file, and what stands behind its end."""
        if not self.bytes:
            return data
        return Joined([(data, self._size), (Memory(self.bytes), len(self.bytes))])


@dataclass(frozen=True, slots=True)
class Turned:
    """Layers whose weights are laid out anew.

    Args:
        layouts: old layout by layer.
        layers: weights as they are recorded, by layer.
    """

    layouts: Mapping[str, str]
    layers: Mapping[str, Mapping[str, Dataset]]


def _see_optimizer(
    older: Older,
    root: Layer,
    recorded: Recorded,
    turned: Turned,
    extra: Behind,
    data: Readable,
    path: str,
) -> None:
    attached = attach_weights(root, older.view.tree, path)
    optimizer = stored_optimizer(root, attached.optimizer)
    trained = old_trained(root, older.view, recorded, turned)
    try:
        version = recorded.keras_version
        state = read_state(recorded.optimizer, trained, optimizer, version)
        state, recorded = _turn_slots(older.view, state, recorded, turned, extra, data, path)
    except StateError as error:
        older.lost_state = str(error)
        return
    older.state = state
    older.trains_otherwise = trains_otherwise(root)
    weights = trainable_weights(root)
    variables = layout(optimizer, [w.trained for w in weights]) or []
    for number, variable in enumerate(variables):
        address = f"optimizer/vars/{number}"
        if variable.weight is not None:
            base = str(weights[variable.weight].value.base)
            name = state.slots[variable.name, base]
            older.view.put(address, recorded.optimizer[name], Place(OPTIMIZER_WEIGHTS, name))
        elif variable.name == "iteration":
            _put_iteration(older, address, state, recorded, extra, data)
        elif state.learning_rate is not None:
            name = state.learning_rate
            older.view.put(address, recorded.optimizer[name], Place(OPTIMIZER_WEIGHTS, name))
        else:
            put_learning_rate(older.view, address, extra, optimizer)
    group_at(older.view.tree, ["optimizer", "vars"])


def _turn_slots(
    view: View,
    state: OldState,
    recorded: Recorded,
    turned: Turned,
    extra: Behind,
    data: Readable,
    path: str,
) -> tuple[OldState, Recorded]:
    """The slots of weights that are laid out anew, laid out anew."""
    addresses = {place: address for address, place in view.places.items()}
    slots, optimizer = dict(state.slots), dict(recorded.optimizer)
    kinds = list(dict.fromkeys(kind for kind, _ in state.slots))
    for layer, weights in turned.layers.items():
        for kind in kinds:
            keys = {name: (kind, _stand_in(layer, name)) for name in weights}
            if not slots.keys() >= set(keys.values()):  # it does not train
                continue
            held = {name: optimizer[slots.pop(key)] for name, key in keys.items()}
            found = relaid_slots(held, layer, turned.layouts[layer], data, extra.put, path)
            for name, stored in found.items():
                optimizer[f"{kind} of {name}"] = stored
                slots[kind, addresses[Place(layer, name)]] = f"{kind} of {name}"
    return replace(state, slots=slots), replace(recorded, optimizer=optimizer)


def _stand_in(layer: str, name: str) -> str:
    """What a weight that is laid out anew is called, as no address of today is its own."""
    return f"{layer}:{name}"


def put_learning_rate(
    view: View, address: str, extra: Behind, optimizer: Mapping[str, Any]
) -> None:
    """The learning rate, which an older optimizer kept in its configuration alone."""
    rate = own_start(optimizer, "learning_rate").arguments["value"]
    _put_number(view, address, extra, "float32", float(rate))


def _put_iteration(
    older: Older,
    address: str,
    state: OldState,
    recorded: Recorded,
    extra: Behind,
    data: Readable,
) -> None:
    """The step counter: a whole number in Keras 3, a float32 in Keras 1 and 2."""
    if state.iteration is None:
        _put_number(older.view, address, extra, "int64", 0)
        return
    stored = recorded.optimizer[state.iteration]
    place = Place(OPTIMIZER_WEIGHTS, state.iteration)
    if stored.dtype_name.startswith(("int", "uint")):
        older.view.put(address, stored, place)
        return
    _put_number(older.view, address, extra, "int64", int(_number(stored, data)))
    older.view.places[address] = place


def _number(stored: Dataset, data: Readable) -> float:
    buffer = bytearray(stored.nbytes)
    data.read_into(buffer, stored.offset or 0)
    return float(struct.unpack(f"<{_CODES[stored.dtype_name]}", buffer)[0])


def _put_number(view: View, address: str, extra: Behind, dtype: str, value: float) -> None:
    raw = struct.pack(f"<{_CODES[dtype]}", value)
    *parents, name = address.split("/")
    group_at(view.tree, parents).members[name] = extra.put(dataset((), dtype), raw)


def old_trained(
    root: Layer, view: View, recorded: Recorded, turned: Turned | None = None
) -> list[OldTrained]:
    """The trainable weights in the order in which the file records them.

    Args:
        turned: layers whose weights count as they are recorded.
    """
    addresses = {place: address for address, place in view.places.items()}
    trained = {str(w.value.base): w.shape for w in trainable_weights(root)}
    found = []
    for layer, weights in recorded.layers.items():
        own = [addresses.get(Place(layer, name)) for name in weights]
        stored = turned.layers.get(layer) if turned is not None else None
        if stored is not None and any(address in trained for address in own):
            found += [OldTrained(_stand_in(layer, n), n, s.shape) for n, s in stored.items()]
        elif stored is None:
            pairs = zip(own, weights, strict=True)
            found += [
                OldTrained(a, n, trained[a]) for a, n in pairs if a is not None and a in trained
            ]
    return found
