"""Compare: two model files, layer by layer and weight by weight."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from patchc.compiler.ledger import parameter_counts
from patchc.compiler.optimizer import (
    Training,
    named_variables,
    stored_optimizer,
    trainable_weights,
)
from patchc.compiler.select import named_ends
from patchc.diff.difference import Difference, LayerDifference, Side, WeightDifference
from patchc.diff.gaps import differs_in_config, flag_of
from patchc.diff.pairs import Pairs, pair_layers
from patchc.diff.spell import completed, plain_config, spelled
from patchc.layers.infer import infer
from patchc.model.document import Document, StoredWeight, structure_hash
from patchc.model.graph import Layer, Tensor, walk
from patchc.storage.attach import find
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model
from patchc.storage.stream import Comparison

Path = str | os.PathLike[str]


def compare_files(before: Path, after: Path, names: tuple[str, str] | None = None) -> Difference:
    """Compare two model files; reads their weights in slabs.

    Args:
        names: what to call them; left out, by their paths.

    Raises:
        PatchError: a file is not understood.
    """
    with open_model(before) as one, open_model(after) as other:
        found = _Comparing(one, other).difference()
    if names is None:
        return found
    sides = (replace(found.before, path=names[0]), replace(found.after, path=names[1]))
    return replace(found, before=sides[0], after=sides[1])


class _Comparing:
    """Two open files and their layers in pairs."""

    def __init__(self, one: KerasFile, other: KerasFile) -> None:
        self._files = one, other
        self._one, self._other = one.document(), other.document()
        self._pairs = pair_layers(self._one.root, self._other.root)
        self._compare = Comparison(lambda _: None)

    def difference(self) -> Difference:
        weights = list(self._weights())
        by_layer: dict[str, list[WeightDifference]] = {}
        for layer, weight in weights:
            by_layer.setdefault(layer, []).append(weight)
        one, other = self._one.root, self._other.root
        layers = [_model_itself(other, by_layer.get("", ()))]
        layers += [self._layer(layer, by_layer) for layer in walk(other)]
        layers += [
            _gone(layer, by_layer) for layer in walk(one) if layer not in self._pairs.forward
        ]
        return Difference(
            before=_side(self._one),
            after=_side(self._other),
            layers=tuple(layer for layer in layers if layer is not None),
            weights=tuple(weight for _, weight in weights),
            optimizer=tuple(self._optimizer()),
            training=_training(one, other),
        )

    # ---------------------------------------------------------------------- layers

    def _layer(
        self, after: Layer, weights: Mapping[str, list[WeightDifference]]
    ) -> LayerDifference | None:
        before = self._pairs.backward.get(after)
        own = tuple(w for w in weights.get(after.path, ()) if w.fate != "identical")
        if before is None:
            given = {key: (None, value) for key, value in plain_config(after).items()}
            return LayerDifference(
                after.path, None, after.class_name, "new", given, _reads(None, after), None, own
            )
        flags = flag_of(before, self._one.root), flag_of(after, self._other.root)
        found = LayerDifference(
            path=after.path,
            before=before.path,
            class_name=after.class_name,
            change="changed",
            config=_config(before, after),
            reads=self._other_reads(before, after),
            trainable=flags if flags[0] != flags[1] else None,
            weights=own,
        )
        differs = found.config or found.reads or found.trainable or found.weights
        return found if differs or before.path != after.path else None

    def _other_reads(
        self, before: Layer, after: Layer
    ) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        mapped = [
            [self._pairs.tensor_before(tensor) for tensor in call.tensors()] for call in after.calls
        ]
        if mapped == [call.tensors() for call in before.calls]:
            return None
        return _reads(before, after)

    # --------------------------------------------------------------------- weights

    def _weights(self) -> Iterator[tuple[str, WeightDifference]]:
        """Every weight with the path of its layer; those that are gone under their old layer."""
        one, other = self._one, self._other
        old = {(weight.layer, weight.name): weight for weight in one.weights.values()}
        paths = {after.path: before.path for after, before in self._pairs.backward.items()}
        paths[""] = ""
        for weight in other.weights.values():
            match = old.pop((paths.get(weight.layer, "\0"), weight.name), None)
            yield weight.layer, self._weight(weight.path, match, weight)
        forward = {before: after for after, before in paths.items()}
        for weight in old.values():
            yield forward.get(weight.layer, weight.layer), self._weight(weight.path, weight, None)

    def _weight(
        self, path: str, before: StoredWeight | None, after: StoredWeight | None
    ) -> WeightDifference:
        if before is None or after is None:
            return WeightDifference(
                path,
                "new" if before is None else "gone",
                before.shape if before else None,
                after.shape if after else None,
                (before.dtype if before else None, after.dtype if after else None),
            )
        dtypes = before.dtype, after.dtype
        alike = before.shape == after.shape and dtypes[0] == dtypes[1]
        if alike and self._same(before.address, after.address):
            return WeightDifference(path, "identical", before.shape, after.shape, dtypes)
        # NumPy is imported only where values differ: it takes as long as comparing 200 MB
        from patchc.diff.moved import magnitude  # noqa: PLC0415

        one, other = self._files
        moved = magnitude(one, before.address, other, after.address)
        fate = _fate(before.shape, after.shape)
        return WeightDifference(path, fate, before.shape, after.shape, dtypes, moved)

    def _same(self, address: str, place: str) -> bool:
        one, other = self._files
        old, new = find(one.tree, address), find(other.tree, place)
        assert isinstance(old, Dataset)
        assert isinstance(new, Dataset)
        start, end, size = old.offset or 0, new.offset or 0, old.nbytes
        return size == new.nbytes and self._compare.same(one.data, start, other.data, end, size)

    def _optimizer(self) -> Iterator[WeightDifference]:
        one, other = self._one, self._other
        old = dict(_variables(one, None))
        for key, variable in _variables(other, self._pairs):
            yield self._weight(_told(key), old.pop(key, None), variable)
        for key, variable in old.items():
            yield self._weight(_told(key), variable, None)


_Key = tuple[str, str | None, int]


def _variables(document: Document, pairs: Pairs | None) -> Iterator[tuple[_Key, StoredWeight]]:
    """The optimizer's variables by what they are, weights under the names of the model before."""
    training = Training(
        stored_optimizer(document.root, document.optimizer), trainable_weights(document.root)
    )
    names = named_variables(document.optimizer, training)
    old: dict[str, str] = {}
    if pairs is not None:
        for after, before in pairs.backward.items():
            old |= {f"{after.path}/{w.name}": f"{before.path}/{w.name}" for w in after.weights}
    seen: dict[tuple[str, str | None], int] = {}
    for variable in document.optimizer:
        name, of = names[variable.address]
        where = old.get(of, of) if of is not None else None
        number = seen[name, where] = seen.get((name, where), -1) + 1
        yield (name, where, number), variable


