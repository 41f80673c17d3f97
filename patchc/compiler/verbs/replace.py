"""`replace`: the selected layer or block gives way to new layers."""

from __future__ import annotations

from patchc.compiler.build import append_chain, redirect
from patchc.compiler.context import Context
from patchc.compiler.fill import fill_new
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.language.patch import LayerSpec, Replace
from patchc.model.graph import Graph, Layer, Tensor, flatten


def replace(context: Context, verb: Replace, match: Match) -> None:
    """Put a chain of new layers in the place of a layer or block.

    The last new layer keeps the name of what it replaces unless it sets one.

    Raises:
        PatchError: PC301 for an input or a layer with several outputs, PC302
            where a consumer's weights cannot read the new shape.
    """
    old = match.layers if isinstance(match, Block) else (match,)
    last = match.last if isinstance(match, Block) else match
    graph = last.home
    assert graph is not None
    ends = replaced_tensors(context, match)
    graph.layers = [layer for layer in graph.layers if layer not in old]
    sources = [entry for entry, _ in ends]
    made_tensors, made = append_chain(context, graph, verb.chain, sources)
    _take_arguments(match, made[0])
    redirect(graph, {exit_: new for (_, exit_), new in zip(ends, made_tensors, strict=True)})
    final = made_tensors[0].layer
    element = verb.chain[-1]
    if not (isinstance(element, LayerSpec) and "name" in element.config):
        final.name = last.name
        final.config = {**final.config, "name": last.name}
    settle(context)
    fill_new(context, context.edit.init, made, replaced=old)
    context.log_removed(old, "gives way")
    context.log_added(made)


def replaced_tensors(context: Context, match: Match) -> list[tuple[Tensor, Tensor]]:
    """What enters and what leaves, once for each call of the layer.

    Raises:
        PatchError: PC301 where the layer is an input, or gives several tensors.
    """
    if isinstance(match, Block):
        return [(match.entry, match.exit)]
    if match.is_input:
        context.refuse(
            "PC301",
            f"`{match.path}` is an input: it is neither removed nor replaced",
            help="select the layer behind it, or change its shape with `set`",
        )
    _only_first_output(context, match)
    return [(call.tensors()[0], Tensor(call)) for call in match.calls if call.tensors()]


def _only_first_output(context: Context, layer: Layer) -> None:
    graph = layer.home
    assert graph is not None
    if any(t.layer is layer and t.index > 0 for t in all_reads(graph)):
        context.refuse(
            "PC301",
            f"several outputs of `{layer.path}` are in use",
            help="select a block that ends in one tensor",
        )


def all_reads(graph: Graph) -> list[Tensor]:
    """Every tensor that something in the graph reads, outputs included."""
    return [t for call in graph.calls() for t in call.tensors()] + flatten(graph.outputs)


def _take_arguments(match: Match, first: Layer) -> None:
    """Where a layer with several inputs gives way, the first new layer takes them all."""
    if isinstance(match, Block):
        return
    for old, new in zip(match.calls, first.calls, strict=False):
        if len(old.tensors()) > 1:
            new.args, new.kwargs = list(old.args), dict(old.kwargs)
