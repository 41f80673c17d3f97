"""Values of new weights: every Keras initialiser, and a few for identities.

Formulas are those of `keras/src/initializers/random_initializers.py`; values
are patchc's own, the same on every machine (see `bits` and `elementary`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from patchc.arrays.bits import derive_key, uniforms
from patchc.arrays.dtypes import (
    CHUNK,
    Array,
    FloatArray,
    ValuesError,
    encode,
    encode_constant,
    storage_dtype,
)
from patchc.arrays.elementary import NORMAL_CDF_TWO, normal_quantile
from patchc.arrays.orthogonal import orthogonal
from patchc.arrays.stft import stft
from patchc.model.initializers import KERAS_INITIALIZERS
from patchc.model.values import Strategy

Shape = tuple[int, ...]
Arguments = Mapping[str, Any]
Transform = Callable[[FloatArray], FloatArray]
"""Turns numbers that are uniform in (0, 1) into values, one by one."""

_TRUNCATED_STDDEV = 0.87962566103423978
"""Standard deviation of a standard normal variable that is cut off at -2 and 2."""

_OWN_ARGUMENTS: Mapping[str, Arguments] = {
    "Blocks": {"axis": 0, "blocks": []},
    "dirac": {},
    "dirac_depthwise": {},
}

_SCALINGS = {
    "GlorotNormal": {"scale": 1.0, "mode": "fan_avg", "distribution": "truncated_normal"},
    "GlorotUniform": {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"},
    "HeNormal": {"scale": 2.0, "mode": "fan_in", "distribution": "truncated_normal"},
    "HeUniform": {"scale": 2.0, "mode": "fan_in", "distribution": "uniform"},
    "LecunNormal": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
    "LecunUniform": {"scale": 1.0, "mode": "fan_in", "distribution": "uniform"},
    "VarianceScaling": {},
}


def initialise(strategy: Strategy, shape: Shape, dtype: str, key: bytes) -> Array:
    """Make all values of a weight.

    Args:
        strategy: a Keras initialiser by its class name; `dirac` for the kernel
            `(k..., in, out)` of a convolution that hands its input on, and
            `dirac_depthwise` for that of a depthwise one, `(k..., in, 1)`; or
            `Blocks`, equal blocks along `axis`, each by its own strategy (as
            `Strategy.to_json` writes it).
        dtype: Keras's name of it.
        key: 16 bytes, see `derive_key`.

    Returns:
        An array whose bytes are the stored form; bfloat16 stands as uint16.

    Raises:
        ValuesError: the strategy is unknown, or does not go with its arguments,
            the shape or the dtype.
    """
    constant = constant_of(strategy)
    if constant is not None:
        return np.full(shape, encode_constant(constant, dtype), storage_dtype(dtype))
    if strategy.name == "Blocks":
        return _blocks(arguments_of(strategy), shape, dtype, key)
    transform = transform_of(strategy, shape)
    stream = stream_key(strategy, key)
    if transform is None:
        return encode(_whole(strategy, shape, stream), dtype)
    values = np.empty(math.prod(shape), storage_dtype(dtype))
    for start in range(0, values.size, CHUNK):
        part = values[start : start + CHUNK]
        part[...] = encode(transform(uniforms(stream, part.size, start)), dtype)
    return values.reshape(shape)


def arguments_of(strategy: Strategy) -> dict[str, Any]:
    """Arguments of an initialiser, defaults included.

    Raises:
        ValuesError: the name or an argument is unknown.
    """
    defaults = KERAS_INITIALIZERS.get(strategy.name, _OWN_ARGUMENTS.get(strategy.name))
    if defaults is None:
        raise ValuesError(
            f"cannot be filled by `{strategy.name}`, which makes no values of its own"
        )
    unknown = sorted(set(strategy.arguments) - set(defaults))
    if unknown:
        raise ValuesError(f"cannot be filled: `{strategy.name}` takes no `{unknown[0]}`")
    return {**defaults, **strategy.arguments}


def stream_key(strategy: Strategy, key: bytes) -> bytes:
    """The key of the strategy's random numbers: a `seed` of its own makes others."""
    seed = strategy.arguments.get("seed")
    return key if seed is None else derive_key(key, "seed", json.dumps(seed, sort_keys=True))


def constant_of(strategy: Strategy) -> float | None:
    """The one value with which a strategy fills a weight; None where there are more."""
    if strategy.name not in {"Zeros", "Ones", "Constant"}:
        return None
    arguments = arguments_of(strategy)
    if strategy.name != "Constant":
        return 0 if strategy.name == "Zeros" else 1
    value = arguments["value"]
    if not isinstance(value, (bool, int, float)):
        raise ValuesError(f"cannot be filled: `Constant` takes a number, got {value!r}")
    return value


def transform_of(strategy: Strategy, shape: Shape) -> Transform | None:
    """How an entry comes out of a uniform number; None where entries hang together.

    Entry `i` of a weight of this shape, in C order, is made from number `i` of
    the stream of `stream_key`.

    Raises:
        ValuesError: as `initialise`.
    """
    name, arguments = strategy.name, arguments_of(strategy)
    if name in _SCALINGS:
        return _variance_scaling({**arguments, **_SCALINGS[name]}, shape)
    if name == "RandomUniform":
        low, high = _number(arguments, "minval"), _number(arguments, "maxval")
        if low > high:
            raise ValuesError(f"cannot be filled: `minval` {low} lies above `maxval` {high}")
        return uniform(low, high)
    if name == "RandomNormal":
        return normal(_number(arguments, "mean"), _number(arguments, "stddev"))
    if name == "TruncatedNormal":
        return truncated_normal(_number(arguments, "mean"), _number(arguments, "stddev"))
    return None


