"""`insert_before` and `insert_after`: new layers on all connections of a layer."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.build import append_chain, layers_of, redirect
from patchc.compiler.context import Context
from patchc.compiler.fill import fill_new
from patchc.compiler.identity import fill_inserted
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.compiler.verbs.replace import all_reads
from patchc.language.patch import Insert
from patchc.layers.infer import feature_of
from patchc.layers.silence import ends_in_softmax
from patchc.model.graph import Call, Graph, Layer, Tensor
from patchc.model.values import Strategy


def insert(context: Context, verb: Insert, match: Match) -> None:
    """Put new layers into or out of a layer, once for each of its calls.

    Raises:
        PatchError: PC301 before a layer with several inputs, or after one of
            whose outputs several are in use.
    """
    layer = match.last if isinstance(match, Block) else match
    graph = layer.home
    assert graph is not None
    tensors = _outputs(context, graph, layer) if verb.after else _inputs(context, match, layer)
    made_tensors, chain = append_chain(context, graph, verb.chain, tensors)
    made = layers_of(chain)
    change = dict(zip(tensors, made_tensors, strict=True))
    if verb.after:
        redirect(graph, change, leave=[call for new in made for call in new.calls])
    else:
        for call in _entry_calls(match, layer):
            call.substitute(lambda tensor: change.get(tensor, tensor))
    settle(context)
    init = context.edit.init
    if init is not None and init.bare == Strategy("identity"):
        fill_inserted(context, chain)
    else:
        fill_new(context, init, made)
    context.log_added(made)
    _lint(context, tensors, made)


def _outputs(context: Context, graph: Graph, layer: Layer) -> list[Tensor]:
    used = {tensor.index for tensor in all_reads(graph) if tensor.layer is layer}
    if used - {0}:
        context.refuse(
            "PC301",
            f"several outputs of `{layer.path}` are in use",
            help="insert before the layers that read them",
        )
    return [Tensor(call) for call in layer.calls]


def _entry_calls(match: Match, layer: Layer) -> Sequence[Call]:
    if isinstance(match, Block):
        return [c for inner in match.layers for c in inner.calls if match.entry in c.tensors()]
    return layer.calls


def _inputs(context: Context, match: Match, layer: Layer) -> list[Tensor]:
    if isinstance(match, Block):
        return [match.entry]
    tensors: list[Tensor] = []
    for call in layer.calls:
        sources = list(dict.fromkeys(call.main_tensors()))
        if len(sources) != 1:
            names = ", ".join(f"`{source.layer.path}`" for source in sources) or "none"
            context.refuse(
                "PC301",
                f"`{layer.path}` reads {len(sources)} tensors, from {names}",
                help="use `insert_after` on the one that is meant",
            )
        tensors += [source for source in sources if source not in tensors]
    return tensors


def _lint(context: Context, tensors: Sequence[Tensor], made: Sequence[Layer]) -> None:
    """A layer that learns from probabilities learns slowly: say so."""
    feature = feature_of(made[0])
    makes_features = feature is not None and not feature.startswith("input")
    for tensor in tensors:
        if makes_features and ends_in_softmax(tensor.layer):
            context.warn(
                "PC903",
                f"`{made[0].path}` reads the softmax of `{tensor.layer.path}`",
                help="replace the old head, or insert before it",
            )
