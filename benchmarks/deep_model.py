"""Write a Functional model of any depth: SIZE PATH.

The file is put together here: Keras itself cannot save graphs so deep.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from typing import Any

from patchc.model.addresses import addresses
from patchc.model.config import read_config
from patchc.storage.hdf5.tree import Group, dataset
from patchc.storage.hdf5.writer import layout
from patchc.storage.members import Member, central_directory, local_header, new_member

WIDTH = 8
_VARIABLES: dict[str, list[tuple[int, ...]]] = {
    "Dense": [(WIDTH, WIDTH), (WIDTH,)],
    "BatchNormalization": [(WIDTH,)] * 4,
}


def model_file(size: int) -> bytes:
    """A `.keras` file of a model with `size` layers; all weights are zero."""
    config = model_config(size)
    place = layout(_tree(config))
    weights = place.metadata.ljust(place.size, b"\0")
    contents = {
        "metadata.json": json.dumps({"keras_version": "3.10.0"}).encode(),
        "config.json": json.dumps(config).encode(),
        "model.weights.h5": weights,
    }
    file, members = bytearray(), list[Member]()
    for name, data in contents.items():
        member = new_member(name, len(data), zlib.crc32(data)).placed(len(file))
        file += local_header(member) + data
        members.append(member)
    return bytes(file + central_directory(members))


def _tree(config: dict[str, Any]) -> Group:
    """Groups and datasets where Keras has them."""
    tree = Group({"layers": Group(), "optimizer": Group({"vars": Group()}), "vars": Group()})
    layers = tree.members["layers"]
    assert isinstance(layers, Group)
    for layer, address in addresses(read_config(config)).items():
        if layer.home is None:
            continue
        shapes = _VARIABLES.get(layer.class_name, [])
        variables = {str(i): dataset(shape, "float32") for i, shape in enumerate(shapes)}
        layers.members[address.removeprefix("layers/")] = Group({"vars": Group({**variables})})
    return tree


def model_config(size: int) -> dict[str, Any]:
    """A chain of residual blocks with a dense head, as `get_config` would have it."""
    entries = [_entry("InputLayer", "input", [], batch_shape=[None, WIDTH], dtype="float32")]
    block = ("Dense", "BatchNormalization", "Activation", "Add")
    start = "input"
    for number in range(size - 2):
        kind = block[number % 4]
        last = entries[-1]["name"]
        sources = [last, start] if kind == "Add" else [last]
        entries.append(_entry(kind, f"layer_{number}", sources, **_settings(kind)))
        if kind == "Add":
            start = entries[-1]["name"]
    entries.append(_entry("Dense", "head", [entries[-1]["name"]], **_settings("Dense")))
    config: dict[str, Any] = {
        "name": "deep",
        "trainable": True,
        "layers": entries,
        "input_layers": [["input", 0, 0]],
        "output_layers": [["head", 0, 0]],
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def _settings(kind: str) -> dict[str, Any]:
    match kind:
        case "Dense":
            return {"units": WIDTH}
        case "Activation":
            return {"activation": "relu"}
    return {}


def _entry(kind: str, name: str, sources: list[str], **settings: Any) -> dict[str, Any]:
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": [None, WIDTH],
                "dtype": "float32",
                "keras_history": [source, 0, 0],
            },
        }
        for source in sources
    ]
    argument = [tensors] if kind == "Add" else tensors
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **settings},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [{"args": argument, "kwargs": {}}] if sources else [],
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(model_file(int(sys.argv[1])))
