"""Operations of `keras.ops` that multiply tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from patchc.layers.base import Config, NoRuleError, RuleError, TensorSpec
from patchc.layers.constants import array_shape, is_array
from patchc.layers.contracts import Norm
from patchc.layers.movement import Given
from patchc.layers.operands import Operand, axes_of, tensor_of
from patchc.layers.views import Labels, View, float_of

_SUMMED = "sums over the axis"


def product(parts: Sequence[tuple[Operand, Labels]], made: Labels, dtype: str) -> View:
    """The sum of products over the labels that are not made.

    Axes of one entry serve all entries of the others with their label.

    Raises:
        RuleError: where sizes do not fit each other.
    """
    sizes: dict[str, int | None] = {}
    for operand, labels in parts:
        for label, size in zip(labels, operand.shape, strict=True):
            known = sizes.setdefault(label, size)
            if known in {1, None} and size is not None:
                sizes[label] = size
            elif size not in {1, None, known}:
                raise RuleError(f"multiplies axes of {known} and {size} entries")
    reads = {
        operand.index: tuple(
            label if size == sizes[label] else ""
            for label, size in zip(labels, operand.shape, strict=True)
        )
        for operand, labels in parts
    }
    output = TensorSpec(tuple(sizes[label] for label in made), dtype)
    meeting = {label: _SUMMED for label in sizes if label not in made}
    asks = {
        label: Norm("zero", of=tuple(o.index for o, labels in parts if label in labels), one=True)
        for label in meeting
    }
    return View([output], reads, [made], meeting, asks)


def einsum_view(config: Config, given: Given) -> View:
    """Letters of an equation without dots."""
    subscripts = str(config.get("subscripts", "")).replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    terms = left.split(",")
    parts = [given.get(f"operand {i}") for i in range(len(terms))]
    if not arrow or "." in subscripts or not all(isinstance(p, Operand) for p in parts):
        raise NoRuleError(f"has an equation that is not followed: {subscripts}")
    pairs = [(p, tuple(term)) for p, term in zip(parts, terms, strict=True) if p is not None]
    if any(len(p.shape) != len(term) or len(set(term)) != len(term) for p, term in pairs):
        raise NoRuleError(f"has an equation that is not followed: {subscripts}")
    return product(pairs, tuple(right), float_of(*(p for p, _ in pairs)))


def matmul_view(config: Config, given: Given) -> View:
    """Matrices of the last two axes; the axes in front are broadcast."""
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    ranks = len(one.shape), len(other.shape)
    if min(ranks) < 2:
        raise NoRuleError("multiplies by a vector")
    outer = [f"outer {i}" for i in range(max(ranks) - 2)]
    first = (*outer[len(outer) - ranks[0] + 2 :], "row", "inner")
    second = (*outer[len(outer) - ranks[1] + 2 :], "inner", "column")
    return product([(one, first), (other, second)], (*outer, "row", "column"), float_of(one, other))


def tensordot_view(config: Config, given: Given) -> View:
    """The summed axes are as many last and first ones, or two lists of them."""
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    told = config.get("axes", 2)
    ranks = len(one.shape), len(other.shape)
    if isinstance(told, int):
        pairs = list(zip(range(ranks[0] - told, ranks[0]), range(told), strict=True))
    else:
        sides = [axes_of(side, rank) for side, rank in zip(told, ranks, strict=True)]
        pairs = list(zip(*sides, strict=True))
    first = [f"left {i}" for i in range(ranks[0])]
    second = [f"right {i}" for i in range(ranks[1])]
    for number, (i, j) in enumerate(pairs):
        first[i] = second[j] = f"inner {number}"
    made = tuple(label for label in [*first, *second] if not label.startswith("inner"))
    return product([(one, tuple(first)), (other, tuple(second))], made, float_of(one, other))


def dot_view(config: Config, given: Given) -> View:
    """As NumPy's: the last axis of one with the second last of the other."""
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    if min(len(one.shape), len(other.shape)) < 2:
        raise NoRuleError("multiplies by a vector or a number")
    last = len(other.shape) - 2
    return tensordot_view({"axes": [[len(one.shape) - 1], [last]]}, given)


def inner_view(config: Config, given: Given) -> View:
    """The last axes of both are summed over."""
    one, other = tensor_of(given, "x1"), tensor_of(given, "x2")
    if not one.shape or not other.shape:
        raise NoRuleError("multiplies by a number")
    return tensordot_view({"axes": [[len(one.shape) - 1], [len(other.shape) - 1]]}, given)


_SCORES = ("batch", "heads", "steps", "keys")


def attention_view(config: Config, given: Given) -> View:
    """Query (batch, steps, heads, size) against key and value (batch, keys, heads, size)."""
    query, key, value = (tensor_of(given, name) for name in ("query", "key", "value"))
    made = ("batch", "steps", "heads", "size")
    read = ("batch", "keys", "heads", "size")
    reads: dict[int, Labels] = {query.index: made, key.index: read, value.index: read}
    fixed = {"heads"} if query.shape[2] != key.shape[2] else set()
    for name in ("bias", "mask"):
        labels = _of_scores(given.get(name))
        if isinstance(operand := given.get(name), Operand):
            reads[operand.index] = labels
        else:
            fixed.update(labels)

    def named(labels: Labels) -> Labels:
        return tuple("" if label in fixed else label for label in labels)

    return View(
        [TensorSpec(query.shape, float_of(query, key, value))],
        {index: named(labels) for index, labels in reads.items()},
        [named(made)],
        meeting={"size": _SUMMED, "keys": "shares out what the query reads among them"},
        asks={"size": Norm("zero", of=(query.index, key.index), one=True)},
        carriers=(value.index,),
        tells=_same_scale(given, query.shape[-1]),
    )


def _of_scores(operand: Any) -> Labels:
    """Labels of a bias or a mask of scores; an axis of one entry has none."""
    if operand is None:
        return ()
    if not isinstance(operand, Operand) and not is_array(operand):
        raise NoRuleError("has a mask or a bias that is no tensor")
    shape = operand.shape if isinstance(operand, Operand) else array_shape(operand)
    pairs = zip(_SCORES[-len(shape) :] if shape else (), shape, strict=True)
    return tuple("" if size == 1 else label for label, size in pairs)


def _same_scale(given: Given, size: int | None) -> Mapping[str, Mapping[str, float]]:
    """Without a scale of its own, an attention divides by the square root of the size of heads.

    It is given the one that it had, as new entries add nothing to its scores.
    """
    if given.get("scale") is not None or size is None:
        return {}
    return {"size": {"scale": 1 / math.sqrt(size)}}
