"""Convolutions, plain and transposed.

Kernel layouts do not depend on `data_format`.  Axis names: `input` is the
feature axis that `data_format` names; `input/groups` are the features that one
group of a grouped convolution reads; filter `f` belongs to group
`f // (filters / groups)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    activation,
    boolean,
    constraint,
    data_format,
    initializer,
    int_tuple,
    one_of,
    optional,
    padding,
    positive_int,
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
from patchc.layers.contracts import BOTH, ONLY_ZERO, Contracts
from patchc.layers.objects import (
    activation_is_elementwise,
    activation_keeps,
    activation_name,
    refuse_activation_objects,
)
from patchc.layers.parts import initial, known, setting
from patchc.layers.shapes import need_rank
from patchc.layers.windows import (
    channels_of,
    spatial,
    transposed_size,
    window_size,
    with_channels,
)
from patchc.model.axis import AxisMap
from patchc.model.values import ZEROS, Strategy

GLOROT = Argument(initializer, "glorot_uniform")
ZERO = Argument(initializer, "zeros")
REGULARIZER = Argument(regularizer, None)
CONSTRAINT = Argument(constraint, None)
POSITIVE = Argument(positive_int)


def window_arguments(rank: int, order: str, **special: Argument) -> dict[str, Argument]:
    """The arguments named in `order`, by Keras's names, for `rank` spatial axes."""
    known_arguments = {
        "filters": POSITIVE,
        "kernel_size": Argument(int_tuple(rank)),
        "strides": Argument(int_tuple(rank), [1] * rank),
        "padding": Argument(padding, "valid"),
        "output_padding": Argument(optional(int_tuple(rank, 0)), None),
        "data_format": Argument(data_format, "channels_last"),
        "dilation_rate": Argument(int_tuple(rank), [1] * rank),
        "depth_multiplier": Argument(positive_int, 1),
        "groups": Argument(positive_int, 1),
        "activation": Argument(activation, "linear"),
        "use_bias": Argument(boolean, True),
        "bias_initializer": ZERO,
        **special,
    }
    kinds = {"initializer": GLOROT, "regularizer": REGULARIZER, "constraint": CONSTRAINT}
    return {
        name: known_arguments.get(name) or kinds[name.rsplit("_", maxsplit=1)[-1]]
        for name in order.split()
    }


_PLAIN = (
    "filters kernel_size strides padding data_format dilation_rate groups activation use_bias"
    " kernel_initializer bias_initializer kernel_regularizer bias_regularizer"
    " activity_regularizer kernel_constraint bias_constraint"
)
_TRANSPOSED = (
    "filters kernel_size strides padding output_padding data_format dilation_rate activation"
    " use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer"
    " activity_regularizer kernel_constraint bias_constraint"
)


