"""What Keras, h5py and the plan say of a result; every function asserts."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from patchc.compiler.plan import LedgerEntry, Plan
from tests.properties.graphs import by_path, keras

# ------------------------------------------------------------------------- files


@contextmanager
def stored_weights(path: Path) -> Iterator[h5py.File]:
    """The weights member of a `.keras` file, through h5py."""
    with (
        zipfile.ZipFile(path) as archive,
        archive.open("model.weights.h5") as member,
        h5py.File(member, "r") as file,
    ):
        yield file


def weight_bytes(path: Path) -> dict[str, tuple[Any, ...]]:
    """Address -> dtype, shape and bytes of every dataset."""
    found = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = (str(item.dtype), item.shape, item[()].tobytes())

    with stored_weights(path) as file:
        file.visititems(visit)
    return found


def layer_weights(path: Path) -> dict[str, tuple[Any, ...]]:
    """The same without the optimizer's variables."""
    every = weight_bytes(path)
    return {address: every[address] for address in every if not address.startswith("optimizer/")}


def group_names(path: Path) -> dict[str, str]:
    """Address of each `vars` group -> the layer's name that Keras wrote beside it."""
    found = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and name.endswith("vars"):
            found[name] = str(item.attrs.get("name", ""))

    with stored_weights(path) as file:
        file.visititems(visit)
    return found


def config_of(path: Path) -> Any:
    """The configuration in a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


# ------------------------------------------------------------------------- models


def loaded(path: Path) -> Any:
    """The model in a file, as a fresh Keras loads it."""
    keras.backend.clear_session(free_memory=False)
    return keras.models.load_model(path)


def keras_weight(model: Any, path: str, name: str) -> Any:
    """The variable of a loaded model at a layer path and a weight name."""
    layer = by_path(model)[path]
    found = [
        variable
        for variable in layer.variables
        if variable.path == name or variable.path.endswith(f"/{name}")
    ]
    assert len(found) == 1, (path, name, [v.path for v in layer.variables])
    return found[0]


def split(path: str, layers: list[str]) -> tuple[str, str]:
    """A ledger path as layer path and weight name."""
    layer = max((p for p in layers if path.startswith(f"{p}/")), key=len)
    return layer, path.removeprefix(f"{layer}/")


def value_of(variable: Any) -> bytes:
    """The bytes of a variable's values."""
    return bytes(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)).tobytes())


def is_seed(entry: LedgerEntry) -> bool:
    """Whether a weight is the state of a random generator, which Keras does not count."""
    return entry.dtype == "uint32"


def assert_loads_as_planned(base: Any, plan: Plan, result: Any) -> None:
    """Every weight that was carried sits, unchanged, on the layer that the plan names.

    Args:
        base, result: the models as Keras loads them.
    """
    before, after = list(by_path(base)), list(by_path(result))
    for entry in plan.ledger.entries:
        variable = keras_weight(result, *split(entry.path, after))
        assert tuple(variable.shape) == entry.shape, entry.path
        if entry.value.base is not None and not entry.value.growths:
            origin = plan.base.weights[entry.value.base].path
            kept = keras_weight(base, *split(origin, before))
            assert_same_values(kept, variable, f"{origin} -> {entry.path}")
    counted = [entry for entry in plan.ledger.entries if not is_seed(entry)]
    assert len(counted) == len(result.weights)
    trains = {id(v) for v in result.trainable_variables}
    for entry in counted:
        variable = keras_weight(result, *split(entry.path, after))
        assert entry.trainable == (id(variable) in trains), entry.path


def assert_same_values(one: Any, other: Any, what: str) -> None:
    """Two variables hold the same bits, or the same values in another dtype."""
    if one.dtype == other.dtype:
        assert value_of(one) == value_of(other), what
    else:
        expected = keras.ops.convert_to_numpy(keras.ops.cast(one, other.dtype))
        assert expected.tobytes() == value_of(other), what


def assert_counts(plan: Plan, result: Any) -> None:
    """Parameter counts are those of Keras."""
    trainable = sum(int(np.prod(v.shape)) for v in result.trainable_weights)
    assert plan.params["after"] == result.count_params()
    assert plan.params["trainable_after"] == trainable


