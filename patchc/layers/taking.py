"""Operations of `keras.ops` that take parts of a tensor, as routes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from patchc.layers.along import Blur, Entries, Spread, Stride, Window
from patchc.layers.base import Config, RuleError
from patchc.layers.movement import (
    NOTHING,
    Axes,
    Changes,
    Edits,
    Given,
    Movement,
    Mover,
    dropping,
    one_strand,
    part_of,
    renumbered,
    window_after,
)
from patchc.layers.operands import Operand, axis_of, numbers, tensor_of
from patchc.layers.routes import Route, Step, StuckError
from patchc.model.axis import AxisMap

# --------------------------------------------------------------------------- parts


def _take(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    ids = given.get("indices")
    found = numbers(ids)
    if found is None or config.get("axis") is None:
        raise RuleError("takes entries by numbers that are not constant")
    axis = axis_of(config["axis"], len(x.shape))
    size = x.shape[axis]
    if size is None or any(not -size <= number < size for number in found):
        raise RuleError("takes entries that its input does not have")
    places = tuple(number % size for number in found)
    steps: list[Step] = [Entries(axis, places)]
    single = isinstance(ids, int)
    if single:
        shape = steps[0].shape(x.shape)
        steps.append(dropping(shape, [i for i in range(len(shape)) if i != axis]))

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        if inputs[0][0] != axis:
            return NOTHING
        new = renumbered(inputs[0][1], places)
        return Edits({}, {"indices": new[0] if single else new})

    return Movement((one_strand(x, *steps),), edit)


def _slice(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "inputs")
    starts, sizes = numbers(given.get("start_indices")), numbers(config.get("shape"))
    if starts is None or sizes is None or not len(starts) == len(sizes) == len(x.shape):
        raise RuleError("starts at places that are not constant")
    steps: list[Step] = []
    for axis, (start, size, whole) in enumerate(zip(starts, sizes, x.shape, strict=True)):
        if (start, size) in {(0, -1), (0, whole)}:
            continue
        if whole is None:
            steps.append(Spread(axis, size))  # of an unknown size Keras believes what it is told
            continue
        steps.append(Window(axis, start, whole if size == -1 else start + size))

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = inputs.get(0) or outputs[0]
        size = sizes[axis] if sizes[axis] != -1 else (x.shape[axis] or 0) - starts[axis]
        first, last = window_after(
            change, part_of(outputs, 0, axis), starts[axis], starts[axis] + size
        )
        told = [*sizes[:axis], -1 if sizes[axis] == -1 else last - first, *sizes[axis + 1 :]]
        return Edits(
            {"shape": told}, {"start_indices": [*starts[:axis], first, *starts[axis + 1 :]]}
        )

    return Movement((one_strand(x, *steps),), edit)


def sections(told: Any, size: int, *, ragged: bool = False) -> list[int]:
    """Where the parts of a split begin, and the size behind the last one.

    Args:
        told: a number of parts, or where all but the first begin.
        ragged: whether parts may differ by one entry (`array_split`).
    """
    if isinstance(told, int):
        if not ragged and size % told:
            raise RuleError(f"splits {size} entries into {told} parts")
        base, more = divmod(size, told)
        return [i * base + min(i, more) for i in range(told)] + [size]
    found = numbers(told)
    if found is None or sorted(found) != found or not all(0 <= i <= size for i in found):
        raise RuleError("splits at places that are not in order")
    return [0, *found, size]


def _split_along(x: Operand, axis: int, told: Any, *, ragged: bool = False) -> Movement:
    size = x.shape[axis]
    if size is None:
        raise RuleError("splits an axis of unknown size")
    cuts = sections(told, size, ragged=ragged)
    windows = [Window(axis, start, stop) for start, stop in pairwise(cuts)]

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        if inputs[0][0] != axis:
            return NOTHING
        parts = [part_of(outputs, k, axis) for k in range(len(windows))]
        counts = [
            part.size if part is not None else window.count(size)
            for part, window in zip(parts, windows, strict=True)
        ]
        now = [sum(counts[:i]) for i in range(1, len(counts))]
        same = not ragged and isinstance(told, int) and len(set(counts)) == 1
        return Edits({"indices_or_sections": told if same else now}, {})

    return Movement(tuple(one_strand(x, window) for window in windows), edit)


def _split(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    axis = axis_of(config.get("axis", 0), len(x.shape))
    return _split_along(x, axis, config.get("indices_or_sections"))


def _array_split(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    told = config.get("indices_or_sections")
    if not isinstance(told, int):
        raise RuleError("splits at places, which Keras cannot describe")
    axis = axis_of(config.get("axis", 0), len(x.shape))
    movement = _split_along(x, axis, told, ragged=True)

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        """Keras can describe equal parts alone, so the same number has to serve."""
        if inputs[0][0] == axis:
            size = inputs[0][1].size
            cuts = sections(told, size, ragged=True)
            now = movement.edit(inputs, outputs).config["indices_or_sections"]
            if cuts[1:-1] != now:
                raise StuckError(f"splits the axis into {told} like parts", [told])
        return NOTHING

    return Movement(movement.routes, edit)


def _split_named(axis: int) -> Callable[[Config, Given], Movement]:
    def movement(config: Config, given: Given) -> Movement:
        x = tensor_of(given, "x")
        place = 0 if axis == 1 and len(x.shape) == 1 else axis
        return _split_along(x, place, config.get("indices_or_sections"))

    return movement


def _unstack(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "x")
    axis = axis_of(config.get("axis", 0), len(x.shape))
    size = x.shape[axis]
    if size is None:
        raise RuleError("takes an axis of unknown size apart")
    rest = [i for i in range(len(x.shape)) if i != axis]

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        if 0 in inputs and inputs[0][0] == axis:
            raise StuckError("makes one output of each entry of the axis")
        return NOTHING

    def route(place: int) -> Route:
        entry = Entries(axis, (place,))
        return one_strand(x, entry, dropping(entry.shape(x.shape), rest))

    return Movement(tuple(map(route, range(size))), edit)


# ------------------------------------------------------------------------- get an item


def _get_item(config: Config, given: Given) -> Movement:
    """`x[key]`: slices, whole numbers, new axes and one ellipsis."""
    x = tensor_of(given, "x")
    keys = _spelled_out(given.get("key"), len(x.shape))
    selects = [key for key in keys if key is not None]
    steps: list[Step] = []
    for axis, (key, size) in enumerate(zip(selects, x.shape, strict=True)):
        steps += _selection(axis, key, size)
    shape = x.shape
    for step in steps:
        shape = step.shape(shape)
    kept = [axis for axis, key in enumerate(selects) if not isinstance(key, int)]
    fresh = [
        place for place, key in enumerate(k for k in keys if not isinstance(k, int)) if key is None
    ]
    sizes = iter(kept)
    after = tuple(1 if i in fresh else shape[next(sizes)] for i in range(len(kept) + len(fresh)))
    steps.append(Axes(after, tuple(fresh), tuple(kept)))

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = inputs[0]
        size = x.shape[axis]
        part = None
        if 0 in outputs and axis in kept:
            place = [i for i in range(len(after)) if i not in fresh][kept.index(axis)]
            part = part_of(outputs, 0, place)
        if size is None:
            return NOTHING
        new = [*selects[:axis], _selected(selects[axis], change, part, size), *selects[axis + 1 :]]
        items = iter(new)
        told = [None if key is None else next(items) for key in keys]
        return NOTHING if told == keys else Edits({}, {"key": [_as_written(k) for k in told]})

    return Movement((one_strand(x, *steps),), edit)


def _spelled_out(key: Any, rank: int) -> list[Any]:
    """A key for every axis: `slice`, a number, None for a new axis; no ellipsis."""
    items = [_item(item) for item in (key if isinstance(key, list) else [key])]
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise RuleError("has two ellipses in its key")
    if not places:
        items.append(Ellipsis)
        places = [len(items) - 1]
    named = sum(item is not None for item in items) - 1
    if named > rank:
        raise RuleError("takes from more axes than its input has")
    return [*items[: places[0]], *[slice(None)] * (rank - named), *items[places[0] + 1 :]]


def _item(item: Any) -> Any:
    if item is None or (isinstance(item, int) and not isinstance(item, bool)):
        return item
    kind = item.get("class_name") if isinstance(item, Mapping) else None
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__slice__":
        ends = [item["config"].get(key) for key in ("start", "stop", "step")]
        if all(end is None or isinstance(end, int) for end in ends):
            return slice(*ends)
    raise RuleError("takes entries by a key that is not constant")


def _selection(axis: int, key: slice | int, size: int | None) -> list[Step]:
    """The step that takes one axis's part."""
    if key == slice(None):
        return []
    if size is None:
        return [Spread(axis, 1) if isinstance(key, int) else Blur(axis)]
    if isinstance(key, int):
        if not -size <= key < size:
            raise RuleError(f"takes entry {key} of {size}")
        return [Entries(axis, (key % size,))]
    if key.step not in {None, 1}:
        return [Stride(axis, key.start, key.stop, key.step)]
    start, stop, _ = key.indices(size)
    return [Window(axis, start, max(start, stop))]


