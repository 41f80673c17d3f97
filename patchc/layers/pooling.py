"""Pooling: local, global and adaptive.  No weights; each channel by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import boolean, data_format, int_tuple, optional, padding
from patchc.layers.base import REQUIRED, Argument, CallSpec, Config, Rule, Shape
from patchc.layers.contracts import BOTH, ONLY_ZERO
from patchc.layers.parts import setting
from patchc.layers.shapes import need_rank
from patchc.layers.windows import channels_of, spatial, window_size, with_channels
from patchc.model.values import Strategy

_DATA_FORMAT = Argument(data_format, "channels_last")


def _pooling_arguments(rank: int, pool_size: Any) -> dict[str, Argument]:
    return {
        "pool_size": Argument(int_tuple(rank), pool_size),
        "strides": Argument(optional(int_tuple(rank)), None),
        "padding": Argument(padding, "valid"),
        "data_format": _DATA_FORMAT,
    }


class _Pooling(Rule):
    """A window that moves; `strides` left out are the `pool_size`."""

    rank: ClassVar[int]
    feature = "input"

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor with the channels of the input and smaller spatial axes."""
        fmt, pad = setting(self, config, "data_format"), setting(self, config, "padding")
        shape = need_rank(call, self.rank + 2)
        pool = setting(self, config, "pool_size")
        strides = setting(self, config, "strides") or pool
        sizes = [
            window_size(size, window, stride, pad)
            for size, window, stride in zip(spatial(shape, fmt), pool, strides, strict=True)
        ]
        return (with_channels(sizes, shape, channels_of(shape, fmt), fmt),)

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """A window of one entry that moves by one."""
        pool = setting(self, config, "pool_size")
        strides = setting(self, config, "strides") or pool
        return {} if max(*pool, *strides) == 1 else None


class MaxPooling1D(_Pooling):
    """The largest entry of a 1D window."""

    class_name = "MaxPooling1D"
    keeps = ONLY_ZERO
    rank = 1
    arguments = _pooling_arguments(1, [2])


class MaxPooling2D(_Pooling):
    """The largest entry of a 2D window."""

    class_name = "MaxPooling2D"
    keeps = ONLY_ZERO
    rank = 2
    arguments = _pooling_arguments(2, [2, 2])


class MaxPooling3D(_Pooling):
    """The largest entry of a 3D window."""

    class_name = "MaxPooling3D"
    keeps = ONLY_ZERO
    rank = 3
    arguments = _pooling_arguments(3, [2, 2, 2])


class AveragePooling1D(_Pooling):
    """The mean of a 1D window."""

    class_name = "AveragePooling1D"
    keeps = BOTH
    rank = 1
    arguments = _pooling_arguments(1, REQUIRED)


class AveragePooling2D(_Pooling):
    """The mean of a 2D window."""

    class_name = "AveragePooling2D"
    keeps = BOTH
    rank = 2
    arguments = _pooling_arguments(2, REQUIRED)


class AveragePooling3D(_Pooling):
    """The mean of a 3D window."""

    class_name = "AveragePooling3D"
    keeps = BOTH
    rank = 3
    arguments = _pooling_arguments(3, REQUIRED)


class _GlobalPooling(Rule):
    """One value per channel."""

    rank: ClassVar[int]
    feature = "input"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "data_format": _DATA_FORMAT,
        "keepdims": Argument(boolean, False),
    }

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor (batch, channels), or with spatial axes of one entry."""
        fmt = setting(self, config, "data_format")
        shape = need_rank(call, self.rank + 2)
        sizes = (1,) * self.rank if setting(self, config, "keepdims") else ()
        return (with_channels(sizes, shape, channels_of(shape, fmt), fmt),)


class GlobalMaxPooling1D(_GlobalPooling):
    """The largest entry of each channel."""

    class_name = "GlobalMaxPooling1D"
    keeps = ONLY_ZERO
    rank = 1


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest entry of each channel."""

    class_name = "GlobalMaxPooling2D"
    keeps = ONLY_ZERO
    rank = 2


class GlobalMaxPooling3D(_GlobalPooling):
    """The largest entry of each channel."""

    class_name = "GlobalMaxPooling3D"
    keeps = ONLY_ZERO
    rank = 3


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of each channel."""

    class_name = "GlobalAveragePooling1D"
    keeps = BOTH
    rank = 1


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel."""

    class_name = "GlobalAveragePooling2D"
    keeps = BOTH
    rank = 2


class GlobalAveragePooling3D(_GlobalPooling):
    """The mean of each channel."""

    class_name = "GlobalAveragePooling3D"
    keeps = BOTH
    rank = 3


def _adaptive_arguments(rank: int) -> dict[str, Argument]:
    return {"output_size": Argument(int_tuple(rank)), "data_format": _DATA_FORMAT}


class _AdaptivePooling(Rule):
    """Windows chosen so that the spatial axes come out at `output_size`."""

    rank: ClassVar[int]
    feature = "input"

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """One tensor with the channels of the input and spatial axes of `output_size`."""
        fmt = setting(self, config, "data_format")
        shape = need_rank(call, self.rank + 2)
        sizes = setting(self, config, "output_size")
        return (with_channels(sizes, shape, channels_of(shape, fmt), fmt),)


class AdaptiveAveragePooling1D(_AdaptivePooling):
    """Means of 1D windows."""

    class_name = "AdaptiveAveragePooling1D"
    keeps = BOTH
    rank = 1
    arguments = _adaptive_arguments(1)


class AdaptiveAveragePooling2D(_AdaptivePooling):
    """Means of 2D windows."""

    class_name = "AdaptiveAveragePooling2D"
    keeps = BOTH
    rank = 2
    arguments = _adaptive_arguments(2)


class AdaptiveAveragePooling3D(_AdaptivePooling):
    """Means of 3D windows."""

    class_name = "AdaptiveAveragePooling3D"
    keeps = BOTH
    rank = 3
    arguments = _adaptive_arguments(3)


class AdaptiveMaxPooling1D(_AdaptivePooling):
    """Largest entries of 1D windows."""

    class_name = "AdaptiveMaxPooling1D"
    keeps = ONLY_ZERO
    rank = 1
    arguments = _adaptive_arguments(1)


class AdaptiveMaxPooling2D(_AdaptivePooling):
    """Largest entries of 2D windows."""

    class_name = "AdaptiveMaxPooling2D"
    keeps = ONLY_ZERO
    rank = 2
    arguments = _adaptive_arguments(2)


class AdaptiveMaxPooling3D(_AdaptivePooling):
    """Largest entries of 3D windows."""

    class_name = "AdaptiveMaxPooling3D"
    keeps = ONLY_ZERO
    rank = 3
    arguments = _adaptive_arguments(3)


RULES: tuple[Rule, ...] = (
    MaxPooling1D(),
    MaxPooling2D(),
    MaxPooling3D(),
    AveragePooling1D(),
    AveragePooling2D(),
    AveragePooling3D(),
    GlobalMaxPooling1D(),
    GlobalMaxPooling2D(),
    GlobalMaxPooling3D(),
    GlobalAveragePooling1D(),
    GlobalAveragePooling2D(),
    GlobalAveragePooling3D(),
    AdaptiveAveragePooling1D(),
    AdaptiveAveragePooling2D(),
    AdaptiveAveragePooling3D(),
    AdaptiveMaxPooling1D(),
    AdaptiveMaxPooling2D(),
    AdaptiveMaxPooling3D(),
)
"""The rules of this family."""
