"""Resize: one dimension of a layer changes, and all that has to follow.

Growing and shrinking are the same thing here: an axis map that spreads.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from patchc.compiler.build import follow_input_shape
from patchc.compiler.context import Context
from patchc.compiler.crossing import with_arguments
from patchc.compiler.fill import DEFAULT
from patchc.compiler.movement import mover_of
from patchc.compiler.propagate import Dimension, Spread
from patchc.compiler.region import Block, RegionError, way_to_head
from patchc.compiler.select import Match
from patchc.compiler.settle import seed_text, settle
from patchc.errors import PatchError
from patchc.layers.base import Rule, complete
from patchc.layers.infer import rule_of
from patchc.layers.ports import aliases_of, base_of, derived, reading_axes
from patchc.model.axis import AxisMap
from patchc.model.graph import Layer, Tensor, Weight, flatten
from patchc.model.values import ZEROS, Growth, Strategy


def resizable(context: Context, match: Match) -> tuple[Layer, Rule]:
    """The one layer whose axis is to change, and its rule.

    Raises:
        PatchError: PC301 or PC306 for what has no axis of its own.
    """
    if isinstance(match, Block):
        context.refuse("PC301", "a block has no axis of its own", help="select one layer")
    if match.graph is not None:
        context.refuse("PC301", f"`{match.path}` is a nested model", help="select a layer inside")
    if match.is_input:
        context.refuse(
            "PC310",
            "changing the features of an input is not available in this version",
            help="change the layer behind it",
        )
    rule = rule_of(match)
    if rule is None or match.opaque is not None:
        reason = match.opaque or f"it is a {match.class_name}, for which patchc has no rule"
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
    every = list(rule.dimensions(config))
    known = [name for name in every if name not in rule.rigid]
    if not every:
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no axis of its own",
            help="select the layer that makes its features",
        )
    chosen = axis or (known or every)[0]
    listed = ", ".join(f"`{name}`" for name in known) or "none"
    if chosen not in every:
        near = difflib.get_close_matches(chosen, every, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no axis `{chosen}`",
            help=f"{hint}its axes are {listed}",
        )
    if chosen in rule.rigid:
        context.refuse(
            "PC310",
            f"`{chosen}` of `{layer.path}` ({layer.class_name}) cannot be changed in this version:"
            f" {rule.rigid[chosen]}",
            help=f"axes that can be changed: {listed}",
        )
    return chosen


def resize(
    context: Context,
    layer: Layer,
    dimension: str,
    change: AxisMap,
    size: int,
    *,
    preserve: bool,
    fills: Mapping[Weight, Strategy],
    placed: bool = True,
) -> None:
    """Change one dimension of a layer, and everything that must follow it.

    Args:
        dimension: a config key of the layer, or what its rule calls it.
        change: new entry -> old entry.
        size: before.
        preserve: what reads new entries starts at zero.
        fills: how new entries of the layer's own weights are made.
        placed: new entries go where `change` says, and nowhere else; otherwise
            they may go to the ends of equal blocks, where the graph asks for it.

    Raises:
        PatchError: PC306 where the graph cannot follow.
    """
    spread = _spread(context, layer, dimension, change, size, preserve=preserve, placed=placed)
    for member, dimensions in spread.dimensions.items():
        for label, found in dimensions.items():
            context.resized.add((member, label))
            own = fills if member is layer else {}
            _resize_layer(context, layer, member, label, found, own, preserve=preserve)
    for member, config in spread.configs.items():
        before = {key: member.config.get(key) for key in config}
        member.config = {**member.config, **config}
        if member.is_input:
            follow_input_shape(member, config["batch_shape"])
        else:
            context.log("resize", member.path, before, config, f"follows `{layer.path}`")
    _tell_calls(context, layer, spread)
    settle(context)


def _tell_calls(context: Context, layer: Layer, spread: Spread) -> None:
    """Write the arguments of operations that change."""
    for call, told in spread.arguments.items():
        mover = mover_of(call.layer)
        with_arguments(call, told, mover.parameters if mover is not None else ())
        names = [str(name) for name in told]
        reason = f"follows `{layer.path}`"
        context.log("resize", call.layer.path, {"arguments": names}, {"arguments": names}, reason)


def _spread(
    context: Context,
    layer: Layer,
    dimension: str,
    change: AxisMap,
    size: int,
    *,
    preserve: bool,
    placed: bool,
) -> Spread:
    """What changes with a dimension, at the first places for new entries at which all can follow.

    Raises:
        PatchError: the refusal of the first places.
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
            found = [] if placed else [_in_blocks(size, change.new, n) for n in spread.blocks]
            waiting += [other for other in found if other is not None and other not in tried]
            continue
        return spread
    assert refused is not None
    raise refused


