"""Settle: after each edit, make the graph a Keras model again and check it.

Drops what leads to no output, brings layers into Keras's order, works out the
shapes, and holds every weight against what its layer now needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from patchc.compiler.context import Context, graphs_below, shape_text
from patchc.compiler.outputs import follow_outputs
from patchc.layers.base import WeightSpec
from patchc.layers.infer import InferenceError, infer, storage_dtype, weight_specs
from patchc.model.graph import Call, Graph, Layer, Shape, Tensor, Weight, flatten
from patchc.model.order import CycleError, keras_order, reachable_calls
from patchc.model.values import Value

_FIRST_WITH_BARE_ENDS = (3, 6)
"""Keras from here on reads `input_layers: [x, 0, 0]`; before, only `[[x, 0, 0]]`."""


def settle(context: Context) -> None:
    """Bring the edited model back in order.

    Raises:
        PatchError: PC302 where shapes or weights do not fit, PC308 where an
            unknown class would have to follow, PC309 for a cycle.
    """
    for graph in graphs_below(context.root):
        _tidy(context, graph)
    settle_sizes(context)


def settle_sizes(context: Context) -> None:
    """The part of `settle` that is left where no connection has changed.

    Raises:
        PatchError: PC302 where shapes or weights do not fit, PC308 where an
            unknown class would have to follow.
    """
    assert context.root.graph is not None
    try:
        changed = infer(context.root.graph)
    except InferenceError as error:
        _refuse_inference(context, error)
    for call in changed:
        if call.layer.graph is not None:
            _check_nested_inputs(context, call, call.layer.graph)
    for layer in dict.fromkeys(call.layer for call in changed):
        layer.extra.pop("build_config", None)
        layer.config = _without_build(layer.config)
        if layer.graph is None and not layer.is_operation:
            _fit_weights(context, layer)
    follow_outputs(context)


def _check_nested_inputs(context: Context, call: Call, graph: Graph) -> None:
    """A nested model takes the shapes of its inputs alone, whatever its layers could take."""
    for given, inside in zip(call.tensors(), flatten(graph.inputs), strict=False):
        one, other = given.spec, inside.spec
        if one is not None and other is not None and not _compatible(one.shape, other.shape):
            context.refuse(
                "PC302",
                f"`{call.layer.path}` takes {shape_text(other.shape)},"
                f" and would get {shape_text(one.shape)}",
                help="keep the shape that the nested model reads, or change it inside too",
            )


def _compatible(one: Shape, other: Shape) -> bool:
    pairs = zip(one[1:], other[1:], strict=False)
    return len(one) == len(other) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _without_build(config: Any) -> Any:
    """A configuration without what Keras noted of the shapes that inner layers were built on."""
    if isinstance(config, Mapping):
        changed = {key: _without_build(v) for key, v in config.items() if key != "build_config"}
        return config if changed == config else changed
    if isinstance(config, list):
        changed_items = [_without_build(item) for item in config]
        return config if changed_items == config else changed_items
    return config


def _tidy(context: Context, graph: Graph) -> None:
    """Drop what leads nowhere, and sort."""
    if graph.sequential and not _is_chain(graph):
        _make_functional(context, graph)
    if graph.owner is context.root:
        _drop_inputs(context, graph)
    try:
        live = set(reachable_calls(graph))
        order = _chain(graph) if graph.sequential else keras_order(graph)
    except CycleError as error:
        context.refuse(
            "PC309",
            f"the edit would feed `{error}` back into itself",
            help="choose a layer further up the graph",
        )
    kept = set(order)
    lost = [layer for layer in graph.layers if layer not in kept]
    context.log_removed(lost, "leads to no output")
    graph.layers = order
    for layer in order:
        if not layer.is_input:
            layer.calls = [call for call in layer.calls if call in live]


def _drop_inputs(context: Context, graph: Graph) -> None:
    """Take away inputs of the root that an edit has cut off from all outputs."""
    live = {call.layer for call in reachable_calls(graph)}
    kept = [t for t in flatten(graph.inputs) if t.layer in live or t.layer in context.idle_inputs]
    gone = [tensor for tensor in flatten(graph.inputs) if tensor not in kept]
    if not gone or not kept:
        return
    if isinstance(graph.inputs, dict):
        graph.inputs = {k: t for k, t in graph.inputs.items() if t in kept}
    else:
        graph.inputs = kept
    for tensor in gone:
        context.log("input", tensor.layer.path, "input", None, "leads to no output")


# ------------------------------------------------------------------- Sequential


def _chain(graph: Graph) -> list[Layer]:
    """Layers of a chain from input to output; stops where it is no chain."""
    order: dict[Layer, None] = {}
    output = graph.outputs
    while isinstance(output, Tensor) and output.layer not in order:
        order[output.layer] = None
        sources = output.call.tensors()
        output = sources[0] if len(sources) == 1 and output.call.args == sources else None
    return list(reversed(order))


def _is_chain(graph: Graph) -> bool:
    order = _chain(graph)
    reaches_input = bool(order) and order[0].is_input
    plain = all(
        len(layer.calls) == 1 and not layer.calls[0].kwargs and not layer.is_operation
        for layer in order
    )
    single = all(layer.graph is None or len(flatten(layer.graph.outputs)) == 1 for layer in order)
    live = {call.layer for call in reachable_calls(graph)}
    return reaches_input and plain and single and live == set(order)


def _make_functional(context: Context, graph: Graph) -> None:
    """Turn a Sequential that is no longer a chain into a Functional of the same name."""
    owner = graph.owner
    graph.sequential = graph.implicit_input = False
    if _wants_lists(context.document.keras_version):
        ends = graph.inputs, graph.outputs
        graph.inputs, graph.outputs = ([end] if isinstance(end, Tensor) else end for end in ends)
    context.log(
        "set",
        owner.path if owner.home else "",
        {"class": "Sequential"},
        {"class": "Functional"},
        "is no longer a chain",
    )
    owner.class_name = owner.registered_name = "Functional"
    owner.module = "keras.src.models.functional"
    owner.config = {"name": owner.name, "layers": None, "input_layers": None, "output_layers": None}
    owner.extra.pop("build_config", None)


def _wants_lists(keras_version: str) -> bool:
    """Whether that Keras reads a Functional's single input or output from a list only."""
    found = re.match(r"(\d+)\.(\d+)", keras_version)
    return found is not None and (int(found[1]), int(found[2])) < _FIRST_WITH_BARE_ENDS