class Convolution(Rule):
    """What all convolutions share: a window that moves, and where channels stand."""

    rank: ClassVar[int]

    def _get(self, config: Config, key: str) -> Any:
        return setting(self, config, key)

    def _inputs(self, config: Config, call: CallSpec) -> tuple[Shape, str, int | None]:
        """Input shape, data format, number of input channels."""
        refuse_quantised(config)
        refuse_activation_objects(config.get("activation"))
        fmt = self._get(config, "data_format")
        shape = need_rank(call, self.rank + 2)
        return shape, fmt, channels_of(shape, fmt)

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether the activation does, as a softmax."""
        return not activation_is_elementwise(config.get("activation"))

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """What the activation keeps of what a filter can be; the filters of all groups differ."""
        grouped = self.arguments.get("groups") and self._get(config, "groups") > 1
        return activation_keeps(config.get("activation")) & (ONLY_ZERO if grouped else BOTH)

    def _check_window(self, config: Config) -> None:
        if max(self._get(config, "strides")) > 1 and max(self._get(config, "dilation_rate")) > 1:
            raise RuleError("has `strides` and `dilation_rate` above 1 at once")

    def _extents(self, config: Config) -> list[int]:
        """Extent of the kernel along each spatial axis, dilation included."""
        sizes = self._get(config, "kernel_size")
        rates = self._get(config, "dilation_rate")
        return [(size - 1) * rate + 1 for size, rate in zip(sizes, rates, strict=True)]

    def _moved(self, config: Config, shape: Shape, fmt: str, channels: int | None) -> Shape:
        pad = self._get(config, "padding")
        sizes = [
            window_size(size, extent, stride, pad)
            for size, extent, stride in zip(
                spatial(shape, fmt),
                self._extents(config),
                self._get(config, "strides"),
                strict=True,
            )
        ]
        return with_channels(sizes, shape, channels, fmt)

    def _kernel(self, config: Config, *axes: tuple[str, int], by: str = "kernel") -> WeightSpec:
        """The kernel over the spatial axes and `axes`, filled by the initialiser of `by`."""
        names, sizes = zip(*axes, strict=True)
        shape = (*self._get(config, "kernel_size"), *sizes)
        strategy = initial(self, config, f"{by}_initializer")
        return WeightSpec("kernel", "vars/0", shape, (*("",) * self.rank, *names), strategy)

    def _bias(self, config: Config, number: int, size: int, axis: str) -> list[WeightSpec]:
        if not self._get(config, "use_bias"):
            return []
        strategy = initial(self, config, "bias_initializer")
        return [WeightSpec("bias", f"vars/{number}", (size,), (axis,), strategy)]

    def _hands_on(self, config: Config) -> bool:
        """Whether a kernel with one tap leaves the input where and what it is."""
        sizes = self._get(config, "kernel_size")
        rates = self._get(config, "dilation_rate")
        padded = self._get(config, "padding") == "same" and all(
            size % 2 or rate == 1 for size, rate in zip(sizes, rates, strict=True)
        )
        return (
            (padded or max(sizes) == 1)
            and max(self._get(config, "strides")) == 1
            and activation_name(config.get("activation")) == "linear"
        )

    def _with_zero_bias(self, config: Config, kernel: Strategy) -> dict[str, Strategy]:
        bias = {"bias": ZEROS} if self._get(config, "use_bias") else {}
        return {"kernel": kernel, **bias}


class _Conv(Convolution):
    """`kernel` (spatial..., input/groups, filters), `bias` (filters)."""

    feature = "filters"
    grows = ("filters",)

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`kernel` and `bias`; Keras asks that `groups` divide both channel counts."""
        self.outputs(config, call)
        filters, groups = self._get(config, "filters"), self._get(config, "groups")
        channels = known(self._inputs(config, call)[2])
        if channels % groups:
            raise RuleError(f"has {groups} groups, which do not divide {channels} input channels")
        axis = "input" if groups == 1 else "input/groups"
        if 1 < groups == channels:
            axis = ""  # one entry
        kernel = self._kernel(config, (axis, channels // groups), ("filters", filters))
        return [kernel, *self._bias(config, 1, filters, "filters")]

    def blocks(self, config: Config, label: str, size: int, changed: Sequence[str]) -> int:
        """Groups change alike; but where each reads one channel, they come and go with it."""
        groups = int(self._get(config, "groups"))
        whole = size == groups if label == "input" else "filters by group" in changed
        return 1 if whole else groups

    def implied(
        self, config: Config, label: str, change: AxisMap, size: int
    ) -> Mapping[str, tuple[AxisMap, int]]:
        """Where each group reads one channel, its filters come and go with that."""
        groups, filters = self._get(config, "groups"), self._get(config, "filters")
        if label != "input" or size != groups or groups in {1, filters}:
            return {}
        return {
            "filters by group": (change, groups),
            "filters": (change.stretched(filters // groups), filters),
        }

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor of `filters` channels."""
        shape, fmt, _ = self._inputs(config, call)
        self._check_window(config)
        filters, groups = self._get(config, "filters"), self._get(config, "groups")
        if filters % groups:
            raise RuleError(f"has {groups} groups, which do not divide {filters} filters")
        return (self._moved(config, shape, fmt, filters),)

    def aliases(self, config: Config, call: CallSpec) -> Mapping[str, str]:
        """Where each channel is a group, with a filter of its own, both are one dimension."""
        groups = self._get(config, "groups")
        alone = 1 < groups == self._get(config, "filters")
        is_depthwise = alone and self._inputs(config, call)[2] == groups
        return {"filters": "input"} if is_depthwise else {}

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """As many groups and filters as channels, where each channel is a group."""
        if label == "filters by group":
            return {"groups": change.size}
        apart = self._get(config, "groups") == self._get(config, "filters") == size > 1
        return {"filters": change.size, "groups": change.size} if apart else {}

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """A kernel whose tap `(size - 1) // 2` is the identity matrix."""
        fits = self._inputs(config, call)[2] == self._get(config, "filters")
        if not (fits and self._get(config, "groups") == 1 and self._hands_on(config)):
            return None
        return self._with_zero_bias(config, Strategy("dirac"))


class Conv1D(_Conv):
    """1D convolution; `causal` padding is its own."""

    class_name = "Conv1D"
    rank = 1
    arguments = window_arguments(
        1, _PLAIN, padding=Argument(one_of("valid", "same", "causal", fold=True), "valid")
    )


class Conv2D(_Conv):
    """2D convolution."""

    class_name = "Conv2D"
    rank = 2
    arguments = window_arguments(2, _PLAIN)


class Conv3D(_Conv):
    """3D convolution."""

    class_name = "Conv3D"
    rank = 3
    arguments = window_arguments(3, _PLAIN)


class _ConvTranspose(Convolution):
    """`kernel` (spatial..., filters, input), `bias` (filters)."""

    feature = "filters"
    grows = ("filters",)

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`kernel` and `bias`; the kernel's last two axes stand the other way round."""
        self.outputs(config, call)
        filters, channels = self._get(config, "filters"), known(self._inputs(config, call)[2])
        kernel = self._kernel(config, ("filters", filters), ("input", channels))
        return [kernel, *self._bias(config, 1, filters, "filters")]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor of `filters` channels, its spatial axes stretched by the strides."""
        shape, fmt, _ = self._inputs(config, call)
        self._check_window(config)
        strides, pad = self._get(config, "strides"), self._get(config, "padding")
        extra = self._get(config, "output_padding") or [None] * self.rank
        if any(e is not None and e >= s for e, s in zip(extra, strides, strict=True)):
            raise RuleError("has an `output_padding` that is not below its `strides`")
        extents = self._extents(config)
        parts = zip(spatial(shape, fmt), extents, strides, extra, strict=True)
        sizes = [transposed_size(size, k, s, pad, e) for size, k, s, e in parts]
        return (with_channels(sizes, shape, self._get(config, "filters"), fmt),)


class Conv1DTranspose(_ConvTranspose):
    """Transposed 1D convolution."""

    class_name = "Conv1DTranspose"
    rank = 1
    arguments = window_arguments(1, _TRANSPOSED)


class Conv2DTranspose(_ConvTranspose):
    """Transposed 2D convolution."""

    class_name = "Conv2DTranspose"
    rank = 2
    arguments = window_arguments(2, _TRANSPOSED)


class Conv3DTranspose(_ConvTranspose):
    """Transposed 3D convolution."""

    class_name = "Conv3DTranspose"
    rank = 3
    arguments = window_arguments(3, _TRANSPOSED)


RULES: tuple[Rule, ...] = (
    Conv1D(),
    Conv2D(),
    Conv3D(),
    Conv1DTranspose(),
    Conv2DTranspose(),
    Conv3DTranspose(),
)
"""The rules of this family."""
