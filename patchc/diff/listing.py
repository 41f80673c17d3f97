"""A model as lines of text that a line-by-line `diff` compares well."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from patchc.compiler.select import named_ends
from patchc.diff.gaps import flag_of
from patchc.diff.patch_text import flow
from patchc.diff.spell import plain_config, spelled
from patchc.layers.infer import infer
from patchc.model.document import Document
from patchc.model.graph import Layer, walk
from patchc.storage.attach import find
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model
from patchc.storage.stream import slabs

_DIGITS = 16


def listing(model: str | os.PathLike[str]) -> str:
    """A line for each fact of a model file, values of weights as the beginning of a SHA-256.

    The file's name is no fact, so the same model gives the same text.

    Raises:
        PatchError: the file is not understood.
    """
    with open_model(model) as source:
        return "\n".join(_lines(source, source.document()))


def _lines(source: KerasFile, document: Document) -> Iterator[str]:
    root = document.root
    yield f"model: {flow(root.name)} {root.class_name}"
    if root.graph is not None:
        infer(root.graph)
        for kind in ("inputs", "outputs"):
            for name, tensor in named_ends(getattr(root.graph, kind)):
                shape = list(tensor.spec.shape) if tensor.spec else None
                yield f"{kind}: {flow(name)} {flow(shape)}"
    for layer in walk(root):
        yield from _layer(source, root, layer)
    yield from (f"history: {flow(applied.id)}" for applied in document.history)
    compiled = root.extra.get("compile_config") or {}
    yield from (f"compile/{key}: {flow(spelled(value))}" for key, value in compiled.items())
    for stored in document.optimizer:
        yield f"{stored.address}: {_weight(source, stored.address, stored.shape, stored.dtype)}"


def _layer(source: KerasFile, root: Layer, layer: Layer) -> Iterator[str]:
    path = flow(layer.path)
    yield f"{path}: {layer.class_name}"
    for call in layer.calls:
        if call.tensors():
            yield f"{path} reads: {', '.join(flow(t.layer.path) for t in call.tensors())}"
    if layer.graph is None:
        yield from (f"{path} {key}: {flow(v)}" for key, v in sorted(plain_config(layer).items()))
    flag = flag_of(layer, root)
    if flag is not None:
        yield f"{path} trainable: {flow(flag)}"
    for weight in layer.weights if layer.alias_of is None else ():
        address = str(weight.value.base)
        yield f"{path}/{weight.name}: {_weight(source, address, weight.shape, weight.dtype)}"


def _weight(source: KerasFile, address: str, shape: tuple[int, ...], dtype: str) -> str:
    return f"{flow(list(shape))} {dtype} {_digest(source, address)[:_DIGITS]}"


def _digest(source: KerasFile, address: str) -> str:
    stored = find(source.tree, address)
    assert isinstance(stored, Dataset)
    digest = hashlib.sha256()
    for offset, size in slabs(stored.nbytes):
        slab = bytearray(size)
        source.data.read_into(slab, (stored.offset or 0) + offset)
        digest.update(slab)
    return digest.hexdigest()
