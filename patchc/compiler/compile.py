"""Patches and a document to a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from patchc.compiler.context import Context
from patchc.compiler.expectations import check_expectations
from patchc.compiler.ledger import ledger_of, parameter_count, parameter_counts
from patchc.compiler.new_layers import new_layer_problems
from patchc.compiler.optimizer import (
    Training,
    optimizer_change,
    stored_optimizer,
    trainable_weights,
)
from patchc.compiler.outline import classes, ends, labels_of, outline, patch_label
from patchc.compiler.outputs import output_names, warn_of_lossless
from patchc.compiler.plan import (
    EditLabel,
    OptimizerChange,
    Outline,
    Plan,
    StorageGroup,
)
from patchc.compiler.region import Block
from patchc.compiler.select import Match, Selecting, Selection, literal_names, no_match
from patchc.compiler.training import change_training
from patchc.compiler.verbs.add_output import add_output
from patchc.compiler.verbs.expand import expand
from patchc.compiler.verbs.freeze import freeze
from patchc.compiler.verbs.init import init
from patchc.compiler.verbs.insert import insert
from patchc.compiler.verbs.remove import remove
from patchc.compiler.verbs.rename import rename
from patchc.compiler.verbs.replace import replace
from patchc.compiler.verbs.set import set_config
from patchc.compiler.verbs.shrink import shrink
from patchc.compiler.verbs.truncate import truncate
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import (
    AddOutput,
    AnySelector,
    Edit,
    Expand,
    Freeze,
    InitVerb,
    Insert,
    LayerSpec,
    Patch,
    Remove,
    Rename,
    Replace,
    SetConfig,
    Shrink,
    Truncate,
    Verb,
)
from patchc.layers.infer import infer
from patchc.layers.optimizers import couples_entries
from patchc.model.addresses import addresses
from patchc.model.config import write_config
from patchc.model.document import Document, structure_hash, vocabulary_files
from patchc.model.graph import Layer, flatten, walk
from patchc.model.order import reachable_calls

_EACH: dict[type, Callable[[Context, Any, Match], None]] = {
    Replace: replace,
    Expand: expand,
    Shrink: shrink,
    Insert: insert,
    AddOutput: add_output,
    Rename: rename,
}
"""Verbs that act on one match at a time."""

_ALL: dict[type, Callable[[Context, Any, Sequence[Match]], None]] = {
    Freeze: freeze,
    InitVerb: lambda context, _, matches: init(context, matches),
    Remove: lambda context, _, matches: remove(context, matches),
    SetConfig: set_config,
    Truncate: truncate,
}
"""Verbs that act on all matches together."""

_SOME = (Freeze, InitVerb, Remove, SetConfig, Truncate)
"""Verbs that match one or more layers by default; the others match exactly one."""


def compile_patches(document: Document, patches: Sequence[Patch], *, again: bool = False) -> Plan:
    """Compile patches, in order, against a document; without any, keep everything.

    The document's root is edited in place: give each compilation its own.

    Args:
        again: take patches that are in the model's history already.

    Raises:
        PatchError: with everything that was found.
    """
    _check_model(document)
    assert document.root.graph is not None
    infer(document.root.graph)
    before = outline(document.root)
    params = parameter_counts(document.root)
    optimizer = stored_optimizer(document.root, document.optimizer)
    training = Training(optimizer, trainable_weights(document.root))
    context = _context(document)
    costs = _run(context, patches, again=again)
    told = [label for patch in patches for label in labels_of(patch)]
    labels = [dataclasses.replace(label, params=n) for label, n in zip(told, costs, strict=True)]
    context.edit_number = len(labels) - 1  # what follows from all edits is told with the last
    warn_of_lossless(context)
    return _finish(context, patches, labels, before, params, training)


def _check_model(document: Document) -> None:
    root = document.root
    if root.graph is None:
        message = f"the model is a {root.class_name}: its layers cannot be told from the file"
        raise PatchError(
            Diagnostic(
                "PC308", message, file=document.path, help="patch a Functional or Sequential model"
            )
        )


def _context(document: Document) -> Context:
    graph = document.root.graph
    assert graph is not None
    live = {call.layer for call in reachable_calls(graph)}
    context = Context(document)
    context.idle_inputs = frozenset(t.layer for t in flatten(graph.inputs)) - live
    context.output_names = output_names(document.root)
    context.inputs_before = {
        layer: [tensor.spec for call in layer.calls for tensor in call.tensors()]
        for layer in walk(document.root)
    }
    return context


# -------------------------------------------------------------------------- edits


def _run(context: Context, patches: Sequence[Patch], *, again: bool) -> list[int]:
    """Compile edit after edit; returns by how many parameters each changes the model.

    After an edit that fails, later ones are still checked for what they
    select and for their new layers, so that one run finds as much as it can.
    """
    found: list[Diagnostic] = []
    sizes = [parameter_count(context.root)]
    done = [applied.id for applied in context.document.history]
    for patch in patches:
        context.patch = patch
        for edit in patch.edits:
            context.edit = edit
            found += new_layer_problems(edit)
            try:
                if not found:
                    if edit.index == 0:
                        check_expectations(context, done, again=again)
                    _compile_edit(context)
                elif not _depends(edit, patches):
                    _select(context)
            except PatchError as error:
                found += error.diagnostics
                context.problems.clear()
            context.edit_number += 1
            sizes.append(parameter_count(context.root))
        if not found:
            change_training(context)
        if patch.compile is not None:
            context.edit_number += 1
            sizes.append(sizes[-1])
        done.append(patch.id)
    if found:
        raise PatchError(*found)
    return [after - before for before, after in pairwise(sizes)]


def _compile_edit(context: Context) -> None:
    verb = context.edit.verb
    context.resized.clear()
    matches = _select(context)
    _check_shared(context, matches)
    if type(verb) in _ALL:
        if matches:
            _ALL[type(verb)](context, verb, matches)
        return
    if len(matches) > 1:
        _check_one_name(context, verb)
    for match in matches:
        _EACH[type(verb)](context, verb, match)


def _select(context: Context) -> tuple[Match, ...]:
    edit = context.edit
    selecting = Selecting(context.root)
    if isinstance(edit.verb, Truncate) and isinstance(edit.select, AnySelector):
        ordered = [m for item in edit.select.items for m in selecting.select(item).matches]
        selection = Selection(tuple(dict.fromkeys(ordered)))
    else:
        selection = selecting.select(edit.select)
    count = edit.count or ("some" if isinstance(edit.verb, _SOME) else "one")
    if edit.count == 0:
        count = 0
    _check_count(selecting, edit, selection, count)
    return selection.matches


def _check_count(selecting: Selecting, edit: Edit, selection: Selection, count: str | int) -> None:
    number = len(selection.matches)
    if number == 0 and count not in {"any", 0}:
        raise PatchError(no_match(selecting, edit.select))
    wanted = 1 if count == "one" else count
    if isinstance(wanted, int) and number != wanted:
        names = ", ".join(f"`{layer.path}`" for layer in selection.layers[:8])
        more = f", and {number - 8} more" if number > 8 else ""
        message = (
            f"selector matches {number} layers, `{edit.verb_name}` wants {wanted}: {names}{more}"
        )
        help_text = f"name one of them, or write `count: {number}`"
        raise PatchError(Diagnostic("PC202", message, edit.select.span, help_text))


def _check_shared(context: Context, matches: Sequence[Match]) -> None:
    """A layer that two models share stands in the file twice: refuse to edit one place."""
    aliases = {layer.alias_of or layer for layer in walk(context.root) if layer.alias_of}
    for match in matches:
        for layer in match.layers if isinstance(match, Block) else (match,):
            if layer.alias_of is not None or layer in aliases:
                context.refuse(
                    "PC310",
                    f"`{layer.path}` is shared between two models, which is"
                    " not available in this version",
                    span=context.edit.select.span,
                    help="edit the model before the parts are joined",
                )


def _check_one_name(context: Context, verb: Verb) -> None:
    chain = getattr(verb, "chain", ())
    for element in chain:
        if isinstance(element, LayerSpec) and "name" in element.config:
            context.refuse(
                "PC304",
                f"`{element.config['name']}` would be given to several layers",
                span=element.spans.get("name", element.span),
                help="leave `name` out where several layers match",
            )


def _depends(edit: Edit, patches: Sequence[Patch]) -> bool:
    """Whether an edit may need what an earlier one makes."""
    made = {
        str(element.config["name"])
        for patch in patches
        for other in patch.edits
        for element in getattr(other.verb, "chain", ())
        if isinstance(element, LayerSpec) and "name" in element.config
    } | {other.verb.name for p in patches for other in p.edits if isinstance(other.verb, Rename)}
    named = literal_names(edit.select)
    return not named or any(glob in made for glob, _ in named)


# --------------------------------------------------------------------------- plan


def _finish(
    context: Context,
    patches: Sequence[Patch],
    labels: Sequence[EditLabel],
    before: Outline,
    params: tuple[int, int],
    training: Training,
) -> Plan:
    document, root = context.document, context.root
    graph = root.graph
    assert graph is not None
    groups = addresses(root)
    ledger = ledger_of(document, groups)
    stored = stored_optimizer(root, document.optimizer)
    after_training = Training(stored, trainable_weights(root, groups))
    optimizer = optimizer_change(document.optimizer, training, after_training)
    _tell_optimizer(context, optimizer)
    _warn_coupled(context, after_training, optimizer)
    after = parameter_counts(root)
    assets = _assets(document, groups)
    document.read_asset = None  # a plan outlives the open file
    return Plan(
        base=document,
        before=before,
        patches=tuple(patch_label(patch) for patch in patches),
        edits=tuple(labels),
        operations=tuple(context.operations),
        ledger=ledger,
        optimizer=optimizer,
        config=write_config(root),
        groups=_storage_groups(groups),
        assets=assets,
        appended=_appended(context, assets),
        params={
            "before": params[0],
            "after": after[0],
            "trainable_before": params[1],
            "trainable_after": after[1],
        },
        layers=classes(root),
        inputs=ends(graph.inputs),
        outputs=ends(graph.outputs),
        structure=structure_hash(root),
        warnings=tuple(
            sorted(
                [*(w for p in patches for w in p.warnings), *context.warnings],
                key=lambda w: w.position,
            )
        ),
    )


def _tell_optimizer(context: Context, change: OptimizerChange) -> None:
    """A line for each kind of slot that changes; loud where the state is lost."""
    kinds: dict[tuple[str, str], int] = {}
    for entry in change.entries:
        if entry.fate != "kept":
            key = (entry.path.split(" of ", maxsplit=1)[0], entry.fate)
            kinds[key] = kinds.get(key, 0) + 1
    for (kind, fate), count in kinds.items():
        context.log("slots", f"optimizer/{kind}", None, {fate: count})
    if change.dropped and not change.reason:
        context.log("slots", "optimizer", {"dropped": change.dropped}, None)
    if change.reason:
        text = f"the optimizer's state ({change.dropped} variables) is dropped: {change.reason}"
        context.warn(
            "PC905",
            text,
            span=context.edit.span,
            help="training goes on with a fresh optimizer state",
        )


def _warn_coupled(context: Context, training: Training, change: OptimizerChange) -> None:
    """Where one entry's step depends on all others, training goes on, but not exactly."""
    coupling = couples_entries(training.optimizer)
    if coupling and any(entry.fate in {"grown", "new"} for entry in change.entries):
        context.warn(
            "PC908",
            f"{coupling} couples the entries of a weight: the next steps of old"
            " entries will differ a little, as new ones take part",
            span=context.edit.span,
            help="nothing to do; the stored state is kept",
        )


