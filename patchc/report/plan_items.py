"""The operations of a plan, grouped as people think of them.

A plan lists layers and weights one by one.  Here each layer of an edit becomes
one item with its weights below it, layers that give way are put together with
what takes their place, and many alike become one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from patchc.report.safe import safe
from patchc.report.words import changes, counted, strategy_text, value_text, weight_shape

if TYPE_CHECKING:
    from patchc.compiler.plan import LedgerEntry, Operation, Plan

_FOLD_FROM = 4
"""So many items that are alike are told as one."""

_OF_WEIGHTS = ("initialise", "drop")
_NORMALISATION = "BatchNormalization"


@dataclass(frozen=True, slots=True)
class WeightLine:
    """What happens to one weight: `kernel  (16, 10) -> (16, 12)  glorot_uniform`."""

    name: str
    shape: str
    how: str


@dataclass(frozen=True, slots=True)
class Item:
    """What an edit does to one layer, or to several alike.

    Args:
        symbol: `+`, `-`, `~` or `-/+`.
        verb: what the closing line counts it as: `add`, `freeze`, ...
        name: path of the layer, "" for the model itself.
        kind: its class.
        what: what changes: `units 10 -> 12`.
        reason: why, where the edit alone does not tell.
        weights: its weights, as far as they change.
        parts: what a replacement takes away and brings.
        alike: names of all layers, where several are told as one.
    """

    symbol: str
    verb: str
    name: str
    kind: str = ""
    what: str = ""
    reason: str = ""
    weights: tuple[WeightLine, ...] = ()
    parts: tuple[Item, ...] = ()
    alike: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    """A layer's operation, if it has one, and those of its weights."""

    name: str
    operation: Operation | None
    weights: list[Operation] = field(default_factory=list)


class Items:
    """The items of a plan, edit by edit."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._entries = {entry.path: entry for entry in plan.ledger.entries}
        self._classes = {**plan.before.layers, **plan.layers}
        self._weighted = _owners(self._entries) | {w.layer for w in plan.base.weights.values()}

    def of_edit(self, number: int) -> list[Item]:
        """What one edit does, without folding; edits are counted through all patches."""
        operations = [o for o in self._plan.operations if o.edit == number and o.action != "slots"]
        drafts = list(self._drafts(operations))
        return _replacements([self._item(draft) for draft in drafts])

    # ---------------------------------------------------------------- grouping

    def _drafts(self, operations: Sequence[Operation]) -> Iterator[_Draft]:
        """One draft for each layer operation, with the weight operations that follow it."""
        known = {*self._classes, *(o.address for o in operations if not _is_of_weight(o))}
        drafts: list[_Draft] = []
        latest: dict[str, _Draft] = {}
        for operation in operations:
            if not _is_of_weight(operation):
                draft = _Draft(operation.address, operation)
                latest[draft.name] = draft
                drafts.append(draft)
                continue
            owner = _owner(operation.address, latest) or _owner(operation.address, known)
            if owner not in latest:
                latest[owner] = _Draft(owner, None)
                drafts.append(latest[owner])
            latest[owner].weights.append(operation)
        yield from drafts

    def _item(self, draft: _Draft) -> Item:
        weights = tuple(self._weight(draft.name, operation) for operation in draft.weights)
        operation = draft.operation
        if operation is None:
            kind = self._classes.get(draft.name, "")
            return Item("~", "re-initialise", draft.name, kind, "fresh values", "", weights)
        item = _LAYER_ITEMS.get(operation.action, _other)(operation)
        kind = item.kind or self._classes.get(item.name, "")
        return replace(item, kind=kind, weights=weights)

    def _weight(self, owner: str, operation: Operation) -> WeightLine:
        name = operation.address.removeprefix(f"{owner}/") if owner else operation.address
        entry = self._entries.get(operation.address)
        before, after = operation.before, operation.after
        if operation.action == "drop":
            return WeightLine(name, weight_shape(before), "dropped")
        if operation.action == "resize":
            shapes = f"{weight_shape(before)} -> {weight_shape(after['shape'])}"
            return WeightLine(name, shapes, _changed(after))
        if before is not None:
            return WeightLine(name, weight_shape(before), strategy_text(after))
        if isinstance(after, Mapping):
            return WeightLine(name, weight_shape(after["shape"]), self._made(after["init"], entry))
        init = entry.value.init if entry else None
        how = strategy_text(init.to_json()) if init else "new"
        return WeightLine(name, weight_shape(after), how)

    def _made(self, init: Any, entry: LedgerEntry | None) -> str:
        """How a weight of a new layer gets its values."""
        if entry is None or entry.value.base is None:
            return strategy_text(init)
        if not entry.value.copied:
            return "kept"
        return safe(f"copy of {self._plan.base.weights[entry.value.base].path}")

    # ----------------------------------------------------------------- folding

    def folded(self, items: Iterable[Item]) -> list[Item]:
        """The same items, with many that are alike told as one."""
        groups: dict[Any, list[Item]] = {}
        for item in items:
            whole = replace(item, parts=tuple(self.folded(item.parts)))
            groups.setdefault(_likeness(whole), []).append(whole)
        return [
            told
            for group in groups.values()
            for told in ([self._one(group)] if len(group) >= _FOLD_FROM else group)
        ]

    def _one(self, group: Sequence[Item]) -> Item:
        names = tuple(item.name for item in group)
        kinds = {item.kind for item in group}
        kind = f" {kinds.pop()}" if len(kinds) == 1 else ""
        first = group[0]
        weighted = [item for item in group if item.name in self._weighted or item.weights]
        norms = sum(item.kind == _NORMALISATION for item in weighted)
        told = [f"{len(weighted)} with weights"] if weighted and first.symbol != "+" else []
        if norms and not kind:
            told.append(f"{norms} of them {_NORMALISATION}")
        name = counted(len(group), f"{kind} layer".strip())
        what = " ".join(filter(None, [first.what, f"({', '.join(told)})" if told else ""]))
        weights = first.weights if first.verb != "remove" else ()
        return replace(first, name=name, kind="", what=what, weights=weights, alike=names)


def _changed(after: Mapping[str, Any]) -> str:
    """What becomes of the entries of a weight: `zeros`, `mean, old ones x 0.5`."""
    told = [strategy_text(after["init"])] if "init" in after else []
    if "scale" in after:
        told.append(f"old ones x {after['scale']:.6g}")
    if "split" in after:
        told.append("shared out")
    if "merge" in after:
        told.append("added to what stays")
    return ", ".join(told) or "taken out"


def _owners(paths: Iterable[str]) -> set[str]:
    """Every layer path that a weight path may belong to."""
    found: set[str] = set()
    for path in paths:
        owner = path.rpartition("/")[0]
        while owner and owner not in found:
            found.add(owner)
            owner = owner.rpartition("/")[0]
    return found


def _owner(address: str, known: Container[str]) -> str:
    """The layer that a weight's address belongs to: the longest of the known paths, "" for none."""
    owner = address.rpartition("/")[0]
    while owner and owner not in known:
        owner = owner.rpartition("/")[0]
    return owner


