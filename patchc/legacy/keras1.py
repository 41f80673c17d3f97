"""Names and arguments of Keras 1, as Keras 2 and 3 call them.

Source: the conversion that Keras 2 made on loading (`keras.legacy.interfaces`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from patchc.legacy.notes import Notes, shown

Config = dict[str, Any]

CLASSES: Mapping[str, str] = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}

_WEIGHTED = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_CONVOLUTION = _WEIGHTED | {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "dim_ordering": "data_format",
    "filter_length": "kernel_size",
    "depthwise_init": "depthwise_initializer",
    "pointwise_init": "pointwise_initializer",
}
_RECURRENT = _WEIGHTED | {
    "output_dim": "units",
    "nb_filter": "filters",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "border_mode": "padding",
    "subsample": "strides",
    "dim_ordering": "data_format",
}
_POOLING = {
    "pool_length": "pool_size",
    "stride": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
}
_SPATIAL = {"dim_ordering": "data_format"}

_BY_CLASS: Mapping[str, Mapping[str, str]] = {
    "Dense": _WEIGHTED | {"output_dim": "units"},
    "Embedding": {
        "init": "embeddings_initializer",
        "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint",
    },
    "BatchNormalization": {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer"},
    "PReLU": {"init": "alpha_initializer"},
    "Dropout": {"p": "rate"},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "UpSampling1D": {"length": "size"},
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "ConvLSTM2D"), _RECURRENT),
    **dict.fromkeys(
        (
            "Conv1D",
            "Conv2D",
            "Conv3D",
            "Conv2DTranspose",
            "Conv3DTranspose",
            "SeparableConv2D",
            "LocallyConnected1D",
            "LocallyConnected2D",
        ),
        _CONVOLUTION,
    ),
    **dict.fromkeys(
        (
            "MaxPooling1D",
            "MaxPooling2D",
            "MaxPooling3D",
            "AveragePooling1D",
            "AveragePooling2D",
            "AveragePooling3D",
        ),
        _POOLING,
    ),
    **dict.fromkeys(
        ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), {"p": "rate"} | _SPATIAL
    ),
    **dict.fromkeys(
        (
            "GlobalAveragePooling2D",
            "GlobalAveragePooling3D",
            "GlobalMaxPooling2D",
            "GlobalMaxPooling3D",
            "UpSampling2D",
            "UpSampling3D",
            "ZeroPadding2D",
            "ZeroPadding3D",
            "Cropping2D",
            "Cropping3D",
        ),
        _SPATIAL,
    ),
}
"""Class -> Keras 1's name of an argument -> today's."""

_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
_KERNEL_SIZES: tuple[tuple[str, ...], ...] = (
    ("nb_row", "nb_col"),
    ("kernel_dim1", "kernel_dim2", "kernel_dim3"),
)
_RENAMED = "Keras 2 renamed it"


def rename_class(name: str, path: str, notes: Notes) -> str:
    """Today's name of a Keras 1 class."""
    new = CLASSES.get(name, name) if notes.era < 3 else name
    if new != name:
        notes.repair(path, f"class `{name}` became `{new}`", _RENAMED)
    return new


def rename_arguments(name: str, config: Config, path: str, notes: Notes) -> None:
    """Give arguments of Keras 1 their names of today, in place."""
    for old, new in _BY_CLASS.get(name, {}).items():
        if old in config and (new not in config or old == new):
            value = config.pop(old)
            config[new] = _DATA_FORMATS.get(value, value) if old == "dim_ordering" else value
            notes.repair(path, f"`{old}` became `{new}`", _RENAMED)
    for keys in _KERNEL_SIZES:
        if all(key in config for key in keys):
            config["kernel_size"] = [config.pop(key) for key in keys]
            notes.repair(path, f"{_listed(keys)} became `kernel_size`", _RENAMED)
    special = _SPECIAL.get(name)
    if special is not None:
        special(config, path, notes)


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _recurrent(config: Config, path: str, notes: Notes) -> None:
    forget = config.pop("forget_bias_init", None)
    if forget is not None:
        config["unit_forget_bias"] = forget in {"one", "ones"}
        notes.repair(path, "`forget_bias_init` became `unit_forget_bias`", _RENAMED)
    if config.pop("consume_less", None) is not None:
        reason = "it chose between ways of computing the same"
        notes.repair(path, "dropped `consume_less`", reason)


