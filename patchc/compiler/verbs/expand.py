"""`expand`: one axis of a layer grows, and everything that must follow it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from patchc.compiler.context import Context
from patchc.compiler.fill import strategies
from patchc.compiler.propagate import Follower, Spread, grow_axes
from patchc.compiler.region import Block, RegionError, head_of
from patchc.compiler.select import Match
from patchc.compiler.settle import seed_text, settle
from patchc.language.patch import Expand
from patchc.layers.base import Rule, complete
from patchc.layers.infer import feature_of, rule_of
from patchc.model.axis import AxisMap
from patchc.model.graph import Layer, Weight, flatten
from patchc.model.values import ZEROS, Strategy

_LATER = {
    "max_prob_shift": "the bounded start of new classes",
    "tokens": "growing a vocabulary by its tokens",
}
_COPIES = ("copy",)


def expand(context: Context, verb: Expand, match: Match) -> None:
    """Grow one axis of a layer and of all that follow it.

    Raises:
        PatchError: PC301 where the layer has no such axis, PC306 where the
            graph cannot follow, PC310 for forms that are not available yet.
    """
    layer, rule = _growable(context, verb, match)
    config = complete(rule, layer.config)
    dimension = _dimension(context, verb, rule, config, layer)
    size = rule.size_of(config, dimension)
    change = _change(context, verb, layer, size)
    if change.is_identity(size):
        return
    followers = _followers(context, verb, layer, dimension, change)
    _resize_own(context, layer, rule, dimension, change, size)
    for follower in followers:
        _resize_follower(context, layer, follower, preserve=verb.preserve)
    settle(context)


def _growable(context: Context, verb: Expand, match: Match) -> tuple[Layer, Rule]:
    for key, what in _LATER.items():
        if getattr(verb, key) is not None:
            context.refuse(
                "PC310",
                f"{what} (`{key}`) is not available in this version",
                help="use `by` or `to` with `init`",
            )
    init = context.edit.init
    for strategy in init.strategies.values() if init else ():
        if strategy.name in _COPIES:
            context.refuse(
                "PC310",
                "`copy` for grown regions is not available in this version",
                span=init.span if init else None,
                help="use `mean`, `sample` or a Keras initialiser",
            )
    if isinstance(match, Block):
        context.refuse("PC301", "a block has no axis to grow", help="select one layer")
    if match.graph is not None:
        context.refuse("PC301", f"`{match.path}` is a nested model", help="select a layer inside")
    if match.is_input:
        context.refuse(
            "PC310",
            "growing an input is not available in this version",
            help="expand the layer behind it, or build the model with more inputs",
        )
    rule = rule_of(match)
    if rule is None or match.opaque is not None:
        reason = match.opaque or f"patchc has no rule for {match.class_name}"
        context.refuse(
            "PC306",
            f"`{match.path}` cannot grow: {reason}",
            help="grow another layer, or replace it",
        )
    return match, rule


def _dimension(
    context: Context, verb: Expand, rule: Rule, config: Mapping[str, object], layer: Layer
) -> str:
    known = list(rule.dimensions(config))
    if not known:
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no axis of its own",
            help="expand the layer that makes its features",
        )
    if verb.axis is None:
        return known[0]
    if verb.axis not in known:
        near = difflib.get_close_matches(verb.axis, known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        context.refuse(
            "PC301",
            f"`{layer.path}` ({layer.class_name}) has no axis `{verb.axis}`",
            help=f"{hint}its axes are {', '.join(f'`{name}`' for name in known)}",
        )
    return verb.axis


def _change(context: Context, verb: Expand, layer: Layer, size: int) -> AxisMap:
    by = verb.by if verb.by is not None else (verb.to or 0) - size
    if by < 0:
        context.refuse(
            "PC301",
            f"`{layer.path}` has {size} entries already, more than {verb.to}",
            help="use `shrink` to take entries out",
        )
    at = verb.at
    if at is None:
        return AxisMap.grown(size, by)
    places = at * by if len(at) == 1 else at
    if len(places) != by:
        context.refuse(
            "PC301",
            f"`at` names {len(places)} places for {by} new entries",
            help="give one place, or one for each new entry",
        )
    if any(place > size for place in places):
        context.refuse(
            "PC301",
            f"`at` goes past the end: `{layer.path}` has {size} entries",
            help=f"places are 0 to {size}",
        )
    return AxisMap.grown(size, by, places)


def _followers(
    context: Context, verb: Expand, layer: Layer, dimension: str, change: AxisMap
) -> Sequence[Follower]:
    if feature_of(layer) != dimension:
        return ()
    is_head = _is_head(context, layer)
    spread = Spread(context, layer, change, preserve=verb.preserve, is_head=is_head)
    return spread.from_layer()


def _is_head(context: Context, layer: Layer) -> bool:
    """Whether the layer makes the features of an output, and may change its shape."""
    graph = context.root.graph
    assert graph is not None
    for output in flatten(graph.outputs):
        try:
            if head_of(output) is layer:
                return True
        except RegionError:
            continue
    return False


# ----------------------------------------------------------------------- resizing


def _resize_own(
    context: Context, layer: Layer, rule: Rule, dimension: str, change: AxisMap, size: int
) -> None:
    keys = rule.resized(complete(rule, layer.config), dimension, change.size)
    before = {key: layer.config.get(key) for key in keys}
    layer.config = {**layer.config, **keys}
    context.log("resize", layer.path, before, dict(keys))
    touched = [w for w in layer.weights if any(_names(a, dimension) for a in w.axes or ())]
    chosen = strategies(context, context.edit.init, [(layer, weight) for weight in touched])
    fills = dict(zip(touched, chosen, strict=True))
    _log_weights(context, layer, grow_axes(layer, dimension, change, size, fills.__getitem__))


def _names(axis: str, dimension: str) -> bool:
    return dimension in axis.split("*")


def _resize_follower(
    context: Context, source: Layer, follower: Follower, *, preserve: bool
) -> None:
    layer, change = follower.layer, follower.map
    size = sum(length for start, length in change.runs if start >= 0)
    if follower.inner_input:
        shape = [*layer.config["batch_shape"][:-1], change.size]
        layer.config = {**layer.config, "batch_shape": shape}
        return

    def fill(weight: Weight) -> Strategy:
        zero = follower.absorbs and preserve
        return ZEROS if zero else weight.initializer or ZEROS

    reason = f"{'reads' if follower.absorbs else 'follows'} `{source.path}`"
    grown = grow_axes(layer, "input", change, size, fill)
    if grown:
        context.log("resize", layer.path, {"input": size}, {"input": change.size}, reason)
    _log_weights(context, layer, grown)


def _log_weights(
    context: Context, layer: Layer, grown: Sequence[tuple[Weight, tuple[int, ...]]]
) -> None:
    for weight, before in grown:
        fill = weight.value.growths[-1].fill.to_json()
        after = {"shape": list(weight.shape), "init": fill}
        context.log("resize", f"{layer.path}/{weight.name}", list(before), after)
        seed = weight.value.seed or seed_text(context, layer, weight.name)
        weight.value = replace(weight.value, seed=seed)
