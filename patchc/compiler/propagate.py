"""Propagate: everything that changes with one axis.

A change of an axis spreads from tensor to tensor.  A layer that hands features
on takes it from its input to its output or back; one that joins tensors asks
the same change of all of them; one that reads features into others absorbs
it; one that moves entries about says where they go.  The walk ends where
nothing new changes, or refuses where patchc does not know what would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from patchc.compiler.context import Context, graphs_below
from patchc.compiler.crossing import Crossing
from patchc.compiler.movement import Change, mover_of
from patchc.layers.base import CallSpec, Port, Rule, RuleError, Shape, complete
from patchc.layers.contracts import Norm
from patchc.layers.infer import InferenceError, call_spec, rule_of
from patchc.layers.opaque import no_rule
from patchc.layers.ports import aliases_of, base_of, derived, dimension_in, inverted, ports_of
from patchc.model.axis import AxisMap
from patchc.model.graph import Call, Layer, Tensor, flatten


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of a layer that changes.

    Args:
        map: how.
        size: before.
        reason: the layer that it follows, None for the one that was selected.
    """

    map: AxisMap
    size: int
    reason: Layer | None


@dataclass(slots=True)
class Spread(Crossing):
    """The layers and tensors that change together.

    Args:
        source: the layer that the edit selected.
        preserve: whether old features must not notice the new ones.
        heads: the outputs of the model that may change.
        tail: the layers between the source and those outputs.
        dimensions: by layer and label, in the order in which they were met.
        configs: further configuration keys that change, by layer.
        arguments: arguments of calls that change, by name or position.
        blocks: after a refusal, the numbers of equal blocks of the axis at
            whose ends new entries could pass.
        norms: what calls ask of their features, to let old entries be.
    """

    context: Context
    source: Layer
    preserve: bool
    heads: frozenset[Tensor]
    tail: frozenset[Layer]
    dimensions: dict[Layer, dict[str, Dimension]] = field(default_factory=dict)
    configs: dict[Layer, dict[str, Any]] = field(default_factory=dict)
    arguments: dict[Call, dict[Any, Any]] = field(default_factory=dict)
    blocks: tuple[int, ...] = ()
    norms: dict[Call, Norm] = field(default_factory=dict)
    _specs: dict[Call, CallSpec] = field(default_factory=dict)
    _changes: dict[Tensor, Change] = field(default_factory=dict)
    _readers: dict[Tensor, list[Call]] = field(default_factory=dict)
    _joins: dict[Call, set[int]] = field(default_factory=dict)
    _forwarded: set[Call] = field(default_factory=set)
    _pending: deque[Tensor] = field(default_factory=deque)
    _late: dict[Call, None] = field(default_factory=dict)

    def run(self, label: str, change: AxisMap, size: int) -> None:
        """Spread the change of one dimension of the source.

        Raises:
            PatchError: PC306 where something cannot follow.
        """
        for graph in graphs_below(self.context.root):
            for call in graph.calls():
                for tensor in call.tensors():
                    self._readers.setdefault(tensor, []).append(call)
        for _ in range(_MAX_ROUNDS):
            for state in (
                self.dimensions,
                self.configs,
                self.arguments,
                self.norms,
                self._changes,
                self._forwarded,
                self._pending,
                self._late,
            ):
                state.clear()
            self._change_dimension(self.source, label, Dimension(change, size, None))
            if self._settled():
                return
        self._refuse(self.source, "joins itself in more ways than can be followed")

    @property
    def repeats(self) -> bool:
        """Whether new entries are copies of old ones."""
        return any(d.map.repeats for d in self.dimensions.get(self.source, {}).values())

    @property
    def changes(self) -> Mapping[Tensor, Change]:
        """How each tensor changes."""
        return self._changes

    def readers(self, tensor: Tensor) -> Sequence[Call]:
        """The calls that read a tensor."""
        return self._readers.get(tensor, ())

    def spec(self, call: Call) -> CallSpec:
        """What a call is given, before the change."""
        return self._spec(call)

    def size(self, tensor: Tensor, axis: int) -> int | None:
        """Size of an axis of a tensor, before the change."""
        return self._shape(tensor)[axis]

    def tensor(self, call: Call, port: Port) -> Tensor:
        """The tensor at a port."""
        return self._tensor(call, port)

    def _settled(self) -> bool:
        """Work off what changes; False where a join met a further input too late."""
        while self._pending or self._late:
            if self._pending:
                self._visit(self._pending.popleft())
            elif not self._move(self._next_move()):
                return False
        return True

    # ------------------------------------------------------------------- tensors

    def _change(self, tensor: Tensor, axis: int, change: AxisMap, reason: Layer) -> None:
        """Note that an axis of a tensor changes."""
        known = self._changes.get(tensor)
        if known == (axis, change):
            return
        if known is not None:
            self._refuse(reason, "would have to change it in two ways at once")
        self._changes[tensor] = (axis, change)
        self._pending.append(tensor)

    def _visit(self, tensor: Tensor) -> None:
        """Ask everything around a tensor that changes."""
        graph = tensor.layer.home
        assert graph is not None
        self._relate(tensor.call)
        for call in dict.fromkeys(self._readers.get(tensor, ())):
            self._relate(call)
        if tensor in flatten(graph.outputs):
            self._leave(tensor)

    def _leave(self, tensor: Tensor) -> None:
        """A changing tensor is an output: of a nested model, or of the model itself."""
        graph = tensor.layer.home
        assert graph is not None
        if graph.owner is self.context.root:
            if tensor not in self.heads and not self.context.document.unconnected:
                self._refuse(tensor.layer, "makes an output of the model, whose shape would change")
            return
        for call in graph.owner.calls:
            for index, output in enumerate(flatten(graph.outputs)):
                if output == tensor:
                    self._same(tensor, Tensor(call, index))

    def _same(self, source: Tensor, target: Tensor) -> None:
        """Two tensors that are one, inside and outside of a nested model."""
        if source in self._changes:
            self._change(target, *self._changes[source], target.layer)

    # --------------------------------------------------------------------- calls

    def _relate(self, call: Call) -> None:
        layer = call.layer
        if layer.graph is not None:
            self._cross(call)
        elif layer.is_input:
            self._input(layer)
        elif layer.alias_of is not None:
            self._refuse(layer, "is shared between two models")
        elif layer.is_operation:
            self._operation(call)
        elif mover_of(layer) is not None:
            self._late[call] = None
        else:
            self._layer(call)

    def _cross(self, call: Call) -> None:
        """Into a nested model, or out of it."""
        graph = call.layer.graph
        assert graph is not None
        for outside, inside in zip(call.tensors(), flatten(graph.inputs), strict=False):
            self._same(outside, inside)
        for index, inside in enumerate(flatten(graph.outputs)):
            self._same(Tensor(call, index), inside)

    def _input(self, layer: Layer) -> None:
        """An input changes: the model's own only where the edit says so."""
        graph = layer.home
        assert graph is not None
        own = Tensor(layer.calls[0])
        if graph.owner is self.context.root and layer is not self.source:
            self._refuse(layer, "is an input of the model, whose shape would change")
        position = flatten(graph.inputs).index(own)
        for call in graph.owner.calls:
            self._same(own, call.tensors()[position])
        axis, change = self._changes[own]
        shape = list(layer.config["batch_shape"])
        shape[axis] = change.size
        self.configs.setdefault(layer, {})["batch_shape"] = shape

    def _layer(self, call: Call) -> None:
        layer = call.layer
        rule = rule_of(layer)
        if rule is None or layer.opaque is not None:
            reason = layer.opaque or no_rule(layer.class_name, layer.module)
            reason = reason.removeprefix("it ")
            self._refuse(layer, reason)
        config = complete(rule, layer.config)
        spec = self._spec(call)
        if rule.is_elementwise(config) and not layer.weights:
            self._broadcast(call)
            return
        self._by_label(call, rule, config, spec)

    # ------------------------------------------------------------- element by element

    def _broadcast(self, call: Call) -> None:
        """All tensors of an element-wise call change alike, counted from the last axis."""
        tensors = [*call.tensors(), Tensor(call)]
        for tensor in [tensor for tensor in tensors if tensor in self._changes]:
            axis, change = self._changes[tensor]
            shape = self._shape(tensor)
            place = axis - len(shape)
            for other in tensors:
                sizes = self._shape(other)
                if len(sizes) < -place or (sizes[place] == 1 and shape[axis] != 1):
                    continue  # one entry serves all others
                if sizes[place] != shape[axis]:
                    self._refuse(call.layer, "joins tensors of other sizes")
                self._change(other, len(sizes) + place, change, call.layer)

    def _shape(self, tensor: Tensor) -> Shape:
        if tensor.spec is None:
            self._refuse(tensor.layer, "makes a tensor whose shape patchc does not know")
        return tensor.spec.shape

    # ---------------------------------------------------------------------- by label

    def _by_label(self, call: Call, rule: Rule, config: Mapping[str, Any], spec: CallSpec) -> None:
        """Dimensions of the layer change with the axes that run over them."""
        layer = call.layer
        ports = ports_of(rule, config, spec)
        aliases = aliases_of(rule, config, spec)
        for port in ports:
            tensor = self._tensor(call, port)
            axis, change = self._changes.get(tensor, (None, None))
            idle = tensor.spec is None and not self._readers.get(tensor)
            if change is None or axis != port.axis or idle:
                continue
            length = self._shape(tensor)[port.axis]
            rather = [*self.dimensions.get(layer, ()), *self.dimensions[self.source]]
            given = None if length is None else (port.label, change, length, rather)
            found = inverted(rule, config, *given) if given else None
            if found is None:
                self._refuse(layer, f"cannot change its {base_of(port.label)} that way")
            label, own, size = found
            self._change_dimension(layer, aliases.get(label, label), Dimension(own, size, layer))
        self._check_axes(call, ports)

    def _tensor(self, call: Call, port: Port) -> Tensor:
        return Tensor(call, port.index) if port.output else call.tensors()[port.index]

    def _check_axes(self, call: Call, ports: list[Port]) -> None:
        """Refuse a change along an axis that the layer has no name for."""
        labelled = {(self._tensor(call, port), port.axis) for port in ports}
        labelled |= self._carry(call)
        outputs = [Tensor(call, index) for index in range(len(call.outputs or [None]))]
        for tensor in [*call.tensors(), *outputs]:
            if tensor in self._changes and (tensor, self._changes[tensor][0]) not in labelled:
                axis = self._changes[tensor][0]
                self._refuse(call.layer, f"({call.layer.class_name}) does not hand on axis {axis}")

    def _change_dimension(self, layer: Layer, label: str, dimension: Dimension) -> None:
        """Note that a dimension changes, and with it the axes of all calls of the layer."""
        known = self.dimensions.setdefault(layer, {})
        if label in known:
            if known[label].map != dimension.map:
                self._refuse(layer, f"would have to change its {label} in two ways at once")
            return
        known[label] = dimension
        rule = rule_of(layer)
        if rule is None:
            for call in layer.calls:  # an input
                axis = len(self._shape(Tensor(call))) - 1
                self._change(Tensor(call), axis, dimension.map, layer)
            return
        config = complete(rule, layer.config)
        aliases = aliases_of(rule, config, self._spec(layer.calls[0]))
        self._check_weights(layer, rule, config, label, dimension)
        for other, follows in rule.implied(config, label, dimension.map, dimension.size).items():
            self._change_dimension(layer, other, Dimension(*follows, dimension.reason or layer))
        for call in layer.calls:
            self._check_coupling(call, rule, config, label, dimension)
            for port in ports_of(rule, config, self._spec(call)):
                part = dimension_in(port.label, label, aliases)
                if part is not None:
                    tensor = self._tensor(call, port)
                    length = tensor.spec.shape[port.axis] if tensor.spec else None
                    how = dimension.map, dimension.size, length or dimension.size
                    change = derived(rule, config, port.label, part, *how)
                    assert change is not None
                    self._change(tensor, port.axis, change, layer)

    def _check_weights(
        self,
        layer: Layer,
        rule: Rule,
        config: Mapping[str, Any],
        label: str,
        dimension: Dimension,
    ) -> None:
        """Refuse a change that the weights of a layer cannot follow."""
        if label not in rule.dimensions(config):
            try:
                rule.followed(config, label, dimension.map, dimension.size)
            except RuleError as error:
                self._refuse(layer, str(error))
        spec = self._spec(layer.calls[0])
        alone = rule.aliases(config, spec)
        count = rule.blocks(config, label, dimension.size, list(self.dimensions[layer]))
        each = dimension.size // count
        if count > 1 and dimension.map.gathered(count, each, 1) is None:
            self._refuse(
                layer,
                f"has {count} groups of {each}, and the change is not the same in each of them",
                [count],
            )
        parts = [axis for weight in layer.weights for axis in weight.axes or ()]
        knows = any(base_of(axis) == label for axis in parts) or bool(
            alone or rule.implied(config, label, dimension.map, dimension.size)
        )
        feature = rule.feature_of(config, spec)
        knows = knows or rule.ports(config, spec) is not None
        if label == "input" and not knows and base_of(feature or "") != label:
            self._refuse(layer, f"({layer.class_name}) turns it into something else")

    def _check_coupling(
        self, call: Call, rule: Rule, config: Mapping[str, Any], label: str, dimension: Dimension
    ) -> None:
        """Note where old entries would notice the new ones, as in a normalisation."""
        if not self.preserve or call.layer in self.tail:
            return
        asked = rule.asks(config, self._spec(call), label, dimension.map, dimension.size)
        if asked is not None:
            self.norms[call] = asked

    # ------------------------------------------------------------------------ refusal

    def _spec(self, call: Call) -> CallSpec:
        if call in self._specs:
            return self._specs[call]
        try:
            return self._specs.setdefault(call, call_spec(call))
        except (InferenceError, RuleError) as error:
            self._refuse(call.layer, str(error))

    def _refuse(self, layer: Layer, reason: str, blocks: Sequence[int] = ()) -> NoReturn:
        self.blocks = tuple(blocks)
        way_out = (
            f"change it by a multiple of {blocks[0]}, or say with `at` where new entries go"
            if blocks
            else f"change a layer whose features end before `{layer.name}`,"
            " or replace the layers between as a `block`"
        )
        reached = f"`{layer.path}`"
        if reason.startswith("("):  # its class
            kind, _, reason = reason.partition(") ")
            reached += f" {kind})"
        self.context.refuse(
            "PC306",
            f"`{self.source.path}` cannot change: its axis reaches {reached}, which {reason}",
            help=way_out,
        )


_MAX_ROUNDS = 100
