"""Ports: which axes of a call run over which dimension of its layer.

A weight's axes carry the names of dimensions (`WeightSpec.axes`); so do the
feature axes of what a layer reads and makes.  Whoever knows how a dimension
changes knows from these names all that changes with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from patchc.layers.base import CallSpec, Config, Port, Rule, TensorSpec
from patchc.layers.embedding import is_reverse
from patchc.layers.parts import Containing
from patchc.model.axis import AxisMap

_NO_FEATURES = frozenset(
    {
        "CategoryEncoding",
        "Discretization",
        "Embedding",
        "InputLayer",
        "IntegerLookup",
        "StringLookup",
        "TextVectorization",
    }
)
"""Layers that read no features."""
_RECURRENT = frozenset({"SimpleRNN", "LSTM", "GRU"})
_HEADS = frozenset({"MultiHeadAttention", "GroupQueryAttention"})
_AXIS_IN_CONFIG = frozenset({"BatchNormalization", "Normalization"})


def ports_of(rule: Rule, config: Config, call: CallSpec) -> list[Port]:
    """The labelled axes of a call."""
    told = rule.ports(config, call)
    if told is not None:
        return list(told)
    return [*_inputs(rule, config, call), *_outputs(rule, config, call)]


def _inputs(rule: Rule, config: Config, call: CallSpec) -> Iterator[Port]:
    tensors = call.tensors()
    mask = call.kwargs.get("mask")
    several = sum(tensor is not mask for tensor in tensors) > 1
    joins = several and rule.class_name not in _HEADS | _RECURRENT
    if rule.class_name in _NO_FEATURES or not tensors or joins:
        return
    if rule.class_name in _HEADS:
        yield from _attention_inputs(call, tensors)
        return
    if rule.class_name == "ReversibleEmbedding":
        if is_reverse(call):
            yield Port(False, 0, len(tensors[0].shape) - 1, "output_dim")
        return
    yield Port(False, 0, _feature_axis(rule, config, len(tensors[0].shape)), "input")
    if rule.class_name in _RECURRENT:
        for index, tensor in enumerate(tensors):
            if index == 0 or tensor is mask:
                continue
            yield Port(False, index, len(tensor.shape) - 1, "units")


def _attention_inputs(call: CallSpec, tensors: list[TensorSpec]) -> Iterator[Port]:
    """Query, value and key; without a key, the value is read in its place."""
    for position, name in enumerate(("query", "value", "key")):
        given = call.get(name, position)
        if not isinstance(given, TensorSpec):
            continue
        index = next(i for i, tensor in enumerate(tensors) if tensor is given)
        label = "input" if name == "query" else f"input:{name}"
        yield Port(False, index, len(given.shape) - 1, label)
        if name == "value" and not isinstance(call.get("key", 2), TensorSpec):
            yield Port(False, index, len(given.shape) - 1, "input:key")


def _outputs(rule: Rule, config: Config, call: CallSpec) -> Iterator[Port]:
    feature = rule.feature_of(config, call)
    if feature is None:
        return
    if rule.class_name in _HEADS and not config.get("output_shape"):
        feature = "input"
    rank = len(call.shape) if call.tensors() else 0
    for index, shape in enumerate(rule.outputs(config, call)):
        if rule.class_name in _HEADS and index:
            return  # attention scores
        same_rank = len(shape) == rank
        axis = _feature_axis(rule, config, len(shape)) if same_rank else len(shape) - 1
        yield Port(True, index, axis, feature)


def carried(rule: Rule, config: Config, call: CallSpec) -> list[int]:
    """Axes along which a layer treats every entry alike: they are handed on as they are."""
    if rule.class_name not in _ALIKE or len(call.tensors()) != 1:
        return []
    rank = len(call.shape)
    axes = config.get("axis", -1) if rule.class_name in _AXIS_OF_ITS_OWN else rank - 1
    if rule.class_name == "Embedding":
        return list(range(rank))
    own = {axis % rank for axis in (axes if isinstance(axes, (list, tuple)) else [axes])}
    return [axis for axis in range(rank) if axis not in own]


_AXIS_OF_ITS_OWN = frozenset(
    {
        "BatchNormalization",
        "LayerNormalization",
        "RMSNormalization",
        "Softmax",
        "UnitNormalization",
    }
)
_ALIKE = _AXIS_OF_ITS_OWN | {"Dense", "Embedding"}


def aliases_of(rule: Rule, config: Config, call: CallSpec) -> Mapping[str, str]:
    """Dimensions that are one and the same: label -> the label that stands for it."""
    if rule.class_name in _HEADS and not config.get("output_shape"):
        return {"output_shape": "input"}
    return rule.aliases(config, call)


def _feature_axis(rule: Rule, config: Config, rank: int) -> int:
    if rule.class_name in _AXIS_IN_CONFIG:
        axis = config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        return int(axis) % rank if isinstance(axis, int) else rank - 1
    return 1 if config.get("data_format") == "channels_first" and rank > 2 else rank - 1


# ------------------------------------------------------------------------ labels


def bases_of(label: str) -> tuple[str, ...]:
    """The dimensions that a label is made of: one of `4*units`, two of `input*multiplier`."""
    parts = label.removesuffix(_SHARED).split("*")
    return tuple(part for part in parts if not part.isdigit())


def base_of(label: str) -> str:
    """The first of them."""
    return bases_of(label)[0]


def dimension_in(label: str, dimension: str, aliases: Mapping[str, str]) -> str | None:
    """The one of them that is a dimension, or that the dimension stands for; None where none is."""
    return next((b for b in bases_of(label) if aliases.get(b, b) == dimension), None)


_SHARED = "/groups"
"""Such an axis holds the part of the dimension that one group has."""


def derived(
    rule: Rule,
    config: Config,
    label: str,
    dimension: str,
    change: AxisMap,
    size: int,
    length: int,
) -> AxisMap | None:
    """How an axis changes when a dimension in its label does; None where it cannot.

    Args:
        change: of the dimension.
        size: of the dimension before.
        length: of the axis before.
    """
    if label.endswith(_SHARED):
        groups = int(_inside(rule, config)[1]["groups"])
        return change.gathered(groups, size // groups, 1)
    first, star, second = label.partition("*")
    if not star:
        return change
    if dimension == second:  # it is there once for each entry of the first
        return change.repeated(int(first) if first.isdigit() else length // size, size)
    return change.stretched(_times(rule, config, second))


def inverted(
    rule: Rule,
    config: Config,
    label: str,
    change: AxisMap,
    length: int,
    rather: Collection[str] = (),
) -> tuple[str, AxisMap, int] | None:
    """The dimension that changes, how, and its size, from the change of an axis.

    The first in the label whose change it can be; None where it can be of none.

    Args:
        change: of the axis.
        length: of the axis before.
        rather: dimensions that are tried before others.
    """
    first, star, second = label.partition("*")
    if not star:
        return base_of(label), change, length
    for dimension in sorted(bases_of(label), key=lambda base: base not in rather):
        times = length // _times(rule, config, second)
        if dimension == second:
            outer = int(first) if first.isdigit() else times
            size, found = length // outer, change.gathered(outer, length // outer, 1)
        else:
            size, found = times, change.gathered(1, times, length // times)
        if found is not None:
            return dimension, found, size
    return None


def _times(rule: Rule, config: Config, second: str) -> int:
    """How many neighbours an entry of the first dimension stands for."""
    return int(second) if second.isdigit() else int(_inside(rule, config)[1].get(second, 1))


def _inside(rule: Rule, config: Config) -> tuple[Rule, Config]:
    """The innermost layer, whose configuration labels speak of."""
    while isinstance(rule, Containing):
        inner = rule.inside(config)
        rule, config = inner.rule, inner.config
    return rule, config


def reading_axes(rule: Rule, config: Config, weight: str, axes: tuple[str, ...]) -> set[int]:
    """The axes of a weight that are summed over: new entries there have to start at zero."""
    rule, config = _inside(rule, config)
    name = weight.rpartition("/")[2]
    if name == "recurrent_kernel":
        return {len(axes) - 2}
    if rule.class_name in _HEADS and weight == "attention_output/kernel":
        return {0, 1}
    if rule.class_name in _HEADS and weight in {"key/kernel", "key/bias"}:
        last = len(axes) - 1
        return {last, 0} if weight == "key/kernel" else {last}
    if name == "reverse_embeddings" or (name == "kernel" and axes[0].startswith("units[")):
        return {0}  # so a cell reads the one in front of it
    if rule.class_name == "AdditiveAttention":
        return {0}
    if name == "vector_u":
        return {len(axes) - 1}  # what it starts from does not change the spectral norm
    if name == "depthwise_kernel" or _runs_over_input(rule.feature or ""):
        return set()
    return {
        i
        for i, label in enumerate(axes)
        if _runs_over_input(label) and not rule.hands_on(config, label)
    }


def _runs_over_input(label: str) -> bool:
    """Whether a label is of the features of an input: `input_dim` is a key of its own."""
    return label == "input" or label.startswith(("input*", "input:", "input/", "input["))
