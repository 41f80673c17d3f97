"""Random Keras models: small, of every shape, with distinct weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

keras: Any = import_module("keras")

_T = TypeVar("_T")
Draw = Callable[[st.SearchStrategy[_T]], _T]
Spec = tuple[str, Mapping[str, Any]]
"""Class name and constructor arguments of a layer."""

FEATURES = st.integers(1, 5)
ACTIVATIONS = st.sampled_from(["linear", "relu", "tanh", "softmax", "sigmoid"])
NAMES = st.sampled_from(
    ["dense", "dense_1", "x", "y", "x.y", "head-1", "Two Words", "kernel", "vars", "é", "n" * 40]
)
_ALL_RANKS = ("Activation", "Dropout", "Identity", "ReLU", "LeakyReLU", "GaussianNoise", "Dense")
_NORMS = ("BatchNormalization", "LayerNormalization", "UnitNormalization")
_BY_RANK: Mapping[int, tuple[str, ...]] = {
    2: (*_ALL_RANKS, *_NORMS, "Dense", "Dense", "RepeatVector", "Reshape", "PReLU"),
    3: (
        *_ALL_RANKS,
        *_NORMS,
        *("LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed", "Conv1D"),
        *("Flatten", "GlobalAveragePooling1D", "MaxPooling1D", "EinsumDense", "ZeroPadding1D"),
        *("SpatialDropout1D", "Permute", "GroupNormalization"),
    ),
    4: (
        *_ALL_RANKS,
        *_NORMS,
        *("Conv2D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"),
        *("MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten"),
        *("UpSampling2D", "ZeroPadding2D", "SpatialDropout2D"),
    ),
}


def _recurrent(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any]:
    return {"units": draw(st.integers(1, 3)), "return_sequences": draw(st.booleans())}


def _rate(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any]:
    return {"rate": draw(st.sampled_from([0.25, 0.5]))}


def _convolution(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any]:
    return {
        "filters": draw(FEATURES),
        "kernel_size": draw(st.integers(1, 3)),
        "padding": "same",
        "use_bias": draw(st.booleans()),
        "activation": draw(ACTIVATIONS),
    }


def _depthwise(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any]:
    return {"kernel_size": 2, "padding": "same", "depth_multiplier": draw(st.integers(1, 2))}


def _bidirectional(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any]:
    cell = draw(st.sampled_from(["LSTM", "GRU"]))
    return {"layer": getattr(keras.layers, cell)(**_recurrent(draw, shape))}


_ARGUMENTS: Mapping[str, Callable[[Draw[Any], Sequence[int | None]], dict[str, Any]]] = {
    "Activation": lambda draw, _: {"activation": draw(ACTIVATIONS)},
    "Dense": lambda draw, _: {
        "units": draw(FEATURES),
        "activation": draw(ACTIVATIONS),
        "use_bias": draw(st.booleans()),
    },
    "Dropout": _rate,
    "SpatialDropout1D": _rate,
    "SpatialDropout2D": _rate,
    "GaussianNoise": lambda draw, _: {"stddev": 0.1},
    "BatchNormalization": lambda draw, _: {
        "center": draw(st.booleans()),
        "scale": draw(st.booleans()),
    },
    "GroupNormalization": lambda draw, _: {"groups": -1},
    "RepeatVector": lambda draw, _: {"n": draw(st.integers(2, 4))},
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "SimpleRNN": _recurrent,
    "Bidirectional": _bidirectional,
    "TimeDistributed": lambda draw, _: {"layer": keras.layers.Dense(draw(FEATURES))},
    "Conv1D": _convolution,
    "Conv2D": _convolution,
    "Conv2DTranspose": _convolution,
    "SeparableConv2D": lambda draw, _: (
        {"filters": draw(FEATURES), "kernel_size": 2} | {"padding": "same"}
    ),
    "DepthwiseConv2D": _depthwise,
    "MaxPooling1D": lambda draw, _: {"pool_size": 2, "padding": "same"},
    "MaxPooling2D": lambda draw, _: {"pool_size": 2, "padding": "same"},
    "EinsumDense": lambda draw, shape: {
        "equation": "abc,cd->abd",
        "output_shape": (shape[1], draw(FEATURES)),
        "bias_axes": "d",
    },
    "Permute": lambda draw, _: {"dims": (2, 1)},
}


def _nothing(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any]:
    return {}


def layer_spec(draw: Draw[Any], shape: Sequence[int | None]) -> Spec:
    """A layer that takes one tensor of a shape (with the batch axis)."""
    name: str = draw(st.sampled_from(_BY_RANK[len(shape)]))
    if name == "Reshape":
        return name, {"target_shape": (shape[-1], 1)}
    arguments = _ARGUMENTS.get(name, _nothing)(draw, shape)
    return name, arguments | draw(_RARE)


_RARE: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}] * 12 + [{"dtype": "mixed_float16"}, {"dtype": "float64"}]
)


@dataclass
class Growing:
    """A functional graph under construction.

    Args:
        draw: makes every choice.
        depth: how many levels of nested models may follow.
        tensors: everything that can be read, newest last.
        layers: layers and models that can be called again, with what they read.
        names: taken in this graph.
    """

    draw: Draw[Any]
    depth: int
    tensors: list[Any] = field(default_factory=list)
    layers: list[tuple[Any, Any]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def made(self, spec: Spec) -> Any:
        """A new layer with a name that is free here."""
        name = self.draw(st.none() | NAMES)
        return named(spec, self.names, name)

    def add(self, outputs: Any) -> None:
        """Note what a call made."""
        self.tensors += outputs if isinstance(outputs, list) else [outputs]

    def operate(self, outputs: Any) -> None:
        """Note what an operation made, unless Keras gave it a name that is taken."""
        first = outputs[0] if isinstance(outputs, list) else outputs
        name = first._keras_history.operation.name
        if name not in self.names:
            self.names.add(name)
            self.add(outputs)


def named(spec: Spec, taken: set[str], name: str | None) -> Any:
    """Make a layer; a name that is taken gets a number."""
    class_name, arguments = spec
    make = getattr(keras.layers, class_name)
    layer = make(**arguments, name=name)
    number = 0
    while layer.name in taken:
        number += 1
        layer = make(**arguments, name=f"{class_name.lower()}_x{number}")
    taken.add(layer.name)
    return layer


# ------------------------------------------------------------------------- steps


def _step_layer(growing: Growing, tensor: Any) -> None:
    layer = growing.made(layer_spec(growing.draw, tensor.shape))
    growing.add(layer(tensor))
    growing.layers.append((layer, tensor))


def _step_twins(growing: Growing, tensor: Any) -> None:
    """Layers of one class and shape behind one another: a swap would go unseen."""
    for _ in range(growing.draw(st.integers(2, 3))):
        tensor = growing.made(("Dense", {"units": tensor.shape[-1]}))(tensor)
    growing.add(tensor)


def _step_residual(growing: Growing, tensor: Any) -> None:
    inner = growing.made(("Dense", {"units": tensor.shape[-1], "activation": "relu"}))(tensor)
    growing.add(growing.made(("Add", {}))([tensor, inner]))


def _step_join(growing: Growing, tensor: Any) -> None:
    """Add, multiply or concatenate with another tensor that fits."""
    others = [t for t in growing.tensors if t.shape == tensor.shape and t.dtype == tensor.dtype]
    partner = growing.draw(st.sampled_from(others))
    name = growing.draw(st.sampled_from(["Add", "Concatenate", "Multiply", "Average", "op"]))
    if name == "op":
        growing.operate(tensor + partner)
    else:
        growing.add(growing.made((name, {}))([tensor, partner]))


def _step_operation(growing: Growing, tensor: Any) -> None:
    kind = growing.draw(st.sampled_from(["scale", "relu", "slice", "shift", "split"]))
    if kind == "split" and tensor.shape[-1] % 2 == 0:
        growing.operate(list(keras.ops.split(tensor, 2, axis=-1)))
    elif kind == "slice":
        growing.operate(tensor[..., :1])
    elif kind == "relu":
        growing.operate(keras.ops.relu(tensor))
    else:
        growing.operate(tensor * 2.0 if kind == "scale" else 1.0 - tensor)


def _step_again(growing: Growing, tensor: Any) -> None:
    """Call something a second time: a shared layer, or a shared nested model."""
    fitting = [
        layer
        for layer, example in growing.layers
        if example.shape == tensor.shape and example.dtype == tensor.dtype
    ]
    if fitting:
        growing.add(growing.draw(st.sampled_from(fitting))(tensor))


def _step_nested(growing: Growing, tensor: Any) -> None:
    if growing.depth == 0 or None in tensor.shape[1:]:
        return
    model = nested_model(growing.draw, tensor, growing.depth - 1, growing.names)
    growing.names.add(model.name)
    growing.add(model(tensor))
    growing.layers.append((model, tensor))


def _step_attention(growing: Growing, tensor: Any) -> None:
    if len(tensor.shape) == 3:
        layer = growing.made(("MultiHeadAttention", {"num_heads": 2, "key_dim": 2}))
        growing.add(layer(tensor, tensor))


def _step_flag(growing: Growing, tensor: Any) -> None:
    """A call with a keyword argument."""
    layer = growing.made(("BatchNormalization", {}))
    growing.add(layer(tensor, training=False))


_STEPS: tuple[Callable[[Growing, Any], None], ...] = (
    *[_step_layer] * 6,
    *(_step_twins, _step_residual, _step_join, _step_join, _step_operation),
    *(_step_again, _step_nested, _step_nested, _step_attention, _step_flag),
)


def grow(growing: Growing, steps: int) -> None:
    """Take some steps; each reads one of the newest tensors, or any."""
    for _ in range(steps):
        newest = growing.tensors[-2:]
        pool = newest if growing.draw(st.integers(0, 3)) else growing.tensors
        tensor = growing.draw(st.sampled_from(pool))
        growing.draw(st.sampled_from(_STEPS))(growing, tensor)


# ------------------------------------------------------------------------ models


def nested_model(draw: Draw[Any], tensor: Any, depth: int, taken: set[str]) -> Any:
    """A model that takes a tensor, to be called inside another one."""
    name = draw(st.none() | NAMES)
    name = None if name in taken else name
    if draw(st.booleans()):
        return sequential(draw, tensor.shape[1:], name=name, dtype=tensor.dtype)
    inputs = keras.Input(tensor.shape[1:], dtype=tensor.dtype)
    growing = Growing(draw, depth, [inputs], names={inputs.name})
    grow(growing, draw(st.integers(1, 3)))
    ends = _leaves(growing, [inputs])[:2]
    return keras.Model(inputs, ends if len(ends) > 1 or draw(st.booleans()) else ends[0], name=name)


def sequential(
    draw: Draw[Any], shape: Sequence[int | None], *, name: str | None = None, dtype: Any = None
) -> Any:
    """A Sequential model, with or without an InputLayer in it."""
    taken: set[str] = set()
    tensor = keras.Input(shape, dtype=dtype)
    layers = []
    for _ in range(draw(st.integers(1, 5))):
        layers.append(named(layer_spec(draw, tensor.shape), taken, draw(st.none() | NAMES)))
        tensor = layers[-1](tensor)
        if draw(st.integers(0, 5)) == 0:
            twin = named(("Dense", {"units": tensor.shape[-1]}), taken, None)
            layers.append(twin)
            tensor = twin(tensor)
    model = keras.Sequential(name=name)
    if draw(st.booleans()):
        model.add(keras.Input(shape, dtype=dtype))
    for layer in layers:
        model.add(layer)
    model.build((None, *shape))
    return model


SHAPES = st.sampled_from([(3,), (4,), (5, 2), (4, 3), (6, 6, 2), (5, 4, 1)])


def functional(draw: Draw[Any], steps: int = 8) -> Any:
    """A Functional model with one or more inputs and outputs."""
    growing = Growing(draw, depth=2)
    for shape in draw(st.lists(SHAPES, min_size=1, max_size=2)):
        name = draw(st.none() | st.sampled_from(["left", "right", "in.1"]))
        name = None if name in growing.names else name
        growing.tensors.append(keras.Input(shape, name=name))
        growing.names.add(growing.tensors[-1].name)
    inputs = list(growing.tensors)
    grow(growing, draw(st.integers(1, steps)))
    leaves = _leaves(growing, inputs)
    if draw(st.integers(0, 4)) == 0:
        leaves.append(draw(st.sampled_from(growing.tensors)))
    keys = [f"end_{chr(ord('z') - i)}" for i in range(len(leaves))]
    return keras.Model(_ends(draw, inputs, _given_names(inputs)), _ends(draw, leaves, keys))


def _given_names(inputs: Sequence[Any]) -> list[str]:
    """Names of inputs for a dict, whose keys have to be those names; none where Keras made one."""
    names = [tensor.name for tensor in inputs]
    return [] if any(name.startswith("keras_tensor") for name in names) else names


def _leaves(growing: Growing, inputs: Sequence[Any]) -> list[Any]:
    """Tensors that nothing reads; something is made of the inputs where nothing is."""
    read = {
        id(tensor)
        for made in growing.tensors
        for tensor in made._keras_history.operation._inbound_nodes[
            made._keras_history.node_index
        ].input_tensors
    }
    known = {id(tensor) for tensor in inputs}
    leaves = [t for t in growing.tensors if id(t) not in read and id(t) not in known]
    if not leaves:
        growing.add(growing.made(("Dense", {"units": 2}))(inputs[0]))
        leaves = growing.tensors[-1:]
    return leaves


def _ends(draw: Draw[Any], tensors: list[Any], keys: list[str]) -> Any:
    """One tensor, a list or a dict, as models are given them."""
    kind = draw(st.sampled_from(["plain", "plain", "list", "dict"]))
    if kind == "dict" and keys:
        return dict(zip(keys, tensors, strict=True))
    return tensors[0] if len(tensors) == 1 and kind == "plain" else tensors


def random_model(draw: Draw[Any], *, trained: bool = True) -> Any:
    """A random model with distinct weights, compiled or not.

    Args:
        trained: whether it may carry an optimizer's state.
    """
    keras.backend.clear_session(free_memory=False)
    chain = draw(st.integers(0, 3)) == 0
    model = sequential(draw, draw(SHAPES)) if chain else functional(draw)
    for layer in leaves_of(model):
        if draw(st.integers(0, 11)) == 0:
            layer.trainable = False
    optimizer = draw(st.none() | OPTIMIZERS) if trained else None
    randomise(model.weights, seed=1)
    if optimizer is not None and model.trainable_variables:
        compile_like_trained(model, optimizer)
    return model


OPTIMIZERS = st.sampled_from(["adam", "sgd", "rmsprop", "adamw", "adagrad", "lion", "nadam"])


def compile_like_trained(model: Any, optimizer: str) -> None:
    """Compile, and give the optimizer the state of one that has been at work."""
    model.compile(optimizer=optimizer, loss="mse")
    model.optimizer.build(model.trainable_variables)
    randomise([v for v in model.optimizer.variables if "float" in str(v.dtype)], seed=2)


def randomise(variables: Sequence[Any], seed: int) -> None:
    """Give every variable its own values, positive where a variance is meant."""
    rng = np.random.default_rng(seed)
    for variable in variables:
        values = rng.normal(size=tuple(variable.shape))
        if variable.name == "moving_variance":
            values = np.abs(values) + 0.5
        variable.assign(values.astype("float32"))


def leaves_of(model: Any) -> Iterator[Any]:
    """The layers of a model at any depth, without nested models."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves_of(layer)
        else:
            yield layer


def by_path(model: Any, prefix: str = "") -> dict[str, Any]:
    """Every layer below a model, nested models included, by patchc's path."""
    found = {}
    for layer in model.layers:
        found[f"{prefix}{layer.name}"] = layer
        if isinstance(layer, keras.Model):
            found |= by_path(layer, f"{prefix}{layer.name}/")
    return found
