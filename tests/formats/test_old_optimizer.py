"""The optimizer's state of older files: by name, by the order of its time, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from patchc.storage.hdf5.tree import Dataset, dataset
from patchc.storage.older.optimizer import OldTrained, StateError, read_state

ADAM = {"class_name": "Adam", "config": {"learning_rate": 0.001}}
SAME = [OldTrained("b", "zeta/kernel:0", (2, 2)), OldTrained("a", "alpha/kernel:0", (2, 2))]
OTHER = [OldTrained("b", "zeta/kernel:0", (2, 3)), OldTrained("a", "alpha/kernel:0", (3, 4))]


def stored(*named: tuple[str, tuple[int, ...]]) -> dict[str, Dataset]:
    return {name: dataset(shape, "float32") for name, shape in named}


def by_place(*shapes: tuple[int, ...]) -> dict[str, Dataset]:
    return stored(*((f"Variable_{i}:0" if i else "iterations:0", s) for i, s in enumerate(shapes)))


@pytest.mark.parametrize(
    "names",
    [
        ("Adam/iter:0", "Adam/{}/kernel/m:0", "Adam/{}/kernel/v:0"),
        ("iteration:0", "Adam/m/{}/kernel:0", "Adam/v/{}/kernel:0"),
        ("adam/iteration", "adam/{}_kernel_momentum", "adam/{}_kernel_velocity"),
        ("training/Adam/iter:0", "training/Adam/{}/kernel/m:0", "training/Adam/{}/kernel/v:0"),
    ],
)
def test_names_tell_weight_and_slot(names: tuple[str, str, str]) -> None:
    own, m, v = names
    held = stored((own, ()), *((n.format(w), (2, 2)) for n in (v, m) for w in ("alpha", "zeta")))
    state = read_state(held, SAME, ADAM, "2.4.0")
    assert state.iteration == own
    assert state.slots["momentum", "a"] == m.format("alpha")
    assert state.slots["velocity", "b"] == v.format("zeta")


def test_weights_were_sorted_by_name_until_keras_2_0() -> None:
    held = by_place((), (3, 4), (2, 3), (3, 4), (2, 3))
    state = read_state(held, OTHER, ADAM, "2.0.5")
    assert state.sorted
    assert state.slots["momentum", "a"] == "Variable_1:0"
    assert state.slots["velocity", "b"] == "Variable_4:0"


def test_two_possible_orders_are_refused() -> None:
    with pytest.raises(StateError, match="two orders"):
        read_state(by_place((), *[(2, 2)] * 4), SAME, ADAM, "2.0.5")


def test_keras_1_always_sorted() -> None:
    state = read_state(by_place((), *[(2, 2)] * 4), SAME, ADAM, "1.2.1")
    assert state.slots["momentum", "a"] == "Variable_1:0"


def test_padding_of_adam_without_amsgrad() -> None:
    held = by_place((), (2, 3), (3, 4), (2, 3), (3, 4), (1,), (1,))
    state = read_state(held, OTHER, ADAM, "2.2.4")
    assert state.padding == ("Variable_5:0", "Variable_6:0")
    assert state.slots["velocity", "b"] == "Variable_3:0"


@pytest.mark.parametrize(
    ("held", "optimizer"),
    [
        (by_place((), (2, 3)), ADAM),
        (by_place((), (3, 4), (2, 3), (3, 4), (2, 3)), ADAM),
        (by_place((), (2, 3), (3, 4)), {"class_name": "MyOptimizer", "config": {}}),
    ],
)
def test_what_does_not_fit_is_refused(held: dict[str, Dataset], optimizer: Any) -> None:
    with pytest.raises(StateError):
        read_state(held, OTHER, optimizer, "2.2.4")
