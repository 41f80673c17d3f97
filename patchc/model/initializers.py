"""Names and arguments of the initialisers: Keras's own, and patchc's ways.

Names, arguments and defaults are those of `keras.initializers` 3.15; a test
holds this table against Keras.  How values are made is in `patchc.arrays`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SEED: dict[str, Any] = {"seed": None}
_AXES: dict[str, Any] = {**_SEED, "input_axes": None, "output_axes": None}

KERAS_INITIALIZERS: Mapping[str, Mapping[str, Any]] = {
    "Constant": {"value": 0.0},
    "GlorotNormal": _AXES,
    "GlorotUniform": _AXES,
    "HeNormal": _AXES,
    "HeUniform": _AXES,
    "Identity": {"gain": 1.0},
    "LecunNormal": _AXES,
    "LecunUniform": _AXES,
    "Ones": {},
    "Orthogonal": {**_SEED, "gain": 1.0},
    "RandomNormal": {**_SEED, "mean": 0.0, "stddev": 0.05},
    "RandomUniform": {**_SEED, "minval": -0.05, "maxval": 0.05},
    "STFT": {"side": "real", "window": "hann", "scaling": "density", "periodic": False},
    "TruncatedNormal": {**_SEED, "mean": 0.0, "stddev": 0.05},
    "VarianceScaling": {
        **_AXES,
        "scale": 1.0,
        "mode": "fan_in",
        "distribution": "truncated_normal",
    },
    "Zeros": {},
}
"""Class name -> constructor arguments with their defaults."""

_ALIASES = {
    "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
    "STFTInitializer": "STFT",
    "normal": "RandomNormal",
    "one": "Ones",
    "stft": "STFT",
    "uniform": "RandomUniform",
    "zero": "Zeros",
}

OWN_STRATEGIES: Mapping[str, str] = {
    "default": "the layer's own initialisers",
    "mean": "mean of the existing entries",
    "sample": "normal with the mean and spread of the existing entries",
    "copy": "copies of existing entries",
    "keep": "the replaced layer's weight of that name and shape",
    "identity": "values with which the layer hands its input on",
}
"""patchc's own ways to make new values, with what they mean."""


def snake_case(name: str) -> str:
    """Keras's snake_case of a class name (`keras.src.utils.naming.to_snake_case`)."""
    word = re.sub(r"\W", "", name)
    word = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", word)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", word).lower()


_BY_SNAKE = {snake_case(name): name for name in KERAS_INITIALIZERS}


def keras_class(name: str) -> str | None:
    """The class that Keras understands by `name` (`he_normal`, `HeNormal`, `normal`)."""
    if name in KERAS_INITIALIZERS:
        return name
    return _ALIASES.get(name) or _BY_SNAKE.get(name)
