"""Rules of the layers that `keras.applications` defines for its own models.

They are found in files of those models; a patch cannot add them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.base import Argument, CallSpec, Config, Rule, WeightSpec
from patchc.layers.contracts import BOTH, ONLY_ZERO, Contracts
from patchc.layers.merging import Add
from patchc.layers.scalars import number, positive_int
from patchc.model.axis import AxisMap
from patchc.model.values import Strategy


class LayerScale(Rule):
    """ConvNeXt: one factor for each feature."""

    class_name = "LayerScale"
    feature = "input"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "init_values": Argument(number),
        "projection_dim": Argument(positive_int),
    }

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """The factors."""
        start = Strategy("Constant", {"value": config["init_values"]})
        return (WeightSpec("gamma", "vars/0", (config["projection_dim"],), ("input",), start),)

    keeps = ONLY_ZERO

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """A factor of zero."""
        return ONLY_ZERO

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """The number of features is written into the configuration."""
        return {"projection_dim": change.size} if label == "input" else {}


class StochasticDepth(Rule):
    """ConvNeXt: drops whole branches in training, and does nothing else."""

    class_name = "StochasticDepth"
    feature = "input"
    elementwise = True
    keeps = BOTH
    arguments: ClassVar[Mapping[str, Argument]] = {"drop_path_rate": Argument(number)}


class CustomScaleLayer(Add):
    """InceptionResNetV2: the first input, and a multiple of the second."""

    class_name = "CustomScaleLayer"
    arguments: ClassVar[Mapping[str, Argument]] = {"scale": Argument(number)}


RULES: tuple[Rule, ...] = (CustomScaleLayer(), LayerScale(), StochasticDepth())
