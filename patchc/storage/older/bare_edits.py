"""What can be done to weights without an architecture, and how the result is written."""

from __future__ import annotations

from collections.abc import Sequence

from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Expand, InitVerb, Patch, Shrink
from patchc.model.graph import Layer, walk
from patchc.storage.attach import datasets, find
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.hdf5.writer import layout
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_tree import dataset_of
from patchc.storage.keras_write import Made, Written, write_weight
from patchc.storage.older.architecture import beside_names
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Progress, Sink

_POSSIBLE = (InitVerb, Expand, Shrink)


def check_verbs(source: KerasFile, patches: Sequence[Patch]) -> None:
    """Refuse what needs the architecture.

    Raises:
        PatchError: PC411, for each such edit and key.
    """
    if not source.bare:
        return
    found = [
        Diagnostic(
            "PC411",
            f"`{edit.verb_name}` needs the architecture, and the file holds weights alone",
            edit.span,
            _way_out(source),
        )
        for patch in patches
        for edit in patch.edits
        if not isinstance(edit.verb, _POSSIBLE)
    ]
    found += [
        Diagnostic(
            "PC411",
            f"`{key}` needs the architecture, and the file holds weights alone",
            patch.spans.get(key),
            _way_out(source),
        )
        for patch in patches
        for key, given in (("compile", patch.compile), ("verify", patch.verify))
        if given is not None
    ]
    if found:
        raise PatchError(*found)


def _way_out(source: KerasFile) -> str:
    names = " or ".join(f"`{name}`" for name in beside_names(source.file.path))
    return f"put what `model.to_json()` writes beside it, as {names}"


def check_readers(source: KerasFile, plan: Plan) -> None:
    """Refuse a layer that changes its width where another may read what it makes.

    Raises:
        PatchError: PC411, with the layers that may.
    """
    if not source.bare:
        return
    before = {layer.path: layer for layer in walk(source.document().root)}
    names = [layer.path for layer in walk(plan.base.root) if not layer.is_input]
    for layer in walk(plan.base.root):
        old, new = _width(before.get(layer.path)), _width(layer)
        if old is None or old == new:
            continue
        others = [before[name] for name in _behind(source, names, layer.path)]
        readers = [other.path for other in others if _may_read(other, old)]
        if readers:
            listed = ", ".join(f"`{name}`" for name in readers[:4])
            message = f"{listed} may read the {old} features of `{layer.path}`, and would not fit"
            raise PatchError(
                Diagnostic("PC411", message, file=source.file.path, help=_way_out(source))
            )


def _behind(source: KerasFile, names: Sequence[str], path: str) -> list[str]:
    """Layers that may stand behind one: all others, unless the file records an order."""
    ordered = source.older is not None and source.older.recorded is not None
    at = names.index(path)
    return list(names[at + 1 :]) if ordered else [name for name in names if name != path]


def _width(layer: Layer | None) -> int | None:
    outputs = layer.calls[0].outputs if layer is not None and layer.calls else None
    if layer is None or layer.is_input or not outputs or not outputs[0].shape:
        return None
    return outputs[0].shape[-1]


def _may_read(layer: Layer, width: int) -> bool:
    for weight in layer.weights:
        labels = weight.axes or ("input",) * len(weight.shape)
        for label, size in zip(labels, weight.shape, strict=True):
            flattened = layer.class_name == "Dense" and size % width == 0
            if label == "input" and (size == width or flattened):
                return True
    return False


def write_bare(source: KerasFile, plan: Plan, output: OutputFile, progress: Progress) -> Written:
    """Write the file once more, with the weights of the plan in their places."""
    older = source.older
    assert older is not None
    entries = {
        older.view.places[str(e.value.base or e.value.replaces)].weight: e
        for e in plan.ledger.entries
    }
    changed = {path: dataset_of(source, entry) for path, entry in entries.items()}
    place = layout(_replaced(older.root_group, changed, ""))
    made: Made = {}
    with Sink(output, progress) as sink:
        sink.write(place.metadata)
        for path, offset in place.offsets.items():
            sink.pad_to(offset)
            if path in entries:
                write_weight(source, plan, sink, entries[path], made)
            else:
                stored = find(older.root_group, path)
                assert isinstance(stored, Dataset)
                sink.copy(source.data, stored.offset or 0, stored.nbytes)
        sink.pad_to(place.size)
    return Written(made, tuple(sink.pieces))


def _replaced(group: Group, changed: dict[str, Dataset], path: str) -> Group:
    result = Group({}, dict(group.attributes))
    for name, member in group.members.items():
        below = f"{path}{name}"
        if isinstance(member, Group):
            result.members[name] = _replaced(member, changed, f"{below}/")
        else:
            result.members[name] = changed.get(below, member)
    return result


def check_state(source: KerasFile, plan: Plan) -> None:
    """Refuse new shapes where the file holds an optimizer's state, which could not follow.

    Raises:
        PatchError: PC411.
    """
    older = source.older
    if older is None or not source.bare:
        return
    grows = any(entry.value.growths for entry in plan.ledger.entries)
    if grows and any(datasets(older.root_group, "optimizer")):
        message = "the file holds an optimizer's state, which cannot follow without an architecture"
        raise PatchError(Diagnostic("PC411", message, file=source.file.path, help=_way_out(source)))
