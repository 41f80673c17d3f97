"""`shrink`: entries leave one axis of a layer, and everything that follows it."""

from __future__ import annotations

from patchc.compiler.context import Context
from patchc.compiler.resize import (
    chosen_dimension,
    plan_resize,
    resizable,
    resize,
    standing_for,
)
from patchc.compiler.select import Match
from patchc.compiler.verbs.inputs import input_size, shrink_input
from patchc.language.patch import Shrink
from patchc.layers.base import complete
from patchc.model.axis import AxisMap
from patchc.model.graph import Layer


def shrink(context: Context, verb: Shrink, match: Match) -> None:
    """Take entries out of one axis of a layer and of all that follow it.

    The order is that of the model, whatever the order written.

    Raises:
        PatchError: PC301 for an axis or entry that is not there, PC306 where
            the graph cannot follow.
    """
    if isinstance(match, Layer) and match.is_input:
        size = input_size(context, match, verb.axis)
        kept = _kept(context, verb, match, size)
        if kept is not None:
            shrink_input(context, match, verb, kept, size)
        return
    if context.edit.init is not None:
        context.refuse(
            "PC305",
            "`init: sum` is for the features of an input",
            span=context.edit.init.span,
            help="leave `init` out",
        )
    layer, rule = resizable(context, match)
    config = complete(rule, layer.config)
    dimension = chosen_dimension(context, verb.axis, rule, config, layer)
    size = rule.size_of(config, dimension)
    change = _kept(context, verb, layer, size)
    if change is not None:
        dimension = standing_for(layer, rule, config, dimension)
        resize(context, plan_resize(context, layer, dimension, change, size, preserve=False))


def _kept(context: Context, verb: Shrink, layer: Layer, size: int) -> AxisMap | None:
    """The entries that stay; None where all do.

    Raises:
        PatchError: PC301 for an entry that is not there, or where none stays.
    """
    named = verb.drop if verb.drop is not None else verb.keep or ()
    beyond = [index for index in named if not 0 <= index < size]
    if beyond:
        context.refuse(
            "PC301",
            f"`{layer.path}` has no entry {beyond[0]}: it has {size}",
            help=f"entries are 0 to {size - 1}",
        )
    kept = [i for i in range(size) if (i in set(named)) == (verb.drop is None)]
    if not kept:
        context.refuse(
            "PC301", f"nothing of `{layer.path}` would be left", help="keep at least one entry"
        )
    return AxisMap.of(kept) if len(kept) < size else None
