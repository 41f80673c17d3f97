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
    Slot,
    Trained,
    Variable,
    layout,
    own_count,
    slot_axes,
    slot_shape,
)
from patchc.model.document import Document, StoredWeight
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


def optimizer_change(
    document: Document, before: Sequence[Trainable], after: Sequence[Trainable]
) -> OptimizerChange:
    """Carry the stored state over to the edited model, or say why that cannot be.

    Args:
        before, after: the trainable weights of base and result.
    """
    stored = document.optimizer
    optimizer = (document.root.extra.get("compile_config") or {}).get("optimizer")
    if not stored:
        return OptimizerChange()
    same = [(t.value, t.shape) for t in before] == [(t.value, t.shape) for t in after]
    config = optimizer if isinstance(optimizer, Mapping) else {}
    if same or len(stored) == own_count(config):
        return OptimizerChange(entries=tuple(_kept(variable) for variable in stored))
    entries: list[LedgerEntry] = []
    for prefix, part in _groups(config):
        held = [v for v in stored if v.address.rpartition("/")[0] == f"{_ROOT}{prefix}vars"]
        variables = layout(part, [t.trained for t in before])
        if held and (variables is None or not _fits(held, variables, before)):
            return OptimizerChange(dropped=len(stored), reason=_reason(part, variables))
        if held:
            entries += _carry(prefix, held, part, before, after)
    used = {entry.value.base for entry in entries}
    return OptimizerChange(tuple(entries), sum(v.address not in used for v in stored))


def _groups(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The groups in which Keras writes variables: an inner optimizer's stand twice."""
    yield "", config
    inner = (config.get("config") or {}).get("inner_optimizer")
    if isinstance(inner, Mapping):
        yield "inner_optimizer/", inner


def _reason(config: Mapping[str, Any], variables: object) -> str:
    name = config.get("class_name", "the optimizer")
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
    prefix: str,
    stored: Sequence[StoredWeight],
    config: Mapping[str, Any],
    before: Sequence[Trainable],
    after: Sequence[Trainable],
) -> Iterator[LedgerEntry]:
    """The variables of one group of the result, one by one."""
    keys = (key for key, _ in _keyed(config, before))
    held = dict(zip(keys, stored, strict=True))
    for number, (key, variable) in enumerate(_keyed(config, after)):
        address = f"{_ROOT}{prefix}vars/{number}"
        if variable.slot is None or variable.weight is None:
            yield replace(_kept(held[key]), address=address)
            continue
        weight = after[variable.weight]
        old = held.get(key) if weight.origin is not None else None
        yield _slot_entry(address, variable.slot, weight, old)


def _keyed(
    config: Mapping[str, Any], weights: Sequence[Trainable]
) -> Iterator[tuple[_Key, Variable]]:
    """Variables with what tells them from all others: name, weight, and which of equal ones."""
    seen: Counter[tuple[str, str | None]] = Counter()
    for variable in layout(config, [t.trained for t in weights]) or []:
        number = variable.weight
        owner = None if number is None else weights[number].value.base
        key = (variable.name, owner)
        yield (*key, seen[key]), variable
        seen[key] += 1


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
        fate = "grown" if growths else "kept"
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
        replace(growth, axis=axes.index(growth.axis), fill=slot.grown)
        for growth in weight.value.growths
        if growth.axis in axes
    )
