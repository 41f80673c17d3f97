"""Movement: changes go through layers and operations that move entries about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from patchc.layers.along import Window
from patchc.layers.base import CallSpec, complete
from patchc.layers.infer import rule_of
from patchc.layers.movement import Edits, Movement, Mover
from patchc.layers.moving_layers import LAYERS
from patchc.layers.operands import operands
from patchc.layers.operations import MovingRule, operation_rule
from patchc.layers.routes import Change, Route, StuckError, part_of
from patchc.model.axis import NEW, AxisMap
from patchc.model.graph import Layer

__all__ = ["Change", "Moved", "StuckError", "backward", "forward", "movement_of", "mover_of"]


@dataclass(frozen=True, slots=True)
class Moved:
    """What changes with a change.

    Args:
        inputs, outputs: changes by number.
        edits: what the layer has to be told anew.
    """

    inputs: Mapping[int, Change]
    outputs: Mapping[int, Change]
    edits: Edits


def mover_of(layer: Layer) -> Mover | None:
    """How a layer or an operation moves entries; None where it does anything else."""
    if layer.is_operation:
        rule = operation_rule(layer.class_name, layer.module)
        return rule.mover if isinstance(rule, MovingRule) else None
    return LAYERS.get(layer.class_name) if rule_of(layer) is not None else None


def movement_of(layer: Layer, spec: CallSpec) -> Movement:
    """The routes of one call of a layer that has a mover.

    Raises:
        RuleError: where patchc does not know them.
    """
    mover, rule = mover_of(layer), rule_of(layer)
    assert mover is not None
    config = complete(rule, layer.config) if rule is not None else layer.config
    return mover.movement(config, operands(spec, mover.parameters))


def forward(movement: Movement, inputs: Mapping[int, Change]) -> Moved:
    """All that follows from changes of inputs.

    Raises:
        StuckError: where a change cannot pass.
    """
    found: dict[int, Change] = dict(inputs)
    outputs: dict[int, Change] = {}
    for number, route in enumerate(movement.routes):
        change = _through(route, found)
        if change is not None:
            outputs[number] = change
    return Moved(found, outputs, movement.edit(found, outputs))


def _through(route: Route, inputs: dict[int, Change]) -> Change | None:
    """The change of one output; inputs that are joined to it change with it."""
    ends = [
        strand.forward(inputs[strand.source]) if strand.source in inputs else None
        for strand in route.strands
    ]
    if len(ends) == 1:
        return ends[0]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    if all(axis == route.axis for axis, _ in known):
        return route.axis, _joined(route, ends)
    if len(set(known)) > 1:
        raise StuckError("joins tensors that would change in several ways")
    for strand, end in zip(route.strands, ends, strict=True):
        needed = strand.backward(known[0]) if end is None else None
        if needed is None or strand.source is None:
            continue
        if inputs.setdefault(strand.source, needed) != needed:
            raise StuckError("joins tensors that would change in several ways")
    return known[0]


def _sizes(route: Route) -> list[int]:
    sizes = [strand.shapes()[-1][route.axis] for strand in route.strands]
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes):
        raise StuckError("joins inputs of unknown size")
    return known


def _joined(route: Route, ends: list[Change | None]) -> AxisMap:
    """The maps of all parts side by side."""
    total: list[int] = []
    start = 0
    for end, size in zip(ends, _sizes(route), strict=True):
        part = AxisMap.identity(size) if end is None else end[1]
        total += [index if index == NEW else start + index for index in part.indices()]
        start += size
    return AxisMap.of(total)


def backward(movement: Movement, outputs: Mapping[int, Change]) -> Moved:
    """All that has to change where outputs do.

    Raises:
        StuckError: where no change of the inputs makes that of the outputs.
    """
    inputs: dict[int, Change] = {}
    for number, change in outputs.items():
        for source, needed in _needed(movement.routes[number], change).items():
            known = inputs.get(source)
            inputs[source] = needed if known is None else _both(known, needed)
    found = dict(outputs)
    for number, route in enumerate(movement.routes):
        if number not in outputs and not _apart(route, inputs):
            follows = _through(route, inputs)
            if follows is not None:
                found[number] = follows
    return Moved(inputs, found, movement.edit(inputs, found))


def _needed(route: Route, change: Change) -> dict[int, Change]:
    """The changes of inputs that make one of the output."""
    axis, axis_map = change
    found: dict[int, Change] = {}
    start = 0
    along = len(route.strands) > 1 and axis == route.axis
    sizes = _sizes(route) if along else [0] * len(route.strands)
    for strand, size in zip(route.strands, sizes, strict=True):
        part = part_of(axis_map, start, start + size) if along else axis_map
        start += size
        if along and part.is_identity(size):
            continue
        needed = strand.backward((axis, part))
        if needed is None:
            continue
        if strand.source is None:
            raise StuckError("joins a constant, which would have to change")
        if found.setdefault(strand.source, needed) != needed:
            raise StuckError("joins a tensor with itself, which would change in two ways")
    return found


def _both(one: Change, other: Change) -> Change:
    """Two changes of one axis at once: new entries of both, entries that both keep."""
    if one == other:
        return one
    if one[0] != other[0]:
        raise StuckError("would have to change two axes of a tensor at once")
    (first, end), (second, ending) = (_gaps(change[1]) for change in (one, other))
    indices: list[int] = []
    for old in sorted({*first, *second}):
        indices += [NEW] * (first.get(old, 0) + second.get(old, 0))
        if old in first and old in second:
            indices.append(old)
    return one[0], AxisMap.of(indices + [NEW] * (end + ending))


def _gaps(change: AxisMap) -> tuple[dict[int, int], int]:
    """Kept entry -> number of new ones in front of it; and the number of those at the end."""
    found: dict[int, int] = {}
    waiting = 0
    for old in change.indices():
        if old == NEW:
            waiting += 1
            continue
        if found and old < max(found):
            raise StuckError("takes parts of an axis whose order would change")
        found[old] = waiting
        waiting = 0
    return found, waiting


def _apart(route: Route, inputs: Mapping[int, Change]) -> bool:
    """Whether an output takes another part of the axis that changes than those that need it."""
    strand = route.strands[0]
    step = strand.steps[0] if strand.steps else None
    change = inputs.get(strand.source) if strand.source is not None else None
    return isinstance(step, Window) and change is not None and change[0] == step.axis
