"""Weights of older Keras laid out as today's: the values stay, their order changes.

Source: what Keras 2 did on loading (`preprocess_weights_for_loading`).  One
function per layout; each takes a layer's arrays by their old names and returns
them by their names of today.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]

_LSTM_GATES = ("i", "f", "c", "o")
_GRU_GATES = ("z", "r", "h")


class LayoutError(ValueError):
    """Arrays that the layout does not fit; the message is a clause."""


def _moved(order: Sequence[int]) -> Callable[[Arrays], dict[str, Array]]:
    def move(arrays: Arrays) -> dict[str, Array]:
        found = dict(arrays)
        if found["kernel"].ndim != len(order):
            raise LayoutError(f"its kernel has {found['kernel'].ndim} axes, not {len(order)}")
        found["kernel"] = np.transpose(found["kernel"], order)
        return found

    return move


def _conv1d(arrays: Arrays) -> dict[str, Array]:
    """`(length, 1, channels, filters)`, which has an axis too many."""
    found = dict(arrays)
    if found["kernel"].ndim != 4 or found["kernel"].shape[1] != 1:
        raise LayoutError("its kernel is laid out as in Keras 1.0")
    found["kernel"] = found["kernel"][:, 0]
    return found


def _joined(gates: Sequence[str]) -> Callable[[Arrays], dict[str, Array]]:
    """One array per gate becomes one array with the gates side by side."""

    def join(arrays: Arrays) -> dict[str, Array]:
        found = {}
        for name in ("kernel", "recurrent_kernel", "bias"):
            parts = [arrays.get(f"{name}_{gate}") for gate in gates]
            known = [part for part in parts if part is not None]
            if len(known) != len(gates):
                raise LayoutError(f"it has no {name} for each of its gates")
            found[name] = np.concatenate(known, axis=-1)
        return found

    return join


def _cudnn(gates: int) -> Callable[[Arrays], dict[str, Array]]:
    """Each gate's kernels are transposed; an LSTM has two biases that are added."""

    def turn(arrays: Arrays) -> dict[str, Array]:
        kernels = np.split(arrays["kernel"], gates, axis=1)
        recurrent = np.split(arrays["recurrent_kernel"], gates, axis=1)
        halves = arrays["bias"].reshape(2, -1)
        return {
            "kernel": np.concatenate([k.T.reshape(k.shape, order="F") for k in kernels], axis=1),
            "recurrent_kernel": np.concatenate([k.T for k in recurrent], axis=1),
            "bias": halves[0] + halves[1] if gates == 4 else halves,
        }

    return turn


def _mirrored(arrays: Arrays) -> dict[str, Array]:
    """Theano's convolutions run through the kernel backwards."""
    found = dict(arrays)
    spatial = tuple(range(found["kernel"].ndim - 2))
    found["kernel"] = np.flip(found["kernel"], spatial)
    return found


LAYOUTS: Mapping[str, Callable[[Arrays], dict[str, Array]]] = {
    "Conv1D": _conv1d,
    "Conv2D channels_first": _moved((2, 3, 1, 0)),
    "Conv3D channels_first": _moved((2, 3, 4, 1, 0)),
    "Conv2DTranspose channels_last": _moved((0, 1, 3, 2)),
    "Conv2DTranspose channels_first": _moved((2, 3, 0, 1)),
    "LSTM": _joined(_LSTM_GATES),
    "GRU": _joined(_GRU_GATES),
    "ConvLSTM2D": _joined(_LSTM_GATES),
    "CuDNNLSTM": _cudnn(4),
    "CuDNNGRU": _cudnn(3),
    "Theano": _mirrored,
}
"""Name of an old layout -> what makes today's of it."""
