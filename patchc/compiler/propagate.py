"""Propagate: who has to follow when a feature axis grows.

Walks down the graph from the tensor that grows.  Element-wise layers, batch
normalisation, pooling and the like hand the axis on and grow their own
per-feature weights; a layer that reads the axis into other features absorbs
it.  Where the walk meets anything else, growth is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NoReturn

from patchc.compiler.context import Context
from patchc.compiler.fill import DEFAULT
from patchc.layers.base import CallSpec, Rule, RuleError, complete
from patchc.layers.infer import InferenceError, call_spec, rule_of
from patchc.model.axis import AxisMap
from patchc.model.graph import Call, Graph, Layer, Tensor, Weight, flatten
from patchc.model.values import ZEROS, Growth, Strategy


@dataclass(slots=True)
class Follower:
    """A layer that has to follow.

    Args:
        layer: the layer.
        map: how the feature axis of its input changes.
        absorbs: it reads the axis and its output stays as it is.
        inner_input: it is the input of a nested model.
    """

    layer: Layer
    map: AxisMap
    absorbs: bool
    inner_input: bool = False


@dataclass(slots=True)
class Spread:
    """Where a growing axis goes.

    Args:
        head: the layer that may grow a model output.
    """

    context: Context
    source: Layer
    map: AxisMap
    preserve: bool
    is_head: bool
    followers: dict[Layer, Follower] = field(default_factory=dict)

    def from_layer(self) -> list[Follower]:
        """Everything that has to follow the layer's output, nearest first.

        Raises:
            PatchError: PC306 where the graph cannot follow.
        """
        pending = [Tensor(call) for call in self.source.calls]
        seen: set[Tensor] = set()
        while pending:
            tensor = pending.pop(0)
            if tensor in seen:
                continue
            seen.add(tensor)
            pending += self._readers(tensor)
        self._check_all_calls(seen)
        return list(self.followers.values())

    def _readers(self, tensor: Tensor) -> list[Tensor]:
        """Visit everything that reads a tensor; returns the tensors that grow with it."""
        graph = tensor.layer.home
        assert graph is not None
        grown: list[Tensor] = []
        if tensor in flatten(graph.outputs):
            grown += self._leave(graph, tensor)
        for call in graph.calls():
            if tensor in call.tensors():
                grown += self._visit(call, tensor)
        return grown

    def _leave(self, graph: Graph, tensor: Tensor) -> list[Tensor]:
        """The axis reaches an output: of a nested model, or of the model itself."""
        if graph.owner is self.context.root:
            if not self.is_head:
                self._refuse(tensor.layer, "makes an output of the model, whose shape would change")
            return []
        places = [i for i, output in enumerate(flatten(graph.outputs)) if output == tensor]
        return [Tensor(call, index) for call in graph.owner.calls for index in places]

    def _visit(self, call: Call, tensor: Tensor) -> list[Tensor]:
        layer = call.layer
        if layer.graph is not None:
            return self._enter(call, tensor)
        if layer.is_operation:
            if len(call.tensors()) > 1:
                self._refuse(layer, "joins it with another tensor")
            self._refuse(layer, "is an operation whose constants may run over the axis")
        rule = rule_of(layer)
        if rule is None or layer.opaque is not None or layer.alias_of is not None:
            reason = layer.opaque or f"is a {layer.class_name}, for which patchc has no rule"
            self._refuse(layer, reason)
        if len(set(call.tensors())) > 1:
            self._refuse(layer, "joins it with other tensors, which would have to grow too")
        return self._through(rule, call, tensor)

    def _through(self, rule: Rule, call: Call, tensor: Tensor) -> list[Tensor]:
        layer = call.layer
        config = complete(rule, layer.config)
        spec = self._spec(call)
        if not reads_last_axis(rule, config, spec):
            self._refuse(layer, "does not read it as its last axis")
        feature = rule.feature_of(config, spec)
        if feature == "input":
            if rule.couples_features(config, spec) and self.preserve:
                self._refuse(layer, f"({layer.class_name}) lets its entries depend on one another")
            self.followers[layer] = Follower(layer, self.map, absorbs=False)
            return [Tensor(call)]
        if not any("input" in (weight.axes or ()) for weight in layer.weights):
            self._refuse(layer, f"({layer.class_name}) turns it into something else")
        self.followers[layer] = Follower(layer, self.map, absorbs=True)
        return []

    def _enter(self, call: Call, tensor: Tensor) -> list[Tensor]:
        """The axis goes into a nested model."""
        layer = call.layer
        assert layer.graph is not None
        if len(layer.calls) > 1:
            self._refuse(layer, "is called several times")
        places = [i for i, source in enumerate(call.tensors()) if source == tensor]
        inner = [flatten(layer.graph.inputs)[index] for index in places]
        for source in inner:
            self.followers[source.layer] = Follower(
                source.layer, self.map, absorbs=False, inner_input=True
            )
        return inner

    def _check_all_calls(self, seen: set[Tensor]) -> None:
        """A shared layer can only follow where each of its calls reads the axis."""
        for follower in self.followers.values():
            layer = follower.layer
            if follower.inner_input:
                continue
            if any(not seen.intersection(call.tensors()) for call in layer.calls):
                self._refuse(layer, "is shared, and another of its calls does not read it")

    def _spec(self, call: Call) -> CallSpec:
        try:
            return call_spec(call)
        except (InferenceError, RuleError) as error:
            self._refuse(call.layer, str(error))

    def _refuse(self, layer: Layer, reason: str) -> NoReturn:
        self.context.refuse(
            "PC306",
            f"`{self.source.path}` cannot grow: its features reach `{layer.path}`, which {reason}",
            help=f"grow a layer whose features end before `{layer.name}`,"
            " or replace the layers between as a `block`",
        )


def reads_last_axis(rule: Rule, config: dict[str, object], call: CallSpec) -> bool:
    """Whether the last axis is the one that a layer takes for the features."""
    if config.get("data_format") == "channels_first":
        return False
    axis = config.get("axis", -1)
    if rule.class_name in {"BatchNormalization", "LayerNormalization", "RMSNormalization"}:
        axes = axis if isinstance(axis, list) else [axis]
        return axes in ([-1], [len(call.shape) - 1])
    return True


# ----------------------------------------------------------------------- weights


def grow_axes(
    layer: Layer, label: str, change: AxisMap, size: int, fill: Callable[[Weight], Strategy]
) -> list[tuple[Weight, tuple[int, ...]]]:
    """Grow every axis of a layer's weights that runs over a dimension.

    Args:
        label: the dimension, as in `WeightSpec.axes`.
        size: its size before.
        fill: how new entries of a weight are made.

    Returns:
        The weights that grew, with their shapes before.
    """
    grown = []
    for weight in layer.weights:
        before = weight.shape
        for axis, name in enumerate(weight.axes or ()):
            followed = _follow(name, label, change, size, layer)
            if followed is not None:
                _grow(weight, axis, followed, fill(weight), _blocks(name))
        if weight.shape != before:
            grown.append((weight, before))
    return grown


def _follow(name: str, label: str, change: AxisMap, size: int, layer: Layer) -> AxisMap | None:
    """How an axis changes when a dimension does; None where it does not."""
    if name == label:
        return change
    factors = name.split("*")
    if label not in factors or len(factors) != 2:
        return None
    first, second = factors
    if first.isdigit():
        return change.repeated(int(first), size)
    if first == label:
        return change.stretched(int(layer.config.get(second, 1)))
    return None


def _blocks(name: str) -> int:
    first = name.split("*", maxsplit=1)[0]
    return int(first) if first.isdigit() else 1


def _grow(weight: Weight, axis: int, change: AxisMap, fill: Strategy, blocks: int) -> None:
    old = weight.value
    if fill == DEFAULT:
        fill = weight.initializer or ZEROS
    made = old.made or weight.shape if old.base is None else None
    growths = (*old.growths, Growth(axis, change, fill, blocks))
    weight.value = replace(old, growths=growths, made=made)
    shape = list(weight.shape)
    shape[axis] = change.size
    weight.shape = tuple(shape)
