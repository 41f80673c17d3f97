"""Document: a model as it lies in a file or in memory, without its values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.model.graph import Layer, Tensor, map_tensors, walk
from patchc.model.history import Applied
from patchc.model.vocabulary import FILE


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """A weight that the base model holds.

    Args:
        address: where it is stored: `layers/dense/vars/0`.
        layer: path of its layer, "" for the model itself.
        name: its name below the layer: `kernel`.
    """

    address: str
    layer: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def path(self) -> str:
        """Layer and name: `backbone/conv1/kernel`."""
        return f"{self.layer}/{self.name}" if self.layer else self.name


@dataclass(slots=True)
class Document:
    """What a patch is compiled against.

    Args:
        root: the model; the compiler edits it, so every use needs its own.
        path: the file, or `<model>`.
        weights: every stored weight by address.
        optimizer: the optimizer's variables, in their order.
        assets: names of the archive's members that belong to layers.
        read_asset: the bytes of one of them; to be called while the model is open.
        fingerprint: size and CRC-32 of the stored weights.
        digest: SHA-256 of the whole file, where it was asked for.
        repairs: what was changed in an older file's configuration, each as
            `layer`, `what` and `reason`; it takes effect in a `.keras` output.
        history: the patches that made the model, oldest first.
        keras_version: of the Keras that wrote it, "" where that is not known.
        unconnected: each layer stands between an input and an output of its
            own, because nothing tells what reads what; both may change.
    """

    root: Layer
    path: str
    weights: Mapping[str, StoredWeight]
    optimizer: tuple[StoredWeight, ...] = ()
    assets: tuple[str, ...] = ()
    read_asset: Callable[[str], bytes] | None = None
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None
    history: tuple[Applied, ...] = ()
    keras_version: str = ""
    repairs: tuple[Mapping[str, str], ...] = ()
    unconnected: bool = False


def vocabulary_files(document: Document, layer: Layer) -> list[str]:
    """Names of the assets that hold the vocabulary of a layer.

    TextVectorization has it twice: once of its own, and once of its lookup.
    """
    if layer.address is None:
        return []
    folder = f"assets/{layer.address}/"
    return [n for n in document.assets if n.startswith(folder) and n.endswith(f"/{FILE}")]


def structure_hash(root: Layer) -> str:
    """SHA-256 of what a model is built of: `expect: {structure: ...}`.

    Layers, connections, classes, and the names, shapes and dtypes of weights.
    No values, no flags, no compile state.  Of the arguments of a call only the
    tensors count: Keras adds `training` to some when it loads and saves a model.
    """
    facts = [_facts(layer) for layer in [root, *walk(root)]]
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _facts(layer: Layer) -> list[Any]:
    def place(tensor: Tensor) -> list[Any]:
        return [tensor.layer.path, tensor.layer.calls.index(tensor.call), tensor.index]

    calls = [
        [*_placed(place, call.args, "args"), *_placed(place, call.kwargs, "kwargs")]
        for call in layer.calls
    ]
    graph = layer.graph
    ends = [map_tensors(place, graph.inputs), map_tensors(place, graph.outputs)] if graph else []
    weights = [[weight.name, weight.shape, weight.dtype] for weight in layer.weights]
    path = layer.path if layer.home is not None else ""
    return [path, layer.class_name, calls, ends, weights]


def _placed(
    place: Callable[[Tensor], list[Any]], structure: Any, *path: str | int
) -> Iterator[list[Any]]:
    """Each tensor of a structure: where it stands in it, and where it comes from."""
    if isinstance(structure, Tensor):
        yield [list(path), place(structure)]
    elif isinstance(structure, Mapping):
        for key, value in structure.items():
            yield from _placed(place, value, *path, str(key))
    elif isinstance(structure, (list, tuple)):
        for index, value in enumerate(structure):
            yield from _placed(place, value, *path, index)
