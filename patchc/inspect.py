"""Inspect: what is inside a model file, and what a selector picks there and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from patchc.compiler.ledger import parameter_counts
from patchc.compiler.plan import FORMAT_VERSION
from patchc.compiler.select import Selecting, named_ends, no_match
from patchc.errors import Diagnostic, PatchError
from patchc.language.selector import load_selector
from patchc.layers.freezing import trains
from patchc.model.document import Document, structure_hash
from patchc.model.graph import Layer, Shape, walk
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model

if TYPE_CHECKING:
    from patchc.language.patch import Selector

Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """One weight of a layer.

    Args:
        trainable: whether it trains once Keras has loaded the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One layer, nested model, operation or input.

    Args:
        depth: number of models that it stands in, below the root.
        output_shapes: of its first call; None where they are not known.
        calls: how often it is called.
        trainable: whether a weight in it trains; None where it has no weights.
        params: of it and of all inside it.
        opaque: why patchc does not look inside it, None where it does.
        shared_with: path of the same layer, where two models share it.
    """

    path: str
    name: str
    class_name: str
    depth: int
    output_shapes: tuple[Shape, ...] | None
    calls: int
    params: int
    trainable: bool | None
    weights: tuple[WeightFacts, ...]
    opaque: str | None
    shared_with: str | None

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON."""
        shapes = self.output_shapes
        return {
            "path": self.path,
            "class": self.class_name,
            "output_shapes": None if shapes is None else [list(shape) for shape in shapes],
            "calls": self.calls,
            "params": self.params,
            "trainable": self.trainable,
            "weights": [
                {"name": w.name, "shape": list(w.shape), "dtype": w.dtype, "trainable": w.trainable}
                for w in self.weights
            ],
            "opaque": self.opaque,
            "shared_with": self.shared_with,
        }


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is inside a model file.

    Args:
        path: of the file.
        keras_version: of the Keras that wrote it, as the file says.
        layers: in the order of `model.layers`, a nested model's behind it.
        params, trainable_params: numbers of parameters.
        optimizer_variables: number of variables that the stored optimizer has.
        structure: hash, as `expect: {structure: ...}` takes it.
    """

    path: str
    name: str
    class_name: str
    keras_version: str
    size: int
    layers: tuple[LayerFacts, ...]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    params: int
    trainable_params: int
    optimizer_variables: int
    structure: str

    def to_dict(self) -> dict[str, Any]:
        """The model as JSON."""
        return {
            "path": self.path,
            "name": self.name,
            "class": self.class_name,
            "keras_version": self.keras_version,
            "bytes": self.size,
            "layers": [layer.to_dict() for layer in self.layers],
            "inputs": [dict(end) for end in self.inputs],
            "outputs": [dict(end) for end in self.outputs],
            "params": {"total": self.params, "trainable": self.trainable_params},
            "optimizer_variables": self.optimizer_variables,
            "structure": self.structure,
        }


@dataclass(frozen=True, slots=True)
class SelectionFacts:
    """What a selector picks.

    Args:
        selector: as the user wrote it.
        picked: paths, in the order of `model.layers`.
        rejected: why each other layer is not picked, by path.
    """

    selector: str
    picked: tuple[str, ...]
    rejected: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The selection as JSON."""
        return {
            "selector": self.selector,
            "picked": list(self.picked),
            "rejected": dict(self.rejected),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """A model, and what a selector picks in it.

    Args:
        selection: None where no selector was given.
        diagnostics: what is near, where the selector picks nothing.
    """

    model: ModelFacts
    selection: SelectionFacts | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the selector, if there is one, picks something."""
        return not self.diagnostics

    def to_dict(self) -> dict[str, Any]:
        """The inspection as JSON (`schemas/report.v1.schema.json`)."""
        return {
            "format_version": FORMAT_VERSION,
            "command": "inspect",
            "ok": self.ok,
            "model": self.model.to_dict(),
            "selection": self.selection.to_dict() if self.selection else None,
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
        }


def inspect_file(model: Path, select: str | None = None) -> Inspection:
    """Look into a model file; reads its headers, not its weights.

    Args:
        model: path of a model file.
        select: a selector, YAML in one line.

    Raises:
        PatchError: the file or the selector is not understood.
    """
    selector = load_selector(select, "--select") if select is not None else None
    with open_model(model) as source:
        document = source.document()
        facts = _model_facts(source, document)
    if select is None or selector is None:
        return Inspection(facts)
    return _selected(facts, document.root, select, selector)


# ---------------------------------------------------------------------------- model


def _model_facts(source: KerasFile, document: Document) -> ModelFacts:
    root = document.root
    total, trainable = parameter_counts(root)
    graph = root.graph
    return ModelFacts(
        path=source.file.path,
        name=root.name,
        class_name=root.class_name,
        keras_version=source.keras_version,
        size=source.whole.size,
        layers=tuple(_layer_facts(layer, root) for layer in walk(root)),
        inputs=_ends(graph.inputs) if graph else (),
        outputs=_ends(graph.outputs) if graph else (),
        params=total,
        trainable_params=trainable,
        optimizer_variables=len(document.optimizer),
        structure=structure_hash(root),
    )


def _ends(structure: Any) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"name": name, "shape": list(tensor.spec.shape) if tensor.spec else None}
        for name, tensor in named_ends(structure)
    )


def _layer_facts(layer: Layer, root: Layer) -> LayerFacts:
    below = [layer, *walk(layer)] if layer.graph is not None else [layer]
    sizes = [weight.size for inner in below for weight in inner.weights]
    outputs = layer.calls[0].outputs if layer.calls else None
    does = trains(layer, root)
    return LayerFacts(
        path=layer.path,
        name=layer.name,
        class_name=layer.class_name,
        depth=_depth(layer),
        output_shapes=None if outputs is None else tuple(spec.shape for spec in outputs),
        calls=len(layer.calls),
        params=sum(sizes),
        trainable=does if sizes else None,
        weights=tuple(
            WeightFacts(w.name, w.shape, w.dtype, w.trainable and does) for w in layer.weights
        ),
        opaque=layer.opaque,
        shared_with=layer.alias_of.path if layer.alias_of else None,
    )


def _depth(layer: Layer) -> int:
    """Number of models below the root that it stands in: a name of Keras 2 may hold a slash."""
    owner = layer.home.owner if layer.home is not None else layer
    return 0 if owner.home is None else 1 + _depth(owner)


# ------------------------------------------------------------------------ selection


def _selected(facts: ModelFacts, root: Layer, text: str, selector: Selector) -> Inspection:
    if root.graph is None:
        message = f"the model is a {root.class_name}: its layers cannot be told from the file"
        help_text = "a selector needs a Functional or Sequential model"
        raise PatchError(Diagnostic("PC308", message, file=facts.path, help=help_text))
    selecting = Selecting(root)
    selection = selecting.select(selector)
    picked = tuple(layer.path for layer in selection.layers)
    reasons = {layer.path: reason for layer, reason in selection.rejected.items()}
    chosen = set(picked)
    rejected = {
        layer.path: reasons.get(layer.path, "not in the block")
        for layer in facts.layers
        if layer.path not in chosen
    }
    missed = () if picked else (no_match(selecting, selector),)
    return Inspection(facts, SelectionFacts(text, picked, rejected), missed)