def _told(key: _Key) -> str:
    name, of, _ = key
    return f"{name} of {of}" if of is not None else name


def _fate(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    if before == after:
        return "changed"
    pairs = list(zip(before, after, strict=False))
    if len(before) != len(after) or not (
        all(a <= b for a, b in pairs) or all(a >= b for a, b in pairs)
    ):
        return "reshaped"
    return "grown" if all(a <= b for a, b in pairs) else "shrunk"


def _model_itself(root: Layer, weights: Sequence[WeightDifference]) -> LayerDifference | None:
    """The model as a layer, where it holds weights of its own: custom models do."""
    own = tuple(weight for weight in weights if weight.fate != "identical")
    if not own:
        return None
    return LayerDifference("", "", root.class_name, "changed", {}, None, None, own)


def _gone(layer: Layer, weights: Mapping[str, list[WeightDifference]]) -> LayerDifference:
    own = tuple(weights.get(layer.path, ()))
    return LayerDifference(layer.path, layer.path, layer.class_name, "gone", {}, None, None, own)


def _config(before: Layer, after: Layer) -> dict[str, tuple[Any, Any]]:
    if not differs_in_config(before, after):
        return {}
    old, new = plain_config(before), plain_config(after)
    keys = [key for key in {**old, **new} if old.get(key, ...) != new.get(key, ...)]
    return {key: (completed(before, key), completed(after, key)) for key in keys}


def _reads(before: Layer | None, after: Layer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (_sources(before) if before is not None else (), _sources(after))


def _sources(layer: Layer) -> tuple[str, ...]:
    """What a layer reads, by name, call after call."""
    return tuple(_name(tensor) for call in layer.calls for tensor in call.tensors())


def _name(tensor: Tensor) -> str:
    number = tensor.layer.calls.index(tensor.call)
    call = f" (call {number})" if len(tensor.layer.calls) > 1 else ""
    return f"{tensor.layer.path}{call}"


def _training(one: Layer, other: Layer) -> dict[str, tuple[Any, Any]]:
    """The keys of the stored training configuration that differ."""
    old, new = (root.extra.get("compile_config") or {} for root in (one, other))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {key: (spelled(old.get(key)), spelled(new.get(key))) for key in keys}


def _side(document: Document) -> Side:
    root = document.root
    if root.graph is not None:
        infer(root.graph)
    return Side(
        path=document.path,
        name=root.name,
        class_name=root.class_name,
        layers=sum(1 for _ in walk(root)),
        params=parameter_counts(root),
        inputs=_ends(root.graph.inputs) if root.graph else (),
        outputs=_ends(root.graph.outputs) if root.graph else (),
        structure=structure_hash(root),
        history=tuple(applied.id for applied in document.history),
    )


def _ends(structure: Any) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"name": name, "shape": list(tensor.spec.shape) if tensor.spec else None}
        for name, tensor in named_ends(structure)
    )
