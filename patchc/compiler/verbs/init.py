"""`init` alone: fresh values for the weights of the selected layers."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.context import Context
from patchc.compiler.fill import DEFAULT, Target, strategies
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import seed_text
from patchc.language.patch import Init
from patchc.layers.infer import rule_of
from patchc.model.graph import Layer, Weight, walk
from patchc.model.initializers import KERAS_INITIALIZERS
from patchc.model.values import Strategy, Value


def init(context: Context, matches: Sequence[Match]) -> None:
    """Re-initialise weights: `default` gives those of a fresh layer.

    Raises:
        PatchError: PC301 where nothing selected has weights, PC305 for a
            strategy that makes no sense on a whole weight.
    """
    given = context.edit.init
    assert given is not None
    layers = [
        layer
        for match in matches
        for chosen in (match.layers if isinstance(match, Block) else (match,))
        for layer in ([chosen] if chosen.graph is None else [chosen, *walk(chosen)])
    ]
    targets = [(layer, weight) for layer in dict.fromkeys(layers) for weight in layer.weights]
    if not targets:
        context.refuse(
            "PC301",
            "none of the selected layers has weights",
            span=context.edit.select.span,
            help="add `weighted: true`",
        )
    for target, strategy in zip(targets, strategies(context, given, targets), strict=True):
        if _is_addressed(given, target[1], strategy):
            _reinitialise(context, given, target, strategy)
    context.raise_problems()


def _is_addressed(given: Init, weight: Weight, strategy: Strategy) -> bool:
    """Where `init` names weights, only those that it names are touched."""
    return (
        strategy != DEFAULT
        or (given.bare is not None and "float" in weight.dtype)
        or any(
            key in {"*", weight.name} or weight.name.endswith(f"/{key}")
            for key, value in given.strategies.items()
            if value == DEFAULT
        )
    )


def _reinitialise(context: Context, given: Init, target: Target, strategy: Strategy) -> None:
    layer, weight = target
    if layer.opaque is not None and rule_of(layer) is not None:
        context.refuse(
            "PC308",
            f"`{layer.path}` cannot begin anew: {layer.opaque}",
            span=given.span,
            help="leave it out of the selection, or replace it",
        )
    made = _strategy(context, given, layer, weight, strategy)
    if made is None:
        return
    seed = seed_text(context, layer, weight.twin or weight.name)
    replaced = weight.value.base or weight.value.replaces
    weight.value = Value(init=made, seed=seed, replaces=replaced)
    context.log("initialise", f"{layer.path}/{weight.name}", list(weight.shape), made.to_json())


def _strategy(
    context: Context, given: Init, layer: Layer, weight: Weight, strategy: Strategy
) -> Strategy | None:
    if strategy == DEFAULT and weight.initializer is not None:
        return weight.initializer
    if strategy.name in KERAS_INITIALIZERS:
        return strategy
    if strategy == DEFAULT:
        message = f"patchc does not know the initialiser of `{layer.path}/{weight.name}`"
        help_text = "name a Keras initialiser"
    else:
        message = f"`{strategy.name}` needs old entries beside the new ones"
        help_text = "use `default` or a Keras initialiser"
    context.problem("PC305", message, given.span, help_text)
    return None
