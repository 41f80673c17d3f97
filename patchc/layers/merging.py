"""Rules of the layers that merge several inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import axes, boolean, integer
from patchc.layers.base import Argument, CallSpec, Config, Port, Rule, RuleError, Shape
from patchc.layers.contracts import BOTH, ONLY_ZERO, Contracts, Norm
from patchc.layers.parts import setting
from patchc.layers.shapes import list_of_inputs, replaced, written
from patchc.model.axis import AxisMap


class _Merge(Rule):
    """An element-wise merge.

    Source of the shapes: `keras.src.layers.merging.base_merge`.
    """

    feature = "input"
    elementwise = True

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The inputs' shapes, broadcast."""
        shapes = [spec.shape for spec in list_of_inputs(call)]
        batches = {shape[0] for shape in shapes if shape} - {None}
        if len(batches) > 1:
            raise RuleError("gets inputs of different batch sizes")
        if not all(shapes):
            raise RuleError("needs inputs with a batch axis")
        result = shapes[0][1:]
        for shape in shapes[1:]:
            result = _broadcast(result, shape[1:])
        return ((batches.pop() if batches else None, *result),)


def _broadcast(one: Shape, other: Shape) -> Shape:
    """Shape without batch of an element-wise merge, shorter ones aligned at the end."""
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    kept = longer[: len(longer) - len(shorter)]
    pairs = zip(longer[len(kept) :], shorter, strict=True)
    return (*kept, *(_merged_size(i, j, one, other) for i, j in pairs))


def _merged_size(i: int | None, j: int | None, one: Shape, other: Shape) -> int | None:
    if i is None or j is None:
        return None
    if 1 in {i, j}:
        return i * j
    if i != j:
        raise RuleError(f"gets inputs of unlike shapes {written(one)} and {written(other)}")
    return i


class Add(_Merge):
    """The sum of its inputs."""

    class_name = "Add"
    keeps = BOTH


class Subtract(_Merge):
    """The difference of two inputs."""

    class_name = "Subtract"
    keeps = BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The inputs' shapes, broadcast."""
        if len(list_of_inputs(call)) != 2:
            raise RuleError("needs exactly two inputs")
        return super().outputs(config, call)


class Multiply(_Merge):
    """The product of its inputs."""

    class_name = "Multiply"
    keeps = ONLY_ZERO


class Average(_Merge):
    """The mean of its inputs."""

    class_name = "Average"
    keeps = BOTH


class Maximum(_Merge):
    """The largest of its inputs."""

    class_name = "Maximum"
    keeps = ONLY_ZERO


class Minimum(_Merge):
    """The smallest of its inputs."""

    class_name = "Minimum"
    keeps = ONLY_ZERO


class Concatenate(Rule):
    """Its inputs side by side along one axis."""

    class_name = "Concatenate"
    arguments: ClassVar[Mapping[str, Argument]] = {"axis": Argument(integer, -1)}

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The first input's shape with the sizes along the axis added up."""
        shapes = [spec.shape for spec in list_of_inputs(call)]
        first, axis = shapes[0], setting(self, config, "axis")
        if len({len(shape) for shape in shapes}) != 1:
            raise RuleError("needs inputs with the same number of axes")
        if not -len(first) <= axis < len(first):
            raise RuleError(f"joins along axis {axis}, which its inputs do not have")
        axis %= len(first)
        for number in range(len(first)):
            sizes = {shape[number] for shape in shapes} - {None}
            if number != axis and len(sizes) > 1:
                listed = ", ".join(map(written, shapes))
                raise RuleError(f"needs inputs that differ on axis {axis} only, not {listed}")
        parts = [shape[axis] for shape in shapes]
        known = [part for part in parts if part is not None]
        total = sum(known) if len(known) == len(parts) else None
        return (replaced(first, {axis: total}),)


def _dot_axes(value: Any) -> int | list[int]:
    found = axes(value)
    if isinstance(found, list) and len(found) != 2:
        raise RuleError("must be an axis number, or a list of two")
    return found


class Dot(Rule):
    """The products of two inputs, summed over one axis of each."""

    class_name = "Dot"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "axes": Argument(_dot_axes),
        "normalize": Argument(boolean, False),
    }

    def ports(self, config: Config, call: CallSpec) -> Sequence[Port]:
        """`inner` is what is summed over; every other axis but the batch is handed on."""
        ranks = [len(spec.shape) for spec in list_of_inputs(call)]
        chosen = setting(self, config, "axes")
        pair = chosen if isinstance(chosen, list) else [chosen] * 2
        inner = [axis % rank for axis, rank in zip(pair, ranks, strict=True)]
        read = [
            Port(False, i, axis, "inner" if axis == inner[i] else f"={i}:{axis}")
            for i, rank in enumerate(ranks)
            for axis in range(1, rank)
        ]
        kept = [port.label for port in read if port.label != "inner"]
        return [*read, *(Port(True, 0, 1 + axis, label) for axis, label in enumerate(kept))]

    def asks(
        self, config: Config, call: CallSpec, label: str, change: AxisMap, size: int
    ) -> Norm | None:
        """New entries of what is summed over have to be zero, of one input at least."""
        if label != "inner":
            return None
        return Norm("zero", one=not setting(self, config, "normalize"))

    def kept(self, config: Config) -> Contracts:
        """What is handed on goes through sums of products; scaling to unit length keeps zeros."""
        return ONLY_ZERO if setting(self, config, "normalize") else BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The axes of both inputs without those summed over."""
        inputs = list_of_inputs(call)
        if len(inputs) != 2:
            raise RuleError("needs exactly two inputs")
        shapes = [list(spec.shape) for spec in inputs]
        axes_given = setting(self, config, "axes")
        chosen = axes_given if isinstance(axes_given, list) else [axes_given] * 2
        for shape, axis in zip(shapes, chosen, strict=True):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise RuleError(f"sums over axis {axis}, which {written(shape)} does not have")
        if shapes[0][chosen[0]] != shapes[1][chosen[1]]:
            raise RuleError(
                f"gets unlike sizes on the summed axes of {written(shapes[0])} "
                f"and {written(shapes[1])}"
            )
        rest = [
            shape[: a % len(shape)] + shape[a % len(shape) + 1 :]
            for shape, a in zip(shapes, chosen, strict=True)
        ]
        result = (*rest[0], *rest[1][1:])
        return (result if len(result) > 1 else (*result, 1),)


RULES: tuple[Rule, ...] = (
    Add(),
    Average(),
    Concatenate(),
    Dot(),
    Maximum(),
    Minimum(),
    Multiply(),
    Subtract(),
)
