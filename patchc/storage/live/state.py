"""Stores in memory that a Keras model saves its variables to and loads them from.

Keras's own saving decides which variable has which address, and its own loading
hands each value to the layer that knows what to do with it.  Only the file
between them is left out, so nothing is copied on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib

from patchc.arrays.dtypes import Array
from patchc.storage.attach import OPTIMIZER
from patchc.storage.hdf5.tree import Dataset, Datatype, Group

Maker = Callable[[], Any]
"""Makes the value of one variable when it is asked for."""

Parts = Sequence[tuple[Any, str | None]]
"""What saves and loads itself, and its address; with None, only what a model itself holds."""

_VARS = "vars"
_SEEN_AS_IT_IS = frozenset({"float32", "float64", "int32", "int64", "int8", "uint8"})
"""Dtypes that every backend describes to the buffer protocol as NumPy does."""

_COPYING_BACKENDS = frozenset({"tensorflow", "torch"})
"""Backends on which `Variable.assign` never leaves two variables with one buffer to write to.

TensorFlow copies a shared buffer before it writes, PyTorch copies on assigning.  On JAX
both variables would hold one array, which training the one destroys for the other.
"""


class _Entry(dict[str, Any]):
    """The variables of one layer, put straight into the table of all."""

    def __init__(self, table: dict[str, Any], group: str) -> None:
        super().__init__()
        self._table, self._group = table, group

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._table[f"{self._group}/{key}"] = value


class CapturingStore(saving_lib.H5IOStore):  # type: ignore[misc]  # Keras has no types
    """Takes what a model saves.

    Attributes:
        values: Keras variables by address, or an array where a layer saves
            something that it works out.
        groups: the group of each layer's variables, empty ones included.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.groups: list[str] = []

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Any = None) -> _Entry:
        """The place where the layer at `path` puts its variables."""
        group = f"{path}/{_VARS}" if path else _VARS
        self.groups.append(group)
        return _Entry(self.values, group)

    def close(self) -> None:
        """Nothing is open."""


