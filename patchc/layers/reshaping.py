"""Rules of the layers that move entries about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    data_format,
    int_tuple,
    integer,
    list_of,
    one_of,
    optional,
    positive_int,
)
from patchc.layers.base import Argument, CallSpec, Config, Rule, RuleError, Shape
from patchc.layers.contracts import BOTH
from patchc.layers.parts import setting
from patchc.layers.scalars import Kind, is_integer
from patchc.layers.shapes import (
    input_dtype,
    need_min_rank,
    need_rank,
    replaced,
    spatial_axes,
    written,
)
from patchc.model.values import Strategy

_FORMAT = Argument(data_format, "channels_last")


class _Mover(Rule):
    """Keeps the dtype of its input, and is an identity where the shape says so."""

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """The input's dtype, as the layer casts it."""
        return input_dtype(config, call)


class Flatten(_Mover):
    """All axes behind the batch as one."""

    class_name = "Flatten"
    arguments: ClassVar[Mapping[str, Argument]] = {"data_format": _FORMAT}

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Batch, and the product of the other sizes."""
        shape = need_min_rank(call, 1)
        sizes = [size for size in shape[1:] if size is not None]
        return ((shape[0], math.prod(sizes) if len(sizes) == len(shape) - 1 else None),)

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """`input` where there is nothing to flatten."""
        return "input" if len(call.shape) == 2 else None

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Where there is nothing to flatten."""
        return {} if len(call.shape) == 2 else None


def _target_shape(value: Any) -> list[int | None]:
    sizes: list[int | None] = list_of(optional(integer))(value)
    if any(size is not None and size < -1 for size in sizes) or sizes.count(-1) > 1:
        raise RuleError("must be a list of sizes, with -1 at most once")
    return sizes


class Reshape(_Mover):
    """The same entries in another shape."""

    class_name = "Reshape"
    arguments: ClassVar[Mapping[str, Argument]] = {"target_shape": Argument(_target_shape)}

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Batch and target shape, -1 worked out where it can be.

        Source: `keras.src.ops.operation_utils.compute_reshape_output_shape`.
        """
        shape = need_min_rank(call, 1)
        target = setting(self, config, "target_shape")
        if None in shape[1:] or None in target:
            return ((shape[0], *(None if size == -1 else size for size in target)),)
        total = math.prod(size for size in shape[1:] if size is not None)
        known = math.prod(size for size in target if size != -1)
        fits = known > 0 and total % known == 0 if -1 in target else known == total
        if not fits:
            raise RuleError(f"cannot make {written(target)} out of {written(shape[1:])}")
        return ((shape[0], *(total // known if size == -1 else size for size in target)),)

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Where the shape stays as it is, as far as it is known."""
        (shape,) = self.outputs(config, call)
        same = shape == call.shape and None not in shape[1:]
        return {} if same else None


def _permutation(value: Any) -> list[int]:
    dims: list[int] = list_of(positive_int)(value)
    if sorted(dims) != list(range(1, len(dims) + 1)):
        raise RuleError("must be the numbers from 1 on, each once")
    return dims


class Permute(_Mover):
    """Its axes in another order."""

    class_name = "Permute"
    arguments: ClassVar[Mapping[str, Argument]] = {"dims": Argument(_permutation)}

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The sizes in the new order."""
        shape = need_rank(call, len(setting(self, config, "dims")) + 1)
        return ((shape[0], *(shape[axis] for axis in setting(self, config, "dims"))),)

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """`input` where the last axis stays the last one."""
        dims = setting(self, config, "dims")
        return "input" if dims and dims[-1] == len(dims) else None

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Where the order stays."""
        return (
            {}
            if list(setting(self, config, "dims")) == sorted(setting(self, config, "dims"))
            else None
        )


