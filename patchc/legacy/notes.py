"""Notes: what was repaired in a configuration, and what cannot be repaired here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Repair:
    """One change that makes an older configuration loadable.

    Args:
        layer: path of the layer that it touches, "" for the model itself.
        what: what was done, a clause: "`border_mode` became `padding`".
        reason: why, a clause: "Keras 2 renamed it".
    """

    layer: str
    what: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return {"layer": self.layer, "what": self.what, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Missing:
    """What Keras cannot load without the user's code, and is carried through as it is.

    Args:
        layer: path of the layer, "" for the model itself.
        name: the class or function that is missing.
        what: a clause that says what it is: "its class is not one of Keras".
        way_out: what to do.
    """

    layer: str
    name: str
    what: str
    way_out: str

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return {
            "layer": self.layer,
            "name": self.name,
            "what": self.what,
            "way_out": self.way_out,
        }


@dataclass(slots=True)
class Notes:
    """Where repairs are written down while a configuration is walked.

    Args:
        era: major version of the Keras that wrote the configuration.
        layouts: old layout of a layer's weights, by path, where it is not today's.
    """

    era: int
    repairs: list[Repair] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    layouts: dict[str, str] = field(default_factory=dict)

    def repair(self, layer: str, what: str, reason: str) -> None:
        """Note a repair."""
        self.repairs.append(Repair(layer, what, reason))

    def miss(self, layer: str, name: str, what: str, way_out: str) -> None:
        """Note what needs the user's code or decision."""
        self.missing.append(Missing(layer, name, what, way_out))


REGISTER = "pass it to `load_model` by `custom_objects`, or register it with Keras first"


_WORDS: Mapping[Any, str] = {None: "null", True: "true", False: "false"}


def shown(value: object) -> str:
    """A configuration value, short enough for a message."""
    known = value is None or isinstance(value, bool)
    text = _WORDS[value] if known else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
