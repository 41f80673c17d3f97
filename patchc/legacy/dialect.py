"""Dialect: the words that an older Keras has, and which of today's it lacks.

The differences between Keras 3.15 and Keras 2.12, 2.13, 2.15 and tf_keras 2.21
were read off their constructors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CLASSES = """
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D GroupQueryAttention
    RMSNormalization ReversibleEmbedding STFT
    Lamb LossScaleOptimizer MultiOptimizer Muon ScheduleFreeAdamW
    CTC ctc CategoricalGeneralizedCrossEntropy Circle Dice Tversky
    ConcordanceCorrelation PearsonCorrelation
"""
"""What no Keras 2 has: layers, optimizers, losses and metrics, and a loss by its other name."""

_SINCE_2_13 = """
    SpectralNormalization AdamW Adafactor Lion CategoricalFocalCrossentropy
    F1Score FBetaScore R2Score mish
"""
"""What Keras 2.12 does not have yet."""

_ACTIVATIONS = """
    celu glu hard_shrink hard_silu hard_swish hard_tanh log_sigmoid soft_shrink sparse_plus
    sparse_sigmoid sparsemax squareplus tanh_shrink threshold
"""
"""Activations that no Keras 2 has."""

_AXES = dict.fromkeys(("input_axes", "output_axes"), "")
_LORA = dict.fromkeys(("lora_rank", "lora_alpha", "quantization_config"), "")
_IMAGE = {"data_format": ""}
_ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "CenterCrop": _IMAGE,
    "ConvLSTM1D": {"seed": ""},
    "ConvLSTM2D": {"seed": ""},
    "ConvLSTM3D": {"seed": ""},
    "Dense": _LORA,
    "EinsumDense": {**_LORA, "gptq_unpacked_column_size": ""},
    "Embedding": _LORA,
    "GRU": {"use_cudnn": ""},
    "GlorotNormal": _AXES,
    "GlorotUniform": _AXES,
    "HeNormal": _AXES,
    "HeUniform": _AXES,
    "InputLayer": {"batch_shape": "batch_input_shape", "optional": ""},
    "IntegerLookup": dict.fromkeys(("encoding", "oov_method", "salt", "vocabulary_size"), ""),
    "LSTM": {"use_cudnn": ""},
    "LeakyReLU": {"negative_slope": "alpha"},
    "LecunNormal": _AXES,
    "LecunUniform": _AXES,
    "MultiHeadAttention": dict.fromkeys(
        ("flash_attention", "seed", "sliding_window", "use_gate"), ""
    ),
    "RNN": {"zero_output_for_mask": ""},
    "RandomContrast": {"value_range": ""},
    "RandomFlip": _IMAGE,
    "RandomRotation": _IMAGE,
    "RandomTranslation": _IMAGE,
    "RandomZoom": _IMAGE,
    "Resizing": dict.fromkeys(
        ("antialias", "data_format", "fill_mode", "fill_value", "pad_to_aspect_ratio"), ""
    ),
    "SimpleRNN": {"seed": ""},
    "StringLookup": dict.fromkeys(("oov_method", "salt", "vocabulary_size"), ""),
    "TextVectorization": {"vocabulary_size": ""},
    "VarianceScaling": _AXES,
    "ZeroPadding1D": _IMAGE,
}
"""Class -> argument of today -> what Keras 2 calls it; "" where it has none."""

_OF_OPTIMIZERS = frozenset({"loss_scale_factor", "gradient_accumulation_steps"})


class RestoreError(ValueError):
    """Something that the file's own format cannot say; the message is a clause."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one Keras writes configurations down.

    Args:
        version: major and minor, as the file says.
        archived: whether objects name the module of their class, as in `.keras` files.
        model: what it calls a model with connections.
    """

    version: tuple[int, int]
    archived: bool = False
    model: str = "Functional"

    @property
    def era(self) -> int:
        """Major version: 1, 2 or 3."""
        return self.version[0]

    def check_class(self, name: str) -> None:
        """Refuse a class that this Keras does not have.

        Raises:
            RestoreError: it is newer.
        """
        spellings = {name, "".join(part[:1].upper() + part[1:] for part in name.split("_"))}
        if self.era < 3 and spellings & set(_CLASSES.split()):
            raise RestoreError(f"Keras 2 has no `{name}`")
        if self.version < (2, 13) and spellings & set(_SINCE_2_13.split()):
            raise RestoreError(f"Keras {'.'.join(map(str, self.version))} has no `{name}`")

    def check_activation(self, name: str) -> None:
        """Refuse an activation that this Keras does not have, or knows as something else.

        Raises:
            RestoreError: it does not compute the same.
        """
        if self.era < 3 and name == "hard_sigmoid":
            raise RestoreError("`hard_sigmoid` is another function in Keras 2")
        if self.era < 3 and name in _ACTIVATIONS.split():
            raise RestoreError(f"Keras 2 has no activation `{name}`")
        self.check_class(name)

    def argument(self, class_name: str, name: str) -> str:
        """What this Keras calls an argument of a class.

        Raises:
            RestoreError: it has none that says it.
        """
        if self.era >= 3:
            return name
        word = _ARGUMENTS.get(class_name, {}).get(name, name)
        if not word or name in _OF_OPTIMIZERS:
            raise RestoreError(f"`{class_name}` of Keras 2 has no argument `{name}`")
        return word


def version_of(keras_version: str) -> tuple[int, int]:
    """Major and minor version of Keras; what names none is from Keras 1."""
    found = re.match(r"(\d+)(?:\.(\d+))?", keras_version)
    return (int(found[1]), int(found[2] or 0)) if found else (1, 0)
