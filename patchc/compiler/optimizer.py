"""Optimizer: what becomes of its stored state.

Keras stores an optimizer's variables by position, in the order of
`model.trainable_variables`, and loads them by position too.  The state can
stay as long as that list stays; until slots are carried one by one, a patch
that changes the list drops the state, and says so.
"""

from __future__ import annotations

from patchc.compiler.plan import OptimizerChange
from patchc.layers.freezing import trains
from patchc.model.document import Document
from patchc.model.graph import Layer, walk

Slots = list[tuple[str | None, tuple[int, ...]]]


def trainable_list(root: Layer) -> Slots:
    """Origin and shape of each trainable weight, in Keras's order."""
    return [
        (weight.value.base if not weight.value.growths else None, weight.shape)
        for layer in [root, *walk(root)]
        if layer.graph is None and layer.alias_of is None and trains(layer, root)
        for weight in layer.weights
        if weight.trainable
    ]


def optimizer_change(document: Document, before: Slots) -> OptimizerChange:
    """Keep the stored state, or say why it cannot be kept."""
    stored = document.optimizer
    if not stored:
        return OptimizerChange()
    if trainable_list(document.root) == before:
        return OptimizerChange(kept=stored)
    reason = "the list of trainable weights changes, and the state is stored by position in it"
    return OptimizerChange(dropped=len(stored), reason=reason)
