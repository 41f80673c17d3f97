"""`keras.ops.rearrange`: a pattern such as `b (h p) c -> b h (p c)`, as a route."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from patchc.layers.base import Config, RuleError, Shape
from patchc.layers.movement import Changes, Edits, Given, Movement, Mover, one_strand
from patchc.layers.operands import tensor_of
from patchc.layers.routes import Order, Regroup

_AXIS = re.compile(r"\w+|\(.*?\)")
Sizes = Mapping[str, int | None]


def _rearrange(config: Config, given: Given) -> Movement:
    """Apart into the named axes, in the new order, together again.

    Source: `keras.src.ops.einops.rearrange`.
    """
    x, pattern = tensor_of(given, "tensor"), given.get("pattern")
    sides = re.split(r"\s*->\s*", pattern) if isinstance(pattern, str) else []
    if len(sides) != 2:
        raise RuleError("has no pattern with two sides")
    before, after = ([_names(axis) for axis in _AXIS.findall(side)] for side in sides)
    told = {name: size for name, size in given.items() if name not in {"tensor", "pattern"}}
    sizes = _sizes(before, x.shape, told)
    single = [name for axis in before for name in axis]
    order = [name for axis in after for name in axis]
    if sorted(single) != sorted(order) or len(set(single)) != len(single):
        raise RuleError(f"has a pattern that does not name each axis once: {pattern}")
    apart = Regroup(tuple(sizes[name] for name in single))
    together = Regroup(tuple(_product([sizes[name] for name in axis]) for axis in after))

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        found = apart.forward(x.shape, inputs[0])
        name, change = (single[found[0]], found[1]) if found is not None else ("", None)
        return Edits({}, {name: change.size} if change is not None and name in told else {})

    steps = (apart, Order(tuple(single.index(name) for name in order)), together)
    return Movement((one_strand(x, *steps),), edit)


def _names(axis: str) -> list[str]:
    return axis.strip("()").split()


def _sizes(axes: list[list[str]], shape: Shape, told: Mapping[str, object]) -> Sizes:
    """The size of every named axis; the one of a group that is not told is worked out."""
    if len(axes) != len(shape):
        raise RuleError(f"has a pattern of {len(axes)} axes for one of {len(shape)}")
    sizes: dict[str, int | None] = {k: v for k, v in told.items() if isinstance(v, int)}
    for names, size in zip(axes, shape, strict=True):
        missing = [name for name in names if name not in sizes]
        if len(missing) > 1:
            raise RuleError("has a group with several axes of unknown size")
        known = _product([sizes[name] for name in names if name in sizes])
        for name in missing:
            sizes[name] = None if size is None or not known else size // known
    return sizes


def _product(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


PATTERNS: Mapping[tuple[str, str], Mover] = {
    ("einops", "Rearrange"): Mover(("tensor", "pattern"), _rearrange),
}
"""(module, class) -> how it moves entries."""
