"""Rules of preprocessing layers that stand inside models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import anything, axes, boolean, either, list_of, number, optional
from patchc.layers.base import Argument, CallSpec, Config, Rule, RuleError, WeightSpec
from patchc.layers.contracts import BOTH, NONE, ONLY_MEAN, Contracts
from patchc.layers.normalization import Normalisation, axis_name, checked_axes
from patchc.layers.parts import setting
from patchc.layers.shapes import listed_after, need_size
from patchc.model.axis import AxisMap
from patchc.model.values import ONES, ZEROS

_NUMBERS = either(number, list_of(number))


class Rescaling(Rule):
    """Multiplies by a scale and adds an offset."""

    class_name = "Rescaling"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "scale": Argument(_NUMBERS),
        "offset": Argument(_NUMBERS, 0.0),
    }
    feature = "input"
    always = ("offset",)

    def is_elementwise(self, config: Config) -> bool:
        """Where one scale and one offset serve all features."""
        values = (setting(self, config, key) for key in self.arguments)
        return not any(isinstance(value, list) for value in values)

    def kept(self, config: Config) -> Contracts:
        """The mean, and zeros without an offset."""
        if not self.is_elementwise(config):
            return NONE
        return BOTH if setting(self, config, "offset") == 0 else ONLY_MEAN

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """Scale 1 and offset 0 for what is new, where each feature has its own."""
        values = {key: setting(self, config, key) for key in self.arguments}
        return {
            key: listed_after(value, change, size, float(key == "scale"))
            for key, value in values.items()
            if isinstance(value, list)
        }


def _axis_or_all(value: Any) -> list[int]:
    """Axes as `Normalization` keeps them: a list, empty for one mean of everything."""
    found = optional(axes)(value)
    if found is None:
        return []
    return [found] if isinstance(found, int) else found


class Normalization(Normalisation):
    """`mean`, `variance` and `count` where the layer is adapted to data.

    Where the configuration holds `mean` and `variance` there are no weights.
    `count` is an integer that Keras keeps for older files.
    """

    class_name = "Normalization"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "axis": Argument(_axis_or_all, [-1]),
        "mean": Argument(anything, None),
        "variance": Argument(anything, None),
        "invert": Argument(boolean, False),
    }

    def _axes(self, config: Config) -> Sequence[int]:
        return list(setting(self, config, "axis"))

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """Statistics in the configuration: mean 0 and variance 1 for what is new."""
        keys = [key for key in ("mean", "variance") if setting(self, config, key) is not None]
        return {
            key: listed_after(setting(self, config, key), change, size, float(key == "variance"))
            for key in keys
        }

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """Statistics of the kept axes, in the order of the input's axes."""
        given = {setting(self, config, key) is not None for key in ("mean", "variance")}
        if len(given) > 1:
            raise RuleError("has only one of `mean` and `variance`")
        shape = call.shape
        kept = sorted(index % len(shape) for index in checked_axes(self._axes(config), shape))
        size = tuple(need_size(shape, index) for index in kept)
        if given == {True}:
            return ()
        labels = tuple(axis_name(index, len(shape)) for index in kept)
        return [
            WeightSpec("mean", "vars/0", size, labels, ZEROS, trainable=False),
            WeightSpec("variance", "vars/1", size, labels, ONES, trainable=False),
            WeightSpec("count", "vars/2", (), (), ZEROS, trainable=False, dtype="int64"),
        ]


RULES: tuple[Rule, ...] = (Normalization(), Rescaling())
