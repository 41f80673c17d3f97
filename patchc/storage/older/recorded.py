"""What an HDF5 file of the older kind records: layers, and their weights by name.

Layout: `model_weights/<layer>` with the attribute `weight_names`, whose values
are the paths of the datasets below the group; a weights file has the layers at
its root.  Long lists of names are split over `weight_names0`, `weight_names1`,
and so on.  (`keras.src.legacy.saving.legacy_h5_format`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.storage.formats import embedded_json
from patchc.storage.hdf5.tree import Attribute, Dataset, Group, Hdf5Error

LAYER_NAMES = "layer_names"
WEIGHT_NAMES = "weight_names"
MODEL_WEIGHTS = "model_weights"
OPTIMIZER_WEIGHTS = "optimizer_weights"
TOP_LEVEL = "top_level_model_weights"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A model or weights file of the older kind, as it stands.

    Args:
        config: the model's configuration; None in a weights file.
        training: what the model was compiled with; None where it is not stored.
        keras_version: of the Keras that wrote it; "1" where the file is older
            than the attribute.
        backend: `tensorflow`, `theano`, ...; "" where it is not recorded.
        layers: datasets by recorded name, by layer, both in recorded order.
        top: weights that belong to the model itself.
        optimizer: the optimizer's datasets by recorded name, in recorded order.
        prefix: `model_weights/`, or "" in a weights file.
    """

    config: Any
    training: Any
    keras_version: str
    backend: str
    layers: Mapping[str, Mapping[str, Dataset]]
    top: Mapping[str, Dataset] = field(default_factory=dict)
    optimizer: Mapping[str, Dataset] = field(default_factory=dict)
    prefix: str = ""


def read_recorded(tree: Group, path: str) -> Recorded:
    """Read a model or weights file of the older kind.

    Args:
        tree: the HDF5 file's root group.
        path: of the file, for messages.

    Raises:
        PatchError: PC403, PC404 or PC405 where the file contradicts itself.
    """
    try:
        return _read(tree, path)
    except Hdf5Error as error:
        message = f"the file {error}"
        raise PatchError(
            Diagnostic("PC403", message, file=path, help="get an undamaged copy of the file")
        ) from None


def _read(tree: Group, path: str) -> Recorded:
    weights = tree.members.get(MODEL_WEIGHTS, tree)
    if not isinstance(weights, Group):
        raise Hdf5Error(f"has a dataset in the place of the group `{MODEL_WEIGHTS}`")
    names = names_of(weights, LAYER_NAMES)
    if names is None:
        names = tuple(n for n, m in weights.members.items() if isinstance(m, Group))
    layers = {}
    for name in names:
        if name in layers:
            raise Hdf5Error(f"records two layers `{name}`")
        layers[name] = _weights(_group(weights, name), name)
    top = weights.members.get(TOP_LEVEL)
    optimizer = tree.members.get(OPTIMIZER_WEIGHTS)
    return Recorded(
        config=_json(tree, "model_config", path),
        training=_json(tree, "training_config", path),
        keras_version=_text(tree, weights, "keras_version") or "1",
        backend=_text(tree, weights, "backend") or "",
        layers=layers,
        top=_weights(top, TOP_LEVEL) if isinstance(top, Group) and TOP_LEVEL not in names else {},
        optimizer=_weights(optimizer, OPTIMIZER_WEIGHTS) if isinstance(optimizer, Group) else {},
        prefix="" if weights is tree else f"{MODEL_WEIGHTS}/",
    )


def _group(weights: Group, name: str) -> Group:
    """The group of a layer, whose name may be a path."""
    found = _below(weights, name)
    if not isinstance(found, Group):
        raise Hdf5Error(f"records a layer `{name}` but has no group for it")
    return found


def _weights(group: Group, owner: str) -> dict[str, Dataset]:
    found: dict[str, Dataset] = {}
    for name in names_of(group, WEIGHT_NAMES) or ():
        stored = _below(group, name)
        if not isinstance(stored, Dataset):
            raise Hdf5Error(f"records a weight `{name}` of `{owner}` but holds no values for it")
        if name in found:
            raise Hdf5Error(f"records two weights `{name}` of `{owner}`")
        found[name] = stored
    return found


def _below(group: Group, path: str) -> Group | Dataset | None:
    node: Group | Dataset | None = group
    for part in path.split("/"):
        if part:
            node = node.members.get(part) if isinstance(node, Group) else None
    return node


def names_of(group: Group, name: str) -> tuple[str, ...] | None:
    """A list of names in an attribute, or split over several; None where there is none.

    Raises:
        Hdf5Error: the attribute is no list of names.
    """
    whole = group.attributes.get(name)
    if whole is not None:
        return _names(whole, name)
    parts: list[str] = []
    number = 0
    while (part := group.attributes.get(f"{name}{number}")) is not None:
        parts += _names(part, name)
        number += 1
    return tuple(parts) if number else None


def _names(attribute: Attribute, name: str) -> tuple[str, ...]:
    if attribute.strings is not None:
        return attribute.strings
    if attribute.shape == (0,):  # an empty list is an array of floats
        return ()
    raise Hdf5Error(f"has an attribute `{name}` that is no list of names")


def _text(tree: Group, weights: Group, name: str) -> str | None:
    attribute = tree.attributes.get(name) or weights.attributes.get(name)
    return None if attribute is None else attribute.text


def _json(tree: Group, name: str, path: str) -> Any:
    attribute = tree.attributes.get(name)
    return None if attribute is None else embedded_json(attribute.text, name, path)
