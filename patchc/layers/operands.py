"""What an operation or a layer is called on, by the names of its parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.layers.base import CallSpec, RuleError, Shape, TensorSpec
from patchc.layers.objects import is_serialised


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor of a call.

    Args:
        index: its number among the tensors of the call, in Keras's order.
        shape, dtype: its own.
    """

    index: int
    shape: Shape
    dtype: str


def operands(call: CallSpec, names: Sequence[str]) -> dict[str, Any]:
    """The arguments of a call by name; tensors as Operand, constants as in the configuration."""
    count = [0]

    def numbered(node: Any) -> Any:
        if isinstance(node, TensorSpec):
            count[0] += 1
            return Operand(count[0] - 1, node.shape, node.dtype)
        if isinstance(node, Mapping):
            found = {key: numbered(node[key]) for key in sorted(node)}
            return {key: found[key] for key in node}
        if isinstance(node, (list, tuple)):
            return [numbered(item) for item in node]
        return node

    given = dict(zip(names, [numbered(arg) for arg in call.args], strict=False))
    for name in sorted(call.kwargs):
        given[name] = numbered(call.kwargs[name])
    return given


def tensor_of(given: Mapping[str, Any], name: str) -> Operand:
    """The tensor given as `name`.  Raises RuleError where there is none."""
    found = given.get(name)
    if not isinstance(found, Operand):
        raise RuleError(f"has no tensor as its `{name}`")
    return found


def tensors_of(given: Mapping[str, Any], name: str) -> list[Operand]:
    """The list of tensors given as `name`.  Raises RuleError where it holds anything else."""
    found = given.get(name)
    if not isinstance(found, list) or not all(isinstance(item, Operand) for item in found):
        raise RuleError(f"has constants among its `{name}`")
    return found


def numbers(value: Any) -> list[int] | None:
    """A whole number, or a list of them, as a list; None for anything else."""
    if isinstance(value, Mapping) and is_serialised(value):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, Mapping) else None
    items = value if isinstance(value, (list, tuple)) else [value]
    plain = all(isinstance(item, int) and not isinstance(item, bool) for item in items)
    return list(items) if plain else None


def axes_of(value: Any, rank: int) -> list[int]:
    """Axis numbers counted from the first; None stands for all.

    Raises:
        RuleError: where it names an axis that is not there.
    """
    if value is None:
        return list(range(rank))
    found = numbers(value)
    if found is None or any(not -rank <= axis < rank for axis in found):
        raise RuleError(f"works along {value!r}, which its input does not have")
    return [axis % rank for axis in found]


def axis_of(value: Any, rank: int) -> int:
    """One axis number counted from the first.  Raises RuleError where it is none."""
    found = axes_of(value, rank)
    if value is None or len(found) != 1:
        raise RuleError("works along several axes")
    return found[0]
