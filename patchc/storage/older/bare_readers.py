"""What reads a layer, in a file of weights that does not tell: nothing, or what another edit names.

Each layer `NAME` of such a file reads an input of its own, `NAME:input`.  An
edit of that input says that its layer reads what another edit changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.layers.base import complete
from patchc.layers.infer import call_spec, rule_of
from patchc.layers.ports import base_of
from patchc.model.axis import NEW, AxisMap
from patchc.model.graph import Layer, walk
from patchc.storage.attach import OPTIMIZER, datasets
from patchc.storage.keras_file import KerasFile
from patchc.storage.older.architecture import beside_names

_READS = "input"
_SHOWN = 4


def way_out(source: KerasFile) -> str:
    """How to say how the layers are connected."""
    names = " or ".join(f"`{name}`" for name in beside_names(source.file.path))
    return f"put what `model.to_json()` writes beside it, as {names}"


def check_readers(source: KerasFile, plan: Plan) -> Plan:
    """The plan, with warnings of what may read what changes too, and of what stays behind.

    Raises:
        PatchError: PC411 where a layer changes its width, others may read it,
            and no edit says which; or where the edit says something else.
    """
    if not source.bare:
        return plan
    before = {layer.path: layer for layer in walk(source.document().root)}
    after = [layer for layer in walk(plan.base.root) if not layer.is_input]
    names = [layer.path for layer in after]
    warnings = list(_stale_state(source, plan))
    for layer in after:
        old, new = _width(before.get(layer.path)), _width(layer)
        if old is not None and new is not None and old != new:
            behind = set(_behind(source, names, layer.path))
            pairs = [(before[x.path], x) for x in after if x.path in behind]
            change = Change(source, layer, old, new)
            warnings += change.warnings([Reader(*pair) for pair in pairs])
    return replace(plan, warnings=(*plan.warnings, *warnings)) if warnings else plan


def _stale_state(source: KerasFile, plan: Plan) -> Iterator[Diagnostic]:
    """An optimizer's averages, which nothing assigns to weights, stay where weights begin anew."""
    assert source.older is not None
    fresh = [entry.path for entry in plan.ledger.entries if entry.fate == "reinitialised"]
    if fresh and any(datasets(source.older.root_group, OPTIMIZER)):
        message = f"the optimizer's state stays as it is, that of `{fresh[0]}` too"
        help_text = f"train on with a fresh optimizer, or {way_out(source)}"
        path = source.file.path
        yield Diagnostic("PC905", message, file=path, help=help_text, severity="warning")


def _behind(source: KerasFile, names: Sequence[str], path: str) -> Sequence[str]:
    """Layers that may stand behind one: all others, unless the file records an order."""
    ordered = source.older is not None and source.older.recorded is not None
    return names[names.index(path) + 1 :] if ordered else [name for name in names if name != path]


def _width(layer: Layer | None) -> int | None:
    outputs = layer.calls[0].outputs if layer is not None and layer.calls else None
    if layer is None or layer.is_input or not outputs or not outputs[0].shape:
        return None
    return outputs[0].shape[-1]


