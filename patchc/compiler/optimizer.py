"""Optimizer: what becomes of its stored state.

Keras stores an optimizer's variables by number, in the order of
`model.trainable_variables`, and reads them by number too.  Here every slot is
found by the weight that it belongs to: kept for a kept weight, changed along
the same axes as a grown one, made for a new or newly trainable one, and
dropped for one that is frozen or gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from patchc.compiler.plan import LedgerEntry, OptimizerChange
from patchc.layers.freezing import trains
from patchc.layers.optimizers import (
    COUNTERS,
    Slot,
    Trained,
    Variable,
    layout,
    own_count,
    own_start,
    slot_axes,
    slot_shape,
)
from patchc.layers.training import DEFAULT_LEARNING_RATES, OPTIMIZERS
from patchc.model.document import StoredWeight
from patchc.model.graph import Layer, Weight, walk
from patchc.model.values import Growth, Value

_ROOT = "optimizer/"
_Key = tuple[str, str | None, int]


@dataclass(frozen=True, slots=True)
class Trainable:
    """A weight that an optimizer updates.

    Args:
        weight: as it stands after the edits.
        address: where it is stored in the result, "" in the base.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    value: Value
    address: str = ""

    @property
    def trained(self) -> Trained:
        """The weight as the layout of an optimizer sees it."""
        return Trained(self.path, self.shape)

    @property
    def origin(self) -> str | None:
        """The base weight whose slots it takes over; None for a fresh weight."""
        return None if self.value.copied else self.value.base


def trainable_weights(root: Layer, groups: Mapping[Layer, str] | None = None) -> list[Trainable]:
    """The trainable weights in Keras's order, as Keras will see them after loading."""
    return [
        _trainable(layer, weight, groups or {})
        for layer in [root, *walk(root)]
        if layer.graph is None and layer.alias_of is None and trains(layer, root)
        for weight in layer.weights
        if weight.trainable
    ]


def _trainable(layer: Layer, weight: Weight, groups: Mapping[Layer, str]) -> Trainable:
    return Trainable(
        path=f"{layer.path}/{weight.name}",
        shape=weight.shape,
        dtype=weight.dtype,
        value=weight.value,
        address=f"{groups.get(layer, '')}/{weight.slot}",
    )


def stored_optimizer(root: Layer, stored: Sequence[StoredWeight]) -> Mapping[str, Any]:
    """The optimizer's serialised configuration; {} where there is none.

    Keras writes an optimizer that `compile` was given by name as that name.
    With the policy `mixed_float16` Keras puts a LossScaleOptimizer around it
    when it compiles, which only the stored variables tell.
    """
    found = (root.extra.get("compile_config") or {}).get("optimizer")
    if isinstance(found, str):
        found = optimizer_by_name(found)
    if not isinstance(found, Mapping):
        return {}
    scaled = any(variable.address.startswith(f"{_ROOT}inner_optimizer/") for variable in stored)
    if scaled and "inner_optimizer" not in (found.get("config") or {}):
        return {"class_name": "LossScaleOptimizer", "config": {"inner_optimizer": found}}
    return found


def optimizer_by_name(name: str) -> Mapping[str, Any]:
    """An optimizer as Keras makes it of its name, with defaults; {} for an unknown name."""
    known = next((known for known in OPTIMIZERS if known.lower() == name.lower()), None)
    if known is None:
        return {}
    rate = DEFAULT_LEARNING_RATES.get(known, 0.001)
    return {"class_name": known, "config": {"learning_rate": rate}}


@dataclass(frozen=True, slots=True)
class Training:
    """What an optimizer's state is laid out for.

    Args:
        optimizer: its serialised configuration.
        weights: the trainable weights.
    """

    optimizer: Mapping[str, Any]
    weights: Sequence[Trainable]

    @property
    def trained(self) -> list[Trained]:
        """The weights as the layout of an optimizer sees them."""
        return [weight.trained for weight in self.weights]


def optimizer_change(
    stored: Sequence[StoredWeight], before: Training, after: Training
) -> OptimizerChange:
    """Carry the stored state over to the edited model, or say why that cannot be.

    Args:
        stored: the optimizer's variables in the base.
    """
    if not stored:
        return OptimizerChange()
    old, new = ([(t.value, t.shape) for t in side.weights] for side in (before, after))
    same = old == new and before.optimizer == after.optimizer
    if same:
        return OptimizerChange(entries=tuple(_kept(variable) for variable in stored))
    if before.optimizer.get("class_name") != after.optimizer.get("class_name"):
        return _fresh(stored, after)
    unbuilt = len(stored) == own_count(before.optimizer)
    none = Training(before.optimizer, []), Training(after.optimizer, [])
    sides = none if unbuilt else (before, after)
    return _carried(stored, *sides)


def _carried(stored: Sequence[StoredWeight], before: Training, after: Training) -> OptimizerChange:
    entries: list[LedgerEntry] = []
    parts = zip(_groups(before), _groups(after), strict=True)
    for (prefix, part), (_, new_part) in parts:
        held = [v for v in stored if v.address.rpartition("/")[0] == f"{_ROOT}{prefix}vars"]
        variables = layout(part.optimizer, part.trained)
        if held and (variables is None or not _fits(held, variables, part.weights)):
            reason = _reason(part.optimizer, variables)
            return OptimizerChange(dropped=len(stored), reason=reason)
        if held:
            entries += _carry(prefix, held, part, new_part)
    used = {entry.value.base for entry in entries} | {e.value.replaces for e in entries}
    return OptimizerChange(tuple(entries), sum(v.address not in used for v in stored))


def _fresh(stored: Sequence[StoredWeight], after: Training) -> OptimizerChange:
    """Another optimizer takes over: its state begins anew."""
    entries: list[LedgerEntry] = []
    for prefix, part in _groups(after):
        entries += _carry(prefix, [], Training({}, []), part)
    return OptimizerChange(tuple(entries), len(stored))


