"""Checks of a model in memory: an independent look at what a plan was made into.

The result saves its variables once more, and they are held against the plan
and against the variables of the base, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from patchc.arrays.dtypes import Array
from patchc.arrays.produce import old_entries
from patchc.checks import Check
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.storage.attach import OPTIMIZER
from patchc.storage.live import LiveModel, look, made_values
from patchc.storage.live_objects import Objects
from patchc.storage.live_parts import is_graph
from patchc.storage.live_state import dtype_of, stored

Values = Mapping[str, Any]

_UNITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
"""What bits are compared by, by the size of an element."""


def check_live(live: LiveModel, plan: Plan, new: Any) -> tuple[Check, ...]:
    """Hold a model in memory against its plan and its base."""
    store = look(new, plan.base.root)
    return (
        _structure(plan, new),
        _accounted(plan, store.values),
        _kept(live, plan, store.values),
        _changed(live, plan, store.values),
        _optimizer(live, plan, new, store.values),
    )


def _structure(plan: Plan, new: Any) -> Check:
    name = "configuration-as-planned"
    if not is_graph(new):
        return Check(name, ok=True, detail="each part was built from the plan's configuration")
    planned, found = _outline(plan.config["config"]), _outline(Objects(new).config(new)["config"])
    wrong = [key for key in {**planned, **found} if planned.get(key) != found.get(key)]
    return _verdict(name, wrong, "layers and connections are those of the plan")


def _outline(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Class and connections of each layer by path, and the ends of each model."""
    found: dict[str, Any] = {
        f"{prefix}{key}": config[key] for key in ("input_layers", "output_layers") if key in config
    }
    for layer in config["layers"]:
        path = prefix + layer.get("name", layer["config"]["name"])
        nodes = [list(_sources(node)) for node in layer.get("inbound_nodes", ())]
        found[path] = (layer["class_name"], nodes)
        if isinstance(layer["config"].get("layers"), list):
            found |= _outline(layer["config"], f"{path}/")
    return found


def _sources(node: Any) -> Iterator[Any]:
    """The tensors that a call reads; further arguments are as Keras completes them."""
    if isinstance(node, list):
        for item in node:
            yield from _sources(item)
    elif isinstance(node, Mapping):
        if "keras_history" in node:
            yield node["keras_history"]
        else:
            for key in sorted(node):
                yield from _sources(node[key])


def _accounted(plan: Plan, values: Values) -> Check:
    """The result holds exactly the weights of the ledger, and no weight of the base is lost."""
    entries = plan.ledger.entries
    planned = {entry.address: (entry.shape, entry.dtype) for entry in entries}
    found = {
        address: (tuple(value.shape), dtype_of(value))
        for address, value in values.items()
        if not address.startswith(f"{OPTIMIZER}/")
    }
    wrong = [a for a in sorted({*planned, *found}) if planned.get(a) != found.get(a)]
    used = {e.value.base for e in entries} | {e.value.replaces for e in entries}
    wrong += sorted(set(plan.base.weights) - used - set(plan.ledger.dropped))
    detail = f"{len(plan.base.weights)} of the base, {len(entries)} of the result"
    return _verdict("every-weight-accounted-for", wrong, detail)


def _kept(live: LiveModel, plan: Plan, values: Values) -> Check:
    kept = [e for e in plan.ledger.entries if e.value.base is not None and not e.value.growths]
    wrong = [entry.path for entry in kept if not _is_same(live, entry, values)]
    return _verdict("kept-weights-identical", wrong, f"{len(kept) - len(wrong)} of {len(kept)}")


def _changed(live: LiveModel, plan: Plan, values: Values) -> Check:
    changed = [e for e in plan.ledger.entries if e.value.base is None or e.value.growths]
    wrong = [entry.path for entry in changed if not _as_planned(live, plan, entry, values)]
    detail = f"{len(changed) - len(wrong)} of {len(changed)}"
    return _verdict("new-values-as-planned", wrong, detail)


def _optimizer(live: LiveModel, plan: Plan, new: Any, values: Values) -> Check:
    entries = plan.optimizer.entries
    wrong = [
        entry.path
        for entry in entries
        if not (
            _is_same(live, entry, values)
            if entry.fate == "kept"
            else _as_planned(live, plan, entry, values)
        )
    ]
    held = {address for address in values if address.startswith(f"{OPTIMIZER}/")}
    if entries:
        wrong += sorted(held ^ {entry.address for entry in entries})
    return _verdict("optimizer-state-as-planned", wrong, f"{len(entries)} variables")


def _is_same(live: LiveModel, entry: LedgerEntry, values: Values) -> bool:
    if entry.address not in values:
        return False
    return _bits_equal(live.stored(str(entry.value.base)), stored(values[entry.address]))


def _as_planned(live: LiveModel, plan: Plan, entry: LedgerEntry, values: Values) -> bool:
    if entry.address not in values:
        return False
    found = stored(values[entry.address])
    if not _bits_equal(found, made_values(live, plan, entry)):
        return False
    if entry.value.base is None:
        return True
    base = live.stored(entry.value.base)
    for axis, size in enumerate(base.shape):
        new, old = old_entries(entry.value.growths, axis, size)
        found, base = np.take(found, new, axis=axis), np.take(base, old, axis=axis)
    return _bits_equal(found, base)


def _bits_equal(one: Array, other: Array) -> bool:
    """Whether two arrays agree in shape, dtype and every bit, NaNs and signs of zero included."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    unit = _UNITS.get(one.dtype.itemsize, np.uint8)
    left, right = (np.ascontiguousarray(v).reshape(-1).view(unit) for v in (one, other))
    shared = left.size > 0 and left.ctypes.data == right.ctypes.data  # TensorFlow copies on writing
    return shared or bool(np.array_equal(left, right))


def _verdict(name: str, wrong: Sequence[str], detail: str) -> Check:
    if not wrong:
        return Check(name, ok=True, detail=detail)
    listed = ", ".join(f"`{path}`" for path in wrong[:5])
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return Check(name, ok=False, detail=f"{listed}{more}")
