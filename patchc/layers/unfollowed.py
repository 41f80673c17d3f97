"""Operation classes of `keras.ops` that have no rule, and why.

Models that contain them are patched all the same.  An axis that reaches one is
refused, and the operation is named.
"""

from __future__ import annotations

from collections.abc import Mapping

_CODE = "runs code of its own"
_MATRIX = "mixes all entries of a matrix"
_WAVES = "mixes all entries of a signal"
_WEIGHTS = "has a kernel among its inputs, which is a weight of no layer"
_LOSS = "compares a target with an output"
_DATA = "makes an output whose size depends on the values"
_PLACES = "takes or puts entries at places that it is given as values"
_IMAGE = "works on colours, or moves pixels by numbers that it is given"
_NUMBERS = "makes a tensor of numbers alone"
_COMPLEX = "is for complex numbers"
_WHOLE = "is for whole numbers, and what it counts is not an axis"
_ZERO = "is not defined for zero"
_NOTES = "notes another shape than that of what it makes"
_PAIRS = "combines each entry with every other"

_REASONS: Mapping[str, Mapping[str, str]] = {
    "core": {
        _CODE: "AssociativeScan Cond ForiLoop Map Scan Switch VectorizedMap WhileLoop",
        _PLACES: "Scatter ScatterUpdate SliceUpdate",
        _NUMBERS: "ConvertToTensor",
    },
    "numpy": {
        _COMPLEX: "Angle Conj Conjugate Imag Isreal Real",
        _DATA: "Nonzero Unique",
        _MATRIX: "Corrcoef Diag Diagflat Diagonal Rot90 Slogdet Trace Vander",
        _NUMBERS: "Arange Array EmptyLike Full FullLike Geomspace Linspace Logspace Meshgrid",
        _PAIRS: "AllClose Correlate Cross Diff Kron Outer Vdot",
        _PLACES: "Argpartition Digitize IsIn SearchSorted Select TakeAlongAxis UnravelIndex",
        _ZERO: "Reciprocal",
        _WHOLE: (
            "Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr"
            " BitwiseRightShift BitwiseXor Gcd Histogram Lcm Ldexp LeftShift Ndim RightShift Size"
            " View"
        ),
    },
    "nn": {
        _COMPLEX: "Polar",
        _NOTES: "AdaptiveAveragePool AdaptiveMaxPool",
        _LOSS: (
            "BinaryCrossentropy CTCDecode CTCLoss CategoricalCrossentropy PSNR"
            " SparseCategoricalCrossentropy"
        ),
        _PAIRS: "Fold Unfold",
        _WEIGHTS: "Conv ConvTranspose DepthwiseConv SeparableConv",
        _WHOLE: "MultiHot",
    },
    "math": {
        _COMPLEX: "ViewAsComplex ViewAsReal",
        _DATA: "SegmentMax SegmentMin SegmentProd SegmentReduction SegmentSum",
        _LOSS: "InTopK",
        _MATRIX: "Logdet",
        _PAIRS: "CDist",
        _WAVES: "ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT RFFT STFT",
    },
    "linalg": {
        _CODE: "JVP",
        _MATRIX: (
            "Cholesky CholeskyInverse Det Eig Eigh Inv Lstsq LuFactor MatrixRank Pinv Qr SVD Solve"
            " SolveTriangular"
        ),
    },
    "image": {
        _IMAGE: (
            "AffineTransform ElasticTransform HSVToRGB MapCoordinates PerspectiveTransform"
            " RGBToGrayscale RGBToHSV SSIM ScaleAndTranslate SobelEdges"
        ),
        _PAIRS: "ExtractPatches",
    },
}

UNFOLLOWED: Mapping[tuple[str, str], str] = {
    (module, name): reason
    for module, reasons in _REASONS.items()
    for reason, names in reasons.items()
    for name in names.split()
}
"""(module, class) -> why it has no rule, a clause that can follow the name."""
