"""Build: new layers from what a patch says of them, and their place in the graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from patchc.compiler.context import Context
from patchc.compiler.region import Block
from patchc.compiler.select import Selecting
from patchc.language.patch import CopyOf, Element, LayerSpec, Residual
from patchc.layers.arguments import check_config
from patchc.layers.infer import rule_of
from patchc.layers.registry import home_of, rule_by_name
from patchc.model.graph import Call, Graph, Layer, Tensor, Weight, map_tensors


@dataclass(frozen=True, slots=True)
class Made:
    """What one element of a chain became.

    Args:
        element: as the patch says it.
        layers: all new layers, in order.
        inside: of a `residual`, what its chain became; the addition is the last of `layers`.
    """

    element: Element
    layers: tuple[Layer, ...]
    inside: tuple[Made, ...] = ()


def layers_of(made: Iterable[Made]) -> list[Layer]:
    """All layers of a chain, in order."""
    return [layer for one in made for layer in one.layers]


def append_chain(
    context: Context, graph: Graph, chain: Sequence[Element], tensors: Sequence[Tensor]
) -> tuple[list[Tensor], list[Made]]:
    """Build a chain of new layers behind some tensors.

    Args:
        tensors: where the chain starts; with several, each new layer is called
            once on each (a shared layer stays shared).

    Returns:
        What comes out for each tensor, and what was made, in order.

    Raises:
        PatchError: PC303, PC304 or PC308 for a layer that cannot be built.
    """
    made: list[Made] = []
    current = list(tensors)
    for element in chain:
        if isinstance(element, LayerSpec):
            layer = new_layer(context, graph, element)
            rule = rule_of(layer)
            assert rule is not None, "told by `new_layer_problems` before any edit is compiled"
            current = [Tensor(layer.call(rule.on_one(tensor))) for tensor in current]
            made.append(Made(element, (layer,)))
        elif isinstance(element, Residual):
            ends, inside = append_chain(context, graph, element.chain, current)
            add = place(
                graph, Layer(context.automatic_name("Add"), "Add", "keras.layers", None, {})
            )
            add.config = {"name": add.name}
            pairs = zip(current, ends, strict=True)
            current = [Tensor(add.call([[skip, branch]])) for skip, branch in pairs]
            made.append(Made(element, (*layers_of(inside), add), tuple(inside)))
        else:
            current, copies = _append_copy(context, graph, element, current)
            made.append(Made(element, tuple(copies)))
    return current, made


def new_layer(
    context: Context, graph: Graph, spec: LayerSpec, *, leaving: Sequence[Layer] = ()
) -> Layer:
    """Build one layer and put it into a graph, not yet connected.

    Its configuration holds the user's keys and a name, nothing else, so that
    every Keras 3 opens it.

    Args:
        leaving: layers that give way, whose names are free.
    """
    rule = rule_by_name(spec.class_name)
    assert rule is not None, "told by `new_layer_problems` before any edit is compiled"
    checked = check_config(rule, spec.config)
    name = checked.config.get("name")
    if name is None:
        name = context.automatic_name(rule.class_name)
    else:
        context.check_name(name, spec.spans.get("name", spec.span), leaving=leaving)
    config = {"name": name, **{k: v for k, v in checked.config.items() if k != "name"}}
    home = home_of(spec.class_name)
    made = Layer(name, home.class_name, home.module, home.registered_name, config)
    return place(graph, made)


def place(graph: Graph, layer: Layer) -> Layer:
    """Put a layer into a graph."""
    layer.home = graph
    graph.layers.append(layer)
    return layer


def redirect(graph: Graph, change: dict[Tensor, Tensor], *, leave: Sequence[Call] = ()) -> None:
    """Let everything that reads a tensor read another one, model outputs included.

    Args:
        change: old tensor -> new tensor.
        leave: calls that go on reading the old one.
    """
    left = set(leave)
    for call in graph.calls():
        if call not in left and any(tensor in change for tensor in call.tensors()):
            call.substitute(lambda tensor: change.get(tensor, tensor))
    redirect_ends(graph, change)


def redirect_ends(graph: Graph, change: dict[Tensor, Tensor]) -> None:
    """The same for the model's outputs alone."""
    graph.outputs = map_tensors(lambda tensor: change.get(tensor, tensor), graph.outputs)


