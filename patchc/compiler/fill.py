"""Fill: which `init` strategy each weight of an edit gets.

Keys name weights as Keras does, at any depth: `kernel`, `query/kernel`, in a
chain `fc/kernel`, `"*"` for the rest.  The longest key that fits wins.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from patchc.compiler.context import Context
from patchc.compiler.flow import resolve
from patchc.compiler.settle import seed_text
from patchc.language.patch import Init
from patchc.layers.base import complete
from patchc.layers.infer import call_spec, rule_of
from patchc.layers.silence import activation_name, keeps_zero, rectified_by, silencing_weights
from patchc.model.graph import Layer, Weight
from patchc.model.initializers import KERAS_INITIALIZERS, OWN_STRATEGIES
from patchc.model.values import ZEROS, Strategy, Value

Target = tuple[Layer, Weight]
DEFAULT = Strategy("default")


def strategies(context: Context, init: Init | None, targets: Sequence[Target]) -> list[Strategy]:
    """The strategy of each weight, `default` where `init` is silent.

    Raises:
        PatchError: PC305 for a key that fits no weight.
    """
    if init is None:
        return [DEFAULT] * len(targets)
    if init.bare is not None:
        return [_bare(init.bare, weight) for _, weight in targets]
    used: set[str] = set()
    chosen = []
    for layer, weight in targets:
        key = _best_key(init, f"{layer.path}/{weight.name}")
        if key == "*" and not _is_float(weight):
            key = None
        chosen.append(init.strategies[key] if key is not None else DEFAULT)
        used.add(key or "")
    for key in init.strategies:
        if key not in used and key != "*":
            _unused_key(context, init, key, targets)
    context.raise_problems()
    return chosen


def _bare(strategy: Strategy, weight: Weight) -> Strategy:
    """A Keras initialiser alone is for kernels; patchc's own ways are for all."""
    if strategy.name in OWN_STRATEGIES:
        return strategy
    return strategy if len(weight.shape) >= 2 and _is_float(weight) else DEFAULT


def _is_float(weight: Weight) -> bool:
    return "float" in weight.dtype


def _best_key(init: Init, path: str) -> str | None:
    fitting = [key for key in init.strategies if key == path or path.endswith(f"/{key}")]
    if fitting:
        return max(fitting, key=len)
    return "*" if "*" in init.strategies else None


def _unused_key(context: Context, init: Init, key: str, targets: Sequence[Target]) -> None:
    names = list(dict.fromkeys(weight.name for _, weight in targets))
    near = difflib.get_close_matches(key, names, n=1)
    listed = ", ".join(f"`{name}`" for name in names) or "none"
    hint = f"did you mean `{near[0]}`?" if near else f"the weights are {listed}"
    context.problem(
        "PC305",
        f"`{key}` names no weight that this edit fills",
        init.key_spans.get(key, init.span),
        hint,
    )


# ------------------------------------------------------------------- new weights


def fill_new(
    context: Context,
    init: Init | None,
    layers: Sequence[Layer],
    *,
    replaced: Sequence[Layer] = (),
    identity: bool = False,
) -> None:
    """Give the weights of new layers their values.

    Args:
        replaced: layers that gave way, for `keep`.
        identity: whether `identity` makes sense here.
    """
    targets = [(layer, weight) for layer in layers for weight in layer.weights]
    if init is not None and init.bare == Strategy("identity") and identity:
        fill_identity(context, layers)
        return
    for (layer, weight), strategy in zip(targets, strategies(context, init, targets), strict=True):
        weight.value = _new_value(context, init, layer, weight, strategy, replaced)
    context.raise_problems()


