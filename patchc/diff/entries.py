"""Which entries of a resized axis were there before, told by their values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from patchc.model.axis import NEW
from patchc.model.graph import Layer, Weight
from patchc.storage.keras_file import KerasFile
from patchc.storage.values import raw_bytes, stored_values


class Entries:
    """Finds the entries of one model's weights again in another's.

    Args:
        one, other: the two files.
    """

    def __init__(self, one: KerasFile, other: KerasFile) -> None:
        self._one = one
        self._other = other

    def find(self, before: Layer, after: Layer, dimension: str) -> list[int] | None:
        """For each entry of a dimension of `after` its number in `before`, or NEW.

        None where no weight tells: all that have the axis differ in another
        one, or their values are other ones.
        """
        others = {weight.name: weight for weight in after.weights}
        for weight in before.weights:
            match = others.get(weight.name)
            if match is None or weight.value.growths or match.dtype != weight.dtype:
                continue
            axis = _only_axis(weight, match, dimension)
            if axis is None or weight.value.base is None or match.value.base is None:
                continue
            found = self._aligned(weight.value.base, match.value.base, axis)
            if _tells(found, min(weight.shape[axis], match.shape[axis])):
                return found
        return None

    def _aligned(self, address: str, place: str, axis: int) -> list[int]:
        old = self._slices(self._one, address, axis)
        new = self._slices(self._other, place, axis)
        numbers: dict[bytes, list[int]] = {}
        for number, key in reversed(list(enumerate(old))):
            numbers.setdefault(key, []).append(number)
        return [numbers[key].pop() if numbers.get(key) else NEW for key in new]

    def _slices(self, file: KerasFile, address: str, axis: int) -> list[bytes]:
        values = stored_values(file, address)
        parts = (values.take(i, axis) for i in range(values.shape[axis]))
        return [hashlib.sha256(raw_bytes(part.copy(order="C"))).digest() for part in parts]


def _only_axis(one: Weight, other: Weight, dimension: str) -> int | None:
    """The axis that runs over a dimension, where the weights differ in no other."""
    if one.axes is None or dimension not in one.axes or len(one.shape) != len(other.shape):
        return None
    axis = one.axes.index(dimension)
    rest = [n for i, n in enumerate(one.shape) if i != axis]
    return axis if rest == [n for i, n in enumerate(other.shape) if i != axis] else None


def _tells(found: Sequence[int], shared: int) -> bool:
    """Whether every entry that can have survived has, in its order."""
    old = [number for number in found if number != NEW]
    return len(old) == shared and old == sorted(old)
