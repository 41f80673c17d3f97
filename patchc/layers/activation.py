"""Rules of the activation layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    activation,
    axes,
    constraint,
    initializer,
    non_negative_number,
    number,
    optional,
    regularizer,
)
from patchc.layers.base import Argument, CallSpec, Config, Rule, RuleError, WeightSpec
from patchc.layers.contracts import NONE, ONLY_ZERO, Contracts
from patchc.layers.objects import (
    activation_is_elementwise,
    activation_keeps,
    activation_name,
    initializer_strategy,
    refuse_activation_objects,
)
from patchc.layers.parts import setting
from patchc.layers.shapes import need_size
from patchc.model.values import ONES, Strategy


class Activation(Rule):
    """A named activation."""

    class_name = "Activation"
    arguments: ClassVar[Mapping[str, Argument]] = {"activation": Argument(activation)}
    feature = "input"

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """None; an activation object may hold some, and is refused."""
        refuse_activation_objects(config.get("activation"))
        return ()

    def is_elementwise(self, config: Config) -> bool:
        """Whether the activation is."""
        return activation_is_elementwise(config.get("activation"))

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether the activation does, as a softmax."""
        return not activation_is_elementwise(config.get("activation"))

    def kept(self, config: Config) -> Contracts:
        """What the activation keeps."""
        return activation_keeps(config.get("activation"))

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Where the activation is linear."""
        return {} if activation_name(config.get("activation")) == "linear" else None


class ReLU(Rule):
    """Rectified linear units, with slope, threshold and upper bound."""

    class_name = "ReLU"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "max_value": Argument(optional(non_negative_number), None),
        "negative_slope": Argument(non_negative_number, 0.0),
        "threshold": Argument(non_negative_number, 0.0),
    }
    feature = "input"
    elementwise = True

    def kept(self, config: Config) -> Contracts:
        """Zeros, unless a slope begins at the threshold."""
        bent = setting(self, config, "threshold") and setting(self, config, "negative_slope")
        return NONE if bent else ONLY_ZERO


class LeakyReLU(Rule):
    """A rectified linear unit with a slope below zero."""

    class_name = "LeakyReLU"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "negative_slope": Argument(non_negative_number, 0.3),
    }
    feature = "input"
    elementwise = True
    keeps = ONLY_ZERO


class ELU(Rule):
    """An exponential linear unit."""

    class_name = "ELU"
    arguments: ClassVar[Mapping[str, Argument]] = {"alpha": Argument(number, 1.0)}
    feature = "input"
    elementwise = True
    keeps = ONLY_ZERO


def _shared_axes(value: Any) -> list[int] | None:
    if value is None:
        return None
    found = axes(value)
    return [found] if isinstance(found, int) else found


class PReLU(Rule):
    """A rectified linear unit whose slope below zero is learned."""

    class_name = "PReLU"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "alpha_initializer": Argument(initializer, "Zeros"),
        "alpha_regularizer": Argument(regularizer, None),
        "alpha_constraint": Argument(constraint, None),
        "shared_axes": Argument(_shared_axes, None),
    }
    feature = "input"
    elementwise = True
    keeps = ONLY_ZERO

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`alpha`, one entry per entry of the input, or one for all along a shared axis."""
        sizes = list(call.shape[1:])
        for axis in setting(self, config, "shared_axes") or []:
            if not -len(sizes) <= axis - 1 < len(sizes):
                raise RuleError(f"shares axis {axis}, which its input does not have")
            sizes[axis - 1] = 1
        shape = tuple(need_size(tuple(sizes), axis) for axis in range(len(sizes)))
        is_shared = shape[-1:] != call.shape[-1:]
        labels = ("",) * (len(shape) - 1) + (("" if is_shared else "input"),) * bool(shape)
        made = initializer_strategy(config["alpha_initializer"])
        return (WeightSpec("alpha", "vars/0", shape, labels, made),)

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy]:
        """A slope of one."""
        return {"alpha": ONES}


class Softmax(Rule):
    """A softmax over one axis or several."""

    class_name = "Softmax"
    arguments: ClassVar[Mapping[str, Argument]] = {"axis": Argument(axes, -1)}
    feature = "input"

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Where it runs over the last axis."""
        axis = setting(self, config, "axis")
        chosen = axis if isinstance(axis, list) else [axis]
        return any(number in {-1, len(call.shape) - 1} for number in chosen)


RULES: tuple[Rule, ...] = (Activation(), ReLU(), LeakyReLU(), ELU(), PReLU(), Softmax())
