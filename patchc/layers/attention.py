"""Attention.

Axis names of MultiHeadAttention and GroupQueryAttention: `input`, `input:key`
and `input:value` for the features of query, key and value (without a key, Keras
reads the value in its place), `output_shape` for the output features, and the
configuration keys for heads and their sizes.  Where the layer has no
`output_shape`, the output has as many features as the query, and the two must
stay equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any, ClassVar

from patchc.layers.arguments import (
    axes,
    boolean,
    constraint,
    initializer,
    integer,
    list_of,
    number,
    optional,
    positive_int,
    regularizer,
)
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Rule,
    RuleError,
    Shape,
    TensorSpec,
    WeightSpec,
    refuse_quantised,
)
from patchc.layers.contracts import BOTH, Contracts
from patchc.layers.einsum import Einsum, Equation, einsum_initializer
from patchc.layers.parts import initial, setting, tensor
from patchc.layers.shapes import need_size
from patchc.model.axis import AxisMap
from patchc.model.values import Strategy

_NO = Argument(boolean, False)
_YES = Argument(boolean, True)
_RATE = Argument(number, 0.0)
_SEED = Argument(optional(integer), None)
_POSITIVE = Argument(positive_int)
_OPTIONAL_SIZE = Argument(optional(positive_int), None)


def _sizes(value: Any) -> Any:
    """The sizes of an output, one number for one size."""
    return list_of(positive_int)(value if isinstance(value, (list, tuple)) else [value])


def _axis_list(value: Any) -> list[int]:
    found = axes(value)
    return [found] if isinstance(found, int) else found


_SHARED: Mapping[str, Argument] = {
    "dropout": _RATE,
    "use_bias": _YES,
    "sliding_window": _OPTIONAL_SIZE,
    "flash_attention": Argument(optional(boolean), None),
    "kernel_initializer": Argument(initializer, "glorot_uniform"),
    "bias_initializer": Argument(initializer, "zeros"),
    "kernel_regularizer": Argument(regularizer, None),
    "bias_regularizer": Argument(regularizer, None),
    "activity_regularizer": Argument(regularizer, None),
    "kernel_constraint": Argument(constraint, None),
    "bias_constraint": Argument(constraint, None),
    "use_gate": _NO,
    "seed": _SEED,
}

Sized = tuple[str, int]
"""The name of a dimension and its size."""


def projection(strategy: Strategy, into: int, out: int) -> Strategy:
    """The initialiser of a kernel from `into` axes to `out` axes, with the fans that follow.

    Keras makes each projection an EinsumDense of such an equation.
    """
    read, made = ascii_lowercase[:into], ascii_lowercase[into : into + out]
    return einsum_initializer(strategy, Einsum(Equation.of(f"{read},{read}{made}->{made}"), (), ()))


class _HeadAttention(Rule):
    """Projections of query, key and value into heads, and one of the heads back.

    Each projection is a `kernel` (input, heads, size) and a `bias` (heads,
    size); `attention_output` is a `kernel` (heads, size, output) and a `bias`
    (output).  With `use_gate` a further projection `gate` of the query.
    """

    feature = "output_shape"
    freezable = False
    slots: ClassVar[Mapping[str, str]]
    """Name of a projection -> its storage group."""

    def on_one(self, tensor: Any) -> list[Any]:
        """Self-attention: query and value are the same."""
        return [tensor, tensor]

    def heads(self, config: Config) -> Mapping[str, tuple[Sized, Sized]]:
        """Heads and size of each projection, in the order in which Keras makes them."""
        raise NotImplementedError

    def output_sizes(self, config: Config, query: Shape) -> list[int]:
        """Sizes of the output's features."""
        raise NotImplementedError

    def check(self, query: Shape, value: Shape, key: Shape) -> None:
        """Raise RuleError where the inputs do not fit each other."""
        if value[1:-1] != key[1:-1]:
            raise RuleError(f"needs value and key of the same length, got {value} and {key}")

    def _inputs(self, call: CallSpec) -> tuple[Shape, Shape, Shape]:
        """Shapes of query, value and key."""
        query = tensor(call, "query", 0).shape
        value = tensor(call, "value", 1).shape
        given = call.get("key", 2)
        key = given.shape if isinstance(given, TensorSpec) else value
        if min(len(query), len(value), len(key)) < 3:
            raise RuleError("needs inputs of three or more axes")
        self.check(query, value, key)
        return query, value, key

    def _has_gate(self, config: Config) -> bool:
        return bool(setting(self, config, "use_gate"))

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`query`, `key`, `gate`, `value`, `attention_output`: a kernel and a bias each."""
        refuse_quantised(config)
        query, value, key = self._inputs(call)
        features = {
            "query": ("input", query),
            "key": ("input:key", key),
            "gate": ("input", query),
            "value": ("input:value", value),
        }
        specs: list[WeightSpec] = []
        heads = self.heads(config)
        for name, sizes in heads.items():
            if name != "gate" or self._has_gate(config):
                label, shape = features[name]
                specs += self._dense(config, name, [(label, need_size(shape, -1))], sizes)
        sizes_out = self.output_sizes(config, query)
        output = [("", size) for size in sizes_out[:-1]] + [("output_shape", sizes_out[-1])]
        into = (heads["query"][0], heads["value"][1])
        return [*specs, *self._dense(config, "attention_output", into, output)]

    def _dense(
        self, config: Config, name: str, into: Sequence[Sized], out: Sequence[Sized]
    ) -> list[WeightSpec]:
        """Kernel and bias of one projection, from the axes `into` to the axes `out`."""
        names, sizes = zip(*into, *out, strict=True)
        start = len(into)
        kernel = projection(initial(self, config, "kernel_initializer"), start, len(out))
        slot = f"{self.slots[name]}/vars"
        specs = [WeightSpec(f"{name}/kernel", f"{slot}/0", sizes, names, kernel)]
        if setting(self, config, "use_bias"):
            bias = initial(self, config, "bias_initializer")
            axis = names[start:]
            specs.append(WeightSpec(f"{name}/bias", f"{slot}/1", sizes[start:], axis, bias))
        return specs

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """The last projection is linear."""
        return BOTH

    size_key: ClassVar[str]
    """The dimension that scores are divided by the square root of."""

    def rescaled(self, config: Config, label: str, change: AxisMap, size: int) -> dict[str, float]:
        """Scores are divided by the square root of the size of a key."""
        if label != self.size_key:
            return {}
        return dict.fromkeys(("key/kernel", "key/bias"), math.sqrt(change.size / size))

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, those of the projections, and those of softmax and dropout."""
        dense = [s for n, s in self.slots.items() if n != "gate" or self._has_gate(config)]
        return ["", "_dropout_layer", "_softmax", *dense]


