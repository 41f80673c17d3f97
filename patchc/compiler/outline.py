"""Outline: models, patches and edits in the few words that a plan needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from patchc.compiler.plan import EditLabel, Outline, PatchLabel
from patchc.compiler.select import named_ends
from patchc.errors import Span
from patchc.language.patch import Patch
from patchc.model.document import structure_hash
from patchc.model.graph import Layer, walk


def outline(root: Layer) -> Outline:
    """A model in outline."""
    assert root.graph is not None
    return Outline(classes(root), ends(root.graph.outputs), structure_hash(root))


def classes(root: Layer) -> dict[str, str]:
    """Class of each layer by path, in the order of `model.layers`."""
    return {layer.path: layer.class_name for layer in walk(root)}


def ends(structure: Any) -> tuple[dict[str, Any], ...]:
    """Name and shape of each input or output."""
    return tuple(
        {"name": name, "shape": list(tensor.spec.shape) if tensor.spec else None}
        for name, tensor in named_ends(structure)
    )


def patch_label(patch: Patch) -> PatchLabel:
    """Which patch a plan comes from."""
    return PatchLabel(
        id=patch.id,
        sha256=patch.sha256,
        file=patch.source.name,
        description=patch.description,
        text=patch.text,
        params=patch.params,
        seed=patch.seed,
    )


def spans_of(patch: Patch) -> Iterator[Span]:
    """Where what `labels_of` tells of stands."""
    yield from (edit.span for edit in patch.edits)
    if patch.compile is not None:
        yield patch.spans["compile"]


def labels_of(patch: Patch) -> Iterator[EditLabel]:
    """Which edits of a patch operations come from; its `compile` counts as the last one."""
    for edit in patch.edits:
        text = f"edits[{edit.index}] {edit.verb_name}"
        yield EditLabel(patch.id, text, patch.source.name, edit.span.line, edit.why)
    if patch.compile is not None:
        span = patch.spans["compile"]
        yield EditLabel(patch.id, "compile", patch.source.name, span.line, None)
