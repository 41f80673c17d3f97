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
from patchc.language.patch import Shrink
from patchc.layers.base import complete
from patchc.model.axis import AxisMap


def shrink(context: Context, verb: Shrink, match: Match) -> None:
    """Take entries out of one axis of a layer and of all that follow it.

    The order is that of the model, whatever the order written.

    Raises:
        PatchError: PC301 for an axis or entry that is not there, PC306 where
            the graph cannot follow.
    """
    layer, rule = resizable(context, match)
    config = complete(rule, layer.config)
    dimension = chosen_dimension(context, verb.axis, rule, config, layer)
    size = rule.size_of(config, dimension)
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
    if len(kept) < size:
        change = AxisMap.of(kept)
        dimension = standing_for(layer, rule, config, dimension)
        resize(context, plan_resize(context, layer, dimension, change, size, preserve=False))
