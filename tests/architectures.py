"""Architectures of `keras.applications`, most of them an eighth as wide."""

from __future__ import annotations

import keras
from keras import applications, layers

from tests.models import Model, named, stirred


def _narrowed(model: Model, keep: tuple[int, ...] = ()) -> Model:
    """The same layers and connections with an eighth of the filters and units.

    Args:
        keep: sizes that stay as they are.
    """
    config = model.get_config()
    for entry in config["layers"]:
        entry.pop("build_config", None)
        for key in ("filters", "units"):
            size = entry["config"].get(key)
            if size is not None and size not in keep:
                entry["config"][key] = size // 8
    return stirred(keras.Model.from_config(config))


@named
def vgg16() -> Model:
    """With the top; 64 filters in the first block, dense layers of 512 units."""
    model = applications.VGG16(weights=None, input_shape=(32, 32, 3))
    return _narrowed(model, keep=(64, 1000))


@named
def vgg16_features() -> Model:
    return _narrowed(applications.VGG16(weights=None, include_top=False, input_shape=(224, 224, 3)))


@named
def resnet50() -> Model:
    """With the top; 2048 features, as in the original."""
    model = applications.ResNet50(weights=None, input_shape=(64, 64, 3))
    return _narrowed(model, keep=(2048, 1000))


@named
def resnet50_features() -> Model:
    return _narrowed(
        applications.ResNet50(weights=None, include_top=False, input_shape=(224, 224, 3))
    )


@named
def inception_features() -> Model:
    return _narrowed(applications.InceptionV3(weights=None, include_top=False))


@named
def mobilenet() -> Model:
    base = applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(224, 224, 3), name="mobilenetv2_1.00_224"
    )
    parts = [keras.Input((224, 224, 3)), _narrowed(base), layers.GlobalAveragePooling2D()]
    return stirred(keras.Sequential([*parts, layers.Dense(3, "softmax")]))