def _selected(key: slice | int, change: AxisMap, part: AxisMap | None, size: int) -> slice | int:
    """What to take of a changed axis, so that it is what was taken before."""
    if isinstance(key, int):
        place = renumbered(change, [key % size])[0]
        return place if key >= 0 else place - change.size
    if key.step not in {None, 1} or key == slice(None):
        return key
    start, stop, _ = key.indices(size)
    first, last = window_after(change, part, start, stop)
    if key.indices(change.size)[:2] == (first, last):
        return key
    begin = key.start if key.start is None and not first else first
    end = None if key.stop is None and last == change.size else last
    return slice(begin, end, key.step)


def _as_written(item: Any) -> Any:
    """A part of a key as Keras writes it."""
    if not isinstance(item, slice):
        return item
    ends = {"start": item.start, "stop": item.stop, "step": item.step}
    return {"class_name": "__slice__", "config": ends}


TAKING: Mapping[tuple[str, str], Mover] = {
    ("core", "Slice"): Mover(("inputs", "start_indices"), _slice),
    ("core", "Unstack"): Mover(("x",), _unstack),
    ("numpy", "ArraySplit"): Mover(("x",), _array_split),
    ("numpy", "Dsplit"): Mover(("x",), _split_named(2)),
    ("numpy", "GetItem"): Mover(("x", "key"), _get_item),
    ("numpy", "Hsplit"): Mover(("x",), _split_named(1)),
    ("numpy", "Split"): Mover(("x",), _split),
    ("numpy", "Take"): Mover(("x", "indices"), _take),
    ("numpy", "Vsplit"): Mover(("x",), _split_named(0)),
}
"""(module, class) -> how it takes parts."""
