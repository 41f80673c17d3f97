"""Contracts: what is promised of the new entries of an axis.

`zero` and `mean` promise that new entries are zero, or the mean of the old
ones, at every position and for every input.  A normalisation asks for one of
them, because new entries would otherwise shift what it makes of old ones; the
layers that make the axis write it into their weights, and those in between
have to keep it.  Where nothing is asked, new entries are what they are.

Copies are no contract: they are entries of an axis map that stand twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Contract = Literal["zero", "mean"]
Contracts = frozenset[Contract]

NONE: Contracts = frozenset()
ONLY_ZERO: Contracts = frozenset({"zero"})
ONLY_MEAN: Contracts = frozenset({"mean"})
BOTH: Contracts = ONLY_ZERO | ONLY_MEAN


Way = Literal["made", "kept"]
"""How new entries come to meet a contract: by the weights of their layer, or by what it reads."""


@dataclass(frozen=True, slots=True)
class Norm:
    """What a layer asks of an axis whose entries it lets depend on one another.

    Args:
        wants: the contract under which old entries change by a factor only,
            sqrt(new size / old size) or none; None where there is no such contract.
        scaled: the weights that take the factor back; the layer's other
            weights are zero for new entries, whose output then is zero too.
        epsilon: the configuration key that shrinks as the statistics do.
        of: numbers of the tensors that it asks; empty for all that it reads.
        one: whether it is enough that one of those meets the contract.
    """

    wants: Contract | None = None
    scaled: tuple[str, ...] = ()
    epsilon: str | None = None
    of: tuple[int, ...] = ()
    one: bool = False