def assert_shapes(plan: Plan, result: Any) -> None:
    """Inputs and outputs have the shapes and the order of the plan."""
    for ends, tensors in ((plan.inputs, result.inputs), (plan.outputs, result.outputs)):
        for end, tensor in zip(ends, tensors, strict=True):
            assert end["shape"] in (None, list(tensor.shape))


def assert_accounted(base: Path, plan: Plan, result: Path) -> None:
    """Each stored weight of both files is in the ledger once."""
    entries = [*plan.ledger.entries, *plan.optimizer.entries]
    stored = weight_bytes(result)
    assert sorted(entry.address for entry in entries) == sorted(stored)
    old = layer_weights(base).keys()
    used = {e.value.base for e in plan.ledger.entries} | {
        e.value.replaces for e in plan.ledger.entries
    }
    assert old - used == set(plan.ledger.dropped)
    assert not used.intersection(plan.ledger.dropped)


def assert_resaves_alike(result: Any, path: Path, again: Path) -> None:
    """Keras writes the loaded result to the same addresses under the same names.

    Args:
        result: loaded by a fresh Keras, which gives inner layers their first names.
    """
    result.save(again)
    ours, theirs = layer_weights(path), layer_weights(again)
    assert ours.keys() == theirs.keys()
    for address in ours:
        same_dtype = ours[address][0] == theirs[address][0]
        assert not same_dtype or ours[address] == theirs[address], address
    names, expected = (_own_groups(group_names(p)) for p in (path, again))
    assert {k: v for k, v in names.items() if k in expected and v} == {
        k: v for k, v in expected.items() if names.get(k)
    }


def outputs_of(model: Any) -> list[Any]:
    """What a model computes of seeded inputs, as a flat list of arrays in Keras's order."""
    rng = np.random.default_rng(5)
    structure = getattr(model, "_inputs_struct", model.inputs[0])
    values = [rng.normal(size=(2, *t.shape[1:])).astype("float32") for t in model.inputs]
    made = model(keras.tree.pack_sequence_as(structure, values), training=False)
    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(made)]


def assert_close(one: Sequence[Any], other: Sequence[Any]) -> None:
    """Outputs agree up to the rounding of products of another size."""
    for left, right in zip(one, other, strict=True):
        loose = left.dtype == np.float16
        scale = max(1.0, float(np.nanmax(np.abs(left.astype("float64")))) if left.size else 1.0)
        bound = (2e-2 if loose else 2e-5) * scale
        np.testing.assert_allclose(left, right, rtol=2e-2 if loose else 1e-4, atol=bound)


def assert_slots_follow(base: Any, plan: Plan, result: Any) -> None:
    """Whatever an optimizer keeps of a weight that was carried and still trains is unchanged."""
    if not plan.optimizer.entries:
        return
    before, after = list(by_path(base)), list(by_path(result))
    for entry in plan.ledger.entries:
        if entry.fate == "kept" and entry.trainable:
            origin = plan.base.weights[str(entry.value.base)].path
            old = _slots(base, keras_weight(base, *split(origin, before)))
            new = _slots(result, keras_weight(result, *split(entry.path, after)))
            assert not old or old == new, entry.path


def _slots(model: Any, variable: Any) -> dict[str, bytes]:
    """What the optimizer keeps of a variable, by the name of its own list."""
    trained = [id(weight) for weight in model.trainable_variables]
    if id(variable) not in trained:
        return {}
    place = trained.index(id(variable))
    return {
        name: value_of(slots[place])
        for name, slots in vars(model.optimizer).items()
        if isinstance(slots, list) and len(slots) == len(trained) and hasattr(slots[place], "numpy")
    }


def _own_groups(names: dict[str, str]) -> dict[str, str]:
    """Without the groups inside a layer, which hold names that Keras makes up anew."""
    return {
        k: v for k, v in names.items() if re.fullmatch(r"((_?layers/)?\w+/)*layers/\w+/vars", k)
    }
