"""Keras objects inside a layer's configuration: initialisers, regularizers, ...

A patch writes them as a name (`relu`, `glorot_uniform`) or as one class with its
arguments (`{L2: {l2: 1.0e-4}}`).  Names stay names, which every Keras 3 reads; a
class with arguments becomes Keras's serialised form.  What is serialised
already passes as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from patchc.layers.base import Argument, RuleError
from patchc.layers.contracts import BOTH, NONE, ONLY_ZERO, Contracts
from patchc.layers.hard_sigmoid import is_hard_sigmoid
from patchc.layers.scalars import (
    axes,
    boolean,
    either,
    integer,
    list_of,
    non_negative_number,
    number,
    one_of,
    optional,
    positive_number,
    string,
)
from patchc.model.initializers import KERAS_INITIALIZERS, keras_class, snake_case
from patchc.model.values import Strategy

Table = Mapping[str, Mapping[str, Argument]]

REGULARIZERS: Table = {
    "L1": {"l1": Argument(non_negative_number, 0.01)},
    "L1L2": {"l1": Argument(non_negative_number, 0.0), "l2": Argument(non_negative_number, 0.0)},
    "L2": {"l2": Argument(non_negative_number, 0.01)},
    "OrthogonalRegularizer": {
        "factor": Argument(number, 0.01),
        "mode": Argument(one_of("rows", "columns"), "rows"),
    },
}
"""Class name -> constructor arguments."""

_AXIS = Argument(axes, 0)

CONSTRAINTS: Table = {
    "MaxNorm": {"max_value": Argument(number, 2), "axis": _AXIS},
    "MinMaxNorm": {
        "min_value": Argument(number, 0.0),
        "max_value": Argument(number, 1.0),
        "rate": Argument(number, 1.0),
        "axis": _AXIS,
    },
    "NonNeg": {},
    "UnitNorm": {"axis": _AXIS},
}
"""Class name -> constructor arguments."""

ACTIVATIONS: Mapping[str, bool] = {
    "celu": True,
    "elu": True,
    "exponential": True,
    "gelu": True,
    "glu": False,
    "hard_shrink": True,
    "hard_sigmoid": True,
    "hard_silu": True,
    "hard_swish": True,
    "hard_tanh": True,
    "leaky_relu": True,
    "linear": True,
    "log_sigmoid": True,
    "log_softmax": False,
    "mish": True,
    "relu": True,
    "relu6": True,
    "selu": True,
    "sigmoid": True,
    "silu": True,
    "soft_shrink": True,
    "softmax": False,
    "softplus": True,
    "softsign": True,
    "sparse_plus": True,
    "sparse_sigmoid": True,
    "sparsemax": False,
    "squareplus": True,
    "swish": True,
    "tanh": True,
    "tanh_shrink": True,
}
"""Name -> whether an entry of the output depends on the same entry of the input only.

`threshold` is left out: it needs arguments, which a name cannot give.
"""

_DISTRIBUTION = one_of("truncated_normal", "untruncated_normal", "uniform", fold=True)
_INITIALIZER_KINDS: Mapping[str, Any] = {
    "distribution": _DISTRIBUTION,
    "gain": number,
    "input_axes": optional(axes),
    "maxval": number,
    "mean": number,
    "minval": number,
    "mode": one_of("fan_in", "fan_out", "fan_avg"),
    "output_axes": optional(axes),
    "periodic": boolean,
    "scale": positive_number,
    "scaling": optional(one_of("density", "spectrum")),
    "seed": optional(integer),
    "side": one_of("real", "imag"),
    "stddev": number,
    "value": either(number, list_of(number)),
    "window": optional(string),
}

INITIALIZERS: Table = {
    name: {key: Argument(_INITIALIZER_KINDS[key], default) for key, default in arguments.items()}
    for name, arguments in KERAS_INITIALIZERS.items()
}
"""Class name -> constructor arguments."""


_ALWAYS: Mapping[str, tuple[str, ...]] = {"Constant": ("value",)}
"""Class name -> arguments that its `from_config` looks for, so that they must be written."""


def is_serialised(value: Any) -> bool:
    """Whether `value` is an object in Keras's serialised form."""
    return isinstance(value, Mapping) and isinstance(value.get("class_name"), str)