def _batch_normalization(config: Config, path: str, notes: Notes) -> None:
    if "mode" not in config:
        return
    mode = config.pop("mode")
    if mode == 0:
        notes.repair(path, "dropped `mode: 0`", "Keras 2 has this mode only")
        return
    config["mode"] = mode
    way_out = "replace the layer by a patch"
    notes.miss(path, f"mode {shown(mode)}", "Keras has no such mode of BatchNormalization", way_out)


def _embedding(config: Config, path: str, notes: Notes) -> None:
    rate = config.pop("dropout", None)
    if rate:
        reason = "Keras 2 has no dropout in it; it made a difference in training only"
        notes.repair(path, f"dropped `dropout: {shown(rate)}`", reason)
    elif rate is not None:
        notes.repair(path, "dropped `dropout`", "Keras 2 has no dropout in it; it was zero")


def _transposed(config: Config, path: str, notes: Notes) -> None:
    if config.pop("output_shape", None) is not None:
        notes.repair(path, "dropped `output_shape`", "Keras 2 works it out")


_SPECIAL: Mapping[str, Callable[[Config, str, Notes], None]] = {
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "SimpleRNN": _recurrent,
    "ConvLSTM2D": _recurrent,
    "BatchNormalization": _batch_normalization,
    "Embedding": _embedding,
    "Conv2DTranspose": _transposed,
    "Conv3DTranspose": _transposed,
}

_GATED = frozenset({"LSTM", "GRU", "ConvLSTM2D"})
_TRANSPOSED = "channels_first"


def note_layout(name: str, config: Mapping[str, Any], path: str, notes: Notes) -> None:
    """Note where Keras 1 laid out the weights of a layer in another way than today's."""
    form = config.get("data_format", "channels_last")
    if name in _GATED and not (name == "ConvLSTM2D" and form == _TRANSPOSED):
        layout, what = name, "joined the weights of its gates"
    elif name == "Conv1D":
        layout, what = name, "dropped an axis of size 1 of its kernel"
    elif name == "Conv2DTranspose" or (name in {"Conv2D", "Conv3D"} and form == _TRANSPOSED):
        layout, what = f"{name} {form}", "transposed its kernel"
    else:
        return
    notes.layouts[path] = layout
    notes.repair(path, f"laid out the weights anew: {what}", "Keras 1 stored them in another way")
    if form == _TRANSPOSED and name != "Conv1D" and name not in _GATED:
        notes.miss(
            path,
            "kernels of Theano or of TensorFlow",
            "Theano mirrored its kernels, and files of Keras 1 do not say who wrote them",
            "compare outputs with those that you know",
        )


_MERGES: Mapping[str, str] = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
    "cos": "Dot",
}


def split_merge(config: Config, path: str, notes: Notes) -> str | None:
    """The class that stands for a `Merge` layer of Keras 1, whose arguments are rewritten in place.

    None where its mode is a function of the user's.
    """
    mode = config.get("mode")
    new = _MERGES.get(mode) if isinstance(mode, str) else None
    if new is None:
        notes.miss(
            path,
            f"Merge with mode {shown(mode)}",
            "it merges by code of its own",
            "replace the layer by a patch",
        )
        return None
    axis, axes = config.get("concat_axis", -1), config.get("dot_axes", -1)
    kept: Config = {key: config[key] for key in ("name", "trainable", "dtype") if key in config}
    config.clear()
    config.update(kept)
    if new == "Concatenate":
        config["axis"] = axis
    elif new == "Dot":
        config.update({"axes": axes, "normalize": mode == "cos"})
    notes.repair(path, f"class `Merge` became `{new}`", "Keras 2 has a class for every mode")
    return new