_MAX_PLACES = 8


def _in_blocks(size: int, new: int, blocks: int) -> AxisMap | None:
    """New entries at the end of each of some equal blocks; None where that does not come out."""
    if size % blocks or new % blocks:
        return None
    each, more = size // blocks, new // blocks
    return AxisMap.grown(size, new, [each * (i + 1) for i in range(blocks) for _ in range(more)])


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


# ------------------------------------------------------------------------- layers


def _resize_layer(
    context: Context,
    source: Layer,
    layer: Layer,
    label: str,
    dimension: Dimension,
    fills: Mapping[Weight, Strategy],
    *,
    preserve: bool,
) -> None:
    rule = rule_of(layer)
    if rule is None:
        return
    config = complete(rule, layer.config)
    _log_layer(context, source, layer, rule, config, label, dimension)
    for weight in layer.weights:
        before = weight.shape
        _resize_weight(rule, config, weight, label, dimension, fills.get(weight), preserve=preserve)
        if weight.shape != before:
            _log_weight(context, layer, weight, before)


def _log_layer(
    context: Context,
    source: Layer,
    layer: Layer,
    rule: Rule,
    config: Mapping[str, Any],
    label: str,
    dimension: Dimension,
) -> None:
    """Write the new size into the configuration, and into the plan."""
    reason = "" if layer is source else f"follows `{source.path}`"
    size = dimension.map.size
    owned = label in rule.dimensions(config)
    keys = dict((rule.resized if owned else rule.followed)(config, label, size))
    if keys:
        before = {key: layer.config.get(key) for key in keys}
        layer.config = {**layer.config, **keys}
        context.log("resize", layer.path, before, keys, reason)
    elif layer.weights:
        reads = any(reading_axes(rule, w.name, w.axes or ()) for w in layer.weights)
        reason = f"reads `{source.path}`" if reads else reason
        context.log(
            "resize", layer.path, {label: dimension.size}, {label: dimension.map.size}, reason
        )


# ------------------------------------------------------------------------ weights


def _resize_weight(
    rule: Rule,
    config: Mapping[str, Any],
    weight: Weight,
    label: str,
    dimension: Dimension,
    fill: Strategy | None,
    *,
    preserve: bool,
) -> None:
    """Change the axes of a weight that run over a dimension.

    Axes that are summed over come last, so that where new entries of both
    kinds cross, the values of the others stand.
    """
    axes = weight.axes or ()
    aliases = aliases_of(rule, config)
    reading = reading_axes(rule, weight.name, axes)
    own = None if fill == DEFAULT else fill
    for axis in sorted(range(len(axes)), key=lambda axis: axis in reading):
        base = base_of(axes[axis])
        if aliases.get(base, base) != label:
            continue
        change = derived(axes[axis], dimension.map, dimension.size, config)
        assert change is not None  # the spread has checked it
        made = own or weight.initializer or ZEROS
        blocks = axes[axis].partition("*")[0]
        _change(
            weight,
            Growth(
                axis=axis,
                map=change,
                fill=ZEROS if axis in reading and preserve else made,
                blocks=int(blocks) if blocks.isdigit() else 1,
            ),
        )


def _change(weight: Weight, growth: Growth) -> None:
    old = weight.value
    made = old.made or weight.shape if old.base is None else None
    weight.value = replace(old, growths=(*old.growths, growth), made=made)
    shape = list(weight.shape)
    shape[growth.axis] = growth.map.size
    weight.shape = tuple(shape)


def _log_weight(context: Context, layer: Layer, weight: Weight, before: tuple[int, ...]) -> None:
    growth = weight.value.growths[-1]
    after: dict[str, Any] = {"shape": list(weight.shape)}
    if growth.map.new:
        after["init"] = growth.fill.to_json()
    context.log("resize", f"{layer.path}/{weight.name}", list(before), after)
    seed = weight.value.seed or seed_text(context, layer, weight.twin or weight.name)
    weight.value = replace(weight.value, seed=seed)
