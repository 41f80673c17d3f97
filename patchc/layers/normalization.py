"""Normalisations.

Axis names: `input` where a weight runs over the last axis of the input,
`input[k]` where it runs over axis `k` (counted from the batch, 0), so that
`axis: 1` on channels-first images is told from `axis: 1` on a sequence.
`axis` may be a number or, as Keras itself writes it after building some of
these layers, a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any, ClassVar

from patchc.layers.arguments import (
    anything,
    axes,
    boolean,
    constraint,
    initializer,
    integer,
    number,
    regularizer,
)
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Rule,
    RuleError,
    Shape,
    WeightSpec,
    refuse_quantised,
)
from patchc.layers.contracts import NONE, ONLY_ZERO, Contracts, Norm
from patchc.layers.parts import initial, setting
from patchc.layers.shapes import need_size
from patchc.model.axis import AxisMap
from patchc.model.values import ONES, ZEROS, Strategy

_ZEROS = Argument(initializer, "zeros")
_ONES = Argument(initializer, "ones")
_REGULARIZER = Argument(regularizer, None)
_CONSTRAINT = Argument(constraint, None)
_YES = Argument(boolean, True)
_NO = Argument(boolean, False)
_LAST = Argument(axes, -1)

_AFFINE: Mapping[str, Argument] = {
    "epsilon": Argument(number, 0.001),
    "center": _YES,
    "scale": _YES,
    "beta_initializer": _ZEROS,
    "gamma_initializer": _ONES,
    "beta_regularizer": _REGULARIZER,
    "gamma_regularizer": _REGULARIZER,
    "beta_constraint": _CONSTRAINT,
    "gamma_constraint": _CONSTRAINT,
}
"""What the normalisations with `gamma` and `beta` share."""


def axis_list(rule: Rule, config: Config) -> list[int]:
    """The axes of a configuration as Keras orders them: a list is sorted as it stands."""
    axis = setting(rule, config, "axis")
    return [axis] if isinstance(axis, int) else sorted(axis)


def axis_name(axis: int, rank: int) -> str:
    """The name of an axis of the input, see the module."""
    return "input" if axis % rank == rank - 1 else f"input[{axis % rank}]"


def checked_axes(axis: Sequence[int], shape: Shape) -> Sequence[int]:
    """`axis`, if the input has all of them.  Raises RuleError otherwise."""
    for index in axis:
        if not -len(shape) <= index < len(shape):
            raise RuleError(f"normalises axis {index}, which an input of {len(shape)} axes lacks")
    return axis


def single_axis(rule: Rule, config: Config) -> int:
    """The one axis of a layer that takes no more.  Raises RuleError where there are more."""
    found = axis_list(rule, config)
    if len(found) != 1:
        raise RuleError(f"normalises {len(found)} axes, but takes one")
    return found[0]


class Normalisation(Rule):
    """Hands on an input of the same shape."""

    feature = "input"

    def _axes(self, config: Config) -> Sequence[int]:
        return axis_list(self, config)

    def _extent(self, config: Config, call: CallSpec) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Shape and axis names of a weight that runs over the normalised axes."""
        refuse_quantised(config)
        shape = call.shape
        axis = checked_axes(self._axes(config), shape)
        names = tuple(axis_name(index, len(shape)) for index in axis)
        return tuple(need_size(shape, index) for index in axis), names

    def _affine(self, config: Config, call: CallSpec, names: Sequence[str]) -> list[WeightSpec]:
        """`gamma` and `beta`, as far as `names` holds them."""
        if not names:
            return []
        size, labels = self._extent(config, call)
        return [
            WeightSpec(
                name, f"vars/{i}", size, labels, initial(self, config, f"{name}_initializer")
            )
            for i, name in enumerate(names)
        ]

    def _affine_names(self, config: Config) -> list[str]:
        flags = {"gamma": "scale", "beta": "center"}
        return [name for name, flag in flags.items() if setting(self, config, flag)]

    def factors(self, config: Config) -> Sequence[str]:
        """`gamma` and `beta`, where there is a `gamma`."""
        names = self._affine_names(config)
        return names if "gamma" in names else ()

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The shape of the input."""
        refuse_quantised(config)
        checked_axes(self._axes(config), call.shape)
        return (call.shape,)


class _OverFeatures(Normalisation):
    """Whose statistics run over the normalised axes, so that entries there hang together.

    From C features to C', a sum of squares that new entries add nothing to is
    divided by C' in place of C: what comes out grows by sqrt(C'/C), if
    `epsilon` becomes epsilon*C/C'.  Where every feature stands equally often,
    nothing changes.
    """

    def norm(self, config: Config, call: CallSpec, change: AxisMap, size: int) -> Norm | None:
        """That new entries add nothing to the statistics."""
        runs_over = self.couples_features(config, call)
        return self._asked(config) if runs_over and not change.is_even(size) else None

    def _asked(self, config: Config) -> Norm:
        raise NotImplementedError

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether the features are among the normalised axes.

        Axis 1 of an image counts as its features too, as in channels-first models.
        """
        rank = len(call.shape)
        over = {index % rank for index in checked_axes(self._axes(config), call.shape)}
        return rank - 1 in over or (rank > 3 and 1 in over)


