"""`remove`: layers go, and what they read is joined to what read them."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.build import redirect
from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.compiler.verbs.replace import replaced_tensors
from patchc.model.graph import Layer, flatten


def remove(context: Context, matches: Sequence[Match]) -> None:
    """Take layers or a block out, all at once: only what is left in the end has to fit.

    Raises:
        PatchError: PC301 for inputs and layers that join several tensors,
            PC302 where the shapes do not fit, PC309 where nothing would be left.
    """
    for match in matches:
        _take_out(context, match)
    settle(context)


def _take_out(context: Context, match: Match) -> None:
    old = match.layers if isinstance(match, Block) else (match,)
    graph = old[0].home
    assert graph is not None
    if not isinstance(match, Block):
        _check_single_input(context, match)
    change = {exit_: entry for entry, exit_ in replaced_tensors(context, match)}
    for exit_ in list(change):  # a layer that is called on its own result
        while (entry := change[exit_]) in change:
            change[exit_] = change[entry]
    graph.layers = [layer for layer in graph.layers if layer not in old]
    redirect(graph, change)
    if all(tensor.layer.is_input for tensor in flatten(graph.outputs)):
        context.refuse(
            "PC309",
            f"nothing of `{graph.owner.name}` would be left",
            help="keep at least one layer",
        )
    context.log_removed(old)


def _check_single_input(context: Context, layer: Layer) -> None:
    for call in layer.calls:
        sources = set(call.main_tensors())
        if len(sources) > 1:
            names = ", ".join(sorted(f"`{source.layer.path}`" for source in sources))
            context.refuse(
                "PC301",
                f"`{layer.path}` joins {len(sources)} tensors: {names}",
                help="remove a `block` that ends in it",
            )
