"""Shapes under moving windows: what convolutions and poolings share."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.layers.base import RuleError, Shape


def with_channels(
    sizes: Sequence[int | None], shape: Shape, channels: int | None, fmt: str
) -> Shape:
    """`shape` with other spatial sizes and channels, laid out by the data format."""
    if fmt == "channels_last":
        return (shape[0], *sizes, channels)
    return (shape[0], channels, *sizes)


def spatial(shape: Shape, fmt: str) -> Shape:
    """The spatial sizes of a batch, by the data format."""
    return shape[1:-1] if fmt == "channels_last" else shape[2:]


def channels_of(shape: Shape, fmt: str) -> int | None:
    """The number of channels, by the data format."""
    return shape[-1] if fmt == "channels_last" else shape[1]


def window_size(size: int | None, window: int, stride: int, pad: str) -> int | None:
    """Size of an axis after a window has moved over it; None stays None.

    Args:
        window: extent of the window, dilation included.
        pad: `valid`, `same` or `causal`.

    Raises:
        RuleError: where nothing would be left.

    Source: `keras.src.ops.operation_utils.compute_conv_output_shape`.
    """
    if size is None:
        return None
    if pad != "valid":
        return (size - 1) // stride + 1
    result = (size - window) // stride + 1
    if result <= 0:
        raise RuleError(f"has a window of {window}, which does not fit an axis of {size}")
    return result


def transposed_size(
    size: int | None, window: int, stride: int, pad: str, extra: int | None
) -> int | None:
    """Size of an axis after a transposed convolution; None stays None.

    Args:
        window: extent of the kernel, dilation included.
        extra: `output_padding` of the axis.

    Source: `keras.src.backend.common.backend_utils._get_output_shape_given_tf_padding`.
    """
    if size is None:
        return None
    if pad == "valid":
        extra = max(window, stride) - window if extra is None else extra
        return (size - 1) * stride + window + extra
    if extra is None:
        return size * stride
    return (size - 1) * stride + window % 2 + extra
