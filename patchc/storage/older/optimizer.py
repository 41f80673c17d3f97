"""The optimizer's state in an older file: which array belongs to which weight.

tf.keras and Keras 3 record the weight and the slot in each name
(`Adam/dense/kernel/m:0`, `Adam/m/dense/kernel:0`, `adam/dense_kernel_momentum`).
Keras 1 and 2 record `Variable_7:0`; there the order of the optimizers of that
time holds, all weights for one slot and then all for the next, and every shape
has to agree.  Until Keras 2.0 the weights were sorted by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.layers.optimizers import Trained, layout
from patchc.storage.hdf5.tree import Dataset

_TENSOR = re.compile(r":\d+$")
_ITERATION = re.compile(r"(iter|iteration|iterations|Variable)(_\d+)?")
_RATE = re.compile(r"(learning_rate|lr)(_\d+)?")
_WORDS: Mapping[str, tuple[str, ...]] = {
    "momentum": ("m", "momentum", "momentums"),
    "velocity": ("v", "velocity", "rms"),
    "velocity_hat": ("vhat", "velocity_hat"),
    "norm": ("v", "u", "norm"),
    "accumulator": ("accumulator",),
    "linear": ("linear",),
    "average_gradient": ("mg", "average_gradient", "average_gradients"),
    "accumulated_grad": ("accum_grad", "accumulated_grad"),
    "accumulated_delta_var": ("accum_var", "accumulated_delta_var"),
}
"""Slot as Keras 3 calls it -> what older names call it."""

SlotKey = tuple[str, str]
"""Name of a slot, and address of its weight."""


@dataclass(frozen=True, slots=True)
class OldTrained:
    """A trainable weight of an older file.

    Args:
        address: under which Keras 3 stores it.
        name: under which the file records it.
    """

    address: str
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OldState:
    """Where an older file keeps each variable of its optimizer.

    Args:
        iteration, learning_rate: recorded names; None where they are not kept.
        slots: recorded names.
        grouped: whether all weights stand together for one slot.
        named: whether the names tell weight and slot.
        padding: recorded names of arrays that hold nothing.
        sorted: whether the weights are sorted by name, where names do not tell.
    """

    iteration: str | None
    learning_rate: str | None
    slots: Mapping[SlotKey, str]
    grouped: bool
    named: bool
    padding: tuple[str, ...] = ()
    sorted: bool = False


class StateError(ValueError):
    """A state that cannot be told apart; the message is a clause."""


def read_state(
    stored: Mapping[str, Dataset],
    trained: Sequence[OldTrained],
    optimizer: Mapping[str, Any],
    keras_version: str = "",
) -> OldState:
    """Tell the variables of an older file's optimizer apart.

    Args:
        stored: by recorded name, in recorded order.
        trained: the trainable weights in recorded order.
        optimizer: as Keras 3 writes it down.
        keras_version: of the Keras that wrote the file.

    Raises:
        StateError: the class is not known, or names and shapes do not tell.
    """
    kinds = slot_kinds(optimizer)
    iteration = _own(stored, _ITERATION)
    rate = _own(stored, _RATE)
    names = [name for name in stored if name not in {iteration, rate}]
    named = _by_name(names, trained, kinds)
    if named is None and keras_version.startswith("3"):
        named = _by_layout(names, trained, optimizer)
    if named is not None:
        slots = {key: name for name, key in named.items()}
        state = OldState(iteration, rate, slots, _is_grouped(named.values()), named=True)
        _check(state, stored, trained, kinds)
        return state
    found: list[OldState] = []
    problems: list[StateError] = []
    for order in _orders(trained, keras_version):
        try:
            slots, padding = _by_order(names, stored, order, kinds)
            moved = order != list(trained)
            state = OldState(
                iteration, rate, slots, grouped=True, named=False, padding=padding, sorted=moved
            )
            _check(state, stored, trained, kinds)
        except StateError as error:
            problems.append(error)
        else:
            found.append(state)
    if not found:
        raise problems[0]
    if any(state.slots != found[0].slots for state in found):
        raise StateError("two orders of its variables fit, which only their values could tell")
    return found[0]


def _orders(trained: Sequence[OldTrained], keras_version: str) -> list[list[OldTrained]]:
    """The orders in which a Keras of that version may have kept its optimizer's variables."""
    recorded = list(trained)
    by_name = sorted(trained, key=lambda weight: weight.name)
    if keras_version.startswith("1"):
        return [by_name]
    early = keras_version.startswith("2.0.")
    return [by_name, recorded] if early else [recorded]