# ---------------------------------------------------------------------- weights


def _fit_weights(context: Context, layer: Layer) -> None:
    """Give a new layer its weights; check those of an old one against its input."""
    if layer.alias_of is not None or layer.is_input:
        return
    try:
        specs, groups = weight_specs(layer)
    except InferenceError as error:
        if layer.opaque is None:
            _refuse_inference(context, error)
        _check_opaque(context, layer)
        return
    if layer.origin is None:
        layer.groups = tuple(groups)
    present = {weight.name: weight for weight in layer.weights}
    for spec in specs:
        if spec.name in present and present[spec.name].shape != spec.shape:
            _refuse_shape(context, layer, present[spec.name], spec)
    wanted = {spec.name for spec in specs}
    for name, weight in present.items():
        if name not in wanted:
            context.log("drop", f"{layer.path}/{name}", list(weight.shape), None)
    layer.weights = [present.get(spec.name) or new_weight(context, layer, spec) for spec in specs]
    for weight, spec in zip(layer.weights, specs, strict=True):
        weight.slot, weight.axes = spec.slot, spec.axes


def new_weight(context: Context, layer: Layer, spec: WeightSpec) -> Weight:
    """A weight that the layer's own initialiser fills."""
    value = Value(init=spec.initializer, seed=seed_text(context, layer, spec.twin or spec.name))
    if layer.origin is not None:
        context.log("initialise", f"{layer.path}/{spec.name}", None, list(spec.shape))
    return Weight(
        name=spec.name,
        slot=spec.slot,
        shape=spec.shape,
        dtype=storage_dtype(layer, spec),
        trainable=spec.trainable,
        value=value,
        axes=spec.axes,
        initializer=spec.initializer,
        twin=spec.twin,
    )


def seed_text(context: Context, layer: Layer, name: str) -> str:
    """What new values are derived from: the patch's seed or id, and the weight's path."""
    patch = context.patch
    start = patch.id if patch.seed is None else str(patch.seed)
    return f"{start}:{layer.path}/{name}"


def _check_opaque(context: Context, layer: Layer) -> None:
    """A layer without a rule may stay only where its input is as it was."""
    if layer.weights and layer in context.inputs_before:
        now = [tensor.spec for call in layer.calls for tensor in call.tensors()]
        if now != context.inputs_before[layer]:
            context.refuse(
                "PC308",
                f"the input of `{layer.path}` would change, and patchc does not look"
                f" inside it: {layer.opaque}",
                help="keep the shape that it reads, or replace it too",
            )


def _refuse_shape(context: Context, layer: Layer, weight: Weight, spec: WeightSpec) -> None:
    reads = _first_input(layer.calls[0])
    context.refuse(
        "PC302",
        f"`{layer.path}` cannot read {reads}: its {weight.name} is {shape_text(weight.shape)}"
        f" and would have to be {shape_text(spec.shape)}",
        help=f"replace the layers up to `{layer.name}` together with a `block`,"
        " or grow the trained layer with `expand`",
    )


def _first_input(call: Call) -> str:
    tensors = call.tensors()
    spec = tensors[0].spec if tensors else None
    return shape_text(spec.shape) if spec is not None else "its input"


def _refuse_inference(context: Context, error: InferenceError) -> None:
    layer = error.layer
    shapes = ", ".join(
        shape_text(tensor.spec.shape)
        for tensor in (layer.calls[0].tensors() if layer.calls else [])
        if tensor.spec is not None
    )
    given = f" (its input is {shapes})" if shapes else ""
    code = "PC302" if error.known else "PC308"
    context.refuse(
        code,
        f"`{layer.path}` ({layer.class_name}) does not fit: {error}{given}",
        help="change the layers that lead to it, or replace it too",
    )