@dataclass(frozen=True, slots=True)
class Reader:
    """A layer before the edits and after them."""

    before: Layer
    after: Layer

    def may_read(self, width: int) -> bool:
        """Whether it takes as many features, or a whole multiple once they are flattened."""
        size = _read_size(self.before)
        flattened = self.before.class_name == "Dense" and size is not None and size % width == 0
        return size == width or flattened

    @property
    def is_edited(self) -> bool:
        """Whether an edit changes what it reads."""
        return _read_size(self.before) != _read_size(self.after)

    def follows(self, change: AxisMap | None, old: int, new: int) -> bool:
        """Whether it reads the changed features: alone, flattened, or joined with others."""
        sizes = _read_size(self.before), _read_size(self.after)
        assert sizes[0] is not None
        assert sizes[1] is not None
        if sizes[0] % old == 0 and sizes[1] == sizes[0] // old * new:
            wanted = [change.repeated(sizes[0] // old, old)] if change is not None else []
        elif sizes[1] - sizes[0] == new - old:
            rest = sizes[0] - old
            starts = range(rest + 1) if change is not None else ()
            wanted = [change.joined(at, old, rest - at) for at in starts if change is not None]
        else:
            return False
        found = _change_of(self.after, _READS)
        return change is None or found is None or found in wanted


@dataclass(frozen=True, slots=True)
class Change:
    """A layer that changes its width.

    Args:
        layer: after the edits.
        old, new: widths.
    """

    source: KerasFile
    layer: Layer
    old: int
    new: int

    def warnings(self, others: Sequence[Reader]) -> list[Diagnostic]:
        """What may read the layer too, where an edit names something that does.

        Raises:
            PatchError: PC411.
        """
        possible = [other for other in others if other.may_read(self.old)]
        change = _change_of(self.layer, _feature_of(self.layer))
        named = [x for x in others if x.is_edited and x.follows(change, self.old, self.new)]
        if named:
            more = [other for other in possible if not other.is_edited]
            return [self._warning(more)] if more else []
        if not possible:
            return []
        edited = [other for other in possible if other.is_edited]
        raise self._contradiction(edited[0]) if edited else self._unnamed(possible)

    def _unnamed(self, possible: Sequence[Reader]) -> PatchError:
        first = possible[0].before.path
        message = (
            f"{_listed(possible)} may read the {self.old} features of `{self.layer.path}`,"
            " and would not fit"
        )
        named = f'change what reads them in a further edit: `select: "{first}:input"`'
        help_text = f"{named}; or {way_out(self.source)}"
        return PatchError(Diagnostic("PC411", message, file=self.source.file.path, help=help_text))

    def _contradiction(self, other: Reader) -> PatchError:
        message = (
            f"`{self.layer.path}` changes from {self.old} to {self.new} features, and what"
            f" `{other.before.path}` reads changes in another way"
        )
        help_text = "say the same in both edits: as many entries, in the same places (`at`, `drop`)"
        change, size = _change_of(self.layer, _feature_of(self.layer)), _read_size(other.before)
        times, rest = divmod(size or 0, self.old)
        if change is not None and not change.repeats and times > 1 and not rest:
            told = _spelled(change.repeated(times, self.old), times * self.old)
            help_text = f"it reads {times} times as many, flattened: for {times} blocks, {told}"
        return PatchError(Diagnostic("PC411", message, file=self.source.file.path, help=help_text))

    def _warning(self, more: Sequence[Reader]) -> Diagnostic:
        message = f"{_listed(more)} may read `{self.layer.path}` too, and stays as it is"
        help_text = (
            "change what it reads as well, if it does; Keras refuses weights that do not fit"
        )
        path = self.source.file.path
        return Diagnostic("PC912", message, file=path, help=help_text, severity="warning")


def _spelled(change: AxisMap, size: int) -> str:
    """The value of an edit that makes a change: `{by: 4, at: [5, 5, 10, 10]}`."""
    indices = change.indices()
    kept = set(indices)
    if NEW not in kept:
        return f"`{{drop: {[index for index in range(size) if index not in kept]}}}`"
    passed, places = 0, []
    for index in indices:
        passed += index != NEW
        places += [passed] if index == NEW else []
    return f"`{{by: {len(places)}, at: {places}}}`"


def _listed(readers: Sequence[Reader]) -> str:
    return ", ".join(f"`{reader.before.path}`" for reader in readers[:_SHOWN])


def _read_size(layer: Layer) -> int | None:
    """Number of features that a layer reads, as its weights tell."""
    for weight in layer.weights:
        labels = weight.axes or (_READS,) * len(weight.shape)
        for label, size in zip(labels, weight.shape, strict=True):
            if label == _READS:
                return size
    return None


def _feature_of(layer: Layer) -> str:
    """What the layer's rule calls the axis of the features that it makes."""
    rule = rule_of(layer)
    assert rule is not None  # a layer without one makes nothing of known width
    return base_of(rule.feature_of(complete(rule, layer.config), call_spec(layer.calls[0])) or "")


def _change_of(layer: Layer, label: str) -> AxisMap | None:
    """How an axis changes; None where all values along it are made anew."""
    for weight in layer.weights:
        found = [g.map for g in weight.value.growths if (weight.axes or ())[g.axis] == label]
        if found and weight.value.base is not None:
            first, *later = found
            for change in later:
                first = first.then(change)
            return first
    return None