class BatchNormalization(Normalisation):
    """`gamma` and `beta` as `scale` and `center` say, then the moving statistics.

    With `renorm` three more statistics: `moving_stddev`, `renorm_mean`,
    `renorm_stddev`.
    """

    class_name = "BatchNormalization"
    arguments: ClassVar[Mapping[str, Argument]] = {
        **_AFFINE,
        "axis": _LAST,
        "momentum": Argument(number, 0.99),
        "moving_mean_initializer": _ZEROS,
        "moving_variance_initializer": _ONES,
        "renorm": _NO,
        "renorm_clipping": Argument(anything, None),
        "renorm_momentum": Argument(number, 0.99),
        "synchronized": _NO,
    }

    def _axes(self, config: Config) -> Sequence[int]:
        return [single_axis(self, config)]

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """Trained weights first, then statistics, each of one entry per feature."""
        affine = self._affine(config, call, self._affine_names(config))
        size, labels = self._extent(config, call)
        statistics = [
            WeightSpec(name, f"vars/{i}", size, labels, strategy, trainable=False)
            for i, (name, strategy) in enumerate(self._statistics(config), start=len(affine))
        ]
        return [*affine, *statistics]

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """What `gamma` and `beta` of zero make of it."""
        return ONLY_ZERO if setting(self, config, "scale") else NONE

    def _statistics(self, config: Config) -> list[tuple[str, Strategy]]:
        mean = initial(self, config, "moving_mean_initializer")
        variance = initial(self, config, "moving_variance_initializer")
        statistics = [("moving_mean", mean), ("moving_variance", variance)]
        if setting(self, config, "renorm"):
            stddev = _root(variance)
            statistics += [
                ("moving_stddev", stddev),
                ("renorm_mean", mean),
                ("renorm_stddev", stddev),
            ]
        return statistics

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Statistics of an input that is normal already; `epsilon` is taken off the variance."""
        epsilon = setting(self, config, "epsilon")
        values = {
            "gamma": ONES,
            "beta": ZEROS,
            "moving_mean": ZEROS,
            "moving_variance": Strategy("Constant", {"value": 1.0 - epsilon}),
            "moving_stddev": ONES,
            "renorm_mean": ZEROS,
            "renorm_stddev": ONES,
        }
        return {spec.name: values[spec.name] for spec in self.weights(config, call)}


def _root(strategy: Strategy) -> Strategy:
    """The strategy whose values are the square roots of those of `strategy`."""
    if strategy.name in {"Zeros", "Ones"}:
        return strategy
    value = strategy.arguments.get("value", 0.0)
    if strategy.name == "Constant" and isinstance(value, (int, float)) and value >= 0:
        return Strategy("Constant", {"value": sqrt(value)})
    raise RuleError(
        f"starts `moving_stddev` from the square root of {strategy.name}, which has no rule"
    )


class LayerNormalization(_OverFeatures):
    """`gamma` and `beta` over the normalised axes.

    `rms_scaling` in older configurations: `gamma` always, `beta` never.
    """

    class_name = "LayerNormalization"
    arguments: ClassVar[Mapping[str, Argument]] = {"axis": _LAST, **_AFFINE}

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`gamma` and `beta` as `scale` and `center` say."""
        return self._affine(config, call, self._names(config))

    def _names(self, config: Config) -> list[str]:
        return ["gamma"] if config.get("rms_scaling") else self._affine_names(config)

    def _asked(self, config: Config) -> Norm:
        """New entries that are the mean add nothing to the variance.

        Over several axes the mean is that of all of them, which no feature has
        at every place.
        """
        if len(self._axes(config)) > 1 or "gamma" not in self._names(config):
            return Norm()
        return Norm("mean", ("gamma",), "epsilon")


