"""What can be done to weights without an architecture, and how the result is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Expand, InitVerb, Patch, Shrink
from patchc.storage.attach import datasets
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.keras_file import KerasFile
from patchc.storage.keras_tree import dataset_of
from patchc.storage.keras_write import Written, write_hdf5
from patchc.storage.older.bare_readers import way_out
from patchc.storage.publish import OutputFile
from patchc.storage.stream import Progress

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
            way_out(source),
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
            way_out(source),
        )
        for patch in patches
        for key, given in (("compile", patch.compile), ("verify", patch.verify))
        if given is not None
    ]
    if found:
        raise PatchError(*found)


def write_bare(source: KerasFile, plan: Plan, output: OutputFile, progress: Progress) -> Written:
    """Write the file once more, with the weights of the plan in their places."""
    older = source.older
    assert older is not None
    entries = bare_entries(source, plan)
    tree = with_changes(source, entries, older.root_group)
    return write_hdf5(source, plan, output, progress, tree, entries, older.root_group)


def bare_entries(source: KerasFile, plan: Plan) -> dict[str, LedgerEntry]:
    """The weights of the result by their paths in the file."""
    assert source.older is not None
    places = source.older.view.places
    return {places[str(e.value.base or e.value.replaces)].weight: e for e in plan.ledger.entries}


def with_changes(source: KerasFile, entries: Mapping[str, LedgerEntry], tree: Group) -> Group:
    """What a file holds, its weights as they are in the result."""
    changed = {path: dataset_of(source, entry) for path, entry in entries.items()}
    return _replaced(tree, changed, "")


def _replaced(group: Group, changed: Mapping[str, Dataset], path: str) -> Group:
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
        raise PatchError(Diagnostic("PC411", message, file=source.file.path, help=way_out(source)))
