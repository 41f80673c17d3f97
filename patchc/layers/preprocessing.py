"""Rules of preprocessing layers that stand inside models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from patchc.layers.arguments import either, list_of, number
from patchc.layers.base import Argument, Config, Rule
from patchc.layers.contracts import BOTH, NONE, ONLY_MEAN, Contracts
from patchc.layers.parts import setting
from patchc.layers.shapes import listed_after
from patchc.model.axis import AxisMap

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


RULES: tuple[Rule, ...] = (Rescaling(),)
