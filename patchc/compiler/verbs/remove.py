"""`remove`: layers go, and what they read is joined to what read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchc.compiler.build import redirect
from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.compiler.verbs.replace import replaced_tensors
from patchc.model.graph import Graph, Layer, Tensor, flatten


def remove(context: Context, matches: Sequence[Match]) -> None:
    """Take layers or a block out, all at once: only what is left in the end has to fit.

    Raises:
        PatchError: PC301 for inputs and layers that join several tensors,
            PC302 where the shapes do not fit, PC309 where nothing would be left.
    """
    change: dict[Tensor, Tensor] = {}
    old: dict[Layer, None] = {}
    for match in matches:
        if not isinstance(match, Block):
            _check_single_input(context, match, change)
        for entry, exit_ in replaced_tensors(context, match):
            change[exit_] = _what_is_left(entry, change)
        old |= dict.fromkeys(match.layers if isinstance(match, Block) else (match,))
    final = {exit_: _what_is_left(entry, change) for exit_, entry in change.items()}
    for graph in dict.fromkeys(layer.home for layer in old):
        assert graph is not None
        graph.layers = [layer for layer in graph.layers if layer not in old]
        redirect(graph, final)
        _check_something_left(context, graph)
    context.log_removed(old)
    settle(context)


def _what_is_left(tensor: Tensor, change: Mapping[Tensor, Tensor]) -> Tensor:
    """What stands in the place of a tensor once the layers behind it are gone."""
    while tensor in change:
        tensor = change[tensor]
    return tensor


def _check_something_left(context: Context, graph: Graph) -> None:
    if all(tensor.layer.is_input for tensor in flatten(graph.outputs)):
        context.refuse(
            "PC309",
            f"nothing of `{graph.owner.name}` would be left",
            help="keep at least one layer",
        )


def _check_single_input(context: Context, layer: Layer, change: Mapping[Tensor, Tensor]) -> None:
    for call in layer.calls:
        sources = {_what_is_left(tensor, change) for tensor in call.main_tensors()}
        if len(sources) > 1:
            names = ", ".join(sorted(f"`{source.layer.path}`" for source in sources))
            context.refuse(
                "PC301",
                f"`{layer.path}` joins {len(sources)} tensors: {names}",
                help="remove a `block` that ends in it",
            )