class RMSNormalization(_OverFeatures):
    """`scale` over the normalised axes."""

    class_name = "RMSNormalization"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "axis": _LAST,
        "epsilon": Argument(number, 1e-06),
    }

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`scale`, which starts at one."""
        size, labels = self._extent(config, call)
        return [WeightSpec("scale", "vars/0", size, labels, ONES)]

    def factors(self, config: Config) -> Sequence[str]:
        """`scale`."""
        return ("scale",)

    def _asked(self, config: Config) -> Norm:
        """Zeros add nothing to the sum of squares."""
        return Norm("zero", ("scale",), "epsilon")


def _groups(value: Any) -> int:
    if integer(value) < 1 and value != -1:
        raise RuleError("must be a positive integer, or -1 for one group per feature")
    return integer(value)


class GroupNormalization(Normalisation):
    """`gamma` and `beta` of one entry per feature, in `groups` neighbouring blocks.

    Keras replaces `groups: -1` by the number of features when it builds the
    layer, so that a file never holds -1: `groups` equal to the number of
    features is an instance normalisation.
    """

    class_name = "GroupNormalization"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "groups": Argument(_groups, 32),
        "axis": _LAST,
        **_AFFINE,
    }

    def _axes(self, config: Config) -> Sequence[int]:
        return [single_axis(self, config)]

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`gamma` and `beta` as `scale` and `center` say."""
        [size], _ = self._extent(config, call)
        groups = setting(self, config, "groups")
        if groups != -1 and size % groups:
            raise RuleError(f"has {groups} groups, which do not divide {size} features")
        return self._affine(config, call, self._affine_names(config))

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether groups have more than one feature."""
        [size], _ = self._extent(config, call)
        return setting(self, config, "groups") not in {-1, size}

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """What `gamma` and `beta` of zero make of it."""
        return ONLY_ZERO if setting(self, config, "scale") else NONE

    def norm(self, config: Config, call: CallSpec, change: AxisMap, size: int) -> Norm | None:
        """That each group stays as it is, or has each of its features equally often."""
        groups = self._count(config, size)
        each = size // groups
        inside = change.gathered(groups, each, 1)
        whole = change.gathered(1, size, each) is not None
        return None if whole or (inside is not None and inside.is_even(each)) else Norm()

    def _count(self, config: Config, size: int) -> int:
        groups = int(setting(self, config, "groups"))
        return size if groups == -1 else groups

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """More groups or fewer where whole ones come or go, the same number otherwise."""
        groups = self._count(config, size)
        each = size // groups
        whole = change.gathered(1, size, each)
        if whole is not None:
            return {"groups": whole.size}
        if change.gathered(groups, each, 1) is not None:
            return {}
        raise RuleError(
            f"has {groups} groups of {each} features, which come and go as a whole: grow by a"
            f" multiple of {each}"
        )


class UnitNormalization(_OverFeatures):
    """No weights."""

    class_name = "UnitNormalization"
    arguments: ClassVar[Mapping[str, Argument]] = {"axis": _LAST}

    def norm(self, config: Config, call: CallSpec, change: AxisMap, size: int) -> Norm | None:
        """Zeros add nothing to the length; copies would."""
        return Norm("zero") if self.couples_features(config, call) else None


RULES: tuple[Rule, ...] = (
    BatchNormalization(),
    LayerNormalization(),
    RMSNormalization(),
    GroupNormalization(),
    UnitNormalization(),
)
"""The rules of this family."""
