"""`expand` and `shrink` on an input: what reads it gets rows, or loses them."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle

from patchc.compiler.context import Context
from patchc.compiler.member import Reading
from patchc.compiler.resize import plan_resize, resize
from patchc.compiler.verbs.places import grown_map
from patchc.language.patch import Expand, Shrink
from patchc.model.axis import NEW, AxisMap
from patchc.model.graph import Layer
from patchc.model.values import ZEROS, Strategy

_LABEL = "input"


def expand_input(context: Context, verb: Expand, layer: Layer) -> None:
    """Give an input more features; `init` says what reads them.

    With zeros, the default, the model does not notice what is in them.

    Raises:
        PatchError: PC301 for what an input does not have, PC305 for another
            `init`, PC306 where something cannot follow.
    """
    _check_axis(context, layer, verb.axis)
    for key in ("max_prob_shift", "tokens"):
        if getattr(verb, key) is not None:
            context.refuse("PC301", f"an input has no `{key}`", help="select a layer for that")
    size = _size(context, layer)
    change = grown_map(context, verb, layer, size)
    if change.is_identity(size):
        return
    fill = _fill(context)
    reading = Reading(fill)
    if fill.name == "repeat":
        sources = cycle(range(size))
        change = AxisMap.of(next(sources) if i == NEW else i for i in change.indices())
        reading = Reading(scale=size / change.size)
    plan = plan_resize(context, layer, _LABEL, change, size, preserve=fill == ZEROS)
    resize(context, replace(plan, reading=reading))


def _fill(context: Context) -> Strategy:
    """The one strategy of the edit."""
    init = context.edit.init
    if init is None:
        return ZEROS
    chosen = init.bare
    if chosen is None or chosen.name in {"copy", "default"}:
        context.refuse(
            "PC305",
            "the rows that read an input take one strategy for all",
            span=init.span,
            help="write `init: zeros`, `mean`, `repeat` or a Keras initialiser",
        )
    return chosen


def shrink_input(context: Context, layer: Layer, verb: Shrink, kept: AxisMap, size: int) -> None:
    """Take features out of an input, with what reads them.

    With `init: sum` the rows that go are added to those that stay: image
    libraries make one channel of three like that.

    Raises:
        PatchError: PC306 where something cannot follow.
    """
    init = context.edit.init
    plan = plan_resize(context, layer, _LABEL, kept, size, preserve=False)
    resize(context, replace(plan, reading=Reading(merge=init is not None)))


def input_size(context: Context, layer: Layer, axis: str | None) -> int:
    """Number of features of an input.

    Raises:
        PatchError: PC301 where it has none, or where another axis is named.
    """
    _check_axis(context, layer, axis)
    return _size(context, layer)


def _size(context: Context, layer: Layer) -> int:
    shape: list[int | None] = layer.config.get("batch_shape") or []
    if len(shape) < 2 or not isinstance(shape[-1], int):
        context.refuse(
            "PC301",
            f"`{layer.path}` has no features whose number is known",
            help="select an input whose last axis has a size",
        )
    return shape[-1]


def _check_axis(context: Context, layer: Layer, axis: str | None) -> None:
    if axis is not None:
        context.refuse(
            "PC301",
            f"`{layer.path}` is an input: only its last axis changes, and has no name",
            help="leave `axis` out; `set: {shape: ...}` changes the others",
        )