def slot_kinds(optimizer: Mapping[str, Any]) -> list[str]:
    """Names of the slots that an optimizer keeps for each weight, in Keras 3's order.

    Raises:
        StateError: the class is not known, or keeps more than slots.
    """
    found = layout(optimizer, [Trained("w", (2, 2))])
    known = {"iteration", "learning_rate"}
    own = [] if found is None else [v.name for v in found if v.weight is None]
    if found is None or not set(own) <= known:
        raise StateError(f"what {optimizer.get('class_name')} kept in older files is not known")
    kinds = [variable.name for variable in found if variable.weight is not None]
    if not set(kinds) <= set(_WORDS):
        raise StateError(f"what {optimizer.get('class_name')} kept in older files is not known")
    return kinds


def _own(stored: Mapping[str, Dataset], pattern: re.Pattern[str]) -> str | None:
    """The scalar at the beginning whose name says what it is."""
    for name, dataset in list(stored.items())[:2]:
        if dataset.shape == () and pattern.fullmatch(_components(name)[-1]):
            return name
    return None


def _components(name: str) -> tuple[str, ...]:
    plain = _TENSOR.sub("", name.replace("\\", "/"))
    return tuple(part for part in plain.split("/") if part) or (plain,)


def _by_name(
    names: Sequence[str], trained: Sequence[OldTrained], kinds: Sequence[str]
) -> dict[str, SlotKey] | None:
    """Slot and weight of each recorded name; None where one does not say."""
    ends: dict[tuple[str, ...], SlotKey] = {}
    for weight in trained:
        path = _components(weight.name)
        for kind in kinds:
            for word in _WORDS[kind]:
                for end in ((*path, word), (word, *path), (f"{'_'.join(path)}_{word}",)):
                    ends[end] = (kind, weight.address)
    found: dict[str, SlotKey] = {}
    for name in names:
        parts = _components(name)
        keys = [ends[parts[at:]] for at in range(len(parts)) if parts[at:] in ends]
        if not keys or keys[0] in found.values():
            return None
        found[name] = keys[0]
    return found


def _by_layout(
    names: Sequence[str], trained: Sequence[OldTrained], optimizer: Mapping[str, Any]
) -> dict[str, SlotKey] | None:
    """Slot and weight of each name of Keras 3, in its order; None where a name says otherwise.

    Until 3.5 it records weights without their layers, which the names of slots have.
    """
    variables = layout(optimizer, [Trained(weight.name, weight.shape) for weight in trained]) or []
    found: dict[str, SlotKey] = {}
    slots = [(v.name, trained[v.weight]) for v in variables if v.weight is not None]
    for name, (kind, weight) in zip(names, slots, strict=False):
        if not name.endswith(f"{_components(weight.name)[-1]}_{kind}"):
            return None
        found[name] = (kind, weight.address)
    return found if len(found) == len(names) == len(slots) else None


def _is_grouped(keys: Iterable[SlotKey]) -> bool:
    kinds = [kind for kind, _ in keys]
    return kinds == sorted(kinds, key=list(dict.fromkeys(kinds)).index)


def _by_order(
    names: Sequence[str],
    stored: Mapping[str, Dataset],
    trained: Sequence[OldTrained],
    kinds: Sequence[str],
) -> tuple[dict[SlotKey, str], tuple[str, ...]]:
    if not kinds:  # an SGD without momentum kept one all the same
        return {}, tuple(names)
    count = len(trained) * len(kinds)
    slots, padding = names[:count], tuple(names[count:])
    if len(slots) < count or any(stored[name].shape not in {(), (1,)} for name in padding):
        raise StateError(f"{len(names)} variables are stored for {len(trained)} trainable weights")
    keys = [(kind, weight.address) for kind in kinds for weight in trained]
    return dict(zip(keys, slots, strict=True)), padding


def _check(
    state: OldState,
    stored: Mapping[str, Dataset],
    trained: Sequence[OldTrained],
    kinds: Sequence[str],
) -> None:
    for weight in trained:
        for kind in kinds:
            name = state.slots.get((kind, weight.address))
            if name is None:
                raise StateError(f"it has no {kind} for `{weight.name}`")
            if stored[name].shape != weight.shape:
                raise StateError(f"the {kind} of `{weight.name}` has another shape than the weight")