def _groups(training: Training) -> Iterator[tuple[str, Training]]:
    """The groups in which Keras writes variables: an inner optimizer's stand twice."""
    yield "", training
    inner = (training.optimizer.get("config") or {}).get("inner_optimizer")
    if isinstance(inner, Mapping):
        yield "inner_optimizer/", Training(inner, training.weights)


def named_variables(
    stored: Sequence[StoredWeight], training: Training
) -> dict[str, tuple[str, str | None]]:
    """What each stored variable is: address -> its name, and path of its weight if it has one.

    Variables of an optimizer that patchc does not know are called by their
    number.
    """
    found: dict[str, tuple[str, str | None]] = {
        variable.address: (variable.address.removeprefix(_ROOT), None) for variable in stored
    }
    for prefix, part in _groups(training):
        held = [v for v in stored if v.address.rpartition("/")[0] == f"{_ROOT}{prefix}vars"]
        variables = layout(part.optimizer, part.trained)
        if variables is None or not _fits(held, variables, part.weights):
            continue
        for place, variable in zip(held, variables, strict=True):
            of = None if variable.weight is None else part.weights[variable.weight].path
            found[place.address] = (f"{prefix}{variable.name}", of)
    return found


def _reason(config: Mapping[str, Any], variables: object) -> str:
    name = config.get("class_name", "")
    if not name:
        return "nothing tells which optimizer it is of, as an architecture of a compiled model does"
    if variables is None:
        return f"patchc does not know what {name} stores"
    return f"what is stored is not what {name} keeps for these weights"


def _fits(
    stored: Sequence[StoredWeight], variables: Sequence[Variable], weights: Sequence[Trainable]
) -> bool:
    return len(stored) == len(variables) and all(
        held.shape == _shape(variable, weights)
        for held, variable in zip(stored, variables, strict=True)
    )


def _shape(variable: Variable, weights: Sequence[Trainable]) -> tuple[int, ...]:
    if variable.slot is None or variable.weight is None:
        return ()
    return slot_shape(variable.slot, weights[variable.weight].shape)


# -------------------------------------------------------------------------- slots


def _carry(
    prefix: str, stored: Sequence[StoredWeight], before: Training, after: Training
) -> Iterator[LedgerEntry]:
    """The variables of one group of the result, one by one."""
    keys = (key for key, _ in _keyed(before))
    held = dict(zip(keys, stored, strict=True))
    for number, (key, variable) in enumerate(_keyed(after)):
        address = f"{_ROOT}{prefix}vars/{number}"
        if variable.slot is None or variable.weight is None:
            yield _own_entry(address, variable, held.get(key), before, after)
            continue
        weight = after.weights[variable.weight]
        old = held.get(key) if weight.origin is not None else None
        yield _slot_entry(address, variable.slot, weight, old)


def _keyed(training: Training) -> Iterator[tuple[_Key, Variable]]:
    """Variables with what tells them from all others: name, weight, and which of equal ones."""
    seen: Counter[tuple[str, str | None]] = Counter()
    for variable in layout(training.optimizer, training.trained) or []:
        number = variable.weight
        owner = None if number is None else training.weights[number].origin
        key = (variable.name, owner)
        yield (*key, seen[key]), variable
        seen[key] += 1


def _own_entry(
    address: str,
    variable: Variable,
    old: StoredWeight | None,
    before: Training,
    after: Training,
) -> LedgerEntry:
    """A variable of the optimizer itself; the learning rate follows the configuration."""
    name = variable.name
    start = own_start(after.optimizer, name)
    moved = name == "learning_rate" and start != own_start(before.optimizer, name)
    if old is not None and not moved:
        return replace(_kept(old), address=address, path=name)
    return LedgerEntry(
        address=address,
        path=name,
        shape=(),
        dtype=old.dtype if old is not None else "int64" if name in COUNTERS else "float32",
        trainable=False,
        fate="reinitialised" if old is not None else "new",
        value=Value(init=start, replaces=old.address if old is not None else None),
    )


def _kept(variable: StoredWeight) -> LedgerEntry:
    return LedgerEntry(
        address=variable.address,
        path=variable.name,
        shape=variable.shape,
        dtype=variable.dtype,
        trainable=False,
        fate="kept",
        value=Value(base=variable.address),
    )


def _slot_entry(
    address: str, slot: Slot, weight: Trainable, old: StoredWeight | None
) -> LedgerEntry:
    mirror = weight.address if slot.mirror else None
    if old is None:
        value = Value(init=slot.fresh, mirror=mirror)
        fate = "new"
    else:
        growths = _slot_growths(slot, weight)
        value = Value(base=old.address, growths=growths, mirror=mirror if growths else None)
        rescaled = any(growth.rescales for growth in growths)
        fate = "rescaled" if rescaled else "grown" if growths else "kept"
    return LedgerEntry(
        address=address,
        path=f"{slot.name} of {weight.path}",
        shape=slot_shape(slot, weight.shape),
        dtype=old.dtype if old is not None else slot.dtype or weight.dtype,
        trainable=False,
        fate=fate,
        value=value,
    )


def _slot_growths(slot: Slot, weight: Trainable) -> tuple[Growth, ...]:
    """The growths of a weight along the axes that the slot has."""
    axes = slot_axes(slot, len(weight.shape))
    return tuple(
        replace(
            growth,
            axis=axes.index(growth.axis),
            fill=slot.grown,
            scale=1.0 if growth.steady else growth.scale**-slot.degree,
            merge=False,
            split=growth.gradient * slot.degree,
        )
        for growth in weight.value.growths
        if growth.axis in axes
    )
