"""Arrays for the weights and inputs of layers under test."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from patchc.layers.base import TensorSpec
from patchc.model.values import Strategy

keras: Any = import_module("keras")


def values_of(strategy: Strategy, shape: tuple[int, ...]) -> Any:
    """Values of the strategies that an identity is made of."""
    if strategy.name == "dirac":
        return dirac(shape)
    made = getattr(keras.initializers, strategy.name)(**strategy.arguments)
    return keras.ops.convert_to_numpy(made(shape))


def dirac(shape: tuple[int, ...]) -> Any:
    """A kernel (spatial..., in, out) whose middle tap is the identity matrix."""
    kernel = np.zeros(shape, "float32")
    middle = tuple((size - 1) // 2 for size in shape[:-2])
    kernel[middle] = np.eye(shape[-2], shape[-1])
    return kernel


def concrete(node: Any, rng: np.random.Generator) -> Any:
    """Random arrays in the place of every TensorSpec: 2 for an unknown batch, 5 for others."""
    if isinstance(node, TensorSpec):
        sizes = [(2 if i == 0 else 5) if n is None else n for i, n in enumerate(node.shape)]
        if node.dtype.startswith("float"):
            return rng.normal(size=sizes).astype(node.dtype)
        return rng.integers(0, 3, sizes).astype(node.dtype)
    if isinstance(node, Mapping):
        return {key: concrete(value, rng) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(concrete(item, rng) for item in node)
    return node
