"""Where the values of a weight come from, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.model.axis import AxisMap


@dataclass(frozen=True, slots=True)
class Strategy:
    """How new values are made: a Keras initialiser or one of patchc's own ways.

    Args:
        name: a Keras initialiser class (`GlorotUniform`), or one of `default`,
            `mean`, `sample`, `copy`, `identity`, `dirac`, `keep`.
        arguments: what the constructor is given, as in Keras's `get_config`;
            left-out arguments have Keras's defaults.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> Any:
        """The strategy as people write it: a name, or `{name: {argument: value}}`."""
        return {self.name: dict(self.arguments)} if self.arguments else self.name


ZEROS = Strategy("Zeros")
ONES = Strategy("Ones")


@dataclass(frozen=True, slots=True)
class Growth:
    """How one axis of a stored weight changes.

    Args:
        axis: number of the axis, from 0.
        map: new entry -> old entry.
        fill: how new entries of this axis are made.
        blocks: number of equal blocks that the axis consists of, such as the
            four gates of an LSTM kernel; `map` is over the whole axis.  `mean`,
            `sample` and `copy` look at the existing entries of the same block.
        scale: what old entries are multiplied by; 1 leaves their bits alone.
        split: where an old entry stands several times in `map`, its places are
            multiplied by their shares to this power.  1 on an axis that is
            summed over: together the places count as the old entry did.
        gradient: the power to which those shares are in the gradient of the
            entries: 1 where what reads them splits them.
        steady: the gradient of old entries stays, whatever `scale` is.
        merge: entries that go are added to those that stay, the first to the
            first, the next to the next, and so on in turns.
    """

    axis: int
    map: AxisMap
    fill: Strategy
    blocks: int = 1
    scale: float = 1.0
    split: int = 0
    gradient: int = 0
    steady: bool = False
    merge: bool = False

    @property
    def rescales(self) -> bool:
        """Whether old entries change their values."""
        return self.scale != 1.0 or self.merge or (self.split != 0 and self.map.repeats)

    def to_json(self) -> dict[str, Any]:
        """The growth as a plan shows it."""
        shown: dict[str, Any] = {
            "axis": self.axis,
            "map": self.map.to_json(),
            "fill": self.fill.to_json(),
            "blocks": self.blocks,
        }
        if self.scale != 1.0:
            shown["scale"] = self.scale
        if self.split and self.map.repeats:
            shown["split"] = self.split
        if self.merge:
            shown["merge"] = True
        return shown


@dataclass(frozen=True, slots=True)
class Value:
    """Where a weight of the output comes from.

    Carried from the base (`base`) or made (`base` is None, `init` says how),
    and then changed along its axes (`growths`, in order), if at all.

    Args:
        base: storage address of the weight in the base model.
        growths: changes of axes, the first wins where new entries cross.
        init: how a weight without a base is made.
        made: the shape at which it is made, where growths follow.
        replaces: address of the base weight whose place a made weight takes.
        copied: the base weight is kept elsewhere too; this is its copy.
        mirror: address in the result of a weight that new entries are copies
            of; so start the averages that an optimizer keeps of a weight.
        seed: text that new values are derived from; the same text always
            gives the same values.
    """

    base: str | None = None
    growths: tuple[Growth, ...] = ()
    init: Strategy | None = None
    made: tuple[int, ...] | None = None
    replaces: str | None = None
    copied: bool = False
    mirror: str | None = None
    seed: str = ""
