"""Kinds of constructor arguments, and the check of a whole configuration.

All kinds are importable from here: the plain ones of `scalars`, the Keras
objects of `objects`, and those of this file.  Each takes a value as a patch
gives it and returns it as Keras's `get_config` would write it, or raises
RuleError with a clause that can follow the argument's name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchc.layers.base import REQUIRED, Argument, Rule, RuleError, quantisation_of
from patchc.layers.objects import (
    activation,
    constraint,
    initializer,
    is_serialised,
    near,
    regularizer,
    serialised,
)
from patchc.layers.registry import home_of, near_classes, rule_by_name
from patchc.layers.scalars import (
    Kind,
    anything,
    axes,
    boolean,
    data_format,
    either,
    fraction,
    int_tuple,
    integer,
    list_of,
    non_negative_int,
    non_negative_number,
    number,
    one_of,
    optional,
    padding,
    positive_int,
    positive_number,
    shape,
    string,
)

__all__ = [
    "COMMON",
    "Checked",
    "Kind",
    "Problem",
    "activation",
    "anything",
    "axes",
    "boolean",
    "check_config",
    "constraint",
    "data_format",
    "dtype_policy",
    "either",
    "fraction",
    "initializer",
    "int_tuple",
    "integer",
    "layer",
    "list_of",
    "non_negative_int",
    "non_negative_number",
    "number",
    "one_of",
    "optional",
    "padding",
    "positive_int",
    "positive_number",
    "regularizer",
    "shape",
    "string",
    "tensor_dtype",
]

FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = (
    *FLOATS,
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "bool",
    "string",
    "complex64",
    "complex128",
)
MIXED = ("mixed_float16", "mixed_bfloat16")


def tensor_dtype(value: Any) -> str:
    """The dtype of a tensor: `float32`, `int32`, `string`, ..."""
    if value not in DTYPES:
        raise RuleError(f"must be a dtype, not `{value}`{near(str(value), DTYPES)}")
    return str(value)


def dtype_policy(value: Any) -> Any:
    """A dtype policy: its name, null for the default, or serialised."""
    if value is None or is_serialised(value):
        return value
    known = (*DTYPES, *MIXED)
    if isinstance(value, str) and quantisation_of({"dtype": value}):
        raise RuleError("must not be a quantised dtype policy")
    if value not in known:
        raise RuleError(f"must be a dtype policy, not `{value}`{near(str(value), known)}")
    return value


def layer(value: Any) -> dict[str, Any]:
    """A layer inside a layer: `Dense`, `{Dense: {units: 3}}`, or serialised.

    Written in Keras's serialised form with the keys that were given.
    """
    if is_serialised(value):
        return dict(value)
    if isinstance(value, str):
        value = {value: None}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise RuleError("must be a layer: a class name, or one class name with its configuration")
    [(name, config)] = value.items()
    rule = rule_by_name(name) if isinstance(name, str) else None
    if rule is None:
        raise RuleError(f"must be a layer that is known, not `{name}`{_nearest(name)}")
    if config is not None and not isinstance(config, Mapping):
        raise RuleError(f"must give {name} its configuration as a mapping")
    checked = check_config(rule, config or {})
    if checked.problems:
        raise RuleError(f"holds a wrong {name}: " + "; ".join(p.message for p in checked.problems))
    home = home_of(name)
    told = serialised(home.module, home.class_name, checked.config)
    return told | {"registered_name": home.registered_name}


def _nearest(name: Any) -> str:
    matches = near_classes(str(name))
    return f", did you mean {matches[0]}?" if matches else ""


COMMON: Mapping[str, Argument] = {
    "name": Argument(string, None),
    "trainable": Argument(boolean, True),
    "dtype": Argument(dtype_policy, None),
    "activity_regularizer": Argument(regularizer, None),
    "autocast": Argument(boolean, True),
}
"""What every layer takes (`keras.layers.Layer.__init__`), as far as its class lets it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a configuration.

    Args:
        key: the argument it is about; None where one is missing.
        message: what was found.
        help: what to do, if there is more to say.
        about_key: whether the argument itself is wrong, and not its value.
    """

    key: str | None
    message: str
    help: str | None = None
    about_key: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration after its check.

    Args:
        config: the keys that were given, with canonical values, without
            those that are wrong.
        problems: everything that is wrong.
    """

    config: dict[str, Any]
    problems: tuple[Problem, ...] = ()


def accepted(rule: Rule) -> dict[str, Argument]:
    """All arguments that the constructor of a class takes, its own first."""
    return {**rule.arguments, **{k: COMMON[k] for k in rule.common if k not in rule.arguments}}


def _told(error: RuleError, value: object) -> str:
    """What a value must be, and what was found where a short look tells."""
    scalar = value is None or isinstance(value, (bool, int, float, str))
    if not scalar or " not " in str(error):
        return str(error)
    return f"{error}, not `{json.dumps(value)}`"


def check_config(rule: Rule, config: Mapping[str, Any], *, partial: bool = False) -> Checked:
    """Check a configuration as a patch gives it against a class's constructor.

    Args:
        rule: of the layer class.
        config: argument -> value; Keras objects may be written short.
        partial: required arguments may be missing, as in a `set`.

    Returns the canonical configuration with the keys that were given, and those
    that a file must have anyway (`Rule.always`).
    """
    known = accepted(rule)
    result: dict[str, Any] = {}
    problems = []
    for key, value in config.items():
        if key not in known:
            problems.append(_unknown(rule, key, known))
            continue
        try:
            result[key] = known[key].kind(value)
        except RuleError as error:
            problems.append(Problem(key, f"`{key}` of {rule.class_name} {_told(error, value)}"))
    if not partial:
        missing = [k for k, a in known.items() if a.default is REQUIRED and k not in config]
        problems += [Problem(None, f"{rule.class_name} needs `{key}`") for key in missing]
        unwritten = [key for key in rule.always if key not in config]
        result.update({key: known[key].default for key in unwritten})
    return Checked(result, tuple(problems))


def _unknown(rule: Rule, key: Any, known: Mapping[str, Argument]) -> Problem:
    matches = difflib.get_close_matches(str(key), list(known), n=2, cutoff=0.6)
    help_text = (
        f"did you mean {' or '.join(f'`{m}`' for m in matches)}?"
        if matches
        else f"{rule.class_name} takes {', '.join(known)}"
    )
    return Problem(
        str(key), f"{rule.class_name} has no argument `{key}`", help_text, about_key=True
    )
