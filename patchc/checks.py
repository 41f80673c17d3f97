"""Checks: an independent look at a result, from the files alone.

Reads the written file back with the strict readers and holds it against the
plan and against the base, byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from patchc.compiler.plan import LedgerEntry, Plan
from patchc.errors import Diagnostic
from patchc.model.history import Applied
from patchc.model.vocabulary import with_lines
from patchc.storage.attach import OPTIMIZER, datasets, find
from patchc.storage.configuration import comparable
from patchc.storage.formats import ARCHIVES
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.history import without_history
from patchc.storage.keras_file import CONFIG, METADATA, WEIGHTS, KerasFile
from patchc.storage.keras_tree import result_tree
from patchc.storage.keras_write import Made, entries, metadata_of
from patchc.storage.members import Member
from patchc.storage.stream import Comparison, Progress


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold of a result.

    Args:
        name: stable: `kept-weights-identical`, ...
        detail: what was counted, or what does not hold.
        way_out: what to do where it does not hold.
    """

    name: str
    ok: bool
    detail: str
    way_out: str = "apply the patch again to the base"

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail}

    def diagnostic(self, path: str) -> Diagnostic:
        """What to say where it does not hold."""
        message = f"{self.name} does not hold: {self.detail}"
        return Diagnostic("PC501", message, file=path, help=self.way_out)


def check_result(
    base: KerasFile,
    plan: Plan,
    result: KerasFile,
    progress: Progress,
    made: Made | None = None,
) -> tuple[Check, ...]:
    """Hold a written file against its plan and its base.

    Args:
        made: what the writer made of changed weights; left out, they are made
            anew to compare them.
    """
    made = made or {}
    compare = Comparison(progress)
    if plan.is_empty and base.format is result.format and base.shards is None:
        return (_same_file(base, result, compare),)
    return (
        _structure(plan, base, result),
        _accounted(base, plan, result),
        _kept(base, plan, result, compare),
        _changed(base, plan, result, made),
        _optimizer(base, plan, result, compare, made),
        _history(base, plan, result),
        _other_members(base, plan, result, compare),
    )


def _same_file(base: KerasFile, result: KerasFile, compare: Comparison) -> Check:
    size = base.file.size
    same = size == result.file.size and compare.same(base.file, 0, result.file, 0, size)
    return Check("file-unchanged", same, f"{size} bytes" if same else "the files differ")


def _structure(plan: Plan, base: KerasFile, result: KerasFile) -> Check:
    same = result.config == plan.config
    if not same and base.older is not None:
        path = result.file.path
        same = comparable(result.config, path) == comparable(plan.config, path)
    detail = "the configuration is that of the plan" if same else "the configuration differs"
    return Check("configuration-as-planned", same, detail)


def _accounted(base: KerasFile, plan: Plan, result: KerasFile) -> Check:
    """The result holds exactly the weights of the ledger, and no weight of the base is lost."""
    planned = dict(datasets(result_tree(base, plan)))
    stored = dict(datasets(result.tree))
    wrong = [
        path
        for path in {*planned, *stored}
        if path not in planned
        or path not in stored
        or (planned[path].shape, planned[path].datatype, planned[path].attributes)
        != (stored[path].shape, stored[path].datatype, stored[path].attributes)
    ]
    fates = {e.value.base for e in plan.ledger.entries} | {
        e.value.replaces for e in plan.ledger.entries
    }
    lost = set(plan.base.weights) - fates - set(plan.ledger.dropped)
    problems = [*sorted(wrong), *sorted(lost)]
    detail = f"{len(plan.base.weights)} of the base, {len(plan.ledger.entries)} of the result"
    return verdict("every-weight-accounted-for", problems, detail)


def _kept(base: KerasFile, plan: Plan, result: KerasFile, compare: Comparison) -> Check:
    kept = [e for e in plan.ledger.entries if e.value.base is not None and not e.value.growths]
    wrong = [
        entry.path
        for entry in kept
        if not _same_dataset(base, str(entry.value.base), result, entry.address, compare)
    ]
    return verdict("kept-weights-identical", wrong, f"{len(kept) - len(wrong)} of {len(kept)}")


def _same_dataset(
    base: KerasFile, address: str, result: KerasFile, other: str, compare: Comparison
) -> bool:
    one, two = find(base.tree, address), find(result.tree, other)
    if not isinstance(one, Dataset) or not isinstance(two, Dataset) or one.nbytes != two.nbytes:
        return False
    return compare.same(base.data, one.offset or 0, result.data, two.offset or 0, one.nbytes)


