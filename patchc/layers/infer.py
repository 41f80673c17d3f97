"""Shapes through a graph, and the weights that its layers have.

Rules answer for one call of one layer; this module asks them along the
connections, into nested models and out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchc.layers.base import (
    CallSpec,
    NoRuleError,
    Rule,
    RuleError,
    TensorSpec,
    WeightSpec,
    complete,
    policy_of,
)
from patchc.layers.operations import operation_rule
from patchc.layers.registry import rule_for
from patchc.model.graph import Call, Graph, Layer, Tensor, flatten, map_tensors
from patchc.model.order import reachable_calls

Shapes = Mapping[Tensor, TensorSpec]


class InferenceError(ValueError):
    """A layer does not take what it is given.

    Attributes:
        layer: the layer.
        known: False where patchc has no rule that could tell.
    """

    def __init__(self, layer: Layer, message: str, *, known: bool = True) -> None:
        self.layer = layer
        self.known = known
        super().__init__(message)


def rule_of(layer: Layer) -> Rule | None:
    """The rule of a layer's class; None for models, operations and unknown classes."""
    if layer.graph is not None or layer.is_operation:
        return None
    return rule_for(layer.class_name, layer.module, layer.registered_name)


def call_spec(call: Call, shapes: Shapes | None = None) -> CallSpec:
    """The arguments of a call with shapes in the place of tensors.

    Raises:
        InferenceError: where the shape of an input is not known.
    """

    def spec(tensor: Tensor) -> TensorSpec:
        found = shapes.get(tensor) if shapes is not None else tensor.spec
        if found is None:
            message = f"its input {tensor.layer.path!r} has a shape that patchc does not know"
            raise InferenceError(call.layer, message, known=False)
        return found

    args = tuple(map_tensors(spec, arg) for arg in call.args)
    return CallSpec(args, {key: map_tensors(spec, arg) for key, arg in call.kwargs.items()})


def infer(graph: Graph) -> list[Call]:
    """Work out the outputs of all calls in a graph, and in the models inside it.

    Returns the calls whose inputs or configuration are not what they were, all
    of them on the first run.

    What is known and whose inputs and configuration are as they were stays;
    a file's own record of shapes counts as known.

    Raises:
        InferenceError: where a layer does not take its inputs, or where the
            input of a layer without a rule has changed.
    """
    inside = [layer.graph for layer in graph.layers if layer.graph is not None]
    changed = [call for inner in inside for call in infer(inner)]
    return changed + [call for call in reachable_calls(graph) if _infer_call(call)]


def _infer_call(call: Call) -> bool:
    now = _stamp(call)
    if call.seen is not None and _same(call.seen, now):
        call.seen = now
        return False
    if call.outputs is None or call.seen is not None or not _is_complete(call):
        try:
            call.outputs = _outputs(call, call_spec(call))
        except InferenceError as error:
            if error.known or call.seen is not None:
                raise
            if not all(spec.dtype for spec in call.outputs or []):
                call.outputs = None
    call.seen = now
    return True


def _is_complete(call: Call) -> bool:
    """Whether the file recorded all outputs of a call (it records those that layers read)."""
    outputs = call.outputs or []
    if not all(spec.dtype for spec in outputs):
        return False
    ends = flatten(call.layer.home.outputs) if call.layer.home is not None else []
    if any(end.call is call and end.index >= len(outputs) for end in ends):
        return False
    inside = call.layer.graph
    return inside is None or len(outputs) == len(flatten(inside.outputs))


def _stamp(call: Call) -> Any:
    """What the outputs of a call depend on."""
    inputs = tuple(tensor.spec for tensor in call.tensors())
    inside = call.layer.graph
    if inside is None:
        known = call.layer.is_operation or rule_of(call.layer) is not None
        return (inputs, call.layer.config if known else None)
    return (inputs, tuple(tensor.spec for tensor in flatten(inside.outputs)))


def _same(before: Any, now: Any) -> bool:
    """Whether two stamps are equal, whatever the names and flags of the layer."""
    if before[0] != now[0]:
        return False
    old, new = before[1], now[1]
    return old is new or _without_flags(old) == _without_flags(new)


def _without_flags(config: Any) -> Any:
    """A configuration without what shapes do not depend on."""
    if isinstance(config, Mapping):
        return {k: _without_flags(v) for k, v in config.items() if k not in {"name", "trainable"}}
    return config


def _outputs(call: Call, spec: CallSpec) -> list[TensorSpec]:
    layer = call.layer
    try:
        if layer.graph is not None:
            return _through(layer.graph, spec.tensors())
        if layer.is_operation:
            operation = operation_rule(layer.class_name, layer.module)
            if operation is not None:
                return list(operation.outputs(layer.config, spec))
        rule = rule_of(layer)
        if rule is not None:
            config = complete(rule, layer.config)
            dtype = rule.output_dtype(config, spec)
            return [TensorSpec(tuple(shape), dtype) for shape in rule.outputs(config, spec)]
    except NoRuleError as error:
        message = f"it {error}, for which patchc has no rule"
        raise InferenceError(layer, message, known=False) from None
    except RuleError as error:
        raise InferenceError(layer, str(error)) from None
    message = f"patchc has no rule for {layer.class_name}, so what it makes of a changed input"
    raise InferenceError(layer, f"{message} is not known", known=False)


def _through(graph: Graph, inputs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """Outputs of a nested model for the inputs of one call of it."""
    own = [tensor.spec for tensor in flatten(graph.inputs)]
    if own == list(inputs):
        outputs = [tensor.spec for tensor in flatten(graph.outputs)]
        if all(spec is not None for spec in outputs):
            return [spec for spec in outputs if spec is not None]
    shapes: dict[Tensor, TensorSpec] = dict(zip(flatten(graph.inputs), inputs, strict=False))
    for call in reachable_calls(graph):
        if call.layer.is_input:
            continue
        for index, spec in enumerate(_outputs(call, call_spec(call, shapes))):
            shapes[Tensor(call, index)] = spec
    return [shapes[tensor] for tensor in flatten(graph.outputs)]


def weight_specs(layer: Layer) -> tuple[Sequence[WeightSpec], Sequence[str]]:
    """The weights of a layer and the storage groups Keras writes for it.

    Raises:
        InferenceError: where no rule knows them.
    """
    rule = rule_of(layer)
    if rule is None:
        raise InferenceError(layer, f"patchc has no rule for {layer.class_name}", known=False)
    config = complete(rule, layer.config)
    try:
        return rule.weights(config, call_spec(layer.calls[0])), rule.groups(config)
    except RuleError as error:
        raise InferenceError(layer, str(error)) from None


def storage_dtype(layer: Layer, spec: WeightSpec) -> str:
    """Dtype in which a weight is stored: its own, or the layer's variable dtype."""
    return spec.dtype or policy_of(layer.config)[1]


def feature_of(layer: Layer) -> str | None:
    """What the last axis of a layer's output runs over (`Rule.feature_of`)."""
    rule = rule_of(layer)
    if rule is None:
        return None
    try:
        return rule.feature_of(complete(rule, layer.config), call_spec(layer.calls[0]))
    except (RuleError, InferenceError):
        return None
