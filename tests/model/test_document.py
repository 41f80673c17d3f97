"""The structure hash: what it sees, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from patchc.model.document import StoredWeight, structure_hash
from patchc.model.graph import Layer, Weight
from patchc.model.values import Value
from tests.model.tiny import find, model


def small() -> Layer:
    """A join of two branches, one of them with a weight."""
    root = model({"x": [], "a": ["x"], "b": ["x"], "j": ["a", "b"]}, "j", classes={"a": "Dense"})
    find(root, "a").weights.append(
        Weight("kernel", "vars/0", (4, 4), "float32", trainable=True, value=Value(base="k"))
    )
    return root


def _rename(root: Layer) -> None:
    find(root, "a").name = "other"


def _reclass(root: Layer) -> None:
    find(root, "b").class_name = "Dense"


def _rewire(root: Layer) -> None:
    call = find(root, "j").calls[0]
    call.args = [call.args[0][::-1]]


def _reshape(root: Layer) -> None:
    find(root, "a").weights[0].shape = (4, 5)


def _retype(root: Layer) -> None:
    find(root, "a").weights[0].dtype = "float16"


@pytest.mark.parametrize("change", [_rename, _reclass, _rewire, _reshape, _retype])
def test_a_change_of_structure_changes_the_hash(change: Callable[[Layer], None]) -> None:
    root = small()
    change(root)
    assert structure_hash(root) != structure_hash(small())


def _freeze(root: Layer) -> None:
    find(root, "a").config = {"name": "a", "units": 4, "trainable": False}


def _compile(root: Layer) -> None:
    root.extra["compile_config"] = {"loss": "mse"}


def _revalue(root: Layer) -> None:
    find(root, "a").weights[0].value = Value(base="elsewhere")


def _say(root: Layer) -> None:
    find(root, "b").calls[0].kwargs = {"training": False, "mask": None}


@pytest.mark.parametrize("change", [_freeze, _compile, _revalue, _say])
def test_flags_values_and_training_do_not(change: Callable[[Layer], None]) -> None:
    root = small()
    change(root)
    assert structure_hash(root) == structure_hash(small())


def test_the_path_of_a_stored_weight_names_its_layer() -> None:
    inside = StoredWeight("layers/dense/vars/0", "backbone/fc", "kernel", (2,), "float32")
    own = StoredWeight("vars/0", "", "scale", (), "float32")
    assert (inside.path, own.path) == ("backbone/fc/kernel", "scale")