def _changed(base: KerasFile, plan: Plan, result: KerasFile, made: Made) -> Check:
    """New and grown weights hold what plan and base say, old entries bit for bit."""
    changed = [e for e in plan.ledger.entries if e.value.base is None or e.value.growths]
    wrong = [entry.path for entry in changed if not _as_planned(base, plan, result, entry, made)]
    return verdict("new-values-as-planned", wrong, f"{len(changed) - len(wrong)} of {len(changed)}")


def _as_planned(
    base: KerasFile, plan: Plan, result: KerasFile, entry: LedgerEntry, made: Made
) -> bool:
    # NumPy takes a while to import, and only values that change need it
    from patchc.arrays.produce import same_old_entries  # noqa: PLC0415
    from patchc.storage.values import fingerprint, made_values, stored_values  # noqa: PLC0415

    if not isinstance(find(result.tree, entry.address), Dataset):
        return False
    found = stored_values(result, entry.address)
    wanted = made.get(entry.address) or fingerprint(made_values(base, plan, entry))
    if fingerprint(found) != wanted:
        return False
    if entry.value.base is None:
        return True
    old = stored_values(base, entry.value.base)
    return same_old_entries(found, old, entry.value.growths, entry.dtype)


def _optimizer(
    base: KerasFile, plan: Plan, result: KerasFile, compare: Comparison, made: Made
) -> Check:
    """The optimizer's variables hold what plan and base say."""
    entries = plan.optimizer.entries
    wrong = [
        entry.path
        for entry in entries
        if not (
            _same_dataset(base, str(entry.value.base), result, entry.address, compare)
            if entry.fate == "kept"
            else _as_planned(base, plan, result, entry, made)
        )
    ]
    stored = {path for path, _ in datasets(result.tree, OPTIMIZER)}
    wrong += sorted(stored ^ {entry.address for entry in entries})
    return verdict("optimizer-state-as-planned", wrong, f"{len(entries)} variables")


def _history(base: KerasFile, plan: Plan, result: KerasFile) -> Check:
    """The history goes on with the patches; by which version of patchc does not matter."""
    planned = (*base.history, *entries(plan, base))
    same = _unversioned(result.history) == _unversioned(planned)
    place = "the history"
    if result.format in ARCHIVES:
        metadata = metadata_of(base, result.format)
        same = same and without_history(result.metadata) == without_history(metadata)
        place = f"`{METADATA}`"
    detail = f"{len(planned)} patches" if len(planned) != 1 else "1 patch"
    return Check("history-as-planned", same, detail if same else f"{place} differs")


def _unversioned(history: Sequence[Applied]) -> list[Applied]:
    return [replace(applied, patchc="") for applied in history]


def _other_members(base: KerasFile, plan: Plan, result: KerasFile, compare: Comparison) -> Check:
    """What belongs to layers, and what the archive holds besides, is in the result too."""
    one, two = base.assets, result.assets
    pairs: list[tuple[str, Member, Member | None]] = [
        (new, one[old], two.get(new)) for new, old in plan.assets.items()
    ]
    for member in base.archive.members if base.archive else ():
        if member.name not in {CONFIG, METADATA, WEIGHTS} and not member.name.startswith("assets/"):
            other = result.archive.find(member.name) if result.archive else None
            pairs.append((member.name, member, other))
    wrong = [
        member.name
        for name, member, other in pairs
        if other is None or not _is_carried(base, plan, result, compare, name, member, other)
    ]
    return verdict("other-members-identical", wrong, f"{len(pairs)} of {len(pairs)}")


def _is_carried(
    base: KerasFile,
    plan: Plan,
    result: KerasFile,
    compare: Comparison,
    name: str,
    member: Member,
    other: Member,
) -> bool:
    """Whether a member of the result holds what one of the base does, and lines that it gained."""
    if name in plan.appended:
        wanted = with_lines(base.read_asset(plan.assets[name]), plan.appended[name])
        return bool(result.read_asset(name) == wanted)
    same = (other.compressed_size, other.crc) == (member.compressed_size, member.crc)
    size = member.compressed_size
    return same and compare.same(base.file, member.offset, result.file, other.offset, size)


def verdict(name: str, wrong: Sequence[str], detail: str) -> Check:
    """A check that holds where nothing is wrong, and else names the first of what is."""
    if not wrong:
        return Check(name, ok=True, detail=detail)
    listed = ", ".join(f"`{path}`" for path in wrong[:5])
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return Check(name, ok=False, detail=f"{listed}{more}")