def _storage_groups(groups: Mapping[Layer, str]) -> tuple[StorageGroup, ...]:
    """Every group in which Keras writes `vars`, with the name on the layer's own."""
    found = []
    for layer, group in groups.items():
        for suffix in layer.groups:
            path = _joined(group, suffix, "vars")
            base = None if layer.address is None else _joined(layer.address, suffix, "vars")
            found.append(StorageGroup(path, base, None if suffix else layer.name))
    return tuple(found)


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _assets(document: Document, groups: Mapping[Layer, str]) -> dict[str, str]:
    """Where the assets of each layer go: they lie under its storage group."""
    moved = {
        f"assets/{layer.address}/": f"assets/{group}/"
        for layer, group in groups.items()
        if layer.address
    }
    found = {}
    for name in document.assets:
        prefix = max((old for old in moved if name.startswith(old)), key=len, default=None)
        if prefix is not None:
            found[moved[prefix] + name.removeprefix(prefix)] = name
    return found


def _appended(context: Context, assets: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The lines that files of vocabularies gain, by their names in the result."""
    new_names = {old: new for new, old in assets.items()}
    return {
        new_names[old]: tuple(lines)
        for layer, lines in context.appended.items()
        for old in vocabulary_files(context.document, layer)
        if old in new_names
    }
