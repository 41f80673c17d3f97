"""Random orthogonal matrices without BLAS or LAPACK."""

from __future__ import annotations

import numpy as np

from patchc.arrays.bits import FloatArray, uniforms
from patchc.arrays.elementary import normal_quantile, ordered_sum

_BLOCK_VALUES = 1 << 16  # half a megabyte, so that a block of columns stays in the cache


def orthogonal(rows: int, columns: int, key: bytes) -> FloatArray:
    """A matrix with orthonormal columns, uniformly distributed; `rows >= columns`.

    It is distributed as the Q of the QR decomposition of a normal matrix, with
    signs such that the diagonal of R is positive.  As the reflections of that
    decomposition are independent, they are drawn directly (Stewart: "The
    efficient generation of random orthogonal matrices", SIAM Journal on
    Numerical Analysis 17, 1980).
    """
    transposed = np.zeros((columns, rows))
    reflectors = [_reflector(rows, k, key) for k in range(columns)]
    for k, (_, sign) in enumerate(reflectors):
        transposed[k, k] = sign
    step = max(1, _BLOCK_VALUES // max(1, rows))
    for first in range(0, columns, step):
        last = min(first + step, columns)
        for k in reversed(range(last)):
            _reflect(transposed[max(k, first) : last, k:], reflectors[k][0])
    return transposed.T


def _reflector(rows: int, k: int, key: bytes) -> tuple[FloatArray, float]:
    """Vector v of the k-th reflection, with v·v = 2, and the sign of R's diagonal.

    The reflection I - v vᵀ acts on the rows from `k` on.
    """
    v = normal_quantile(uniforms(key, rows - k, start=k * rows))
    sign = -1.0 if v[0] > 0.0 else 1.0
    v[0] -= sign * np.sqrt(ordered_sum(v * v, 0))
    v /= np.sqrt(0.5 * ordered_sum(v * v, 0))
    return v, sign


def _reflect(vectors: FloatArray, v: FloatArray) -> None:
    """Apply the reflection of `v` to each row of `vectors`, in place."""
    shares = ordered_sum(vectors * v, 1)
    vectors -= shares[:, np.newaxis] * v