def serialised(module: str, class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A built-in object in Keras's serialised form (`keras.saving.serialize_keras_object`)."""
    return {
        "module": module,
        "class_name": class_name,
        "config": dict(config),
        "registered_name": None,
    }


def near(name: str, known: Iterable[str]) -> str:
    """The end of a message that names the nearest of `known`, or ""."""
    matches = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f", did you mean {' or '.join(matches)}?" if matches else ""


def regularizer(value: Any) -> Any:
    """A regularizer, or null: `l2`, `{L2: {l2: 1.0e-4}}`, or serialised."""
    return _object(value, "regularizer", REGULARIZERS)


def constraint(value: Any) -> Any:
    """A constraint, or null: `non_neg`, `{MaxNorm: {max_value: 3}}`, or serialised."""
    return _object(value, "constraint", CONSTRAINTS)


def initializer(value: Any) -> Any:
    """An initialiser: `he_normal`, `{TruncatedNormal: {stddev: 0.02}}`, or serialised."""
    return _object(value, "initializer", INITIALIZERS)


def activation(value: Any) -> Any:
    """An activation: its name, null for `linear`, or serialised."""
    if value is None:
        return "linear"
    if is_serialised(value):
        return value
    if not isinstance(value, str):
        raise RuleError("must be the name of an activation")
    if value not in ACTIVATIONS:
        raise RuleError(f"must be an activation, not `{value}`{near(value, ACTIVATIONS)}")
    return value


def _object(value: Any, what: str, table: Table) -> Any:
    if value is None or is_serialised(value):
        return value
    if isinstance(value, str):
        if _class_of(value, what, table) not in _ALWAYS:
            return value
        value = {value: None}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise RuleError(f"must be the name of a keras {what}, or one name with its arguments")
    [(name, arguments)] = value.items()
    class_name = _class_of(name, what, table)
    config = _arguments(class_name, arguments or {}, table[class_name])
    return serialised(f"keras.{what}s", class_name, config)


def _class_of(name: Any, what: str, table: Table) -> str:
    """The class that Keras understands by `name`: itself, or its snake_case."""
    if isinstance(name, str):
        if table is INITIALIZERS and (found := keras_class(name)):
            return found
        for known in table:
            if name in {known, snake_case(known)}:
                return known
    names = [*table, *map(snake_case, table)]
    raise RuleError(f"must be a keras {what}, not `{name}`{near(str(name), names)}")


def _arguments(class_name: str, given: Any, known: Mapping[str, Argument]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise RuleError(f"must give the arguments of {class_name} by name")
    result = {key: known[key].default for key in _ALWAYS.get(class_name, ()) if key not in given}
    for key, value in given.items():
        if key not in known:
            hint = near(str(key), known)
            raise RuleError(f"must not give {class_name} the unknown argument `{key}`{hint}")
        try:
            result[key] = known[key].kind(value)
        except RuleError as error:
            raise RuleError(f"has a wrong `{key}`, which {error}") from None
    return result


def initializer_strategy(value: Any) -> Strategy:
    """The strategy behind an initialiser of a layer's configuration.

    Args:
        value: a name, Keras's serialised form, or null, which Keras reads as
            `glorot_uniform` for a floating-point weight.

    Raises:
        RuleError: where it is no built-in initialiser of Keras.
    """
    if value is None:
        return Strategy("GlorotUniform")
    config: Mapping[str, Any] = {}
    name = value
    if is_serialised(value):
        name, config = value["class_name"], value.get("config") or {}
    known = keras_class(name) if isinstance(name, str) else None
    if known is None or (isinstance(value, Mapping) and value.get("registered_name")):
        raise RuleError(f"has the custom initializer `{name}`")
    defaults = KERAS_INITIALIZERS[known]
    if not isinstance(config, Mapping):
        raise RuleError(f"has an initializer {known} whose arguments are no object")
    given = {key: value for key, value in config.items() if key != "dtype"}  # of TensorFlow 1
    if unknown := [key for key in given if key not in defaults]:
        raise RuleError(f"has an initializer {known} with the unknown argument `{unknown[0]}`")
    return Strategy(known, {k: v for k, v in given.items() if v != defaults[k]})


def activation_name(value: Any) -> str | None:
    """The built-in activation behind a configuration value, None for any other."""
    if value is None:
        return "linear"
    return value if isinstance(value, str) and value in ACTIVATIONS else None


ZERO_AT_ZERO = frozenset(
    [
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "gelu",
        "silu",
        "swish",
        "tanh",
        "softsign",
        "hard_tanh",
        "hard_silu",
        "hard_swish",
        "mish",
        "soft_shrink",
        "hard_shrink",
        "tanh_shrink",
    ]
)
"""Activations of `keras.activations` with f(0) = 0."""


def activation_keeps(value: Any) -> Contracts:
    """What an activation hands on: a linear one both contracts, one with f(0) = 0 zeros."""
    name = activation_name(value)
    if name == "linear":
        return BOTH
    return ONLY_ZERO if name in ZERO_AT_ZERO else NONE


def activation_is_elementwise(value: Any) -> bool:
    """Whether the activation of a configuration is element-wise; False where unknown."""
    name = activation_name(value)
    return ACTIVATIONS[name] if name is not None else is_hard_sigmoid(value)


def refuse_activation_objects(*values: Any) -> None:
    """Raise RuleError where an activation is an object that may hold weights."""
    for value in values:
        plain = not is_serialised(value) or value["class_name"] == "function"
        if not plain and not is_hard_sigmoid(value):
            raise RuleError(f"has a {value['class_name']} as its activation, which has no rule")
