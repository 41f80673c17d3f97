"""Layers that move entries about, as routes."""

from __future__ import annotations

from collections.abc import Mapping

from patchc.layers.along import Spread
from patchc.layers.base import Config
from patchc.layers.movement import Changes, Edits, Given, Movement, Mover, adding, one_strand
from patchc.layers.moving import joined, reshaped
from patchc.layers.operands import axis_of, tensor_of, tensors_of
from patchc.layers.routes import Order, Regroup, Step


def _flatten(config: Config, given: Given) -> Movement:
    """Channels come last before they are flattened."""
    x = tensor_of(given, "inputs")
    rank = len(x.shape)
    steps: list[Step] = []
    shape = x.shape
    if config.get("data_format") == "channels_first" and rank > 2:
        steps.append(Order((0, *range(2, rank), 1)))
        shape = steps[0].shape(shape)
    steps.append(Regroup((shape[0], *reshaped(shape[1:], [-1]))))
    return Movement((one_strand(x, *steps),))


def _reshape(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "inputs")
    target = list(config["target_shape"])

    def edit(inputs: Changes, outputs: Changes) -> Edits:
        axis, change = outputs[0]
        if target[axis - 1] == -1:
            return Edits({}, {})
        return Edits({"target_shape": [*target[: axis - 1], change.size, *target[axis:]]}, {})

    return Movement((one_strand(x, Regroup((x.shape[0], *reshaped(x.shape[1:], target)))),), edit)


def _permute(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "inputs")
    return Movement((one_strand(x, Order((0, *config["dims"]))),))


def _repeat_vector(config: Config, given: Given) -> Movement:
    x = tensor_of(given, "inputs")
    return Movement((one_strand(x, adding(x.shape, 1), Spread(1, int(config["n"]))),))


def _concatenate(config: Config, given: Given) -> Movement:
    parts = tensors_of(given, "inputs")
    return joined(parts, axis_of(config.get("axis", -1), len(parts[0].shape)))


_INPUTS = ("inputs",)
LAYERS: Mapping[str, Mover] = {
    "Concatenate": Mover(_INPUTS, _concatenate),
    "Flatten": Mover(_INPUTS, _flatten),
    "Permute": Mover(_INPUTS, _permute),
    "RepeatVector": Mover(_INPUTS, _repeat_vector),
    "Reshape": Mover(_INPUTS, _reshape),
}
"""Layer class -> how it moves entries."""
