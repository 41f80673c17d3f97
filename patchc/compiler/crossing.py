"""Crossing: how a change goes through operations, and through layers that move entries.

The part of `Spread` that knows routes and views; the walk itself is in
`propagate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from patchc.compiler.movement import Change, Moved, StuckError, backward, forward, movement_of
from patchc.layers.base import CallSpec, RuleError, Shape, complete
from patchc.layers.constants import array_changed, array_shape, is_array
from patchc.layers.contracts import Norm
from patchc.layers.infer import rule_of
from patchc.layers.movement import Edits
from patchc.layers.operations import LinkedRule, MovingRule, OperationRule, operation_rule
from patchc.layers.ports import carried
from patchc.layers.unfollowed import UNFOLLOWED
from patchc.layers.views import View
from patchc.model.graph import Call, Layer, Tensor


class Crossing:
    """What `Spread` asks of operations and of layers that move entries."""

    preserve: bool
    tail: frozenset[Layer]
    configs: dict[Layer, dict[str, Any]]
    arguments: dict[Call, dict[Any, Any]]
    norms: dict[Call, Norm]
    _changes: dict[Tensor, Change]
    _joins: dict[Call, set[int]]
    _forwarded: set[Call]
    _late: dict[Call, None]

    def _change(self, tensor: Tensor, axis: int, change: Any, reason: Layer) -> None:
        raise NotImplementedError

    def _broadcast(self, call: Call) -> None:
        raise NotImplementedError

    def _shape(self, tensor: Tensor) -> Shape:
        raise NotImplementedError

    def _spec(self, call: Call) -> CallSpec:
        raise NotImplementedError

    def _refuse(self, layer: Layer, reason: str, blocks: Sequence[int] = ()) -> NoReturn:
        raise NotImplementedError

    # -------------------------------------------------------------------- operations

    def _operation(self, call: Call) -> None:
        """Let a change through an operation, as its kind says."""
        layer = call.layer
        rule = operation_rule(layer.class_name, layer.module)
        if isinstance(rule, MovingRule):
            self._late[call] = None
        elif isinstance(rule, LinkedRule):
            self._link(call, rule)
        elif isinstance(rule, OperationRule):
            if self.preserve and rule.may_fail(self._spec(call)):
                self._refuse(layer, f"({layer.class_name}) may make no number of a new entry")
            self._broadcast(call)
            self._constants(call, rule)
        else:
            module = (layer.module or "").rpartition(".")[2]
            why = UNFOLLOWED.get((module, layer.class_name), "has no rule in this version")
            self._refuse(layer, f"is the operation {layer.class_name}, which {why}")

    def _constants(self, call: Call, rule: OperationRule) -> None:
        """Constant operands that run over the axis get neutral entries."""
        output = Tensor(call)
        if output not in self._changes:
            return
        axis, change = self._changes[output]
        place = axis - len(self._shape(output))
        for key, value in [*enumerate(call.args), *call.kwargs.items()]:
            shape = array_shape(value) if is_array(value) else ()
            if len(shape) < -place or shape[place] == 1:
                continue
            new = array_changed(value, len(shape) + place, change, rule.neutral)
            self.arguments.setdefault(call, {})[key] = new

    def _link(self, call: Call, rule: LinkedRule) -> None:
        """Axes of the same label change alike."""
        layer = call.layer
        try:
            view = rule.view(layer.config, self._spec(call))
        except RuleError as error:
            self._refuse(layer, f"({layer.class_name}) {error}")
        places = _places(call, view)
        for tensor, axis, label in places:
            if tensor not in self._changes or self._changes[tensor][0] != axis:
                continue
            if not label:
                self._refuse(layer, f"({layer.class_name}) does not hand on axis {axis}")
            if label in view.meeting and self.preserve and layer not in self.tail:
                asked = view.asks.get(label)
                if asked is None:
                    self._refuse(layer, f"({layer.class_name}) {view.meeting[label]}")
                self.norms[call] = asked
            if label in view.tells:
                self.arguments.setdefault(call, {}).update(view.tells[label])
            for other, place, name in places:
                if name == label:
                    self._change(other, place, self._changes[tensor][1], layer)

    def _carry(self, call: Call) -> set[tuple[Tensor, int]]:
        """Hand changes on along the axes that a layer treats alike; returns those axes."""
        rule = rule_of(call.layer)
        assert rule is not None
        axes = carried(rule, complete(rule, call.layer.config), self._spec(call))
        ends = [*call.tensors(), Tensor(call)] if axes else []
        for tensor in ends:
            axis, change = self._changes.get(tensor, (None, None))
            if axis in axes and change is not None:
                for other in ends:
                    self._change(other, axis, change, call.layer)
        return {(tensor, axis) for tensor in ends for axis in axes}

    # ---------------------------------------------------------------------- movement

    def _next_move(self) -> Call:
        """The movement whose inputs have all been met as far as earlier rounds tell."""
        for call in self._late:
            if self._joins.get(call, set()) <= self._known_inputs(call).keys():
                break
        else:
            call = next(iter(self._late))
        del self._late[call]
        return call

    def _move(self, call: Call) -> bool:
        """Let a change through a layer that moves entries; False to begin again."""
        known = self._known_inputs(call)
        joins = self._joins.setdefault(call, set())
        if call in self._forwarded and not known.keys() <= joins:
            joins.update(known)
            return False
        results = self._known_outputs(call)
        onward = call in self._forwarded or not results or (known and len(call.tensors()) == 1)
        if onward:
            joins.update(known)
            self._forwarded.add(call)
        try:
            movement = movement_of(call.layer, self._spec(call))
            moved = forward(movement, known) if onward else backward(movement, results)
        except (RuleError, StuckError) as error:
            self._refuse(call.layer, str(error), getattr(error, "blocks", ()))
        self._note(call, moved)
        return True

    def _note(self, call: Call, moved: Moved) -> None:
        """Note what changes with a movement; refuse where more does."""
        tensors, count = call.tensors(), len(call.outputs or [None])
        for index, change in moved.inputs.items():
            self._change(tensors[index], *change, call.layer)
        for index, change in moved.outputs.items():
            self._change(Tensor(call, index), *change, call.layer)
        still = [tensors[i] for i in range(len(tensors)) if i not in moved.inputs]
        still += [Tensor(call, i) for i in range(count) if i not in moved.outputs]
        if any(tensor in self._changes for tensor in still):
            parts = [count] if count > 1 else []
            self._refuse(call.layer, "would have to change other parts alike", parts)
        self._tell(call, moved.edits)

    def _tell(self, call: Call, edits: Edits) -> None:
        """Note what a layer has to be told anew; all its calls have to agree."""
        if edits.config:
            told = {**self.configs.get(call.layer, {}), **edits.config}
            if len(call.layer.calls) > 1 and self.configs.get(call.layer, told) != told:
                self._refuse(call.layer, "is called several times and would have to differ")
            self.configs[call.layer] = told
        if edits.arguments:
            self.arguments.setdefault(call, {}).update(edits.arguments)

    def _known_inputs(self, call: Call) -> dict[int, Change]:
        return {
            index: self._changes[tensor]
            for index, tensor in enumerate(call.tensors())
            if tensor in self._changes
        }

    def _known_outputs(self, call: Call) -> dict[int, Change]:
        tensors = [Tensor(call, index) for index in range(len(call.outputs or [None]))]
        return {i: self._changes[t] for i, t in enumerate(tensors) if t in self._changes}


def _places(call: Call, view: View) -> list[tuple[Tensor, int, str]]:
    """Every axis of every tensor of a call, with its label."""
    tensors = call.tensors()
    found = [
        (tensors[index], axis, label)
        for index, labels in view.reads.items()
        for axis, label in enumerate(labels)
    ]
    for index, labels in enumerate(view.makes):
        found += [(Tensor(call, index), axis, label) for axis, label in enumerate(labels)]
    listed = set(view.reads)
    for index, tensor in enumerate(tensors):
        if index not in listed:
            found += [(tensor, axis, "") for axis in range(8)]
    return found


def with_arguments(call: Call, told: Mapping[Any, Any], parameters: Sequence[str]) -> None:
    """Give a call other arguments, by name or by position."""
    for name, value in told.items():
        place = name if isinstance(name, int) else None
        if place is None and name in parameters and name not in call.kwargs:
            place = list(parameters).index(name)
        if place is None:
            call.kwargs = {**call.kwargs, name: value}
        else:
            call.args = [*call.args[:place], value, *call.args[place + 1 :]]
