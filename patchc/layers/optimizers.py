"""What each Keras optimizer class stores, and in which order.

Keras writes an optimizer's variables by number and reads them back by number,
so a slot can only be told from its place.  This table says which place that
is, for every class of `keras.optimizers`, and how a slot of a new or grown
weight has to start so that training goes on as if nothing had happened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.model.values import Strategy

Config = Mapping[str, Any]

ZERO = Strategy("Zeros")
MEAN = Strategy("mean")


@dataclass(frozen=True, slots=True)
class Slot:
    """One kind of variable that an optimizer keeps for a weight.

    Args:
        name: as Keras calls it: `momentum`, `velocity`, ...
        grown: how entries for grown entries of the weight start.
        fresh: how the slot of a new weight starts.
        mirror: starts as the weight's own values, in both cases.
        degree: the power of the gradient that it holds, 0 for none: so it
            changes where a weight is rescaled.
        axes: which axes of the weight it has: `all`, `no_last` or
            `no_second_last` (Adafactor's row and column averages), `none` for
            a scalar that only keeps the place.
        dtype: of a scalar; None is the weight's.
    """

    name: str
    grown: Strategy = ZERO
    fresh: Strategy = ZERO
    mirror: bool = False
    degree: int = 1
    axes: str = "all"
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A place in an optimizer's list of variables.

    Args:
        name: `iteration`, `learning_rate`, or the slot's name.
        weight: number of the trainable weight that a slot belongs to.
        slot: what it holds; None for a variable of the optimizer itself.
    """

    name: str
    weight: int | None = None
    slot: Slot | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A trainable weight as an optimizer sees it: its path and shape."""

    path: str
    shape: tuple[int, ...]


Weights = Sequence[Trained]
Layout = Iterator[Variable]

_MOMENTUM = Slot("momentum")
_VELOCITY = Slot("velocity", grown=MEAN, degree=2)


def layout(optimizer: Mapping[str, Any], weights: Weights) -> list[Variable] | None:
    """The variables of an optimizer in Keras's order; None for a class without a rule.

    Args:
        optimizer: its serialised configuration, as in `compile_config`.
        weights: the model's trainable weights, in Keras's order.
    """
    name, config = optimizer.get("class_name"), optimizer.get("config")
    if not isinstance(config, Mapping):
        return None
    if name == "LossScaleOptimizer":
        return _loss_scale(config, weights)
    slots = _SLOTS.get(str(name))
    if slots is None or _has_patterns(config):
        return None
    try:
        return [*_own(config), *_common(config, weights), *slots(config, weights)]
    except TypeError:  # an argument of another type than Keras writes
        return None


def own_count(optimizer: Mapping[str, Any]) -> int | None:
    """Number of variables before the optimizer has met any weight."""
    found = layout(optimizer, [])
    return None if found is None else len(found)


def _own(config: Config) -> Layout:
    yield Variable("iteration")
    if isinstance(config.get("learning_rate", 0.0), (int, float)):
        yield Variable("learning_rate")


def _common(config: Config, weights: Weights) -> Layout:
    """What the base class keeps: moving averages and accumulated gradients."""
    if config.get("use_ema"):
        yield from _grouped(weights, Slot("average", mirror=True, degree=0))
    if config.get("gradient_accumulation_steps"):
        yield from _grouped(weights, Slot("gradient_accumulator"))


def _grouped(weights: Weights, *slots: Slot) -> Layout:
    """All weights for one slot, then all for the next."""
    for slot in slots:
        for number in range(len(weights)):
            yield Variable(slot.name, number, slot)


def _interleaved(weights: Weights, *slots: Slot) -> Layout:
    """All slots of one weight, then all of the next."""
    for number in range(len(weights)):
        for slot in slots:
            yield Variable(slot.name, number, slot)


def _loss_scale(config: Config, weights: Weights) -> list[Variable] | None:
    inner = layout(config.get("inner_optimizer") or {}, weights)
    if inner is None:
        return None
    own = [
        Variable(name) for name in ("iteration", "learning_rate", "step_counter", "dynamic_scale")
    ]
    return [*own, *inner]


# ------------------------------------------------------------------ one per class


def _sgd(config: Config, weights: Weights) -> Layout:
    return _grouped(weights, *([_MOMENTUM] if config.get("momentum") else []))


def _rmsprop(config: Config, weights: Weights) -> Layout:
    slots = [_VELOCITY]
    slots += [_MOMENTUM] if config.get("momentum", 0) > 0 else []
    slots += [Slot("average_gradient")] if config.get("centered") else []
    return _grouped(weights, *slots)


def _adam(config: Config, weights: Weights) -> Layout:
    yield from _interleaved(weights, _MOMENTUM, _VELOCITY)
    if config.get("amsgrad"):
        yield from _grouped(weights, Slot("velocity_hat", grown=MEAN, degree=2))


def _nadam(config: Config, weights: Weights) -> Layout:
    yield from _interleaved(weights, _MOMENTUM, _VELOCITY)
    if weights:
        yield Variable("u_product")


def _adamax(config: Config, weights: Weights) -> Layout:
    return _interleaved(weights, _MOMENTUM, Slot("norm", grown=MEAN))


def _adagrad(config: Config, weights: Weights) -> Layout:
    return _grouped(weights, Slot("accumulator", grown=MEAN, fresh=_accumulator(config), degree=2))


def _adadelta(config: Config, weights: Weights) -> Layout:
    slots = [
        Slot(name, grown=MEAN, degree=2) for name in ("accumulated_grad", "accumulated_delta_var")
    ]
    return _interleaved(weights, *slots)


def _ftrl(config: Config, weights: Weights) -> Layout:
    start = _accumulator(config)
    return _interleaved(
        weights, Slot("accumulator", grown=start, fresh=start, degree=2), Slot("linear")
    )


def _accumulator(config: Config) -> Strategy:
    return Strategy("Constant", {"value": config.get("initial_accumulator_value", 0.1)})


def _lion(config: Config, weights: Weights) -> Layout:
    return _grouped(weights, _MOMENTUM)


def _adafactor(config: Config, weights: Weights) -> Layout:
    for number, weight in enumerate(weights):
        if len(weight.shape) < 2:
            rows = columns = Slot("placeholder", degree=0, axes="none", dtype="int32")
        else:
            rows = Slot("row_average", grown=MEAN, degree=2, axes="no_last")
            columns = Slot("column_average", grown=MEAN, degree=2, axes="no_second_last")
        for slot in (rows, columns, _VELOCITY):
            yield Variable(slot.name, number, slot)


def _muon(config: Config, weights: Weights) -> Layout:
    for number, weight in enumerate(weights):
        yield Variable("momentum", number, _MOMENTUM)
        if _muon_uses_adam(config, weight):
            yield Variable("velocity", number, _VELOCITY)


def _has_patterns(config: Config) -> bool:
    """Whether layers are excluded by regular expressions, which a file must not make us run."""
    return any(re.escape(word) != word for word in config.get("exclude_layers") or [])


def _muon_uses_adam(config: Config, weight: Trained) -> bool:
    """As `keras.optimizers.Muon._should_use_adamw`."""
    embedding = config.get("exclude_embeddings", True) and "embedding" in weight.path.lower()
    excluded = config.get("exclude_layers") or []
    return len(weight.shape) != 2 or embedding or any(word in weight.path for word in excluded)


def _schedule_free(config: Config, weights: Weights) -> Layout:
    return _interleaved(weights, Slot("momentum", mirror=True, degree=0), _VELOCITY)


_SLOTS: Mapping[str, Callable[[Config, Weights], Layout]] = {
    "SGD": _sgd,
    "RMSprop": _rmsprop,
    "Adam": _adam,
    "AdamW": _adam,
    "Nadam": _nadam,
    "Adamax": _adamax,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
    "Ftrl": _ftrl,
    "Lion": _lion,
    "Adafactor": _adafactor,
    "Lamb": _adam,
    "Muon": _muon,
    "ScheduleFreeAdamW": _schedule_free,
}


def own_start(optimizer: Mapping[str, Any], name: str) -> Strategy:
    """How a variable of the optimizer itself starts (`iteration`, `learning_rate`, ...)."""
    config = optimizer.get("config") or {}
    starts = {
        "learning_rate": config.get("learning_rate", 0.0),
        "u_product": 1.0,
        "dynamic_scale": config.get("initial_scale", 2.0**15),
    }
    return Strategy("Constant", {"value": starts[name]}) if name in starts else ZERO


COUNTERS = frozenset({"iteration", "step_counter"})
"""Variables that hold whole numbers."""

_COUPLED = frozenset({"Lamb", "Adafactor", "Muon"})


def couples_entries(optimizer: Mapping[str, Any]) -> str | None:
    """What makes the step for one entry depend on others: the class, or clipping by norm.

    None where every entry is updated on its own.
    """
    config = optimizer.get("config") or {}
    if optimizer.get("class_name") in _COUPLED:
        return str(optimizer["class_name"])
    clipping = next((key for key in ("global_clipnorm", "clipnorm") if config.get(key)), None)
    inner = config.get("inner_optimizer")
    return clipping or (couples_entries(inner) if isinstance(inner, Mapping) else None)


def slot_shape(slot: Slot, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a slot for a weight of `shape`."""
    return tuple(shape[axis] for axis in slot_axes(slot, len(shape)))


def slot_axes(slot: Slot, rank: int) -> list[int]:
    """Which axes of a weight of `rank` a slot has, in its order."""
    axes = list(range(rank))
    if slot.axes == "none":
        return []
    if slot.axes == "no_last":
        return axes[:-1]
    if slot.axes == "no_second_last":
        return [*axes[:-2], axes[-1]]
    return axes
