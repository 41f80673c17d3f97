"""`replace`: the selected layer or block gives way to new layers."""

from __future__ import annotations

from patchc.compiler.build import append_chain, layers_of, redirect
from patchc.compiler.context import Context
from patchc.compiler.fill import fill_new
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.language.patch import Element, LayerSpec, Replace
from patchc.model.graph import Graph, Layer, Tensor, flatten


def replace(context: Context, verb: Replace, match: Match) -> None:
    """Put a chain of new layers in the place of a layer or block.

    The last new layer keeps the name of what it replaces unless it sets one.

    Raises:
        PatchError: PC301 for an input or a layer with several outputs, or
            where several inputs would meet a layer that takes one, PC302
            where a consumer's weights cannot read the new shape.
    """
    old = match.layers if isinstance(match, Block) else (match,)
    last = match.last if isinstance(match, Block) else match
    graph = last.home
    assert graph is not None
    ends = replaced_tensors(context, match)
    graph.layers = [layer for layer in graph.layers if layer not in old]
    sources = [entry for entry, _ in ends]
    element = verb.chain[-1]
    keeps_name = not (isinstance(element, LayerSpec) and "name" in element.config)
    context.promised = last.name if keeps_name else None
    made_tensors, chain = append_chain(context, graph, verb.chain, sources)
    made = layers_of(chain)
    context.promised = None
    if not isinstance(match, Block):
        _take_arguments(context, match, verb.chain[0], made[0])
    redirect(graph, {exit_: new for (_, exit_), new in zip(ends, made_tensors, strict=True)})
    if keeps_name:
        final = made_tensors[0].layer
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
    single = all(call.outputs is not None and len(call.outputs) == 1 for call in layer.calls)
    reads = flatten(graph.outputs) if single else all_reads(graph)
    if any(t.layer is layer and t.index > 0 for t in reads):
        context.refuse(
            "PC301",
            f"several outputs of `{layer.path}` are in use",
            help="select a block that ends in one tensor",
        )


def all_reads(graph: Graph) -> list[Tensor]:
    """Every tensor that something in the graph reads, outputs included."""
    return [t for call in graph.calls() for t in call.tensors()] + flatten(graph.outputs)


_LIST_TAKERS = frozenset(
    {
        "Add",
        "AdditiveAttention",
        "Attention",
        "Average",
        "Concatenate",
        "Dot",
        "Maximum",
        "Minimum",
        "Multiply",
        "Subtract",
    }
)
"""Layers that are called on one list of tensors."""


def _take_arguments(context: Context, old: Layer, element: Element, first: Layer) -> None:
    """Where a layer with several inputs gives way, the first new layer takes them all."""
    fresh = isinstance(element, LayerSpec)
    alike = fresh and first.class_name == old.class_name and not old.is_operation
    for before, call in zip(old.calls, first.calls, strict=False):
        tensors = before.main_tensors()
        if alike:
            call.args, call.kwargs = list(before.args), dict(before.kwargs)
        elif fresh and first.class_name in _LIST_TAKERS:
            call.args = [tensors]
        elif len(set(tensors)) > 1:
            names = ", ".join(f"`{tensor.layer.path}`" for tensor in dict.fromkeys(tensors))
            context.refuse(
                "PC301",
                f"`{old.path}` joins {names}, and a {first.class_name} takes one input",
                help="begin with a layer that joins, such as Concatenate, or replace a `block`",
            )
