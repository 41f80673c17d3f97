"""A model as text: what `patchc inspect` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from patchc.report.paint import PLAIN, Paint
from patchc.report.safe import padded, safe
from patchc.report.words import counted, ends_text, table, tensor_shape

if TYPE_CHECKING:
    from patchc.inspect import Inspection, LayerFacts, ModelFacts, SelectionFacts

_HEADINGS = ("layer", "class", "output shape", "params", "trains")
_PARAMS_COLUMN = 3


def inspection_text(found: Inspection, paint: Paint = PLAIN) -> str:
    """The table of layers with totals, or what a selector picks and why."""
    if found.selection is not None:
        return "\n".join(_selection(found.model, found.selection, paint))
    model = found.model
    parts = (_header(model, paint), _layers(model, paint), _totals(model, paint))
    return "\n\n".join("\n".join(part) for part in parts)


def _header(model: ModelFacts, paint: Paint) -> Iterator[str]:
    written = f"  written by Keras {safe(model.keras_version)}" if model.keras_version else ""
    size = f"{safe(model.path)}, {counted(model.size, 'byte')}"
    name = paint.bold(safe(model.name))
    yield f"{name}  {safe(model.class_name)}  {size}{written}"


def _layers(model: ModelFacts, paint: Paint) -> Iterator[str]:
    rows = [_HEADINGS, *(_row(layer) for layer in model.layers)]
    heading, *lines = table(rows, right=frozenset({_PARAMS_COLUMN}))
    yield paint.bold(heading)
    yield from lines


def _row(layer: LayerFacts) -> tuple[str, ...]:
    trains = {None: "", True: "yes", False: "no"}[layer.trainable]
    notes = [f"called {layer.calls} times"] if layer.calls > 1 else []
    if layer.shared_with is not None:
        notes.append(f"shared with {safe(layer.shared_with)}")
    if layer.opaque is not None:
        notes.append("opaque")
    return (
        f"{'  ' * layer.depth}{safe(layer.name)}",
        safe(layer.class_name),
        shapes_text(layer),
        f"{layer.params:,}",
        "  ".join([padded(trains, 3), ", ".join(notes)]).rstrip(),
    )


def shapes_text(layer: LayerFacts) -> str:
    """The output shape of a layer, `?` where it is not known."""
    if layer.output_shapes is None:
        return "?"
    return " ".join(map(tensor_shape, layer.output_shapes))


def _totals(model: ModelFacts, paint: Paint) -> Iterator[str]:
    frozen = model.params - model.trainable_params
    rows = [
        ("Layers", f"{len(model.layers):,}"),
        ("Params", f"{model.params:,}, {model.trainable_params:,} train, {frozen:,} do not"),
        ("Inputs", ends_text(model.inputs) or "not known"),
        ("Outputs", ends_text(model.outputs) or "not known"),
    ]
    if model.optimizer_variables:
        rows.append(("Optimizer", counted(model.optimizer_variables, "variable")))
    rows.append(("Structure", model.structure))
    for name, text in rows:
        yield f"{paint.bold(padded(name, 11))}{text}"


# ------------------------------------------------------------------------ selection


def _selection(model: ModelFacts, selection: SelectionFacts, paint: Paint) -> Iterator[str]:
    picked = set(selection.picked)
    rows = [
        ("*", safe(layer.path), safe(layer.class_name), shapes_text(layer))
        if layer.path in picked
        else ("", safe(layer.path), safe(layer.class_name), safe(selection.rejected[layer.path]))
        for layer in model.layers
    ]
    for line in table(rows):
        yield paint.green(line) if line.startswith("*") else line
    count = f"{len(picked):,} of {counted(len(model.layers), 'layer')}"
    yield ""
    yield paint.bold(f"{safe(selection.selector)} picks {count}.")