def _new_value(
    context: Context,
    init: Init | None,
    layer: Layer,
    weight: Weight,
    strategy: Strategy,
    replaced: Sequence[Layer],
) -> Value:
    made = Value(
        init=weight.initializer,
        seed=seed_text(context, layer, weight.twin or weight.name),
        replaces=weight.value.replaces,
    )
    if strategy == DEFAULT:
        return made if weight.value.base is None else weight.value
    if strategy.name in KERAS_INITIALIZERS:
        return Value(init=strategy, seed=made.seed, replaces=made.replaces)
    assert init is not None
    if strategy.name == "keep":
        kept = _kept(weight, replaced)
        if kept is not None:
            return kept
        message = f"no replaced weight is called `{weight.name}` with shape {weight.shape}"
    elif strategy.name == "identity":
        message = "`identity` is for what `insert_before` and `insert_after` add, as a whole"
    else:
        message = f"`{strategy.name}` makes new entries of old weights, `{weight.name}` is all new"
    context.problem(
        "PC305", f"{message} (in `{layer.path}`)", init.span, "use a Keras initialiser or `default`"
    )
    return made


def _kept(weight: Weight, replaced: Sequence[Layer]) -> Value | None:
    for layer in replaced:
        for old in layer.weights:
            if old.name == weight.name and (old.shape, old.dtype) == (weight.shape, weight.dtype):
                return old.value
    return None


# ---------------------------------------------------------------------- identity


def fill_identity(context: Context, layers: Sequence[Layer]) -> None:
    """Fill inserted layers so that the model computes what it computed before.

    Raises:
        PatchError: PC305 for a layer that has no identity.
    """
    for layer in layers:
        found = _identity(layer)
        if found is None:
            context.problem(
                "PC305",
                f"`{layer.path}` ({layer.class_name}) has no identity:"
                " it cannot hand its input on unchanged",
                context.edit.init.span if context.edit.init else context.edit.span,
                "put it into `residual: [...]`, or leave `init: identity` out",
            )
            continue
        _apply(context, layer, found)
    context.raise_problems()


def _identity(layer: Layer) -> Mapping[str, Strategy] | None:
    """Strategies with which a layer hands its input on; None where there are none.

    An activation that changes nothing the second time, such as ReLU, stands in
    the way only where its input has not been through it yet.
    """
    rule = rule_of(layer)
    if rule is None:
        return None
    config = complete(rule, layer.config)
    call = call_spec(layer.calls[0])
    found = rule.identity(config, call)
    activation = activation_name(config.get("activation"))
    sources = [resolve(t, ())[0].layer for c in layer.calls for t in c.main_tensors()]
    if found is None and all(rectified_by(source, activation) for source in sources):
        return rule.identity({**config, "activation": "linear"}, call)
    return found


def fill_zero_branch(context: Context, chain: Sequence[Layer]) -> None:
    """Fill a residual branch so that it adds nothing: its last weights are zero.

    Raises:
        PatchError: PC305 where the branch does not end in a layer that zero
            weights make silent.
    """
    for layer in reversed(chain):
        rule = rule_of(layer)
        if rule is None:
            break
        config = complete(rule, layer.config)
        silent = silencing_weights(rule, config)
        if layer.weights and silent:
            _apply(context, layer, dict.fromkeys(silent, ZEROS))
            return
        if not hands_on_zero(layer):
            break
    last = chain[-1]
    context.refuse(
        "PC305",
        f"the branch that ends in `{last.path}` ({last.class_name}) cannot be made to add nothing",
        help="end it in a Dense or convolution without activation",
    )


def hands_on_zero(layer: Layer) -> bool:
    """Whether a layer has one input and no weights, and turns zeros into zeros."""
    rule = rule_of(layer)
    if rule is None or layer.weights or any(len(call.tensors()) != 1 for call in layer.calls):
        return False
    return keeps_zero(rule, complete(rule, layer.config))


def _apply(context: Context, layer: Layer, found: Mapping[str, Strategy]) -> None:
    for weight in layer.weights:
        if weight.name not in found and weight.value.base is not None:
            continue
        strategy = found.get(weight.name, weight.initializer)
        weight.value = Value(
            init=strategy, seed=seed_text(context, layer, weight.twin or weight.name)
        )
