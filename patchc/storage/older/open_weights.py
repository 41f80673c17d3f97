"""Opening files that hold weights alone, with the architecture beside them or without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from patchc.errors import Diagnostic, PatchError
from patchc.legacy.repair import Repaired, era_of
from patchc.model.addresses import addresses
from patchc.storage.attach import find
from patchc.storage.configuration import root_of
from patchc.storage.files import InputFile
from patchc.storage.formats import Format
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.keras_file import KerasFile
from patchc.storage.older.architecture import Architecture
from patchc.storage.older.archive import FIRST_ERA, data_end, see_archive, split_names
from patchc.storage.older.bare import (
    UNKNOWN,
    BareLayer,
    bare_config,
    layers_of_recorded,
    layers_of_tree,
)
from patchc.storage.older.recorded import Recorded
from patchc.storage.older.seen import Older, see_recorded
from patchc.storage.older.view import Place, View, empty_groups
from patchc.storage.stream import Readable


def recorded_weights(
    file: InputFile,
    recorded: Recorded,
    tree: Group,
    data: Readable,
    size: int,
    found: Architecture | None,
) -> KerasFile:
    """A weights file of the older kind, with its architecture where there is one."""
    if found is None:
        layers = layers_of_recorded(recorded)
        return _bare(file, Format.WEIGHTS, layers, tree, data, recorded)
    whole = replace(recorded, config=found.config, keras_version=_version(found, recorded))
    seen = see_recorded(whole, tree, data, size, file.path)
    return seen.opened(file, Format.WEIGHTS, recorded.keras_version)


def _version(found: Architecture, recorded: Recorded) -> str:
    """Of the Keras that wrote the architecture: it tells what has to be repaired."""
    return found.keras_version or recorded.keras_version


def keras_weights(
    file: InputFile, format_: Format, tree: Group, data: Readable, found: Architecture | None
) -> KerasFile:
    """A `.weights.h5` or sharded weights of Keras 3, or of tf.keras's newer kind."""
    tree = split_names(tree)
    if found is None:
        return _bare(file, format_, layers_of_tree(tree), tree, data)
    if era_of(found.keras_version) >= FIRST_ERA:
        return KerasFile(file, found.config, tree, data, found.keras_version, format_)
    size = data_end(tree)
    seen = see_archive(found.config, tree, data, size, found.keras_version, file.path)
    return seen.opened(file, format_, found.keras_version)


def _bare(
    file: InputFile,
    format_: Format,
    layers: Sequence[BareLayer],
    tree: Group,
    data: Readable,
    recorded: Recorded | None = None,
) -> KerasFile:
    """Weights of which nothing tells how they are connected."""
    if not layers:
        message = "the file holds no weights"
        help_text = "name a file that `model.save(...)` or `model.save_weights(...)` wrote"
        raise PatchError(Diagnostic("PC402", message, file=file.path, help=help_text))
    config = bare_config(list(layers))
    view = _view(config, layers, tree, file.path)
    older = Older(None, Repaired(config), view, recorded, tree, bare=True)
    return KerasFile(
        file=file,
        config=config,
        tree=view.tree,
        data=data,
        keras_version="",
        format=format_,
        older=older,
    )


def _view(
    config: Mapping[str, object], layers: Sequence[BareLayer], tree: Group, path: str
) -> View:
    """The layers' datasets under the addresses that their model would give them."""
    view = View()
    root = root_of(config, path)
    groups = addresses(root)
    empty_groups(view, groups)
    by_name = {layer.name: group for layer, group in groups.items()}
    for layer in layers:
        for slot, place in _slots(layer).items():
            stored = find(tree, place)
            if isinstance(stored, Dataset):
                view.put(f"{by_name[layer.name]}/{slot}", stored, Place(layer.name, place))
    return view


def _slots(layer: BareLayer) -> Mapping[str, str]:
    """Slot in Keras 3 -> path in the file."""
    recurrent = "recurrent_kernel" in layer.places
    prefix = "cell/vars" if recurrent else "vars"
    if layer.class_name == UNKNOWN:
        return layer.places
    order = [word for word in _ORDER if word in layer.places]
    return {f"{prefix}/{number}": layer.places[word] for number, word in enumerate(order)}


_ORDER = (
    "embeddings",
    "kernel",
    "recurrent_kernel",
    "bias",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
)
"""Weights in the order in which Keras 3 numbers them."""
