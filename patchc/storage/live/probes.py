"""Probes: inputs that two models are compared on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from patchc.arrays.bits import derive_key
from patchc.arrays.dtypes import FLOATS
from patchc.compiler.select import named_ends
from patchc.model.graph import Graph, Layer, Tensor, TensorSpec, flatten
from patchc.storage.live.objects import refusal

Array = NDArray[Any]

_FREE_SIZES = {4: 64}
_FREE_SIZE = 16
"""What stands for a dimension of any size: images are large enough to be pooled five times."""

_HANDED_ON = frozenset({"Cast", "Concatenate", "Dropout", "ExpandDims", "Flatten", "GetItem"}) | {
    *("Identity", "Masking", "Permute", "RepeatVector", "Reshape", "Squeeze", "Transpose")
}
"""Classes behind which an id is still an id."""

_BOUNDS = {"Embedding": "input_dim", "CategoryEncoding": "num_tokens", "OneHot": "num_classes"}
_LOOKUPS = frozenset({"StringLookup", "TextVectorization"})


@dataclass(frozen=True, slots=True)
class Input:
    """What a model reads at one of its inputs.

    Args:
        bound: ids lie below it; None where it reads no ids.
        tokens: words of the vocabulary behind it.
    """

    name: str
    spec: TensorSpec
    bound: int | None
    tokens: tuple[str, ...]


def inputs_of(root: Layer, layers: Mapping[Layer, Any]) -> list[Input]:
    """The inputs of a model, in Keras's order.

    Args:
        layers: the Keras layer behind each layer of the graph.
    """
    assert root.graph is not None
    found = []
    for name, tensor in named_ends(root.graph.inputs):
        config = tensor.layer.config
        spec = TensorSpec(tuple(config["batch_shape"]), config["dtype"])
        readers = [*_readers(root.graph, tensor)]
        bounds = [bound for layer in readers for bound in _bounds(layer.class_name, layer.config)]
        tokens = [word for layer in readers for word in _tokens(layer, layers)]
        bound = min(bounds, default=None)
        found.append(Input(name, spec, bound, tuple(dict.fromkeys(tokens))))
    return found


def _readers(graph: Graph, tensor: Tensor) -> Iterator[Layer]:
    """Layers that read a tensor, or what layers without weights hand on of it."""
    for call in graph.calls():
        read = call.tensors()
        if tensor not in read:
            continue
        inside = call.layer.graph
        if inside is not None:
            yield from _readers(inside, flatten(inside.inputs)[read.index(tensor)])
        elif call.layer.class_name in _HANDED_ON:
            yield from _readers(graph, Tensor(call))
        else:
            yield call.layer


def _bounds(class_name: str, config: Mapping[str, Any]) -> Iterator[int]:
    """How many ids a layer knows; a wrapper knows as many as the layer inside it."""
    bound = config.get(_BOUNDS.get(class_name, ""))
    if isinstance(bound, int):
        yield bound
    inner = config.get("layer")
    if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):
        yield from _bounds(str(inner.get("class_name")), inner["config"])


def _tokens(layer: Layer, layers: Mapping[Layer, Any]) -> list[str]:
    if layer.class_name not in _LOOKUPS or layer not in layers:
        return []
    return [str(word) for word in layers[layer].get_vocabulary() if word]


# --------------------------------------------------------------------- drawing


def draw(wanted: Input, count: int) -> Array:
    """Seeded values for an input: the same for the same name, shape and count.

    Raises:
        PatchError: PC308 for an input of a dtype that cannot be drawn.
    """
    shape = _shape(wanted.spec, count)
    seed = int.from_bytes(derive_key("probes", wanted.name), "little")
    random = np.random.default_rng(seed)
    dtype = wanted.spec.dtype
    if dtype == "string":
        words = wanted.tokens or ("a", "b", "c")
        chosen = random.integers(len(words), size=prod(shape))
        return np.array([words[i] for i in chosen], dtype=object).reshape(shape)
    if wanted.bound is not None or dtype == "bool" or "int" in dtype:
        ids = random.integers(wanted.bound or 2, size=shape)
        return ids.astype("float32" if dtype in FLOATS else dtype)
    if dtype not in FLOATS:
        message = f"no probes can be drawn for the input `{wanted.name}` of dtype {dtype}"
        raise refusal(message, "name an .npz file: `verify: {probes: inputs.npz}`")
    return random.standard_normal(shape, dtype=np.float32)


def _shape(spec: TensorSpec, count: int) -> tuple[int, ...]:
    batch, *rest = spec.shape
    free = _FREE_SIZES.get(len(spec.shape), _FREE_SIZE)
    return (batch or count, *(size or free for size in rest))


def read_probes(path: str, inputs: list[Input]) -> dict[str, Array]:
    """The user's probes: an array for each input, by its name.

    Raises:
        PatchError: PC401 where the file or one of its arrays cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            values = {name: held[name] for name in held.files}
    except (OSError, ValueError) as error:
        message = f"the probes in `{path}` cannot be read: {error}"
        raise refusal(message, "write them with `numpy.savez`", "PC401") from None
    missing = [wanted.name for wanted in inputs if wanted.name not in values]
    if missing:
        held_names = ", ".join(f"`{name}`" for name in values) or "nothing"
        message = f"`{path}` has no array `{missing[0]}`; it holds {held_names}"
        raise refusal(message, "key the arrays by the names of the inputs", "PC401")
    return values


def fitted(values: Array, wanted: Input) -> Array:
    """Probes of the base for an input of the result, which may read more features."""
    size = wanted.spec.shape[-1]
    if size is None or len(wanted.spec.shape) < 2 or values.shape[-1] >= size:
        return values
    more = draw(wanted, len(values))
    return np.concatenate([values, more[..., values.shape[-1] :]], axis=-1)
