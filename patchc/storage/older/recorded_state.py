"""The optimizer's group of an HDF5 model of the older kind, for the result of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from patchc.compiler.optimizer import Trainable, stored_optimizer, trainable_weights
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.layers.optimizers import layout
from patchc.model.addresses import addresses
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_tree import dataset_of
from patchc.storage.older.optimizer import OldState, SlotKey
from patchc.storage.older.recorded import OPTIMIZER_WEIGHTS, WEIGHT_NAMES, Recorded
from patchc.storage.older.recorded_tree import Held, RecordedTree, with_names


def put_state(tree: RecordedTree, source: KerasFile, plan: Plan) -> None:
    """Enter the optimizer's variables, in the order in which the base has them.

    What cannot be told apart stays as it is where no trainable weight has
    changed, and is left out elsewhere.
    """
    older = source.older
    assert older is not None
    assert older.recorded is not None
    recorded = older.recorded
    if not recorded.optimizer:
        return
    if older.state is None:
        items = _as_it_is(recorded) if same_training(source, plan) else []
    else:
        items = list(_State(source, plan, tree, older.state, recorded).items())
    if items:
        base = older.root_group.members[OPTIMIZER_WEIGHTS]
        names = [item.name for item in items]
        group = Group({}, with_names(base.attributes, WEIGHT_NAMES, names))
        tree.put(OPTIMIZER_WEIGHTS, group, items)


def _as_it_is(recorded: Recorded) -> list[Held]:
    return [Held(name, dataset, None) for name, dataset in recorded.optimizer.items()]


def same_training(source: KerasFile, plan: Plan) -> bool:
    """Whether the same weights train, in the same shapes, with the same optimizer."""
    before, after = source.document().root, plan.base.root
    sides = [[(t.path, t.shape) for t in trainable_weights(root)] for root in (before, after)]
    optimizers = [stored_optimizer(root, ()) for root in (before, after)]
    return sides[0] == sides[1] and optimizers[0] == optimizers[1]


@dataclass(slots=True)
class _State:
    source: KerasFile
    plan: Plan
    tree: RecordedTree
    state: OldState
    recorded: Recorded

    def items(self) -> Iterator[Held]:
        """All variables in recorded order; none where the plan drops the state."""
        entries = self._entries()
        if entries is None:
            return
        yield from self._own(self.state.iteration)
        yield from self._own(self.state.learning_rate)
        order = self._order()
        kinds = list(dict.fromkeys(kind for kind, _ in self.state.slots))
        keys = (
            [(kind, address) for kind in kinds for address, _ in order]
            if self.state.grouped
            else [(kind, address) for address, _ in order for kind in kinds]
        )
        names = dict(order)
        taken = set(self.recorded.optimizer)
        for key in keys:
            entry = entries[key]
            name = self._name(key, entry, names[key[1]], taken)
            taken.add(name)
            yield Held(name, dataset_of(self.source, entry), entry)
        yield from self._padding(len(order), taken)

    def _entries(self) -> dict[SlotKey, LedgerEntry] | None:
        """What the plan says of each slot, by slot and address of the weight in the result."""
        root = self.plan.base.root
        optimizer = stored_optimizer(root, self.plan.base.optimizer)
        weights = trainable_weights(root, addresses(root))
        variables = layout(optimizer, [w.trained for w in weights]) or []
        held = self.plan.optimizer.entries
        kinds = {kind for kind, _ in self.state.slots}
        if len(variables) != len(held) or {v.name for v in variables if v.slot} != kinds:
            return None
        return {
            (variable.name, weights[variable.weight].address): entry
            for variable, entry in zip(variables, held, strict=True)
            if variable.weight is not None
        }

    def _own(self, name: str | None) -> Iterator[Held]:
        """A variable of the optimizer itself, which only a changed learning rate makes anew."""
        if name is None:
            return
        stored = self.recorded.optimizer[name]
        places = self.source.older.view.places if self.source.older else {}
        entry = next(
            (
                entry
                for entry in self.plan.optimizer.entries
                if entry.fate != "kept"
                and entry.value.replaces in places
                and places[str(entry.value.replaces)].weight == name
            ),
            None,
        )
        yield Held(name, stored if entry is None else dataset_of(self.source, entry), entry)

    def _order(self) -> list[tuple[str, str]]:
        """Address and recorded name of each trainable weight, in the state's order."""
        trained = {w.address for w in self._weights()}
        order = [
            (item.entry.address, item.name)
            for items in self.tree.layers.values()
            for item in items
            if item.entry is not None and item.entry.address in trained
        ]
        return sorted(order, key=lambda pair: pair[1]) if self.state.sorted else order

    def _weights(self) -> Sequence[Trainable]:
        root = self.plan.base.root
        return trainable_weights(root, addresses(root))

    def _name(self, key: SlotKey, entry: LedgerEntry, weight: str, taken: set[str]) -> str:
        places = self.source.older.view.places if self.source.older else {}
        place = places.get(entry.value.base or "")
        if place is not None:
            return place.weight
        if self.state.named:
            return self._like_the_others(key[0], weight)
        number = 0
        while f"Variable_{number}:0" in taken:
            number += 1
        return f"Variable_{number}:0"

    def _like_the_others(self, kind: str, weight: str) -> str:
        """A name made as another weight's is."""
        places = self.source.older.view.places if self.source.older else {}
        for (other, address), name in self.state.slots.items():
            old = places[address].weight.partition(":")[0]
            new = weight.partition(":")[0]
            if other == kind and old in name:
                return name.replace(old, new)
            if other == kind and old.replace("/", "_") in name:
                return name.replace(old.replace("/", "_"), new.replace("/", "_"))
        return f"{kind}/{weight}"

    def _padding(self, count: int, taken: set[str]) -> Iterator[Held]:
        """Arrays that hold nothing, as many as there are trainable weights."""
        padding = self.state.padding
        if not padding:
            return
        wanted = count if len(padding) == len(self._base_order()) else len(padding)
        for number in range(wanted):
            name = padding[number] if number < len(padding) else f"padding_{number}:0"
            stored: Dataset = self.recorded.optimizer[padding[min(number, len(padding) - 1)]]
            yield Held(name, stored, None)

    def _base_order(self) -> set[str]:
        return {address for _, address in self.state.slots}
