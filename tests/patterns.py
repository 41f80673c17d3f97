"""Ways in which networks move entries of an axis about, and recurrent layers, to be grown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import layers, ops

Build = Callable[[Any], Any]
IMAGE, SEQUENCE, VIDEO = (4, 4, 3), (6, 5), (4, 6, 6, 2)


def on_image(pattern: Build) -> Build:
    """What reads an image by a convolution `t` and moves its 8 channels about."""

    def build(x: Any) -> Any:
        made = pattern(layers.Conv2D(8, 3, padding="same", activation="relu", name="t")(x))
        return layers.Flatten()(made) if len(made.shape) > 2 else made

    return build


def shuffle(x: Any, groups: int = 2) -> Any:
    """The channel shuffle of ShuffleNet."""
    _, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height, width, groups, channels // groups))
    return ops.reshape(ops.transpose(x, (0, 1, 2, 4, 3)), (-1, height, width, channels))


def _windows(x: Any, size: int = 2) -> Any:
    """The windows of a Swin transformer, and back."""
    _, height, width, channels = x.shape
    rows, columns = height // size, width // size
    x = ops.reshape(x, (-1, rows, size, columns, size, channels))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, size * size, channels))
    x = layers.Dense(channels, activation="relu")(x)
    x = ops.reshape(x, (-1, rows, columns, size, size, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, channels))


def _merge(x: Any) -> Any:
    """The patch merging of a Swin transformer."""
    parts = [x[:, i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    return layers.Dense(6)(ops.concatenate(parts, axis=-1))


def _interleave(x: Any) -> Any:
    """Heads of keys, each as often as query heads read it."""
    x = ops.reshape(x, (-1, 4, 4, 2, x.shape[-1] // 2))
    return ops.repeat(x, 3, axis=3)


def _shortcut(x: Any) -> Any:
    """The zero-padded shortcut of the first residual networks."""
    wide = layers.Conv2D(12, 3, padding="same", name="wide")(x)
    return wide + ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, 12 - x.shape[-1]]])


PATTERNS: dict[str, tuple[Build, int]] = {
    "channel shuffle": (shuffle, 4),
    "windows": (_windows, 3),
    "patch merging": (_merge, 3),
    "pixel shuffle": (lambda x: ops.depth_to_space(x, 2), 4),
    "gated linear unit": (lambda x: ops.glu(x), 2),
    "unflatten": (lambda x: ops.reshape(x, (-1, 4, 4, 2, 2, 2)), 4),
    "grouped-query interleave": (_interleave, 4),
    "zero-padded shortcut": (_shortcut, 3),
}
"""Name -> what becomes of a tensor (batch, 4, 4, 8), and by how much its last axis grows."""


def _states(x: Any) -> Any:
    _, hidden, cell = layers.LSTM(6, name="t", return_state=True)(x)
    return layers.LSTM(6)(x, initial_state=[hidden, cell])


def _cells(x: Any) -> Any:
    return layers.RNN([layers.LSTMCell(4), layers.GRUCell(3)], name="t")(x)


def _both(layer: Any, **arguments: Any) -> Build:
    return lambda x: layers.Bidirectional(layer, name="t", **arguments)(x)


RECURRENT: dict[str, tuple[tuple[int, ...], Build, str]] = {
    "SimpleRNN": (SEQUENCE, lambda x: layers.SimpleRNN(6, name="t")(x), "units"),
    "LSTM": (SEQUENCE, lambda x: layers.LSTM(6, name="t")(x), "units"),
    "LSTM, sequences": (
        SEQUENCE, lambda x: layers.LSTM(6, name="t", return_sequences=True)(x), "units"
    ),
    "LSTM, plain bias": (
        SEQUENCE, lambda x: layers.LSTM(6, name="t", unit_forget_bias=False)(x), "units"
    ),
    "LSTM, states": (SEQUENCE, _states, "units"),
    "GRU, reset after": (SEQUENCE, lambda x: layers.GRU(6, name="t")(x), "units"),
    "GRU, reset before": (
        SEQUENCE, lambda x: layers.GRU(6, name="t", reset_after=False)(x), "units"
    ),
    "ConvLSTM1D": (
        (4, 6, 2), lambda x: layers.ConvLSTM1D(4, 3, name="t")(x), "filters"
    ),
    "ConvLSTM2D": (VIDEO, lambda x: layers.ConvLSTM2D(4, 3, name="t")(x), "filters"),
    "ConvLSTM3D": (
        (3, 4, 4, 4, 2), lambda x: layers.ConvLSTM3D(3, 2, name="t")(x), "filters"
    ),
    "Bidirectional": (SEQUENCE, lambda x: _both(layers.LSTM(6))(x), "units"),
    "Bidirectional, sum": (
        SEQUENCE,
        lambda x: _both(layers.GRU(6, return_sequences=True), merge_mode="sum")(x),
        "units",
    ),
    "Bidirectional, apart": (
        SEQUENCE,
        lambda x: layers.Concatenate()(_both(layers.LSTM(4), merge_mode=None)(x)),
        "units",
    ),
    "Bidirectional, states": (
        SEQUENCE, lambda x: _both(layers.LSTM(4, return_state=True))(x)[0], "units"
    ),
    "stacked layers": (
        SEQUENCE,
        lambda x: layers.GRU(5)(layers.LSTM(6, return_sequences=True, name="t")(x)),
        "units",
    ),
    "stacked cells, first": (SEQUENCE, _cells, "units[0]"),
    "stacked cells, last": (SEQUENCE, _cells, "units[1]"),
}  # fmt: skip
"""Name -> input shape, a model up to its head whose layer `t` grows, and the axis."""