def _is_of_weight(operation: Operation) -> bool:
    if operation.action == "resize":
        return not isinstance(operation.before, Mapping)
    return operation.action in _OF_WEIGHTS


def _likeness(item: Item) -> Any:
    """Items with the same likeness differ in their names only, or in what may be summed up."""
    if item.parts:
        return item
    same = (item.symbol, item.verb, item.what, item.reason)
    if item.verb in {"remove", "freeze", "unfreeze", "set"}:
        return same
    return (*same, item.kind, item.weights)


# --------------------------------------------------------------------- layer items


def _added(operation: Operation) -> Item:
    what = value_text(operation.reason)
    return Item("+", "add", operation.address, operation.after, what)


def _removed(operation: Operation) -> Item:
    return Item("-", "remove", operation.address, operation.before, reason=operation.reason)


def _set(operation: Operation) -> Item:
    before, after = operation.before, operation.after
    verb = "set"
    if set(after) == {"trainable"}:
        verb = "unfreeze" if after["trainable"] else "freeze"
    return Item("~", verb, operation.address, what=changes(before, after), reason=operation.reason)


def _resized(operation: Operation) -> Item:
    what = changes(operation.before, operation.after)
    return Item("~", "resize", operation.address, what=what, reason=operation.reason)


def _renamed(operation: Operation) -> Item:
    name = value_text(operation.before)
    what = f"name {name} -> {value_text(operation.after)}"
    return Item("~", "rename", operation.address, what=what, reason=operation.reason)


def _exposed(operation: Operation) -> Item:
    return Item("+", "expose", operation.address, "output", reason=operation.reason)


def _input_gone(operation: Operation) -> Item:
    return Item("-", "remove", operation.address, "input", reason=operation.reason)


def _other(operation: Operation) -> Item:
    """An action that has no words of its own here is told as it stands in the plan."""
    what = f"{value_text(operation.before)} -> {value_text(operation.after)}"
    return Item("~", operation.action, operation.address, what=what, reason=operation.reason)


_LAYER_ITEMS = {
    "add": _added,
    "remove": _removed,
    "set": _set,
    "resize": _resized,
    "rename": _renamed,
    "output": _exposed,
    "input": _input_gone,
}
_GIVES_WAY = "gives way"


def _replacements(items: Sequence[Item]) -> list[Item]:
    """Put layers that give way together with the new ones that follow them."""
    result: list[Item] = []
    old: list[Item] = []
    new: list[Item] = []
    for item in items:
        leaves = item.verb == "remove" and item.reason == _GIVES_WAY
        if (leaves and new) or not (leaves or (old and item.verb == "add")):
            result += _replacement(old, new)
            old, new = [], []
        if leaves:
            old.append(replace(item, reason=""))
        elif old and item.verb == "add":
            new.append(item)
        else:
            result.append(item)
    return result + _replacement(old, new)


def _replacement(old: Sequence[Item], new: Sequence[Item]) -> list[Item]:
    if not (old and new):
        return [*old, *new]
    what = f"{_classes(old)} -> {_classes(new)}"
    return [Item("-/+", "replace", old[-1].name, what=what, parts=(*old, *new))]


def _classes(items: Sequence[Item]) -> str:
    if len(items) > _FOLD_FROM:
        return counted(len(items), "layer")
    return " + ".join(item.kind for item in items)