class _Made(Mapping[str, Any]):
    """The values of one layer, each made when it is read."""

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._makers = makers

    def __getitem__(self, key: str) -> Any:
        return self._makers[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class ServingStore(saving_lib.H5IOStore):  # type: ignore[misc]  # Keras has no types
    """Gives a model its values, one at a time.

    Args:
        makers: by address.
    """

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._groups: dict[str, dict[str, Maker]] = {}
        for address, maker in makers.items():
            group, _, key = f"/{address}".rpartition(f"/{_VARS}/")
            self._groups.setdefault(group.removeprefix("/"), {})[key] = maker

    def __bool__(self) -> bool:
        return True

    def get(self, path: str) -> _Made:
        """The values of the layer at `path`."""
        return _Made(self._groups.get(path, {}))

    def has_path(self, path: str) -> bool:
        """Whether something is stored at `path` or below."""
        return any(group == path or group.startswith(f"{path}/") for group in self._groups)

    def close(self) -> None:
        """Nothing is open."""


def capture(model: Any, parts: Parts, store: CapturingStore, assets: str | None = None) -> None:
    """Have a model save its variables, those of its optimizer included.

    Args:
        parts: what saves itself, with its address.
        assets: a folder to be made, that vocabularies and the like go to.
    """
    visited = {id(_optimizer(model))}  # it would copy every slot
    disk = saving_lib.DiskIOStore(assets, mode="w") if assets is not None else None
    with _walking():
        for part, path in parts:
            if part is model and path is None:
                model.save_own_variables(store.make(""))
            else:
                saving_lib._save_state(part, store, disk, path, visited)
    if _optimizer(model) is not None:
        _capture_optimizer(_optimizer(model), OPTIMIZER, store)


def _optimizer(model: Any) -> Any:
    return getattr(model, OPTIMIZER, None)


def _capture_optimizer(optimizer: Any, path: str, store: CapturingStore) -> None:
    entry = store.make(path)
    if type(optimizer).save_own_variables is keras.optimizers.Optimizer.save_own_variables:
        for number, variable in enumerate(optimizer.variables):
            entry[str(number)] = variable
    else:
        optimizer.save_own_variables(entry)
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is not None:
        _capture_optimizer(inner, f"{path}/inner_optimizer", store)


def restore(model: Any, parts: Parts, makers: Mapping[str, Maker], assets: str) -> None:
    """Have a model load its variables.

    An optimizer of which nothing is held starts afresh.
    """
    store = ServingStore(makers)
    visited = {id(_optimizer(model))}
    disk = saving_lib.DiskIOStore(assets, mode="r") if os.listdir(assets) else None
    with _walking():
        for part, path in parts:
            if part is model and path is None:
                model.load_own_variables(store.get(""))
            else:
                saving_lib._load_state(part, store, disk, path, visited_saveables=visited)
        if store.has_path(OPTIMIZER):
            saving_lib._load_state(_optimizer(model), store, None, OPTIMIZER)


@contextmanager
def _walking() -> Iterator[None]:
    """Spare Keras 3.15 from making a layer for each layer it walks over, to see what all have.

    It means to keep the answer, but looks for it under another name.
    """
    key = "saving_attr_skiplist_Layer"
    before = global_state.get_global_attribute(key)
    global_state.set_global_attribute(key, saving_lib.get_attr_skipset("Layer"))
    try:
        yield
    finally:
        global_state.set_global_attribute(key, before)


def tree_of(store: CapturingStore) -> Group:
    """What a file would hold, as groups and datasets without places."""
    root = Group()
    for path in store.groups:
        _group(root, path)
    for address, value in store.values.items():
        path, _, name = address.rpartition("/")
        _group(root, path).members[name] = _dataset(value)
    return root


def _group(root: Group, path: str) -> Group:
    node = root
    for part in path.split("/"):
        inner = node.members.setdefault(part, Group())
        assert isinstance(inner, Group)
        node = inner
    return node


def _dataset(value: Any) -> Dataset:
    name = dtype_of(value)
    itemsize = np.dtype(getattr(ml_dtypes, name, name)).itemsize
    return Dataset(tuple(int(n) for n in value.shape), Datatype(b"", itemsize, name))


def dtype_of(value: Any) -> str:
    """Keras's name of the dtype of a variable or array."""
    return str(keras.backend.standardize_dtype(value.dtype))


def is_variable(value: Any) -> bool:
    """Whether a layer saves a variable as it is, not something that it works out."""
    return isinstance(value, keras.Variable)


def carried(value: Any) -> Any:
    """The value of a variable, for another variable to take over."""
    tensor = _tensor(value)
    return tensor if keras.backend.backend() in _COPYING_BACKENDS else keras.ops.copy(tensor)


def stored(value: Any) -> Array:
    """A variable as patchc's arrays hold it, not to be written to: bfloat16 as its bits."""
    values = _as_numpy(_tensor(value))
    return values.view(np.uint16) if values.dtype == ml_dtypes.bfloat16 else values


def _tensor(value: Any) -> Any:
    """The tensor in a variable; an array as it is."""
    if not is_variable(value):
        return value
    held = value.value
    read = getattr(held, "read_value", None)  # TensorFlow has a variable in the variable
    return held if read is None else read()


def _as_numpy(tensor: Any) -> Array:
    """The values of a tensor, without a copy where it lets its memory be seen."""
    if dtype_of(tensor) in _SEEN_AS_IT_IS:
        try:
            return np.asarray(memoryview(tensor))
        except (BufferError, TypeError, ValueError):
            pass  # it lies on another device, or its backend shows no memory
    values = keras.ops.convert_to_numpy(tensor)
    return np.ascontiguousarray(values).reshape(values.shape)  # the former gives scalars an axis


def unstored(values: Array, dtype: str) -> Array:
    """The inverse of `stored`."""
    return values.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else values
