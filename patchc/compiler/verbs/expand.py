"""`expand`: one axis of a layer grows, and everything that must follow it."""

from __future__ import annotations

from patchc.compiler.context import Context
from patchc.compiler.resize import chosen_dimension, resizable, resize
from patchc.compiler.select import Match
from patchc.language.patch import Expand
from patchc.layers.base import complete
from patchc.model.axis import AxisMap
from patchc.model.graph import Layer

_LATER = {
    "max_prob_shift": "the bounded start of new classes",
    "tokens": "growing a vocabulary by its tokens",
}
_COPIES = ("copy", "repeat")


def expand(context: Context, verb: Expand, match: Match) -> None:
    """Grow one axis of a layer and of all that follow it.

    Raises:
        PatchError: PC301 where the layer has no such axis, PC306 where the
            graph cannot follow, PC310 for forms that are not available yet.
    """
    _check_available(context, verb)
    layer, rule = resizable(context, match)
    config = complete(rule, layer.config)
    dimension = chosen_dimension(context, verb.axis, rule, config, layer)
    if (layer, dimension) in context.resized:
        return  # it has grown with another match of this edit
    size = rule.size_of(config, dimension)
    change = _change(context, verb, layer, size)
    if change.is_identity(size):
        return
    resize(context, layer, dimension, change, size, preserve=verb.preserve)


def _check_available(context: Context, verb: Expand) -> None:
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
                f"`{strategy.name}` for grown regions is not available in this version",
                span=init.span if init else None,
                help="use `mean`, `sample` or a Keras initialiser",
            )


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
