"""Views: operations that hand axes on by name.

Each says which axes of its tensors run over the same dimension.  A dimension
whose entries meet (they are summed over, or shared out by a softmax) cannot
change unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from patchc.layers.base import Config, NoRuleError, TensorSpec
from patchc.layers.contracts import NONE, Contracts, Norm
from patchc.layers.movement import Given
from patchc.layers.operands import Operand

Labels = tuple[str, ...]
"""One for each axis; "" for an axis along which nothing can change."""


@dataclass(frozen=True, slots=True)
class View:
    """Which axes of an operation's tensors belong together.

    Args:
        outputs: shape and dtype of each.
        reads: labels of each input, by its number.
        makes: labels of each output.
        meeting: labels whose entries depend on one another, and why, as a
            clause that follows the name of the operation.
        asks: under which contract for new entries old ones do not notice them.
        carriers: numbers of the inputs whose entries the output is made of;
            empty for all of them.
        tells: arguments that the call gets where a label changes.
    """

    outputs: Sequence[TensorSpec]
    reads: Mapping[int, Labels]
    makes: Sequence[Labels]
    meeting: Mapping[str, str] = field(default_factory=dict)
    asks: Mapping[str, Norm] = field(default_factory=dict)
    carriers: tuple[int, ...] = ()
    tells: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Linker:
    """An operation class that hands axes on.

    Args:
        parameters: of a call, in order.
        view: from configuration and arguments by name, what belongs together;
            raises RuleError where patchc does not know.
        kept: the contracts of new entries that it hands on, where one of its
            tensors changes.
    """

    parameters: tuple[str, ...]
    view: Callable[[Config, Given], View]
    kept: Contracts = NONE


def named(rank: int) -> Labels:
    """A name for each of so many axes."""
    return tuple(f"axis {axis}" for axis in range(rank))


def float_of(*tensors: Operand) -> str:
    """The dtype of the operands, one and the same floating-point type."""
    dtypes = {tensor.dtype for tensor in tensors}
    if len(dtypes) != 1 or "float" not in min(dtypes):
        raise NoRuleError(f"has operands of {', '.join(sorted(dtypes))}")
    return min(dtypes)
