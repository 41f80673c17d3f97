"""Which layers can be made silent, and which hand silence on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.layers.base import Config, Rule
from patchc.layers.infer import rule_of
from patchc.layers.objects import ZERO_AT_ZERO
from patchc.model.graph import Layer

_LAST: Mapping[str, tuple[str, ...]] = {
    "MultiHeadAttention": ("attention_output/kernel", "attention_output/bias"),
    "GroupQueryAttention": ("attention_output/kernel", "attention_output/bias"),
    "SeparableConv1D": ("pointwise_kernel", "bias"),
    "SeparableConv2D": ("pointwise_kernel", "bias"),
    "BatchNormalization": ("gamma", "beta"),
}
"""The weights that have the last word, where those are not all."""

_LINEAR = frozenset(
    {
        "Dense",
        "EinsumDense",
        "Conv1D",
        "Conv2D",
        "Conv3D",
        "Conv1DTranspose",
        "Conv2DTranspose",
        "Conv3DTranspose",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
    }
)


def silencing_weights(rule: Rule, config: Config) -> tuple[str, ...]:
    """The weights that, all zero, make a layer's output zero; () where none do."""
    if activation_name(config.get("activation")) not in ZERO_AT_ZERO:
        return ()
    if rule.class_name == "BatchNormalization" and not (config["scale"] and config["center"]):
        return ()
    return _LAST.get(rule.class_name, ("kernel", "bias") if rule.class_name in _LINEAR else ())


def keeps_zero(rule: Rule, config: Config) -> bool:
    """Whether a layer without weights turns zeros into zeros, at inference."""
    if rule.class_name == "Activation":
        return activation_name(config.get("activation")) in ZERO_AT_ZERO
    return rule.is_elementwise(config) and rule.class_name != "Masking"


def activation_name(value: Any) -> str:
    """The name of an activation in a configuration; "" where it has none."""
    if value is None:
        return "linear"
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner if isinstance(inner, str) else value.get("class_name")
    return str(value)


def rectified_by(layer: Layer, activation: str) -> bool:
    """Whether a layer's output has been through an activation that is idempotent.

    f(f(x)) = f(x) holds for these alone among Keras's activations.
    """
    if activation not in {"relu", "relu6"} or rule_of(layer) is None:
        return False
    if layer.class_name == "ReLU":
        config = layer.config
        plain = not config.get("negative_slope") and not config.get("threshold")
        return plain and config.get("max_value") == (6.0 if activation == "relu6" else None)
    return activation_name(layer.config.get("activation")) == activation


def ends_in_softmax(layer: Layer) -> bool:
    """Whether what a layer puts out are probabilities over its features."""
    rule = rule_of(layer)
    if rule is None:
        return False
    return rule.class_name == "Softmax" or activation_name(layer.config.get("activation")) in {
        "softmax",
        "log_softmax",
    }
