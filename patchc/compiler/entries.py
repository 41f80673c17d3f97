"""Entries: where the old entries of a model's outputs are, once a plan is carried out."""

from __future__ import annotations

from collections.abc import Mapping

from patchc.compiler.movement import Change, StuckError, forward, movement_of, mover_of
from patchc.compiler.plan import Plan
from patchc.compiler.region import RegionError, trail_to_head
from patchc.compiler.select import named_ends
from patchc.layers.base import RuleError, complete
from patchc.layers.infer import call_spec, feature_of, rule_of
from patchc.layers.ports import ports_of
from patchc.model.axis import NEW, AxisMap
from patchc.model.document import StoredWeight
from patchc.model.graph import Tensor


def way_back(plan: Plan) -> list[Change | None]:
    """For each output of the result, how its entries would go back to those of the base.

    A change from the result to the base: an axis, and for each old entry the
    one that it has become, or NEW where it has been taken out.  None for an
    output of which no entry has moved.
    """
    graph = plan.base.root.graph
    assert graph is not None
    return [_undone(tensor, plan.base.weights) for _, tensor in named_ends(graph.outputs)]


def _undone(output: Tensor, base: Mapping[str, StoredWeight]) -> Change | None:
    try:
        trail = trail_to_head(output)
    except RegionError:
        return None  # only the head of an output changes its shape
    head = trail.pop()
    change = _grown(head, base)
    read = head
    while change is not None and trail:
        made = trail.pop()
        change = _handed_on(change, read, made)
        read = made
    return change


def _grown(head: Tensor, base: Mapping[str, StoredWeight]) -> Change | None:
    """The change of the features that a layer makes, told by a weight that runs over them."""
    layer, rule = head.layer, rule_of(head.layer)
    assert rule is not None
    feature = feature_of(layer)
    for weight in layer.weights:
        stored = base.get(weight.value.base or "")
        if stored is None or feature not in (weight.axes or ()):
            continue
        place = (weight.axes or ()).index(feature)
        size = stored.shape[place]
        change = AxisMap.identity(size)
        for growth in weight.value.growths:
            change = change.then(growth.map) if growth.axis == place else change
        ports = ports_of(rule, complete(rule, layer.config), call_spec(head.call))
        axis = next(port.axis for port in ports if port.output and port.index == head.index)
        return None if change.is_identity(size) else (axis, _inverse(change, size))
    return None


def _inverse(change: AxisMap, size: int) -> AxisMap:
    places = {old: new for new, old in enumerate(change.indices())}
    return AxisMap.of(places.get(old, NEW) for old in range(size))


def _handed_on(change: Change, read: Tensor, made: Tensor) -> Change | None:
    """The change of what a layer makes of a tensor that changes; None where it mixes entries."""
    layer = made.layer
    if read.spec is None or made.spec is None:
        return None
    before, after = read.spec.shape, made.spec.shape
    if mover_of(layer) is None:
        axis, moved = change
        return (len(after) - 1 if axis == len(before) - 1 else axis), moved
    try:
        movement = movement_of(layer, call_spec(made.call))
        return forward(movement, {0: change}).outputs.get(made.index)
    except (RuleError, StuckError):
        return None
