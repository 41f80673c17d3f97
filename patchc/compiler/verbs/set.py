"""`set`: configuration changes, weights stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchc.compiler.build import follow_input_shape
from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.language.patch import SetConfig
from patchc.layers.arguments import accepted, check_config
from patchc.layers.base import INSIDE, RuleError, WeightSpec, complete, policy_of
from patchc.layers.infer import InferenceError, call_spec, rule_of
from patchc.layers.matching import same_value
from patchc.model.graph import Layer

_ELSEWHERE = {"name": "rename", "trainable": "freeze"}


def set_config(context: Context, verb: SetConfig, matches: Sequence[Match]) -> None:
    """Change configuration keys; whole values replace.

    Raises:
        PatchError: PC301 for keys that belong to another verb, PC303 for keys
            or values that the class does not take, PC302 where a shape that
            follows from them does not fit.
    """
    layers = [
        layer
        for match in matches
        for layer in (match.layers if isinstance(match, Block) else (match,))
    ]
    for layer in layers:
        values = (
            _input_values(context, verb, layer)
            if layer.is_input
            else _checked(context, verb, layer)
        )
        _write(context, layer, values)
    context.raise_problems()
    settle(context)


def _checked(context: Context, verb: SetConfig, layer: Layer) -> Mapping[str, Any]:
    if layer.graph is not None:
        context.refuse(
            "PC301",
            f"`{layer.path}` is a nested model",
            help="select a layer inside",
            span=context.edit.select.span,
        )
    rule = rule_of(layer)
    sizes = rule.grows if rule is not None else ()
    for key in verb.values:
        other = _ELSEWHERE.get(key, "expand" if key in sizes else None)
        if other is not None:
            context.refuse(
                "PC301", f"`{key}` is not for `set`", span=verb.spans[key], help=f"use `{other}`"
            )
        if key not in layer.config and (rule is None or key not in accepted(rule)):
            context.problem(
                "PC303",
                f"`{layer.path}` ({layer.class_name}) has no `{key}`",
                verb.spans[key],
                "select the layers that have it",
            )
    context.raise_problems()
    if rule is None:
        return verb.values
    checked = check_config(rule, verb.values, partial=True)
    for problem in checked.problems:
        span = verb.spans.get(problem.key or "", context.edit.verb_span)
        context.problem(
            "PC303",
            f"`{layer.path}`: {problem.message}",
            span,
            problem.help or "write what the Keras constructor takes",
        )
    _check_inside(context, verb, layer, checked.config)
    _check_storage(context, verb, layer, checked.config)
    context.raise_problems()
    return checked.config


def _check_storage(
    context: Context, verb: SetConfig, layer: Layer, values: Mapping[str, Any]
) -> None:
    """Refuse a dtype policy that would have Keras store the weights in another dtype."""
    if not layer.weights or "dtype" not in values:
        return
    before, after = policy_of(layer.config)[1], policy_of(values)[1]
    if before != after:
        context.problem(
            "PC303",
            f"this would change the dtype in which the weights of `{layer.path}` are kept,"
            f" {before}, to {after}",
            verb.spans["dtype"],
            f"write `mixed_{after}` to compute in {after} with the same weights"
            if after in {"float16", "bfloat16"} and before == "float32"
            else f"use a policy whose variables are {before}",
        )


def _check_inside(
    context: Context, verb: SetConfig, layer: Layer, values: Mapping[str, Any]
) -> None:
    """Refuse what would change the weights of a quantised layer, or of one with an adapter."""
    if layer.opaque is None or not layer.weights:
        return
    before = _plain_weights(layer, {})
    for key, value in values.items():
        if key in INSIDE or before is None or _plain_weights(layer, {key: value}) != before:
            context.problem(
                "PC308",
                f"`{key}` would change the inside of `{layer.path}`, and patchc does not look"
                f" inside it: {layer.opaque}",
                verb.spans.get(key, context.edit.verb_span),
                "replace the layer, or change it in Keras first",
            )


def _plain_weights(layer: Layer, change: Mapping[str, Any]) -> Sequence[WeightSpec] | None:
    """The weights that a layer would have without quantisation and adapter."""
    rule = rule_of(layer)
    assert rule is not None
    plain = {key: value for key, value in layer.config.items() if key not in INSIDE}
    try:
        return rule.weights(complete(rule, {**plain, **change}), call_spec(layer.calls[0]))
    except (RuleError, InferenceError):
        return None


def _write(context: Context, layer: Layer, values: Mapping[str, Any]) -> None:
    changed = {
        key: value
        for key, value in values.items()
        if key not in layer.config or not _unchanged(value, layer.config[key])
    }
    if not changed:
        return
    before = {key: layer.config.get(key) for key in changed}
    layer.config = {**layer.config, **changed}
    context.log("set", layer.path, before, changed)


def _unchanged(value: Any, stored: Any) -> bool:
    return value == stored or (isinstance(value, str) and same_value(value, stored))


# ------------------------------------------------------------------------ inputs


def _input_values(context: Context, verb: SetConfig, layer: Layer) -> Mapping[str, Any]:
    """On an input: `shape` without the batch axis, or `batch_shape`."""
    strange = [key for key in verb.values if key not in {"shape", "batch_shape", "dtype"}]
    for key in strange:
        other = _ELSEWHERE.get(key)
        context.refuse(
            "PC303",
            f"an input has no `{key}` to set",
            span=verb.spans[key],
            help=f"use `{other}`" if other else "`shape`, `batch_shape` and `dtype`",
        )
    values = dict(verb.values)
    old = layer.config.get("batch_shape") or [None]
    if "shape" in values:
        values["batch_shape"] = [old[0], *values.pop("shape")]
    new = values.get("batch_shape", old)
    if len(new) != len(old):
        context.refuse(
            "PC302",
            f"`{layer.path}` has {len(old)} axes with the batch axis, not {len(new)}",
            help="give one number or null per axis",
        )
    follow_input_shape(layer, new)
    return values
