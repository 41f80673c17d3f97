"""Places: where the new entries of an axis go."""

from __future__ import annotations

from patchc.compiler.context import Context
from patchc.language.patch import Expand
from patchc.model.axis import AxisMap
from patchc.model.graph import Layer


def grown_map(context: Context, verb: Expand, layer: Layer, size: int) -> AxisMap:
    """The map that `by` or `to`, and `at`, make of an axis of `size`.

    Raises:
        PatchError: PC301 where they do not fit the axis.
    """
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
