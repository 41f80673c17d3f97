"""Checks of a model in memory: an independent look at what a plan was made into.

The result saves its variables once more, and they are held against the plan
and against the variables of the base, bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from patchc.arrays.dtypes import Array
from patchc.arrays.produce import same_old_entries
from patchc.checks import Check, verdict
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.model.graph import Layer, walk
from patchc.storage.attach import OPTIMIZER
from patchc.storage.live.model import LiveModel, look, made_values
from patchc.storage.live.parts import is_graph, layers_by_node
from patchc.storage.live.state import dtype_of, stored

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
    """Layers and outputs are those of the plan, from whose configuration Keras built them."""
    layers = layers_by_node(plan.base.root, new)
    planned = [node for node in walk(plan.base.root) if not _is_unlisted(node)]
    wrong = [node.path for node in planned if node not in layers]
    listed = sum(len(layer.layers) for layer in layers.values() if is_graph(layer))
    if is_graph(new):
        wrong += [f"{listed} layers"] if listed != len(planned) else []
        pairs = zip(plan.outputs, new.outputs, strict=True)
        known = [(end["shape"], list(tensor.shape)) for end, tensor in pairs if end["shape"]]
        wrong += ["outputs" for shape, found in known if shape != found]
    return verdict("configuration-as-planned", wrong, f"{len(planned)} layers")


def _is_unlisted(node: Layer) -> bool:
    """Whether a model has it, but not among its `layers`."""
    home = node.home
    stands_in = node.is_input and home is not None and (home.sequential or node.name[0] == "<")
    return node.is_operation or stands_in


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
    return verdict("every-weight-accounted-for", wrong, detail)


def _kept(live: LiveModel, plan: Plan, values: Values) -> Check:
    kept = [e for e in plan.ledger.entries if e.value.base is not None and not e.value.growths]
    wrong = [entry.path for entry in kept if not _is_same(live, entry, values)]
    return verdict("kept-weights-identical", wrong, f"{len(kept) - len(wrong)} of {len(kept)}")


def _changed(live: LiveModel, plan: Plan, values: Values) -> Check:
    changed = [e for e in plan.ledger.entries if e.value.base is None or e.value.growths]
    wrong = [entry.path for entry in changed if not _as_planned(live, plan, entry, values)]
    detail = f"{len(changed) - len(wrong)} of {len(changed)}"
    return verdict("new-values-as-planned", wrong, detail)


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
    return verdict("optimizer-state-as-planned", wrong, f"{len(entries)} variables")


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
    return same_old_entries(found, base, entry.value.growths, entry.dtype)


def _bits_equal(one: Array, other: Array) -> bool:
    """Whether two arrays agree in shape, dtype and every bit, NaNs and signs of zero included."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    unit = _UNITS.get(one.dtype.itemsize, np.uint8)
    left, right = (np.ascontiguousarray(v).reshape(-1).view(unit) for v in (one, other))
    shared = left.size > 0 and left.ctypes.data == right.ctypes.data  # TensorFlow copies on writing
    return shared or bool(np.array_equal(left, right))