class RepeatVector(Rule):
    """A vector, n times."""

    class_name = "RepeatVector"
    arguments: ClassVar[Mapping[str, Argument]] = {"n": Argument(positive_int)}
    feature = "input"

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Batch, n, features."""
        shape = need_rank(call, 2)
        return ((shape[0], setting(self, config, "n"), shape[1]),)


def _pairs(rank: int) -> Kind:
    """A number, or per axis a number or a pair, written as pairs."""
    pair = int_tuple(2, minimum=0)

    def check(value: Any) -> list[list[int]]:
        items = [value] * rank if is_integer(value) else value
        if not isinstance(items, (list, tuple)) or len(items) != rank:
            raise RuleError(f"must be an integer from 0, or a list of {rank} integers or pairs")
        return [pair(item) for item in items]

    return check


class _Edges(Rule):
    """Changes the spatial sizes at their edges."""

    rank: ClassVar[int]
    key: ClassVar[str]
    sign: ClassVar[int]
    feature = "input"
    keeps = BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape with longer or shorter spatial axes."""
        shape = need_rank(call, self.rank + 2)
        sizes = {}
        for axis, pair in zip(spatial_axes(config, self.rank), self._by(config), strict=True):
            size = shape[axis]
            sizes[axis] = None if size is None else size + self.sign * sum(pair)
            if size is not None and self.sign < 0 and size <= sum(pair):
                raise RuleError(f"crops all of axis {axis} of {written(shape)}")
        return (replaced(shape, sizes),)

    def _by(self, config: Config) -> Sequence[Sequence[int]]:
        value = setting(self, config, self.key)
        return [value] if self.rank == 1 else value

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Where nothing is added or taken away."""
        return None if any(map(sum, self._by(config))) else {}


class Cropping1D(_Edges):
    """Takes steps away at both ends."""

    class_name = "Cropping1D"
    rank, key, sign = 1, "cropping", -1
    arguments: ClassVar[Mapping[str, Argument]] = {
        "cropping": Argument(int_tuple(2, minimum=0), [1, 1])
    }


class Cropping2D(_Edges):
    """Takes rows and columns away at the edges."""

    class_name = "Cropping2D"
    rank, key, sign = 2, "cropping", -1
    arguments: ClassVar[Mapping[str, Argument]] = {
        "cropping": Argument(_pairs(2), [[0, 0]] * 2),
        "data_format": _FORMAT,
    }


class Cropping3D(_Edges):
    """Takes planes away at the edges."""

    class_name = "Cropping3D"
    rank, key, sign = 3, "cropping", -1
    arguments: ClassVar[Mapping[str, Argument]] = {
        "cropping": Argument(_pairs(3), [[1, 1]] * 3),
        "data_format": _FORMAT,
    }


class ZeroPadding1D(_Edges):
    """Adds zeros at both ends."""

    class_name = "ZeroPadding1D"
    rank, key, sign = 1, "padding", 1
    arguments: ClassVar[Mapping[str, Argument]] = {
        "padding": Argument(int_tuple(2, minimum=0), [1, 1]),
        "data_format": _FORMAT,
    }


class ZeroPadding2D(_Edges):
    """Adds rows and columns of zeros at the edges."""

    class_name = "ZeroPadding2D"
    rank, key, sign = 2, "padding", 1
    arguments: ClassVar[Mapping[str, Argument]] = {
        "padding": Argument(_pairs(2), [[1, 1]] * 2),
        "data_format": _FORMAT,
    }


class ZeroPadding3D(_Edges):
    """Adds planes of zeros at the edges."""

    class_name = "ZeroPadding3D"
    rank, key, sign = 3, "padding", 1
    arguments: ClassVar[Mapping[str, Argument]] = {
        "padding": Argument(_pairs(3), [[1, 1]] * 3),
        "data_format": _FORMAT,
    }


class _UpSampling(Rule):
    """Makes the spatial axes longer by whole factors."""

    rank: ClassVar[int]
    feature = "input"
    keeps = BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape with longer spatial axes."""
        shape = need_rank(call, self.rank + 2)
        pairs = zip(spatial_axes(config, self.rank), self._factors(config), strict=True)
        sizes = {
            axis: None if shape[axis] is None else (shape[axis] or 0) * factor
            for axis, factor in pairs
        }
        return (replaced(shape, sizes),)

    def _factors(self, config: Config) -> Sequence[int]:
        return [setting(self, config, "size")] if self.rank == 1 else setting(self, config, "size")

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Where every factor is one."""
        return {} if set(self._factors(config)) == {1} else None


class UpSampling1D(_UpSampling):
    """Repeats every step."""

    class_name = "UpSampling1D"
    rank = 1
    arguments: ClassVar[Mapping[str, Argument]] = {"size": Argument(positive_int, 2)}


class UpSampling2D(_UpSampling):
    """Enlarges an image."""

    class_name = "UpSampling2D"
    rank = 2
    arguments: ClassVar[Mapping[str, Argument]] = {
        "size": Argument(int_tuple(2), [2, 2]),
        "data_format": _FORMAT,
        "interpolation": Argument(
            one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", fold=True), "nearest"
        ),
    }


class UpSampling3D(_UpSampling):
    """Repeats every plane."""

    class_name = "UpSampling3D"
    rank = 3
    arguments: ClassVar[Mapping[str, Argument]] = {
        "size": Argument(int_tuple(3), [2, 2, 2]),
        "data_format": _FORMAT,
    }


RULES: tuple[Rule, ...] = (
    Flatten(),
    Reshape(),
    Permute(),
    RepeatVector(),
    Cropping1D(),
    Cropping2D(),
    Cropping3D(),
    ZeroPadding1D(),
    ZeroPadding2D(),
    ZeroPadding3D(),
    UpSampling1D(),
    UpSampling2D(),
    UpSampling3D(),
)