def _number(arguments: Arguments, name: str) -> float:
    value = arguments[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValuesError(f"cannot be filled: `{name}` must be a finite number, got {value!r}")
    return float(value)


def uniform(low: float, high: float) -> Transform:
    """Values between `low` and `high`."""
    return lambda u: low + (high - low) * u


def normal(mean: float, stddev: float) -> Transform:
    """Normal values."""
    return lambda u: mean + stddev * normal_quantile(u)


def truncated_normal(mean: float, stddev: float) -> Transform:
    """Normal values that lie at most two standard deviations from the mean."""
    below, inside = 1.0 - NORMAL_CDF_TWO, 2.0 * NORMAL_CDF_TWO - 1.0

    def transform(u: FloatArray) -> FloatArray:
        standard = np.clip(normal_quantile(below + inside * u), -2.0, 2.0)
        return mean + stddev * standard

    return transform


def fans(
    shape: Shape,
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Numbers of inputs and outputs of a kernel, as Keras's `compute_fans` counts them."""
    if input_axes is not None and output_axes is not None:
        try:
            return math.prod(shape[a] for a in input_axes), math.prod(shape[a] for a in output_axes)
        except (IndexError, TypeError):
            axes = [input_axes, output_axes]
            raise ValuesError(f"has shape {shape}, which lacks axes of {axes}") from None
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _variance_scaling(arguments: Arguments, shape: Shape) -> Transform:
    fan_in, fan_out = fans(shape, arguments["input_axes"], arguments["output_axes"])
    counts = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}
    scale, mode = _number(arguments, "scale"), arguments["mode"]
    if scale <= 0.0:
        raise ValuesError(f"cannot be filled: `scale` must be positive, got {scale}")
    if mode not in list(counts):
        raise ValuesError(f"cannot be filled: `mode` must be one of {list(counts)}, got {mode!r}")
    scale /= max(1.0, counts[mode])
    distribution = str(arguments["distribution"]).lower()
    if distribution in {"normal", "truncated_normal"}:
        return truncated_normal(0.0, math.sqrt(scale) / _TRUNCATED_STDDEV)
    if distribution == "untruncated_normal":
        return normal(0.0, math.sqrt(scale))
    if distribution == "uniform":
        limit = math.sqrt(3.0 * scale)
        return uniform(-limit, limit)
    raise ValuesError(f"cannot be filled: unknown `distribution` {distribution!r}")


def _whole(strategy: Strategy, shape: Shape, key: bytes) -> FloatArray:
    """Values of a strategy whose entries hang together."""
    arguments = arguments_of(strategy)
    match strategy.name:
        case "Orthogonal":
            return _orthogonal(_number(arguments, "gain"), shape, key)
        case "Identity":
            return _identity(_number(arguments, "gain"), shape)
        case "STFT":
            return stft(shape, **arguments)
        case "dirac":
            return _dirac(shape)
        case "dirac_depthwise":
            return _dirac_depthwise(shape)
    raise AssertionError(strategy)


def _orthogonal(gain: float, shape: Shape, key: bytes) -> FloatArray:
    if len(shape) < 2:
        raise ValuesError(f"has shape {shape}, and `Orthogonal` needs two or more axes")
    rows, columns = math.prod(shape[:-1]), shape[-1]
    matrix = orthogonal(max(rows, columns), min(rows, columns), key)
    return gain * (matrix if rows >= columns else matrix.T).reshape(shape)


def _identity(gain: float, shape: Shape) -> FloatArray:
    if len(shape) != 2:
        raise ValuesError(f"has shape {shape}, and `Identity` needs two axes")
    return gain * np.eye(*shape)


def _dirac(shape: Shape) -> FloatArray:
    """Output `j` takes input `j`, of its group, at the centre tap."""
    if len(shape) < 3 or shape[-1] % max(1, shape[-2]):
        raise ValuesError(f"has shape {shape}, and no convolution of it hands its input on")
    kernel = np.zeros(shape)
    outputs = np.arange(shape[-1])
    kernel[_centre(shape)][outputs % max(1, shape[-2]), outputs] = 1.0
    return kernel


def _dirac_depthwise(shape: Shape) -> FloatArray:
    if len(shape) < 3 or shape[-1] != 1:
        raise ValuesError(f"has shape {shape}, and no depthwise convolution of it is an identity")
    kernel = np.zeros(shape)
    kernel[_centre(shape)] = 1.0
    return kernel


def _centre(shape: Shape) -> Shape:
    """The tap that "same" padding lays on the entry itself: of an even size the earlier one."""
    return tuple((size - 1) // 2 for size in shape[:-2])


def _blocks(arguments: Arguments, shape: Shape, dtype: str, key: bytes) -> Array:
    axis, blocks = arguments["axis"], arguments["blocks"]
    if not 0 <= axis < len(shape) or not blocks or shape[axis] % len(blocks):
        raise ValuesError(f"has shape {shape}, no {len(blocks)} equal blocks along axis {axis}")
    part = (*shape[:axis], shape[axis] // len(blocks), *shape[axis + 1 :])
    parts = [
        initialise(_strategy(block), part, dtype, derive_key(key, "block", str(i)))
        for i, block in enumerate(blocks)
    ]
    return np.concatenate(parts, axis)


def _strategy(data: Any) -> Strategy:
    """Read what `Strategy.to_json` wrote."""
    if isinstance(data, str):
        return Strategy(data)
    ((name, arguments),) = data.items()
    return Strategy(name, arguments)
