"""Convolutions of each channel by itself, and those with a plain one behind.

The output of a depthwise convolution runs over `input*depth_multiplier`: entry
`c * depth_multiplier + j`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from patchc.layers.base import (
    CallSpec,
    Config,
    Rule,
    Shape,
    WeightSpec,
)
from patchc.layers.contracts import ONLY_ZERO, Contracts
from patchc.layers.convolution import Convolution, window_arguments
from patchc.layers.parts import initial, known
from patchc.model.values import Strategy

_DEPTHWISE = (
    "kernel_size strides padding depth_multiplier data_format dilation_rate activation use_bias"
    " depthwise_initializer bias_initializer depthwise_regularizer bias_regularizer"
    " activity_regularizer depthwise_constraint bias_constraint"
)
_SEPARABLE = (
    "filters kernel_size strides padding data_format dilation_rate depth_multiplier activation"
    " use_bias depthwise_initializer pointwise_initializer bias_initializer depthwise_regularizer"
    " pointwise_regularizer bias_regularizer activity_regularizer depthwise_constraint"
    " pointwise_constraint bias_constraint"
)


class _DepthwiseConv(Convolution):
    """`kernel` (spatial..., input, depth_multiplier), `bias` (input*depth_multiplier)."""

    feature = "input*depth_multiplier"
    grows = ("depth_multiplier",)

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """Zeros; a kernel reads its own feature alone, and cannot make a mean of others."""
        return super().made(config, call) & ONLY_ZERO

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`kernel` and `bias`."""
        self.outputs(config, call)
        channels = known(self._inputs(config, call)[2])
        multiplier = self._get(config, "depth_multiplier")
        sizes = ("input", channels), ("depth_multiplier", multiplier)
        kernel = self._kernel(config, *sizes, by="depthwise")
        return [kernel, *self._bias(config, 1, channels * multiplier, "input*depth_multiplier")]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor of `depth_multiplier` channels per input channel."""
        shape, fmt, channels = self._inputs(config, call)
        multiplied = known(channels) * self._get(config, "depth_multiplier")
        return (self._moved(config, shape, fmt, multiplied),)

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """A kernel whose tap `(size - 1) // 2` is one for every channel."""
        if self._get(config, "depth_multiplier") != 1 or not self._hands_on(config):
            return None
        return self._with_zero_bias(config, Strategy("dirac_depthwise"))


class DepthwiseConv1D(_DepthwiseConv):
    """1D convolution of each channel by itself."""

    class_name = "DepthwiseConv1D"
    rank = 1
    arguments = window_arguments(1, _DEPTHWISE)


class DepthwiseConv2D(_DepthwiseConv):
    """2D convolution of each channel by itself."""

    class_name = "DepthwiseConv2D"
    rank = 2
    arguments = window_arguments(2, _DEPTHWISE)


class _SeparableConv(Convolution):
    """A depthwise convolution, then one of kernel size 1.

    `depthwise_kernel` (spatial..., input, depth_multiplier), `pointwise_kernel`
    (1..., input*depth_multiplier, filters), `bias` (filters).
    """

    feature = "filters"
    grows = ("filters", "depth_multiplier")

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """Both kernels and `bias`."""
        self.outputs(config, call)
        channels = known(self._inputs(config, call)[2])
        multiplier, filters = self._get(config, "depth_multiplier"), self._get(config, "filters")
        sizes = ("input", channels), ("depth_multiplier", multiplier)
        kernel = self._kernel(config, *sizes, by="depthwise")
        depthwise = replace(kernel, name="depthwise_kernel")
        pointwise = WeightSpec(
            "pointwise_kernel",
            "vars/1",
            (*(1,) * self.rank, channels * multiplier, filters),
            (*("",) * self.rank, "input*depth_multiplier", "filters"),
            initial(self, config, "pointwise_initializer"),
        )
        return [depthwise, pointwise, *self._bias(config, 2, filters, "filters")]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor of `filters` channels."""
        shape, fmt, _ = self._inputs(config, call)
        return (self._moved(config, shape, fmt, self._get(config, "filters")),)


class SeparableConv1D(_SeparableConv):
    """Separable 1D convolution."""

    class_name = "SeparableConv1D"
    rank = 1
    arguments = window_arguments(1, _SEPARABLE)


class SeparableConv2D(_SeparableConv):
    """Separable 2D convolution."""

    class_name = "SeparableConv2D"
    rank = 2
    arguments = window_arguments(2, _SEPARABLE)


RULES: tuple[Rule, ...] = (
    DepthwiseConv1D(),
    DepthwiseConv2D(),
    SeparableConv1D(),
    SeparableConv2D(),
)
"""The rules of this family."""
