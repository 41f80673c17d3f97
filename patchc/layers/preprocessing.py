"""Rules of preprocessing layers that stand inside models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from patchc.layers.arguments import either, list_of, number
from patchc.layers.base import Argument, CallSpec, Config, Rule
from patchc.layers.contracts import BOTH, ONLY_MEAN, Contracts
from patchc.layers.parts import setting

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
        return BOTH if setting(self, config, "offset") == 0 else ONLY_MEAN

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """`input`, where one scale and one offset serve all features."""
        return "input" if self.is_elementwise(config) else None


RULES: tuple[Rule, ...] = (Rescaling(),)
