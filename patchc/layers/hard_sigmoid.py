"""The hard sigmoid of Keras 1 and 2, which Keras 3 has no name for.

Before Keras 3, `hard_sigmoid` was `clip(0.2 x + 0.5, 0, 1)`.  Keras 3 calls
`relu6(x + 3) / 6` by this name, whose steepness is 1/6: a model would load
without a word and give other outputs.  As an activation, Keras takes any layer
or model, so the old function is written as two layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HARD_SIGMOID: Mapping[str, Any] = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "keras2_hard_sigmoid",
        "trainable": True,
        "dtype": "float32",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "Rescaling",
                "config": {"name": "slope", "scale": 0.2, "offset": 0.5},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "ReLU",
                "config": {"name": "bounds", "max_value": 1.0},
                "registered_name": None,
            },
        ],
    },
    "registered_name": None,
}
"""The function in Keras's serialised form."""

KEYS = ("activation", "recurrent_activation")
"""Arguments that hold an activation."""


def is_hard_sigmoid(value: Any) -> bool:
    """Whether an activation is the hard sigmoid of Keras 1 and 2: without weights, element-wise.

    Keras completes the configuration when it saves a model anew, so what
    counts is what the two layers compute.
    """
    try:
        slope, bounds = value["config"]["layers"][-2:]
        wanted = {"scale": 0.2, "offset": 0.5}, {"max_value": 1.0}
        own = (
            {key: slope["config"][key] for key in wanted[0]},
            {key: bounds["config"][key] for key in wanted[1]},
        )
        plain = not bounds["config"].get("negative_slope") and not bounds["config"].get("threshold")
    except (KeyError, TypeError, ValueError):
        return False
    classes = (value.get("class_name"), slope.get("class_name"), bounds.get("class_name"))
    return classes == ("Sequential", "Rescaling", "ReLU") and own == wanted and plain


def activation_groups(config: Mapping[str, Any]) -> list[str]:
    """Storage groups that Keras writes for the layers inside a layer's activations."""
    inside = ("", "/layers/rescaling", "/layers/re_lu")
    held = [key for key in KEYS if is_hard_sigmoid(config.get(key))]
    return [f"{key}{suffix}" for key in held for suffix in inside]
