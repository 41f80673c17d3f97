"""Document: a model as it lies in a file or in memory, without its values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.model.graph import Layer, Tensor, map_tensors, walk
from patchc.model.history import Applied


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
        fingerprint: size and CRC-32 of the stored weights.
        digest: SHA-256 of the whole file, where it was asked for.
        history: the patches that made the model, oldest first.
        keras_version: of the Keras that wrote it, "" where that is not known.
    """

    root: Layer
    path: str
    weights: Mapping[str, StoredWeight]
    optimizer: tuple[StoredWeight, ...] = ()
    assets: tuple[str, ...] = ()
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    digest: str | None = None
    history: tuple[Applied, ...] = ()
    keras_version: str = ""


def structure_hash(root: Layer) -> str:
    """SHA-256 of what a model is built of: `expect: {structure: ...}`.

    Layers, connections, classes, and the names, shapes and dtypes of weights.
    No values, no flags, no compile state.
    """
    facts = [_facts(layer) for layer in [root, *walk(root)]]
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _facts(layer: Layer) -> list[Any]:
    def place(tensor: Tensor) -> list[Any]:
        return [tensor.layer.path, tensor.layer.calls.index(tensor.call), tensor.index]

    calls = [
        [map_tensors(place, call.args), map_tensors(place, call.kwargs)] for call in layer.calls
    ]
    graph = layer.graph
    ends = [map_tensors(place, graph.inputs), map_tensors(place, graph.outputs)] if graph else []
    weights = [[weight.name, weight.shape, weight.dtype] for weight in layer.weights]
    path = layer.path if layer.home is not None else ""
    return [path, layer.class_name, calls, ends, weights]
