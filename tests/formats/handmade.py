"""HDF5 files of older Keras, made by hand with h5py; every value tells where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]
Array = np.ndarray[Any, Any]


def values(number: int, shape: tuple[int, ...]) -> Array:
    """Values that no other array of the file has."""
    size = int(np.prod(shape, dtype=int))
    return (np.arange(size, dtype=np.float32) / 1024 + number).reshape(shape)


def write(
    path: Path,
    layers: Shapes,
    config: Any = None,
    *,
    version: str = "2.4.0",
    training: Any = None,
    optimizer: Sequence[tuple[str, Any]] = (),
    **options: Any,
) -> Path:
    """Write a model, or weights where there is no configuration.

    Args:
        layers: shapes by recorded name, by layer.
        options: for every dataset: `compression`, `chunks`.
    """
    libver = options.pop("libver", None)
    with h5py.File(path, "w", **({"libver": libver} if libver else {})) as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        weights = file if config is None else file.create_group("model_weights")
        for holder in {file, weights}:
            holder.attrs["keras_version"] = version.encode()
            holder.attrs["backend"] = b"tensorflow"
        weights.attrs["layer_names"] = [name.encode() for name in layers]
        number = 0
        for name, shapes in layers.items():
            group = weights.require_group(name)
            group.attrs["weight_names"] = [weight.encode() for weight in shapes]
            for weight, shape in shapes.items():
                number += 1
                group.create_dataset(weight, data=values(number, shape), **options)
        if optimizer:
            group = file.create_group("optimizer_weights")
            group.attrs["weight_names"] = [name.encode() for name, _ in optimizer]
            for name, array in optimizer:
                group.create_dataset(name, data=array)
    return path


def dense(name: str, units: int, **config: Any) -> dict[str, Any]:
    """A Dense layer as Keras 2 writes it."""
    own = {"name": name, "trainable": True, "units": units, "use_bias": True, **config}
    return {"class_name": "Dense", "config": own}


def mlp_config(**first: Any) -> dict[str, Any]:
    """A Sequential of two Dense layers, 4 -> 5 -> 3."""
    shape = {"batch_input_shape": [None, 4]}
    layers = [dense("hidden", 5, **shape, **first), dense("out", 3)]
    return {"class_name": "Sequential", "config": {"name": "mlp", "layers": layers}}


MLP: Shapes = {
    "hidden": {"hidden/kernel:0": (4, 5), "hidden/bias:0": (5,)},
    "out": {"out/kernel:0": (5, 3), "out/bias:0": (3,)},
}


def stored(path: Path) -> dict[str, Array]:
    """All arrays of an HDF5 file by path."""
    found: dict[str, Array] = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def attribute(path: Path, place: str, name: str) -> Any:
    """An attribute of an object of a file."""
    with h5py.File(path, "r") as file:
        return file[place].attrs[name]


def names_at(path: Path, place: str, name: str) -> list[str]:
    """A list of names, of whichever kind of text."""
    return [n.decode() if isinstance(n, bytes) else str(n) for n in attribute(path, place, name)]


def config_of(path: Path) -> Any:
    """The configuration in an HDF5 model."""
    return json.loads(attribute(path, "/", "model_config"))
