"""`freeze`: the `trainable` flag, written where Keras reads it."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Match, Selecting
from patchc.language.patch import Freeze, KeySelector
from patchc.layers.freezing import freezable, is_shut, trains, with_flag
from patchc.model.graph import Layer, Loading, walk

_NORMALISATION = "BatchNormalization"


def freeze(context: Context, verb: Freeze, matches: Sequence[Match]) -> None:
    """Freeze or unfreeze every leaf below the selection.

    A container's own flag, which Keras ignores on load, is written as
    "something below trains".  Unfreezing below a frozen root opens the root
    and keeps everything else frozen.
    """
    leaves = _leaves(matches)
    _lint(context, verb, leaves)
    if not verb.frozen:
        _open_root(context, leaves)
    for layer in leaves:
        _write_flag(context, layer, trainable=not verb.frozen)
    _write_containers(context.root)


def _leaves(matches: Sequence[Match]) -> list[Layer]:
    layers = [
        layer
        for match in matches
        for layer in (match.layers if isinstance(match, Block) else (match,))
    ]
    found: dict[Layer, None] = {}
    for layer in layers:
        below = [layer] if layer.graph is None else [i for i in walk(layer) if i.graph is None]
        found |= dict.fromkeys(inner for inner in below if not inner.is_operation)
    return [layer for layer in found if not layer.is_input]


def _open_root(context: Context, leaves: Sequence[Layer]) -> None:
    root = context.root
    if not is_shut(root):
        return
    root.config = {**root.config, "trainable": True}
    context.log("set", "", {"trainable": False}, {"trainable": True}, "opens the way")
    for layer in walk(root):
        if layer.graph is None and not layer.is_operation and layer not in leaves:
            _write_flag(context, layer, trainable=False, reason="was frozen with the model")


def _write_flag(context: Context, layer: Layer, *, trainable: bool, reason: str = "") -> None:
    if layer.is_input:
        return
    config = with_flag(layer.class_name, layer.config, trainable=trainable)
    if {"trainable": True, **layer.config} == {"trainable": True, **config}:
        return
    before = trains(layer, context.root)
    layer.config = config
    context.log("set", layer.path, {"trainable": before}, {"trainable": trainable}, reason)


def _write_containers(root: Layer) -> None:
    for layer in walk(root):
        if layer.graph is not None:
            flag = any(trains(i, root) for i in walk(layer) if i.graph is None and i.weights)
            if layer.trainable != flag and any(i.weights for i in walk(layer)):
                layer.config = {**layer.config, "trainable": flag}


def _lint(context: Context, verb: Freeze, leaves: Sequence[Layer]) -> None:
    if not any(layer.weights for layer in leaves):
        context.warn(
            "PC901",
            "none of the selected layers has weights",
            span=context.edit.select.span,
            help="select layers with weights, such as {weighted: true, last: 5}",
        )
    _lint_left_out(context, verb)
    norms = [layer for layer in leaves if layer.class_name == _NORMALISATION]
    if not verb.frozen and norms and any(not layer.trainable for layer in norms):
        context.warn(
            "PC902",
            f"{len(norms)} batch normalisation layers are unfrozen,"
            f" such as `{norms[0].path}`: their statistics will move",
            span=context.edit.select.span,
            help="add `not: {class: BatchNormalization}` to keep them as they are",
        )
    stubborn = [layer for layer in leaves if not freezable(layer)]
    if verb.frozen and stubborn and context.root.loading is not Loading.KERAS_2:
        context.warn(
            "PC904",
            f"Keras loads `{stubborn[0].path}` ({stubborn[0].class_name}) as"
            " trainable, whatever the file says",
            span=context.edit.select.span,
            help="set `layer.trainable = False` after loading",
        )


def _lint_left_out(context: Context, verb: Freeze) -> None:
    """Freezing all but some layers freezes everything, where those have no weights."""
    select = context.edit.select
    if not verb.frozen or not isinstance(select, KeySelector) or set(select.keys) != {"not"}:
        return
    left = Selecting(context.root).select(select.keys["not"]).layers
    if left and not any(layer.weights for layer in _leaves(left)):
        names = ", ".join(f"`{layer.path}`" for layer in left[:5])
        context.warn(
            "PC901",
            f"the layers under `not` have no weights, so everything is frozen: {names}",
            span=select.spans["not"],
            help="leave out layers with weights, such as {weighted: true, last: 5}",
        )
