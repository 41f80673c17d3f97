"""Elementary functions that give the same bits on every machine.

Only + - * / and square root, which IEEE 754 rounds correctly, on whole arrays
of float64, and sums in an order that is written down here.  `log` and friends
of the machine, and sums of NumPy, depend on its processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

NORMAL_CDF_TWO = 0.97724986805182079
"""The normal distribution function at 2; at -2 it is one less this."""

_SQRT_HALF = 0.70710678118654752
_LOG_2_HIGH = 0.693147180369123816490
"""log 2 to 32 bits: its product with an exponent of a float64 is exact."""
_LOG_2_LOW = 1.90821492927058770002e-10
_ATANH_TERMS = [1.0 / (2 * k + 1) for k in range(11, -1, -1)]


def polynomial(coefficients: Sequence[float], x: FloatArray) -> FloatArray:
    """The polynomial with `coefficients`, highest power first, at `x`."""
    result = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result *= x
        result += coefficient
    return result


def log(x: FloatArray) -> FloatArray:
    """Natural logarithm of positive finite numbers, to about 1e-16 of its value.

    `x = m * 2**e` with m around 1, and log m = 2 atanh((m - 1) / (m + 1)) by its
    Taylor series, of which twelve terms reach the end of float64.
    """
    m, e = np.frexp(x)
    low = m < _SQRT_HALF
    m = np.where(low, 2.0 * m, m)
    exponent = (e - low).astype(np.float64)
    s = (m - 1.0) / (m + 1.0)
    series = 2.0 * s * polynomial(_ATANH_TERMS, s * s)
    result: FloatArray = exponent * _LOG_2_HIGH + (series + exponent * _LOG_2_LOW)
    return result


_Ratio = tuple[tuple[float, ...], tuple[float, ...]]

_CENTRE: _Ratio = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_TAIL: _Ratio = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
_FAR_TAIL: _Ratio = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def _ratio(both: _Ratio, x: FloatArray) -> FloatArray:
    result: FloatArray = polynomial(both[0], x) / polynomial(both[1], x)
    return result


def normal_quantile(p: FloatArray) -> FloatArray:
    """The number below which a standard normal variable lies with probability `p` in (0, 1).

    Wichura's rational approximations PPND16, accurate to about 1e-16 of the
    result ("Algorithm AS 241: the percentage points of the normal
    distribution", Applied Statistics 37, 1988).
    """
    q = p - 0.5
    result: FloatArray = q * _ratio(_CENTRE, 0.180625 - q * q)
    outside = np.abs(q) > 0.425
    side = q[outside]
    r = np.sqrt(-log(np.where(side < 0.0, p[outside], 1.0 - p[outside])))
    tail = np.where(r <= 5.0, _ratio(_TAIL, r - 1.6), _ratio(_FAR_TAIL, r - 5.0))
    result[outside] = np.where(side < 0.0, -tail, tail)
    return result


def ordered_sum(values: FloatArray, axis: int) -> FloatArray:
    """Sum along one axis: the second half is added to the first until one entry is left.

    Of an odd number of entries the last is added to the first.  The sum of no
    entries is 0.
    """
    rows: FloatArray = np.moveaxis(values, axis, 0)
    if len(rows) == 0:
        return np.zeros(rows.shape[1:])
    while len(rows) > 1:
        half = len(rows) // 2
        folded = rows[:half] + rows[half : 2 * half]
        if len(rows) % 2:
            folded[0] += rows[-1]
        rows = folded
    total: FloatArray = rows[0]
    return total


_HALF_PI = 1.57079632679489662
_COSINE = [(-1.0) ** k / math.factorial(2 * k) for k in range(9, -1, -1)]
_SINE = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(8, -1, -1)]


def turn_cosine(part: NDArray[np.int64], whole: int) -> FloatArray:
    """Cosine of `part / whole` of a full turn, to about 1e-16.

    The angle is reduced to an eighth of a turn in whole numbers, exactly; there
    the Taylor series to the 18th power reach the end of float64.
    """
    quarters = (8 * part + whole) // (2 * whole)
    x = _HALF_PI * ((4 * part - quarters * whole).astype(np.float64) / whole)
    cosine = polynomial(_COSINE, x * x)
    sine = x * polynomial(_SINE, x * x)
    odd = np.where(quarters % 4 == 1, -sine, sine)
    return np.where(quarters % 2 == 1, odd, np.where(quarters % 4 == 2, -cosine, cosine))
