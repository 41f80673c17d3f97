"""Rules of layers that prepare images: resizing and cropping, and augmentation.

Augmentation changes images during training only; at inference it hands them
on.  Each channel is treated like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    anything,
    boolean,
    data_format,
    integer,
    list_of,
    number,
    one_of,
    optional,
    positive_int,
)
from patchc.layers.base import Argument, CallSpec, Config, Rule, Shape
from patchc.layers.contracts import BOTH
from patchc.layers.parts import setting
from patchc.layers.shapes import need_rank, replaced, spatial_axes
from patchc.model.values import Strategy

_FORMAT = Argument(data_format, "channels_last")
_NO = Argument(boolean, False)
_ANY = Argument(anything)
_SEED = Argument(optional(integer), None)
_RANGE = Argument(anything, [0, 255])
_BILINEAR = Argument(
    one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area"), "bilinear"
)


def _around(value: Any) -> Any:
    """A range, or one number for the range around zero."""
    return (
        list_of(number, 2)(value)
        if isinstance(value, (list, tuple))
        else [-number(value), number(value)]
    )


def _up_to(value: Any) -> Any:
    """A range, or one number for the range from zero."""
    return list_of(number, 2)(value) if isinstance(value, (list, tuple)) else [0, number(value)]


class _Sized(Rule):
    """Makes images of `height` and `width`."""

    feature = "input"
    keeps = BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape with other spatial sizes."""
        shape = need_rank(call, 4)
        sizes = [setting(self, config, key) for key in ("height", "width")]
        return (replaced(shape, dict(zip(spatial_axes(config, 2), sizes, strict=True))),)


class Resizing(_Sized):
    """Images of another size, interpolated."""

    class_name = "Resizing"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "height": Argument(positive_int),
        "width": Argument(positive_int),
        "interpolation": _BILINEAR,
        "crop_to_aspect_ratio": _NO,
        "pad_to_aspect_ratio": _NO,
        "fill_mode": Argument(one_of("constant"), "constant"),
        "fill_value": Argument(number, 0.0),
        "antialias": _NO,
        "data_format": _FORMAT,
    }


class CenterCrop(_Sized):
    """The middle of each image; a smaller one is enlarged first."""

    class_name = "CenterCrop"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "height": Argument(positive_int),
        "width": Argument(positive_int),
        "data_format": _FORMAT,
    }


class _Augmentation(Rule):
    """Changes images at random, during training only."""

    feature = "input"
    elementwise = True
    keeps = BOTH

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy]:
        """It always is one at inference."""
        return {}


class RandomFlip(_Augmentation):
    """Mirrors images."""

    class_name = "RandomFlip"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "mode": Argument(
            one_of("horizontal", "vertical", "horizontal_and_vertical"), "horizontal_and_vertical"
        ),
        "seed": _SEED,
        "data_format": _FORMAT,
    }


_FILLED: Mapping[str, Argument] = {
    "fill_mode": Argument(one_of("reflect", "constant", "wrap", "nearest"), "reflect"),
    "interpolation": Argument(one_of("bilinear", "nearest"), "bilinear"),
    "seed": _SEED,
    "fill_value": Argument(number, 0.0),
    "data_format": _FORMAT,
}


class RandomRotation(_Augmentation):
    """Turns images."""

    class_name = "RandomRotation"
    arguments: ClassVar[Mapping[str, Argument]] = {"factor": Argument(_around), **_FILLED}


class RandomTranslation(_Augmentation):
    """Shifts images."""

    class_name = "RandomTranslation"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "height_factor": _ANY,
        "width_factor": _ANY,
        **_FILLED,
    }


class RandomZoom(_Augmentation):
    """Zooms into images, or out of them."""

    class_name = "RandomZoom"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "height_factor": _ANY,
        "width_factor": Argument(anything, None),
        **_FILLED,
    }


class RandomBrightness(_Augmentation):
    """Makes images lighter or darker."""

    class_name = "RandomBrightness"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "factor": Argument(_around),
        "value_range": _RANGE,
        "seed": _SEED,
    }


class RandomContrast(_Augmentation):
    """Raises or lowers the contrast of images."""

    class_name = "RandomContrast"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "factor": Argument(_up_to),
        "value_range": _RANGE,
        "seed": _SEED,
    }


RULES: tuple[Rule, ...] = (
    CenterCrop(),
    RandomBrightness(),
    RandomContrast(),
    RandomFlip(),
    RandomRotation(),
    RandomTranslation(),
    RandomZoom(),
    Resizing(),
)
"""The rules of this family."""
