"""Rules of dropout, noise and activity regularisation: identities at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from patchc.layers.arguments import (
    data_format,
    fraction,
    integer,
    list_of,
    non_negative_number,
    optional,
    positive_int,
)
from patchc.layers.base import Argument, CallSpec, Config, Rule, Shape
from patchc.layers.contracts import BOTH
from patchc.layers.shapes import need_rank
from patchc.model.values import Strategy

_RATE = Argument(fraction)
_SEED = Argument(optional(integer), None)
_NOISE_SHAPE = Argument(optional(list_of(optional(positive_int))), None)
_FORMAT = Argument(data_format, "channels_last")


class _Noise(Rule):
    """Changes its input during training only."""

    feature = "input"
    elementwise = True
    keeps = BOTH

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy]:
        """It always is one at inference."""
        return {}


class Dropout(_Noise):
    """Sets entries to zero while training."""

    class_name = "Dropout"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "rate": _RATE,
        "noise_shape": _NOISE_SHAPE,
        "seed": _SEED,
    }


class AlphaDropout(_Noise):
    """Dropout that keeps mean and variance."""

    class_name = "AlphaDropout"
    arguments: ClassVar[Mapping[str, Argument]] = Dropout.arguments


class GaussianDropout(_Noise):
    """Multiplies by noise around one while training."""

    class_name = "GaussianDropout"
    arguments: ClassVar[Mapping[str, Argument]] = {"rate": _RATE, "seed": _SEED}


class GaussianNoise(_Noise):
    """Adds noise while training."""

    class_name = "GaussianNoise"
    arguments: ClassVar[Mapping[str, Argument]] = {"stddev": _RATE, "seed": _SEED}


class _SpatialDropout(_Noise):
    """Drops whole channels while training."""

    rank: ClassVar[int]
    common = ("name", "dtype")

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape."""
        return (need_rank(call, self.rank + 2),)


class SpatialDropout1D(_SpatialDropout):
    """Drops whole channels of a sequence."""

    class_name = "SpatialDropout1D"
    rank = 1
    arguments: ClassVar[Mapping[str, Argument]] = {"rate": _RATE, "seed": _SEED}


class SpatialDropout2D(_SpatialDropout):
    """Drops whole channels of an image."""

    class_name = "SpatialDropout2D"
    rank = 2
    arguments: ClassVar[Mapping[str, Argument]] = {
        "rate": _RATE,
        "data_format": _FORMAT,
        "seed": _SEED,
    }


class SpatialDropout3D(_SpatialDropout):
    """Drops whole channels of a volume."""

    class_name = "SpatialDropout3D"
    rank = 3
    arguments: ClassVar[Mapping[str, Argument]] = SpatialDropout2D.arguments


class ActivityRegularization(_Noise):
    """Adds to the loss, and hands its input on."""

    class_name = "ActivityRegularization"
    common = ("name", "trainable", "dtype", "autocast")
    arguments: ClassVar[Mapping[str, Argument]] = {
        "l1": Argument(non_negative_number, 0.0),
        "l2": Argument(non_negative_number, 0.0),
    }


RULES: tuple[Rule, ...] = (
    ActivityRegularization(),
    AlphaDropout(),
    Dropout(),
    GaussianDropout(),
    GaussianNoise(),
    SpatialDropout1D(),
    SpatialDropout2D(),
    SpatialDropout3D(),
)
