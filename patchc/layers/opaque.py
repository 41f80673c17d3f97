"""Layer classes of Keras that have no rule, and why.

Models that contain them are patched all the same: such a layer is carried
through as it is.  What has to know its weights or its output is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

_CODE = "runs code of its own"
_FOREIGN = "wraps a model of another framework"
_BASE = "is a base class that stands for no layer of its own"
_HASH = (
    "hashes values into `num_bins` ids: with another number every value would get another id, and"
    " the rows that were learned for the old ones would be lost"
)
_IMAGE = "prepares or augments images before the model"
_SOUND = "turns sound into a spectrogram"

OPAQUE: Mapping[str, str] = {
    "AugMix": _IMAGE,
    "AutoContrast": _IMAGE,
    "ContrastLimitedAdaptiveHistogramEqualization": _IMAGE,
    "CutMix": _IMAGE,
    "Equalization": _IMAGE,
    "FlaxLayer": _FOREIGN,
    "HashedCrossing": _HASH,
    "Hashing": _HASH,
    "JaxLayer": _FOREIGN,
    "Lambda": _CODE,
    "Layer": _BASE,
    "MaxNumBoundingBoxes": _IMAGE,
    "MelSpectrogram": _SOUND,
    "MixUp": _IMAGE,
    "Pipeline": "holds a list of layers that prepare data",
    "RandAugment": _IMAGE,
    "RandomColorDegeneration": _IMAGE,
    "RandomColorJitter": _IMAGE,
    "RandomCrop": _IMAGE,
    "RandomElasticTransform": _IMAGE,
    "RandomErasing": _IMAGE,
    "RandomGaussianBlur": _IMAGE,
    "RandomGrayscale": _IMAGE,
    "RandomHue": _IMAGE,
    "RandomInvert": _IMAGE,
    "RandomPerspective": _IMAGE,
    "RandomPosterization": _IMAGE,
    "RandomSaturation": _IMAGE,
    "RandomSharpness": _IMAGE,
    "RandomShear": _IMAGE,
    "STFTSpectrogram": _SOUND,
    "Solarization": _IMAGE,
    "TFSMLayer": _FOREIGN,
    "TorchModuleWrapper": _FOREIGN,
    "Wrapper": _BASE,
}
"""Class name -> why it has no rule, a clause that can follow the name."""


def no_rule(class_name: str, module: str | None) -> str:
    """Why a layer without a rule has none, a sentence without its subject."""
    of_keras = module is None or module.startswith("keras.")
    reason = OPAQUE.get(class_name, "") if of_keras else ""
    return (
        f"it is a {class_name}, which {reason}"
        if reason
        else (f"it is a {class_name}, for which patchc has no rule")
    )
