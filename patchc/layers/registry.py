"""Which rule belongs to a class: by name, by module, by alias."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from patchc.layers.base import Rule

FAMILIES = (
    "core",
    "embedding",
    "activation",
    "merging",
    "reshaping",
    "regularization",
    "preprocessing",
    "convolution",
    "pooling",
    "normalization",
    "recurrent",
    "wrappers",
    "attention",
)
"""Modules of this package, each with its `RULES: tuple[Rule, ...]`."""

ALIASES: Mapping[str, str] = {
    "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D",
    "Convolution1D": "Conv1D",
    "Convolution1DTranspose": "Conv1DTranspose",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3D": "Conv3D",
    "Convolution3DTranspose": "Conv3DTranspose",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalAvgPool3D": "GlobalAveragePooling3D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "GroupedQueryAttention": "GroupQueryAttention",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
}
"""Other names that `keras.layers` exports -> the name that files carry."""


@cache
def _by_name() -> Mapping[str, Rule]:
    rules = {}
    for family in FAMILIES:
        for rule in import_module(f"patchc.layers.{family}").RULES:
            rules[rule.class_name] = rule
    return rules


@cache
def _of_applications() -> Mapping[str, Rule]:
    rules: tuple[Rule, ...] = import_module("patchc.layers.applications").RULES
    return {rule.class_name: rule for rule in rules}


def all_rules() -> tuple[Rule, ...]:
    """Every rule, by class name."""
    known = _by_name()
    return tuple(known[name] for name in sorted(known))


def canonical_class_name(name: str) -> str:
    """Keras's own name of a layer class that `name` may be an alias of."""
    return ALIASES.get(name, name)


def rule_by_name(name: str) -> Rule | None:
    """The rule of a built-in layer class, by its name or an alias; None where unknown."""
    return _by_name().get(canonical_class_name(name))


def rule_for(
    class_name: str, module: str | None, registered_name: str | None = None
) -> Rule | None:
    """The rule of a layer in a model's configuration; None where there is none.

    Args:
        class_name: as in the configuration.
        module: the module it names; None in older files, which give none.
        registered_name: set for custom classes, which have no rule.
    """
    if registered_name is not None and registered_name != class_name:
        return None
    if module is not None and module.startswith("keras.src.applications."):
        return _of_applications().get(class_name)
    if module is not None and not _is_layer_module(module):
        return None
    return rule_by_name(class_name)


def _is_layer_module(module: str) -> bool:
    """Whether layers live in `module`.

    `keras.src.ops` holds operations, some of which share a layer's class name.
    """
    return module == "keras.layers" or module.startswith("keras.src.layers.")


def near_classes(name: str) -> list[str]:
    """The known class names nearest to `name`, the best first."""
    known = [*_by_name(), *ALIASES]
    lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.6)
    return [lower[match] for match in matches]