def follow_input_shape(layer: Layer, shape: Sequence[int | None]) -> None:
    """Write an input's new shape where a Sequential keeps a note of it."""
    graph = layer.home
    if graph is not None and graph.sequential and "build_input_shape" in graph.owner.config:
        graph.owner.config = {**graph.owner.config, "build_input_shape": list(shape)}
        graph.owner.extra.pop("build_config", None)


# ------------------------------------------------------------------------ copies


def _append_copy(
    context: Context, graph: Graph, element: CopyOf, tensors: Sequence[Tensor]
) -> tuple[list[Tensor], list[Layer]]:
    """Copies of a layer or block with its weights, fed by `tensors`."""
    matches = Selecting(context.root).select(element.selector).matches
    if len(matches) != 1:
        context.refuse(
            "PC202",
            f"`copy_of` picks {len(matches)} layers, one is needed",
            span=element.span,
            help="select one layer, or a block",
        )
    match = matches[0]
    originals = match.layers if isinstance(match, Block) else (match,)
    for layer in originals:
        _check_copyable(context, element, layer, match)
    copies = {layer: _copy(context, graph, layer) for layer in originals}
    out: list[Tensor] = []
    for tensor in tensors:
        entry = match.entry if isinstance(match, Block) else match.calls[0].tensors()[0]
        out.append(_wire_copy(match, copies, {entry: tensor}))
    return out, list(copies.values())


def _check_copyable(context: Context, element: CopyOf, layer: Layer, match: Layer | Block) -> None:
    single = isinstance(match, Block) or len(set(match.calls[0].main_tensors())) == 1
    reason = "is a nested model" if layer.graph is not None else "is not called on one tensor"
    adapted = bool(layer.config.get("lora_rank"))
    if adapted:
        reason = "carries a LoRA adapter"
    if adapted or layer.graph is not None or len(layer.calls) != 1 or not single or layer.is_input:
        context.refuse(
            "PC301",
            f"`{layer.path}` cannot be copied: it {reason}",
            span=element.span,
            help="copy a layer that is called once",
        )


def _copy(context: Context, graph: Graph, layer: Layer) -> Layer:
    name = context.free_name(layer.name)
    extra = {k: v for k, v in layer.extra.items() if k != "shared_object_id"}
    copied = place(
        graph,
        Layer(
            name,
            layer.class_name,
            layer.module,
            layer.registered_name,
            {**layer.config, "name": name},
            extra=extra,
            groups=layer.groups,
            opaque=layer.opaque,
        ),
    )
    context.copies[copied] = layer.path
    reads = [tensor.spec for call in layer.calls for tensor in call.tensors()]
    context.inputs_before[copied] = context.inputs_before.get(layer, reads)
    copied.weights = [_copied_weight(weight) for weight in layer.weights]
    return copied


def _copied_weight(weight: Weight) -> Weight:
    return replace(weight, value=replace(weight.value, copied=weight.value.base is not None))


def _wire_copy(
    match: Layer | Block, copies: dict[Layer, Layer], known: dict[Tensor, Tensor]
) -> Tensor:
    """Call the copies as the originals are called; returns what comes out."""

    def renewed(tensor: Tensor) -> Tensor:
        return known.get(tensor, tensor)

    pending = [call for layer in copies for call in layer.calls]
    while pending:
        ready = [
            c for c in pending if all(t in known or t.layer not in copies for t in c.tensors())
        ]
        for call in ready:
            made = copies[call.layer].call(list(call.args), dict(call.kwargs))
            made.substitute(renewed)
            made.outputs = list(call.outputs) if call.outputs else None
            made.seen = call.seen  # they hold as long as it reads the same as the original
            count = len(call.outputs or [None])
            known.update({Tensor(call, i): Tensor(made, i) for i in range(count)})
        pending = [call for call in pending if call not in ready]
    return known[match.exit if isinstance(match, Block) else Tensor(match.calls[0])]
