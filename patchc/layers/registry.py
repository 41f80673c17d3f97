"""Which rule belongs to a class: by name, by module, by alias."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
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
    "vocabulary",
    "images",
    "convolution",
    "depthwise",
    "pooling",
    "normalization",
    "recurrent",
    "wrappers",
    "attention",
    "similarity",
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


@dataclass(frozen=True, slots=True)
class Home:
    """Where Keras finds a class.

    Args:
        class_name, module, registered_name: as in a model's configuration.
    """

    class_name: str
    module: str
    registered_name: str | None


_OWN: dict[str, tuple[Rule, Home]] = {}
"""Rules that users have declared, by the registered name of their class."""


def register(name: str, rule: Rule, module: str | None = None) -> None:
    """Declare the rule of a class of your own; a later one takes the place of an earlier one.

    Args:
        name: the name under which Keras knows the class, such as
            `my_package>MyLayer` (`keras.saving.get_registered_name`).
        rule: its rule.
        module: the module that defines the class; left out: that of the rule.

    Raises:
        ValueError: where it would stand for a class of Keras.
    """
    class_name = name.rpartition(">")[2]
    if class_name in _by_name() or class_name in ALIASES or rule.class_name != class_name:
        raise ValueError(
            f"{name!r} cannot have a rule of class name {rule.class_name!r}: the two have to agree,"
            " and must not be the name of a layer of Keras"
        )
    registered = name if ">" in name else None
    _OWN[name] = (rule, Home(class_name, module or type(rule).__module__, registered))


def forget(name: str) -> None:
    """Take a declared rule back."""
    _OWN.pop(name, None)


def home_of(name: str) -> Home:
    """Where Keras finds a class that has a rule."""
    if name in _OWN:
        return _OWN[name][1]
    return Home(canonical_class_name(name), "keras.layers", None)


def all_rules() -> tuple[Rule, ...]:
    """Every rule, by class name."""
    known = _by_name()
    return tuple(known[name] for name in sorted(known))


def canonical_class_name(name: str) -> str:
    """Keras's own name of a layer class that `name` may be an alias of."""
    return ALIASES.get(name, name)


def rule_by_name(name: str) -> Rule | None:
    """The rule of a layer class, by its name, registered name or an alias; None where unknown."""
    if name in _OWN:
        return _OWN[name][0]
    return _by_name().get(canonical_class_name(name))


def rule_for(
    class_name: str, module: str | None, registered_name: str | None = None
) -> Rule | None:
    """The rule of a layer in a model's configuration; None where there is none.

    Args:
        class_name: as in the configuration.
        module: the module it names; None in older files, which give none.
        registered_name: set for custom classes, which have a rule where a user declared one.
    """
    own = _OWN.get(registered_name or class_name)
    if own is not None and not (module is not None and module.startswith("keras.")):
        return own[0]
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
    known = [*_by_name(), *ALIASES, *_OWN]
    lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), list(lower), n=3, cutoff=0.6)
    return [lower[match] for match in matches]
