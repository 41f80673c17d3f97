"""Kernels of the short-time Fourier transform (`keras.initializers.STFT`)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchc.arrays.dtypes import FloatArray, ValuesError
from patchc.arrays.elementary import ordered_sum, turn_cosine

_WINDOWS = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
}
"""Weights of the cosines of a window, as `scipy.signal.windows.general_cosine` takes them."""


def stft(shape: tuple[int, ...], side: Any, window: Any, scaling: Any, periodic: Any) -> FloatArray:
    """Real or imaginary side of the transform, `(frame, 1, frequencies)`.

    Raises:
        ValuesError: another shape, or arguments that Keras does not take; or a
            window that patchc does not know.
    """
    if len(shape) != 3 or shape[1] != 1 or shape[2] < 2:
        raise ValuesError(f"has shape {shape}, and `STFT` needs (frame, 1, two or more)")
    if side not in ("real", "imag") or scaling not in ("density", "spectrum", None):
        raise ValuesError(f"cannot be filled: `STFT` of side {side!r}, scaling {scaling!r}")
    frame, _, frequencies = shape
    times = np.arange(frame)[:, np.newaxis, np.newaxis] * np.arange(frequencies)
    period = 2 * (frequencies - 1)
    if side == "real":
        kernel = turn_cosine(4 * times, 4 * period)
    else:
        kernel = -turn_cosine(4 * times - period, 4 * period)
    if window is None:
        return kernel
    weights = _window(window, frame, bool(periodic))
    return kernel * weights[:, np.newaxis, np.newaxis] / _scale(weights, scaling)


def _window(window: Any, frame: int, periodic: bool) -> FloatArray:
    if isinstance(window, list) and len(window) == frame:
        return np.array(window, np.float64)
    if not isinstance(window, str) or window not in _WINDOWS:
        known = ", ".join(_WINDOWS)
        raise ValuesError(f"cannot be filled: `STFT` window {window!r}, patchc knows {known}")
    if frame == 1:
        return np.ones(1)
    period = frame if periodic else frame - 1
    steps: NDArray[np.int64] = np.arange(frame)
    total = np.zeros(frame)
    for k, weight in enumerate(_WINDOWS[window]):
        total += (-1.0) ** k * weight * turn_cosine(k * steps, period)
    return total


def _scale(weights: FloatArray, scaling: str | None) -> float:
    if scaling is None:
        return 1.0
    if scaling == "density":
        return math.sqrt(ordered_sum(weights * weights, 0))
    return float(ordered_sum(np.abs(weights), 0))
