"""Which operations of `keras.ops` hand axes on by name, and how."""

from __future__ import annotations

from collections.abc import Mapping

from patchc.layers.contracts import BOTH, ONLY_ZERO
from patchc.layers.products import (
    attention_view,
    dot_view,
    einsum_view,
    inner_view,
    matmul_view,
    tensordot_view,
)
from patchc.layers.reductions import (
    SHARED_OUT,
    average_view,
    batch_norm_view,
    cumulated_view,
    glimpse_view,
    moments_view,
    norm_view,
    normalised_view,
    normalize_view,
    quantile_view,
    reduction_view,
    sharing_view,
    top_k_view,
    trapezoid_view,
    triangle_view,
)
from patchc.layers.sliding import edges_view, image_view, pool_view, resized_view, same_view
from patchc.layers.views import Linker

_X, _IMAGES, _INPUTS = ("x",), ("images",), ("inputs",)
_OPERANDS = tuple(f"operand {i}" for i in range(8))
_REDUCTIONS = "Amax Amin Max Median Min Nanmax Nanmedian Nanmin Nanprod Nanvar Prod Ptp Var"
_ROOTS = "Nanstd Std"  # of zeros have no gradient

LINKED: Mapping[tuple[str, str], Linker] = {
    **{("numpy", name): Linker(_X, reduction_view(), ONLY_ZERO) for name in _REDUCTIONS.split()},
    **{("numpy", name): Linker(_X, reduction_view()) for name in _ROOTS.split()},
    ("numpy", "All"): Linker(_X, reduction_view("bool")),
    ("numpy", "Any"): Linker(_X, reduction_view("bool", "zero")),
    **{
        ("numpy", name): Linker(_X, reduction_view("int32"))
        for name in ("Argmax", "Argmin", "CountNonzero", "Nanargmax", "Nanargmin")
    },
    **{
        ("numpy", name): Linker(("x", "q"), quantile_view)
        for name in ("Nanpercentile", "Nanquantile", "Percentile", "Quantile")
    },
    **{
        ("numpy", name): Linker(_X, reduction_view(wants="mean" if "ean" in name else "zero"), BOTH)
        for name in ("Mean", "Nanmean", "Nansum", "Sum")
    },
    ("linalg", "Norm"): Linker(_X, norm_view),
    ("math", "Logsumexp"): Linker(_X, reduction_view()),
    ("nn", "Moments"): Linker(_X, moments_view, ONLY_ZERO),
    ("numpy", "Average"): Linker(("x", "weights"), average_view),
    ("numpy", "Trapezoid"): Linker(("y",), trapezoid_view),
    **{
        ("nn", name): Linker(_X, sharing_view(SHARED_OUT))
        for name in ("LogSoftmax", "Softmax", "Sparsemax")
    },
    ("nn", "Normalize"): Linker(_X, normalize_view),
    ("numpy", "Sort"): Linker(_X, sharing_view("sorts the entries along the axis")),
    ("numpy", "Argsort"): Linker(_X, sharing_view("sorts the entries along the axis", "int32")),
    **{
        ("numpy", name): Linker(_X, cumulated_view)
        for name in ("Cumprod", "Cumsum", "Nancumprod", "Nancumsum")
    },
    ("math", "TopK"): Linker(_X, top_k_view),
    ("nn", "BatchNorm"): Linker(("x", "mean", "variance", "offset", "scale"), batch_norm_view),
    ("nn", "LayerNorm"): Linker(("x", "gamma", "beta"), normalised_view),
    ("nn", "OneHot"): Linker(_X, glimpse_view("x", "num_classes")),
    ("nn", "RMSNorm"): Linker(("x", "scale"), normalised_view),
    ("numpy", "Tril"): Linker(_X, triangle_view),
    ("numpy", "Triu"): Linker(_X, triangle_view),
    ("nn", "DotProductAttention"): Linker(
        ("query", "key", "value", "bias", "mask", "scale"), attention_view, ONLY_ZERO
    ),
    ("numpy", "Dot"): Linker(("x1", "x2"), dot_view, BOTH),
    ("numpy", "Einsum"): Linker(_OPERANDS, einsum_view, BOTH),
    ("numpy", "Inner"): Linker(("x1", "x2"), inner_view, BOTH),
    ("numpy", "Matmul"): Linker(("x1", "x2"), matmul_view, BOTH),
    ("numpy", "Tensordot"): Linker(("x1", "x2"), tensordot_view, BOTH),
    ("image", "CropImages"): Linker(_IMAGES, image_view(edges_view("cropping", -1))),
    ("image", "GaussianBlur"): Linker(_IMAGES, image_view(same_view)),
    ("image", "PadImages"): Linker(_IMAGES, image_view(edges_view("padding", 1))),
    ("image", "Resize"): Linker(_IMAGES, image_view(resized_view)),
    ("nn", "AveragePool"): Linker(_INPUTS, pool_view, BOTH),
    ("nn", "MaxPool"): Linker(_INPUTS, pool_view, ONLY_ZERO),
}
"""(module, class) -> which of its axes belong together."""
