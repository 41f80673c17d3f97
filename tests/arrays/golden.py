"""Weights of many kinds, and the digests of their bytes: `python golden.py` prints them."""

import json
from hashlib import sha256

import numpy as np

from patchc.arrays.assemble import assemble
from patchc.arrays.bits import derive_key
from patchc.arrays.initializers import initialise
from patchc.model.axis import NEW, AxisMap
from patchc.model.values import Growth, Strategy

KEY = derive_key("golden", "dense/kernel")
BLOCKS = {"axis": 1, "blocks": ["Zeros", "Ones", {"HeNormal": {"seed": 3}}]}

MADE = {
    "glorot_uniform float32": (Strategy("GlorotUniform"), (700, 500), "float32"),
    "glorot_uniform bfloat16": (Strategy("GlorotUniform"), (70, 50), "bfloat16"),
    "he_normal float32": (Strategy("HeNormal"), (3, 3, 64, 128), "float32"),
    "random_normal float64": (Strategy("RandomNormal"), (300, 1000), "float64"),
    "random_normal float16": (Strategy("RandomNormal"), (1000,), "float16"),
    "truncated_normal float64": (Strategy("TruncatedNormal"), (100, 100), "float64"),
    "orthogonal float64": (Strategy("Orthogonal"), (130, 90), "float64"),
    "orthogonal float32": (Strategy("Orthogonal"), (64, 256), "float32"),
    "stft float64": (Strategy("STFT"), (256, 1, 129), "float64"),
    "blocks float32": (Strategy("Blocks", BLOCKS), (20, 30), "float32"),
}
FILLS = ["mean", "sample", "copy", "GlorotNormal"]


def digests() -> dict[str, str]:
    weights = {
        name: initialise(strategy, shape, dtype, KEY)
        for name, (strategy, shape, dtype) in MADE.items()
    }
    old = initialise(Strategy("HeUniform"), (3000, 12), "float32", KEY)
    for fill in FILLS:
        rows = AxisMap.grown(3000, 5, at=[7, 7, 20, 3000, 3000])
        columns = AxisMap.of([0, 1, 2, 3, 4, 5, NEW, 11, 10, 9, 8, 7, 6, NEW])
        growths = [
            Growth(0, rows, Strategy(fill)),
            Growth(1, columns, Strategy("sample"), blocks=2),
        ]
        weights[f"assembled {fill}"] = assemble(old, growths, "float32", KEY)
    return {name: _digest(weight) for name, weight in weights.items()}


def _digest(weight: np.ndarray) -> str:
    return sha256(weight.astype(weight.dtype.newbyteorder("<")).tobytes()).hexdigest()[:32]


if __name__ == "__main__":
    print(json.dumps(digests(), indent=4))
