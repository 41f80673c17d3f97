"""Whether values are what a Keras initialiser of that name would make."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.initializers.random_initializers import compute_fans

from patchc.model.values import Strategy

Array = np.ndarray[Any, Any]
_TRUNCATION = 0.87962566103423978
"""Standard deviation of a normal that is cut at two of its own."""
_SCALED = {
    "GlorotUniform": (1.0, "avg", "uniform"),
    "GlorotNormal": (1.0, "avg", "normal"),
    "HeUniform": (2.0, "in", "uniform"),
    "HeNormal": (2.0, "in", "normal"),
    "LecunUniform": (1.0, "in", "uniform"),
    "LecunNormal": (1.0, "in", "normal"),
}


def assert_follows(strategy: Strategy, values: Array, path: str) -> None:
    """Assert that `values` are what `strategy` makes: constants, or in its bounds and spread."""
    values = values.astype("float64")
    arguments = strategy.arguments
    match strategy.name:
        case "Zeros":
            assert not values.any(), path
        case "Ones":
            assert (values == 1).all(), path
        case "Constant":
            np.testing.assert_allclose(values, arguments.get("value", 0.0), rtol=1e-6)
        case "RandomUniform":
            low, high = arguments.get("minval", -0.05), arguments.get("maxval", 0.05)
            _assert_spread(values, max(abs(low), abs(high)), (high - low) / 12**0.5, path)
        case "TruncatedNormal" | "RandomNormal":
            spread = arguments.get("stddev", 0.05)
            cut = strategy.name == "TruncatedNormal"
            _assert_spread(
                values, spread * (2 if cut else 7), spread * (_TRUNCATION if cut else 1), path
            )
        case "Orthogonal":
            _assert_orthogonal(values, path)
        case "dirac" | "dirac_depthwise" | "Identity":
            assert set(np.unique(values)) <= {0.0, 1.0}, path
            assert values.any(), path
        case "Blocks":
            _assert_blocks(strategy, values, path)
        case _:
            _assert_scaled(strategy, values, path)


def _assert_blocks(strategy: Strategy, values: Array, path: str) -> None:
    """Equal blocks of the first axis, each made in its own way."""
    blocks = strategy.arguments["blocks"]
    for block, part in zip(blocks, np.split(values, len(blocks)), strict=True):
        assert_follows(Strategy(block), part, path)


def _assert_scaled(strategy: Strategy, values: Array, path: str) -> None:
    scale, mode, distribution = _SCALED[strategy.name]
    axes = (strategy.arguments.get(key) for key in ("input_axes", "output_axes"))
    fan_in, fan_out = compute_fans(values.shape, *axes)
    variance = scale / max(1.0, fan_in if mode == "in" else (fan_in + fan_out) / 2)
    if distribution == "uniform":
        _assert_spread(values, (3 * variance) ** 0.5, variance**0.5, path)
    else:
        _assert_spread(values, 2 * variance**0.5 / _TRUNCATION, variance**0.5, path)


def _assert_spread(values: Array, limit: float, spread: float, path: str) -> None:
    """All within the limit, few alike, and as wide as they should be."""
    assert np.abs(values).max() <= limit * (1 + 1e-6), path
    assert values.size == 1 or np.unique(values).size > 0.7 * min(values.size, 1000), path
    if values.size >= 400:
        assert abs(values.std() / spread - 1) < 0.15, path
        assert abs(values.mean()) < 5 * spread / values.size**0.5, path


def _assert_orthogonal(values: Array, path: str) -> None:
    rows = values.reshape(-1, values.shape[-1])
    if rows.shape[0] < rows.shape[1]:
        rows = rows.T
    np.testing.assert_allclose(rows.T @ rows, np.eye(rows.shape[1]), atol=1e-5, err_msg=path)
