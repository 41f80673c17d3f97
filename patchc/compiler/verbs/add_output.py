"""`add_output`: a further output, exposed as it is or through a new branch."""

from __future__ import annotations

from patchc.compiler.build import append_chain, layers_of
from patchc.compiler.context import Context
from patchc.compiler.expose import exposed, selected_tensor
from patchc.compiler.fill import fill_new
from patchc.compiler.outputs import carry_training, output_names
from patchc.compiler.select import Match
from patchc.compiler.settle import settle
from patchc.language.patch import AddOutput
from patchc.model.graph import Graph, Tensor, flatten


def add_output(context: Context, verb: AddOutput, match: Match) -> None:
    """Append an output to the model.

    One output becomes a list of two, a list grows by one, a dict gets a key:
    the name of the layer that makes the output.

    Raises:
        PatchError: PC301 for a layer called several times without `call`,
            PC309 where the tensor is an output already, PC304 where its key is taken.
    """
    graph = context.root.graph
    assert graph is not None
    tensor = exposed(context, selected_tensor(context, match, verb.call))
    made_tensors, chain = append_chain(context, graph, verb.chain, [tensor])
    made = layers_of(chain)
    output = made_tensors[0]
    if output in flatten(graph.outputs):
        context.refuse(
            "PC309",
            f"`{output.layer.path}` makes an output already",
            help="give `add_output` a layer, or select another tensor",
        )
    before = output_names(context.root)
    if isinstance(graph.outputs, dict) and output.layer.name in graph.outputs:
        context.refuse(
            "PC304",
            f"the model has an output `{output.layer.name}` already",
            help="give the last new layer another `name`",
        )
    _append(graph, output)
    context.output_names = after = output_names(context.root)
    settle(context)
    fill_new(context, context.edit.init, made)
    context.log_added(made)
    context.log("output", output.layer.path, None, "output", "appended to the outputs")
    carry_training(context, before, dict(zip(after, before, strict=False)))


def _append(graph: Graph, output: Tensor) -> None:
    if isinstance(graph.outputs, dict):
        graph.outputs = {**graph.outputs, output.layer.name: output}
    elif isinstance(graph.outputs, list):
        graph.outputs = [*graph.outputs, output]
    else:
        graph.outputs = [graph.outputs, output]
