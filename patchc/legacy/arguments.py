"""Arguments of Keras 2 that Keras 3 does not take, or understands in another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchc.legacy.notes import Notes, shown

Config = dict[str, Any]

_ANY: Any = object()

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN"})
_CONV_RECURRENT = frozenset({"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
_CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"})
_UNGROUPED = frozenset(
    {
        "Conv1DTranspose",
        "Conv2DTranspose",
        "Conv3DTranspose",
        "DepthwiseConv1D",
        "DepthwiseConv2D",
        "SeparableConv1D",
        "SeparableConv2D",
    }
)
_DEPTHWISE = frozenset(name for name in _UNGROUPED if "Transpose" not in name)
_LOOKUPS = frozenset({"IntegerLookup", "StringLookup", "TextVectorization"})
_EVERY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gone:
    """An argument that Keras 3 does not have.

    Args:
        key: its name.
        classes: that had it; empty: all.
        neutral: values with which it changes nothing; _ANY: all of them.
        reason: a clause.
    """

    key: str
    classes: frozenset[str]
    neutral: tuple[Any, ...]
    reason: str

    def says_nothing(self, value: Any) -> bool:
        """Whether the layer computes the same without it."""
        if _ANY in self.neutral:
            return True
        return any(value == item and type(value) is type(item) for item in self.neutral)


_SEPARABLE = "it has a depthwise and a pointwise kernel instead"
_SPEED = "it chose between ways of computing the same"
_INPUT = "the model's input says it"

GONE = (
    Gone("groups", _UNGROUPED, (1,), "Keras 3 has no groups in this class; 1 is none"),
    Gone(
        "time_major",
        RECURRENT | _CONV_RECURRENT,
        (False,),
        "Keras 3 has no time-major layers; false is what it does",
    ),
    Gone("implementation", RECURRENT | _CONV_RECURRENT | _CELLS, (_ANY,), _SPEED),
    Gone("unroll", _CONV_RECURRENT, (_ANY,), _SPEED),
    Gone("reverse_state_order", _CELLS, (False,), "Keras 3 keeps the order of the cells"),
    Gone("num_constants", RECURRENT | {"Bidirectional"}, (None, 0), "Keras 3 has no constants"),
    Gone("input_length", _EVERY, (_ANY,), _INPUT),
    Gone("batch_input_shape", _EVERY, (_ANY,), _INPUT),
    Gone("input_shape", _EVERY, (_ANY,), _INPUT),
    Gone("input_dtype", _EVERY, (_ANY,), _INPUT),
    Gone("filters", frozenset({"DepthwiseConv1D", "DepthwiseConv2D"}), (_ANY,), _SEPARABLE),
    Gone("kernel_initializer", _DEPTHWISE, (_ANY,), _SEPARABLE),
    Gone("kernel_regularizer", _DEPTHWISE, (None,), _SEPARABLE),
    Gone("kernel_constraint", _DEPTHWISE, (None,), _SEPARABLE),
    Gone(
        "noise_shape",
        frozenset({"SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}),
        (None,),
        "it follows from the class",
    ),
    Gone(
        "softmax_robust_masking",
        frozenset({"MultiHeadAttention"}),
        (False,),
        "Keras 3 masks in one way; false is what it does",
    ),
    Gone("query_shape", frozenset({"MultiHeadAttention"}), (_ANY,), _INPUT),
    Gone("key_shape", frozenset({"MultiHeadAttention"}), (_ANY,), _INPUT),
    Gone("value_shape", frozenset({"MultiHeadAttention"}), (_ANY,), _INPUT),
    Gone(
        "softmax_robust_masking",
        frozenset({"MultiHeadAttention"}),
        (False,),
        "false is what Keras 3 does",
    ),
    Gone("robust_masking", frozenset({"Softmax"}), (False,), "false is what Keras 3 does"),
    Gone(
        "causal",
        frozenset({"Attention", "AdditiveAttention"}),
        (False,),
        "Keras 3 takes it in the call",
    ),
    Gone("vocabulary_size", _LOOKUPS, (_ANY,), "the vocabulary says it"),
    Gone(
        "trainable",
        frozenset({"Discretization", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"}),
        (_ANY,),
        "Keras 3 takes no flag here, where there are no weights",
    ),
    Gone("fused", frozenset({"BatchNormalization"}), (_ANY,), _SPEED),
    Gone("virtual_batch_size", frozenset({"BatchNormalization"}), (None,), "Keras 3 has none"),
    Gone("adjustment", frozenset({"BatchNormalization"}), (None,), "Keras 3 has none"),
    Gone("rng_type", _EVERY, (_ANY,), "Keras 3 has generators of its own"),
    Gone("_scope", _EVERY, (_ANY,), "it belongs to TensorFlow 1"),
    Gone("_reuse", _EVERY, (_ANY,), "it belongs to TensorFlow 1"),
    Gone("weights", _EVERY, (None,), "the file holds the weights"),
)
_ONLY_WITHOUT_INPUT_LAYER = frozenset({"batch_input_shape", "input_shape"})
_RENORM = ("renorm", "renorm_clipping", "renorm_momentum")


def drop_arguments(name: str, config: Config, path: str, notes: Notes) -> None:
    """Take out, in place, what Keras 3 does not know; what would be missed is left and named."""
    for gone in GONE:
        if gone.key not in config or (gone.classes and name not in gone.classes):
            continue
        if not gone.classes and name == "InputLayer":
            continue
        value = config[gone.key]
        if gone.says_nothing(value):
            del config[gone.key]
            notes.repair(path, f"dropped `{gone.key}`", gone.reason)
        else:
            _keep(name, gone, value, path, notes)
    if name == "BatchNormalization" and config.get("renorm") is False:
        for key in _RENORM:
            if config.pop(key, None) is not None:
                notes.repair(path, f"dropped `{key}`", "it does nothing where `renorm` is false")


def _keep(name: str, gone: Gone, value: Any, path: str, notes: Notes) -> None:
    notes.miss(
        path,
        f"{name} with {gone.key}: {shown(value)}",
        "Keras 3 has no such layer",
        "load the model with the Keras that wrote it, or replace the layer by a patch",
    )


# ------------------------------------------------------ other names, other defaults


_RENAMED: Mapping[tuple[str, str], str] = {("LeakyReLU", "alpha"): "negative_slope"}
_ONE_FORM = "Keras had no other form then; today's default is true"
_DEFAULTS: Mapping[str, tuple[str, Any, str]] = dict.fromkeys(
    ("GRU", "GRUCell"), ("reset_after", False, _ONE_FORM)
)


def update_arguments(name: str, config: Config, path: str, notes: Notes) -> None:
    """Rewrite, in place, what Keras 3 would take in another way."""
    for (owner, old), new in _RENAMED.items():
        if name == owner and old in config:
            config[new] = config.pop(old)
            notes.repair(path, f"`{old}` became `{new}`", "Keras 3 renamed it")
    if name in _DEFAULTS and notes.era < 3:
        key, value, reason = _DEFAULTS[name]
        if key not in config:
            config[key] = value
            notes.repair(path, f"wrote `{key}: {shown(value)}`", reason)
    axis = config.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list):
        if len(axis) == 1:
            config["axis"] = axis[0]
            notes.repair(path, f"`axis: {axis}` became `{axis[0]}`", "Keras 3 takes one axis")
        else:
            notes.miss(
                path,
                f"BatchNormalization over {len(axis)} axes",
                "Keras 3 normalises one axis",
                "load the model with the Keras that wrote it",
            )
    for key, value in config.items():
        if isinstance(value, dict) and value.keys() == {"type", "value"}:
            config[key] = value["value"]
            notes.repair(path, f"`{key}` became a number", "it was written as an array of NumPy")


def replace_class(name: str, config: Config, path: str, notes: Notes) -> str:
    """A class of Keras 2 that Keras 3 has under another name, or as a case of another class."""
    if name in {"BatchNormalizationV1", "BatchNormalizationV2"}:
        notes.repair(path, f"class `{name}` became `BatchNormalization`", "it is the same layer")
        return "BatchNormalization"
    if name == "ThresholdedReLU":
        config["threshold"] = config.pop("theta", 1.0)
        notes.repair(path, f"class `{name}` became `ReLU`", "with `threshold` it is the same")
        return "ReLU"
    if name in {"CuDNNLSTM", "CuDNNGRU"}:
        return _from_cudnn(name, config, path, notes)
    return name


def _from_cudnn(name: str, config: Config, path: str, notes: Notes) -> str:
    """The class that computes what a cuDNN layer did; its weights are laid out in another way."""
    config.update({"activation": "tanh", "recurrent_activation": "sigmoid"})
    if name == "CuDNNGRU":
        config["reset_after"] = True
    notes.layouts[path] = name
    new = name.removeprefix("CuDNN")
    notes.repair(path, f"class `{name}` became `{new}`", "with these activations it is the same")
    how = (
        "transposed its kernels and added its two biases"
        if new == "LSTM"
        else "transposed its kernels"
    )
    notes.repair(path, f"laid out the weights anew: {how}", f"{name} stored them for cuDNN")
    return new
