"""Gaps: what is not the same yet in two models whose layers are paired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from patchc.diff.pairs import Pairs
from patchc.diff.spell import plain_config
from patchc.layers.freezing import is_shut, trains
from patchc.model.graph import Layer, flatten, map_tensors, walk


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that differs.

    Args:
        kind: `new`, `gone`, `name`, `weights`, `config`, `reads`, `outputs`,
            `inputs` or `trainable`.
        before, after: the layer, or the model whose ends differ; None where
            there is none.
    """

    kind: str
    before: Layer | None
    after: Layer | None

    @property
    def where(self) -> str:
        """Path of the layer, as the model after has it where it can."""
        layer = self.after or self.before
        assert layer is not None
        return layer.path if layer.home is not None else "the model"


def gaps_between(before: Layer, after: Layer, pairs: Pairs) -> list[Gap]:
    """Everything that differs, from the inputs to the outputs."""
    return [
        *(Gap("gone", layer, None) for layer in walk(before) if layer not in pairs.forward),
        *(gap for layer in walk(after) for gap in _of_layer(before, after, pairs, layer)),
        *(gap for layer in [after, *walk(after)] for gap in _of_ends(pairs, layer)),
    ]


def _of_layer(root: Layer, other: Layer, pairs: Pairs, after: Layer) -> Iterator[Gap]:
    before = pairs.backward.get(after)
    if before is None:
        yield Gap("new", None, after)
        return
    if before.name != after.name:
        yield Gap("name", before, after)
    if weights_of(before) != weights_of(after):
        yield Gap("weights", before, after)
    if differs_in_config(before, after):
        yield Gap("config", before, after)
    for _ in range(_different_calls(pairs, before, after)):
        yield Gap("reads", before, after)
    if flag_of(before, root) != flag_of(after, other):
        yield Gap("trainable", before, after)


def weights_of(layer: Layer) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and dtype of each weight."""
    return [(weight.name, weight.shape, weight.dtype) for weight in layer.weights]


def differs_in_config(before: Layer, after: Layer) -> bool:
    """Whether two layers have another configuration, apart from name and flag."""
    if after.graph is not None:
        return False
    return plain_config(before) != plain_config(after)


def flag_of(layer: Layer, root: Layer) -> bool | None:
    """Whether a layer with weights trains; None for one that has none of its own."""
    if layer.graph is not None or layer.is_operation or layer.is_input:
        return None
    if not layer.weights:
        return None if is_shut(root) else layer.trainable
    return trains(layer, root)


def _different_calls(pairs: Pairs, before: Layer, after: Layer) -> int:
    """How many calls read something else."""
    different = abs(len(before.calls) - len(after.calls))
    for old, new in zip(before.calls, after.calls, strict=False):
        mapped = [map_tensors(pairs.tensor_before, new.args)]
        mapped.append(map_tensors(pairs.tensor_before, new.kwargs))
        different += mapped != [old.args, old.kwargs]
    return different


def _of_ends(pairs: Pairs, after: Layer) -> Iterator[Gap]:
    before = pairs.backward.get(after)
    if before is None or before.graph is None or after.graph is None:
        return
    for kind in ("inputs", "outputs"):
        old, new = getattr(before.graph, kind), getattr(after.graph, kind)
        for _ in range(_different_ends(pairs, old, new)):
            yield Gap(kind, before, after)


def _different_ends(pairs: Pairs, old: Any, new: Any) -> int:
    mapped = [pairs.tensor_before(tensor) for tensor in flatten(new)]
    given = flatten(old)
    different = abs(len(mapped) - len(given))
    different += sum(a != b for a, b in zip(mapped, given, strict=False))
    return different or int(map_tensors(pairs.tensor_before, new) != old)
