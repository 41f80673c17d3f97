"""The values of one weight of the result."""

from __future__ import annotations

from patchc.arrays.assemble import assemble
from patchc.arrays.bits import derive_key
from patchc.arrays.dtypes import Array
from patchc.arrays.initializers import initialise
from patchc.model.values import Value


def produce(value: Value, shape: tuple[int, ...], dtype: str, old: Array | None) -> Array:
    """Make a weight that is not carried as it is.

    Args:
        value: where the values come from.
        shape: of the result.
        dtype: Keras's name of the weight's dtype.
        old: the stored weight, where there is one.

    Raises:
        ValuesError: where a strategy cannot make this shape or dtype.
    """
    key = derive_key(value.seed)
    if old is None:
        assert value.init is not None
        old = initialise(value.init, value.made or shape, dtype, key)
        key = derive_key(value.seed, "growth")  # no bits are used twice
    return assemble(old, value.growths, dtype, key) if value.growths else old
