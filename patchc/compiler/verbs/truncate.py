"""`truncate`: the selected layers become the model's outputs."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.context import Context
from patchc.compiler.expose import exposed, selected_tensor
from patchc.compiler.outputs import carry_training, output_names
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.language.patch import Truncate
from patchc.model.graph import flatten


def truncate(context: Context, verb: Truncate, matches: Sequence[Match]) -> None:
    """Make the selected layers the outputs, and drop what leads to no output any more.

    Raises:
        PatchError: PC301 for a layer called several times without `call`.
    """
    graph = context.root.graph
    assert graph is not None
    tensors = [exposed(context, selected_tensor(context, match, verb.call)) for match in matches]
    if tensors == flatten(graph.outputs):
        return
    before = output_names(context.root)
    old = dict(zip(flatten(graph.outputs), before, strict=True))
    graph.outputs = tensors[0] if len(tensors) == 1 else tensors
    context.output_names = after = output_names(context.root)
    origins = {name: old[t] for name, t in zip(after, tensors, strict=True) if t in old}
    for tensor in tensors:
        context.log("output", tensor.layer.path, None, "output", "becomes the output")
    settle(context)
    carry_training(context, before, origins)