class MultiHeadAttention(_HeadAttention):
    """`num_heads` heads; `value_dim` left out is `key_dim`."""

    class_name = "MultiHeadAttention"
    grows = ("num_heads", "key_dim", "value_dim")
    size_key = "key_dim"
    slots: ClassVar[Mapping[str, str]] = {
        "query": "query_dense",
        "key": "key_dense",
        "gate": "_gate_dense",
        "value": "value_dense",
        "attention_output": "output_dense",
    }
    arguments: ClassVar[Mapping[str, Argument]] = {
        "num_heads": _POSITIVE,
        "key_dim": _POSITIVE,
        "value_dim": _OPTIONAL_SIZE,
        "output_shape": Argument(optional(_sizes), None),
        "attention_axes": Argument(optional(_axis_list), None),
        **_SHARED,
    }

    def heads(self, config: Config) -> Mapping[str, tuple[Sized, Sized]]:
        """`num_heads` heads of `key_dim` or `value_dim` each."""
        heads = ("num_heads", setting(self, config, "num_heads"))
        keys = ("key_dim", setting(self, config, "key_dim"))
        values = ("value_dim", setting(self, config, "value_dim") or keys[1])
        return {
            "query": (heads, keys),
            "key": (heads, keys),
            "gate": (heads, values),
            "value": (heads, values),
        }

    def output_sizes(self, config: Config, query: Shape) -> list[int]:
        """`output_shape`, or the features of the query."""
        sizes: list[int] | None = setting(self, config, "output_shape")
        return sizes or [need_size(query, -1)]

    def dimensions(self, config: Config) -> Sequence[str]:
        """Heads and their sizes; the output where it has a size of its own."""
        return (*self.grows, "output_shape") if config.get("output_shape") else self.grows

    def size_of(self, config: Config, dimension: str) -> int:
        """Size of a dimension; `value_dim` left out is `key_dim`."""
        if dimension == "output_shape":
            return int(setting(self, config, "output_shape")[-1])
        key = "key_dim" if dimension == "value_dim" and not config.get(dimension) else dimension
        return int(setting(self, config, key))

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """The other size; a `value_dim` left out stays what it was."""
        if dimension == "output_shape":
            return {dimension: [*setting(self, config, dimension)[:-1], size]}
        kept = {"value_dim": self.size_of(config, "value_dim")} if dimension == "key_dim" else {}
        return {**kept, dimension: size}

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The output; with `return_attention_scores` the scores of each head.

        Keras gives the scores the length of the query on both axes.
        """
        query, _, _ = self._inputs(call)
        sizes = setting(self, config, "output_shape") or [query[-1]]
        output = (*query[:-1], *sizes)
        if not call.get("return_attention_scores", 7):
            return (output,)
        heads = setting(self, config, "num_heads")
        return output, (query[0], heads, query[1], query[1])


class GroupQueryAttention(_HeadAttention):
    """Heads of the query share heads of key and value: head `j` reads `j // repeats`.

    `repeats` is `num_query_heads / num_key_value_heads`.
    """

    class_name = "GroupQueryAttention"
    grows = ("num_query_heads", "num_key_value_heads", "head_dim")
    size_key = "head_dim"
    slots: ClassVar[Mapping[str, str]] = {
        "query": "_query_dense",
        "key": "_key_dense",
        "gate": "_gate_dense",
        "value": "_value_dense",
        "attention_output": "_output_dense",
    }
    arguments: ClassVar[Mapping[str, Argument]] = {
        "head_dim": _POSITIVE,
        "num_query_heads": _POSITIVE,
        "num_key_value_heads": _POSITIVE,
        **_SHARED,
    }

    def heads(self, config: Config) -> Mapping[str, tuple[Sized, Sized]]:
        """`num_query_heads` or `num_key_value_heads` heads of `head_dim` each."""
        query = ("num_query_heads", setting(self, config, "num_query_heads"))
        shared = ("num_key_value_heads", setting(self, config, "num_key_value_heads"))
        if query[1] % shared[1]:
            raise RuleError(f"has {query[1]} query heads, no multiple of {shared[1]} key heads")
        size = ("head_dim", setting(self, config, "head_dim"))
        return {
            "query": (query, size),
            "key": (shared, size),
            "gate": (query, size),
            "value": (shared, size),
        }

    def blocks(self, config: Config, label: str, size: int, changed: Sequence[str]) -> int:
        """Each head of keys has its query heads, as many as any other."""
        alone = label == "num_query_heads" and "num_key_value_heads" not in changed
        return int(config["num_key_value_heads"]) if alone else 1

    def implied(
        self, config: Config, label: str, change: AxisMap, size: int
    ) -> Mapping[str, tuple[AxisMap, int]]:
        """The query heads of a head of keys come and go with it."""
        if label != "num_key_value_heads":
            return {}
        heads = int(config["num_query_heads"])
        return {"num_query_heads": (change.stretched(heads // size), heads)}

    def output_sizes(self, config: Config, query: Shape) -> list[int]:
        """The features of the query."""
        return [need_size(query, -1)]

    def check(self, query: Shape, value: Shape, key: Shape) -> None:
        """Query and value need the same number of features."""
        super().check(query, value, key)
        if max(len(query), len(value), len(key)) > 3:
            raise RuleError("needs inputs of three axes")
        if query[-1] != value[-1]:
            raise RuleError(f"needs query and value of the same width, got {query} and {value}")

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The output; with `return_attention_scores` the scores of each query head."""
        query, _, key = self._inputs(call)
        [(_, heads), _] = self.heads(config)["query"]
        if not call.get("return_attention_scores", 7):
            return (query,)
        return query, (query[0], heads, query[1], key[1])


RULES: tuple[Rule, ...] = (
    MultiHeadAttention(),
    GroupQueryAttention(),
)
"""The rules of this family."""
