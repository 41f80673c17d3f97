"""Resize: one dimension of a layer changes, and all that has to follow.

Growing and shrinking are the same thing here: an axis map that spreads.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from patchc.compiler.build import follow_input_shape
from patchc.compiler.context import Context
from patchc.compiler.contracts import Agreement
from patchc.compiler.crossing import with_arguments
from patchc.compiler.member import Member, Resize
from patchc.compiler.movement import mover_of
from patchc.compiler.propagate import Spread
from patchc.compiler.region import Block, RegionError, way_to_head
from patchc.compiler.select import Match
from patchc.compiler.settle import settle_sizes
from patchc.errors import PatchError
from patchc.layers.base import Rule, complete
from patchc.layers.infer import call_spec, rule_of
from patchc.layers.opaque import no_rule
from patchc.layers.ports import aliases_of, bases_of, reading_axes
from patchc.model.axis import AxisMap
from patchc.model.graph import Layer, Tensor, flatten


def resizable(context: Context, match: Match) -> tuple[Layer, Rule]:
    """The one layer whose axis is to change, and its rule.

    Raises:
        PatchError: PC301 or PC306 for what has no axis of its own.
    """
    if isinstance(match, Block):
        context.refuse("PC301", "a block has no axis of its own", help="select one layer")
    if match.graph is not None:
        context.refuse("PC301", f"`{match.path}` is a nested model", help="select a layer inside")
    rule = rule_of(match)
    if rule is None or match.opaque is not None:
        reason = match.opaque or no_rule(match.class_name, match.module)
        context.refuse(
            "PC306",
            f"`{match.path}` cannot change its size: {reason}",
            help="change another layer, or replace it",
        )
    return match, rule


def chosen_dimension(
    context: Context, axis: str | None, rule: Rule, config: Mapping[str, Any], layer: Layer
) -> str:
    """The dimension that the edit's `axis` names, or the layer's default one.

    Raises:
        PatchError: PC301 where the layer has no such dimension.
    """
    known = list(rule.dimensions(config))
    if not known:
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no axis of its own",
            help="select the layer that makes its features",
        )
    chosen = axis or known[0]
    if chosen not in known:
        near = difflib.get_close_matches(chosen, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no axis `{chosen}`",
            help=f"{hint}its axes are {', '.join(f'`{name}`' for name in known)}",
        )
    return chosen


def standing_for(layer: Layer, rule: Rule, config: Mapping[str, Any], dimension: str) -> str:
    """The dimension that stands for one that has to stay equal to it."""
    return aliases_of(rule, config, call_spec(layer.calls[0])).get(dimension, dimension)


def plan_resize(
    context: Context,
    layer: Layer,
    dimension: str,
    change: AxisMap,
    size: int,
    *,
    preserve: bool,
    placed: bool = True,
) -> Resize:
    """Find out what follows from a change.

    It is made at the first places for new entries at which all can follow.

    Args:
        dimension: a config key of the layer, or what its rule calls it.
        change: new entry -> old entry.
        size: before.
        preserve: old entries must not notice new ones.
        placed: new entries go where `change` says, and nowhere else; otherwise
            they may go to the ends of equal blocks, where the graph asks for it.

    Raises:
        PatchError: PC306 where the graph cannot follow, the refusal of the
            first places; UnmetError where it could with copies.
    """
    heads, tail = outputs_made_by(context, layer)
    refused: PatchError | None = None
    tried: set[AxisMap] = set()
    waiting = [change]
    while waiting and len(tried) < _MAX_PLACES:
        trial = waiting.pop(0)
        tried.add(trial)
        spread = Spread(context, layer, preserve, heads, tail)
        try:
            spread.run(dimension, trial, size)
        except PatchError as error:
            refused = refused or error
            found = [] if placed else [_in_blocks(change, size, n) for n in spread.blocks]
            waiting += [other for other in found if other is not None and other not in tried]
            continue
        return Resize(spread, Agreement.of(spread), preserve)
    assert refused is not None
    raise refused


_MAX_PLACES = 8


def _in_blocks(change: AxisMap, size: int, blocks: int) -> AxisMap | None:
    """New entries at the end of each of some equal blocks; None where that does not come out.

    Of copies, where each entry is copied equally often, those of its own block.
    """
    new = change.size - size
    if size % blocks or new % blocks:
        return None
    each, more = size // blocks, new // blocks
    if not change.repeats:
        ends = [each * (i + 1) for i in range(blocks)]
        return AxisMap.grown(size, new, [end for end in ends for _ in range(more)])
    if not change.is_even(size):
        return None
    times = change.size // size
    return AxisMap.of(
        index for i in range(blocks) for index in list(range(i * each, (i + 1) * each)) * times
    )


def resize(context: Context, plan: Resize) -> None:
    """Change one dimension of a layer, and everything that must follow it."""
    spread = plan.spread
    split = plan.preserve and _is_read(spread)
    members = [
        Member(context, plan, layer, label, found, split=split)
        for layer, dimensions in spread.dimensions.items()
        for label, found in dimensions.items()
    ]
    for member in members:
        member.resize()
    for layer, config in spread.configs.items():
        before = {key: layer.config.get(key) for key in config}
        layer.config = {**layer.config, **config}
        if layer.is_input:
            follow_input_shape(layer, config["batch_shape"])
        if layer is plan.source or not layer.is_input:
            reason = "" if layer is plan.source else f"follows `{plan.source.path}`"
            context.log("resize", layer.path, before, config, reason)
    _tell_calls(context, plan.source, spread)
    settle_sizes(context)


def _tell_calls(context: Context, layer: Layer, spread: Spread) -> None:
    """Write the arguments of operations that change."""
    for call, told in spread.arguments.items():
        mover = mover_of(call.layer)
        with_arguments(call, told, mover.parameters if mover is not None else ())
        names = [str(name) for name in told]
        reason = f"follows `{layer.path}`"
        context.log("resize", call.layer.path, {"arguments": names}, {"arguments": names}, reason)


def _is_read(spread: Spread) -> bool:
    """Whether any weight sums over what changes."""
    return any(
        not dimensions.keys().isdisjoint(bases_of((weight.axes or ())[axis]))
        for layer, dimensions in spread.dimensions.items()
        if (rule := rule_of(layer)) is not None
        for weight in layer.weights
        for axis in reading_axes(rule, complete(rule, layer.config), weight.name, weight.axes or ())
    )


def outputs_made_by(context: Context, layer: Layer) -> tuple[frozenset[Tensor], frozenset[Layer]]:
    """The outputs whose features a layer makes, and the layers in between."""
    graph = context.root.graph
    assert graph is not None
    heads: set[Tensor] = set()
    tail: set[Layer] = {layer}
    for output in flatten(graph.outputs):
        try:
            way = way_to_head(output)
        except RegionError:
            continue
        if way[-1] is layer:
            heads.add(output)
            tail.update(way)
    return frozenset(heads), frozenset(tail if heads else ())
