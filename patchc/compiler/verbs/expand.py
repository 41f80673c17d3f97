"""`expand`: one axis of a layer grows, and everything that must follow it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle, repeat

from patchc.compiler.context import Context
from patchc.compiler.contracts import UnmetError
from patchc.compiler.fill import DEFAULT, strategies
from patchc.compiler.member import Resize
from patchc.compiler.resize import (
    chosen_dimension,
    outputs_made_by,
    plan_resize,
    resizable,
    resize,
    standing_for,
)
from patchc.compiler.select import Match
from patchc.compiler.verbs.inputs import expand_input
from patchc.compiler.verbs.places import grown_map
from patchc.compiler.verbs.tokens import append_tokens
from patchc.errors import PatchError
from patchc.language.patch import Expand
from patchc.layers.base import complete
from patchc.layers.ports import bases_of
from patchc.layers.silence import ends_in_softmax
from patchc.model.axis import NEW, AxisMap
from patchc.model.graph import Layer, Weight
from patchc.model.values import ZEROS, Strategy


def expand(context: Context, verb: Expand, match: Match) -> None:
    """Grow one axis of a layer and of all that follow it.

    Raises:
        PatchError: PC301 where the layer has no such axis, PC306 where the
            graph cannot follow.
    """
    if isinstance(match, Layer) and match.is_input:
        expand_input(context, verb, match)
        return
    _check_available(context)
    if verb.tokens is not None:
        append_tokens(context, match, verb.tokens, preserve=verb.preserve)
        return
    layer, rule = resizable(context, match)
    config = complete(rule, layer.config)
    dimension = chosen_dimension(context, verb.axis, rule, config, layer)
    size = rule.size_of(config, dimension)
    dimension = standing_for(layer, rule, config, dimension)
    if (layer, dimension) in context.resized:
        return  # it has grown with another match of this edit
    change = grown_map(context, verb, layer, size)
    if change.is_identity(size):
        return
    if verb.max_prob_shift is not None:
        fills = _bounded(context, layer, size, change.new, verb.max_prob_shift)
    else:
        targets = [(layer, weight) for weight in layer.weights]
        chosen = strategies(context, context.edit.init, targets)
        fills = dict(zip(layer.weights, chosen, strict=True))
    copy = context.edit.init.bare if context.edit.init else None
    if copy is not None and copy.name == "copy" and verb.preserve:
        change = _copied(context, layer, change, size, copy)
    plan = _planned(context, layer, dimension, change, size)
    _check_chosen(context, plan, dimension, fills)
    resize(context, replace(plan, fills=fills))


def _copied(context: Context, layer: Layer, change: AxisMap, size: int, copy: Strategy) -> AxisMap:
    """The change with a copy of an old entry in place of each new one.

    Raises:
        PatchError: PC305 where there is no entry of that number.
    """
    chosen = copy.arguments.get("index")
    if chosen is not None and chosen >= size:
        context.refuse(
            "PC305",
            f"`{layer.path}` has no entry {chosen} to copy: it has {size}",
            span=context.edit.init.span if context.edit.init else None,
            help=f"entries are 0 to {size - 1}",
        )
    sources = cycle(range(size)) if chosen is None else repeat(chosen)
    return AxisMap.of(next(sources) if i == NEW else i for i in change.indices())


def _planned(context: Context, layer: Layer, dimension: str, change: AxisMap, size: int) -> Resize:
    """What follows from the change; with copies where new entries of another kind cannot be.

    A normalisation does not notice when each entry stands as often as any
    other: so an axis grows to a multiple of its size.

    Raises:
        PatchError: PC306, which names the increments that would be possible.
    """
    verb = context.edit.verb
    assert isinstance(verb, Expand)

    def follow(changed: AxisMap) -> Resize:
        placed = verb.at is not None
        return plan_resize(
            context, layer, dimension, changed, size, preserve=verb.preserve, placed=placed
        )

    try:
        return follow(change)
    except UnmetError as error:
        free = context.edit.init is None and verb.at is None and verb.max_prob_shift is None
        times, rest = divmod(change.size, size)
        (found,) = error.diagnostics
        if rest == 0 and free and not change.repeats:
            reason = f"new entries are copies, as {found.message.partition(': ')[2]}"
            return replace(follow(_multiple(size, times)), reason=reason)
        try:
            follow(_multiple(size, 2))
        except PatchError:
            raise error from None
        way = f"grow it to a multiple, such as `to: {2 * size}`, without `init` and `at`:"
        raise PatchError(replace(found, help=f"{way} its entries are then copied")) from None


def _multiple(size: int, times: int) -> AxisMap:
    return AxisMap.of(list(range(size)) * times)


def _check_chosen(
    context: Context, plan: Resize, dimension: str, fills: Mapping[Weight, Strategy]
) -> None:
    """Refuse an `init` where a normalisation leaves no choice."""
    made = plan.agreement.made.get((plan.source, dimension))
    for weight, fill in fills.items():
        runs = any(dimension in bases_of(axis) for axis in weight.axes or ())
        if made is None or not runs or fill in (DEFAULT, _FORCED[made]):
            continue
        context.refuse(
            "PC305",
            f"new entries of `{plan.source.path}/{weight.name}` have to be {made}, because a"
            " normalisation follows whose old entries must not change",
            span=context.edit.init.span if context.edit.init else None,
            help="leave `init` out, or write `preserve: false`",
        )


_FORCED: Mapping[str, Strategy] = {"zero": ZEROS, "mean": Strategy("mean")}


def _bounded(
    context: Context, layer: Layer, size: int, new: int, shift: float
) -> dict[Weight, Strategy]:
    """New classes that together take at most `shift` of probability, on any input.

    Each starts as the mean of the old ones with its bias lowered by c.  By
    Jensen's inequality exp(mean z) <= sum exp(z_i) / n, so `new` of them take
    at most new * exp(-c) / n.

    Raises:
        PatchError: PC301 where the layer does not feed a softmax, or has no bias.
    """
    _, tail = outputs_made_by(context, layer)
    weights = {weight.name.rpartition("/")[2]: weight for weight in layer.weights}
    if not any(ends_in_softmax(member) for member in tail) or "bias" not in weights:
        context.refuse(
            "PC301",
            f"`{layer.path}` is not the head of a softmax with a bias",
            help="`max_prob_shift` is for softmax heads; leave it out elsewhere",
        )
    offset = math.log(new / (size * shift)) + _SLACK
    means = dict.fromkeys(layer.weights, Strategy("mean"))
    if offset > 0:
        lowered = -math.ceil(offset * _GRID) / _GRID
        means[weights["bias"]] = Strategy("mean", {"offset": lowered})
    return means


_SLACK = 1e-4
"""Covers the rounding of means and logits to float32."""
_GRID = 1 << 16
"""Offsets are multiples of 1/65536, so that no machine's logarithm shows in the result."""


def _check_available(context: Context) -> None:
    init = context.edit.init
    for strategy in init.strategies.values() if init else ():
        if strategy.name == "repeat":
            context.refuse(
                "PC305",
                "`repeat` is for what reads an input, not for a layer's own weights",
                span=init.span if init else None,
                help="use `copy`, `mean`, `sample` or a Keras initialiser",
            )
