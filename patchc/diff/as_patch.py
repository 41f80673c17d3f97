"""The patch that leads from one model file to another, with what it cannot bring."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.compiler.plan import LedgerEntry, Plan
from patchc.diff.entries import Entries
from patchc.diff.infer_patch import compile_edits, infer_edits
from patchc.diff.patch_text import patch_text
from patchc.diff.sizes import Edit
from patchc.diff.spell import spelled
from patchc.errors import Diagnostic, PatchError
from patchc.language.load import loads
from patchc.model.document import structure_hash
from patchc.model.graph import Layer
from patchc.storage.attach import find
from patchc.storage.hdf5.tree import Dataset
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model
from patchc.storage.stream import Comparison

Path = str | os.PathLike[str]
_SCHEMA = "yaml-language-server: $schema=../schemas/patch.v1.schema.json"
_LISTED = 20


@dataclass(frozen=True, slots=True)
class InferredPatch:
    """A patch that was inferred from two models.

    Args:
        text: YAML; comments name what differs all the same.
        edits: number of edits.
        differing: weights that differ after it: path -> what differs.
        training: keys of the training configuration that differ after it.
    """

    text: str
    edits: int
    differing: Mapping[str, str]
    training: tuple[str, ...]


def as_patch(before: Path, after: Path) -> InferredPatch:
    """Infer the patch that leads from one model file to another.

    It has been compiled, and gives the structure and the configuration of
    `after`.

    Raises:
        PatchError: PC311 where no patch leads there, or where there is nothing
            for one to do; others where a file is not understood.
    """
    with open_model(before) as one, open_model(after) as other:
        inferred = infer_edits(one.document, other.document(), Entries(one, other))
        if inferred.plan is None:
            raise PatchError(_nothing(before, after))
        keys, left = _training(one, inferred.edits, inferred.plan, other.document().root)
        head = {
            "patchc": 1,
            "id": _id(before, after),
            "expect": {"structure": structure_hash(one.document().root)},
            "edits": list(inferred.edits),
            **keys,
        }
        plan = _compiled(one, head)
        differing = dict(_differing(one, plan, other))
        text = patch_text(head, _comments(before, after, differing, left))
        assert loads(text).edits
        return InferredPatch(text, len(inferred.edits), differing, left)


def _nothing(before: Path, after: Path) -> Diagnostic:
    return Diagnostic(
        "PC311",
        f"`{os.fspath(before)}` has the same structure and configuration already:"
        " there is nothing for a patch to do",
        file=os.fspath(after),
        help="`patchc diff` without `--as-patch` shows which values differ",
    )


def _id(before: Path, after: Path) -> str:
    """Both file names in kebab-case."""
    stems = (os.path.basename(os.fspath(path)).removesuffix(".keras") for path in (before, after))
    words = [re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "model" for stem in stems]
    return "-to-".join(words)


def _compiled(file: KerasFile, keys: Mapping[str, Any]) -> Plan:
    more = {key: value for key, value in keys.items() if key not in {"patchc", "edits"}}
    return compile_edits(file.document(), keys["edits"], **more)


# ------------------------------------------------------------------------- training


def _training(
    file: KerasFile, edits: Sequence[Edit], plan: Plan, after: Layer
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """`compile` as far as a patch can say it, and the keys that differ all the same."""
    rate = _other_rate(plan.base.root, after)
    wanted = {
        key: value
        for key in _different(plan.base.root, after)
        if (value := _compile_value(after, key)) is not None
    }
    if rate is not None:
        wanted = {"learning_rate": rate, **wanted}
        wanted.pop("optimizer", None)
    for key in list(wanted):
        try:
            made = compile_edits(file.document(), edits, compile={key: wanted[key]})
        except PatchError:
            wanted.pop(key)
            continue
        if _KEYS.get(key, key) in _different(made.base.root, after):
            wanted.pop(key)
    said = {_KEYS.get(key, key) for key in wanted}
    left = tuple(key for key in _different(plan.base.root, after) if key not in said)
    return ({"compile": wanted} if wanted else {}), left


_KEYS = {"learning_rate": "optimizer"}
"""Key of `compile` -> key of the stored configuration that it changes."""


def _other_rate(one: Layer, other: Layer) -> float | None:
    """The new learning rate, where it is all that differs in the optimizer."""
    old, new = (
        ((root.extra.get("compile_config") or {}).get("optimizer") or {}).get("config")
        for root in (one, other)
    )
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return None
    rate = new.get("learning_rate")
    alike = {**old, "learning_rate": rate} == {**new}
    return rate if alike and old != new and isinstance(rate, float) else None


def _different(one: Layer, other: Layer) -> list[str]:
    old, new = (root.extra.get("compile_config") or {} for root in (one, other))
    return [k for k in {**old, **new} if spelled(old.get(k)) != spelled(new.get(k))]


def _compile_value(root: Layer, key: str) -> Any:
    known = {"optimizer", "loss", "loss_weights", "metrics"}
    config = root.extra.get("compile_config") or {}
    return spelled(config.get(key)) if key in known else None


# --------------------------------------------------------------------------- values


def _differing(one: KerasFile, plan: Plan, other: KerasFile) -> Iterator[tuple[str, str]]:
    """Weights whose values are not those of the other model, once the patch is applied."""
    compare = Comparison(lambda _: None)
    for entry in plan.ledger.entries:
        if not _is_same(one, plan, entry, other, compare):
            yield entry.path, _what_differs(one, entry, other)


def _is_same(
    one: KerasFile, plan: Plan, entry: LedgerEntry, other: KerasFile, compare: Comparison
) -> bool:
    from patchc.storage.values import fingerprint, made_values, stored_values  # noqa: PLC0415

    new = find(other.tree, entry.address)
    if not isinstance(new, Dataset):
        return False
    if entry.fate != "kept":
        found = stored_values(other, entry.address)
        return fingerprint(found) == fingerprint(made_values(one, plan, entry))
    old = find(one.tree, str(entry.value.base))
    assert isinstance(old, Dataset)
    start, end, size = old.offset or 0, new.offset or 0, old.nbytes
    return size == new.nbytes and compare.same(one.data, start, other.data, end, size)


def _what_differs(one: KerasFile, entry: LedgerEntry, other: KerasFile) -> str:
    from patchc.arrays.produce import same_old_entries  # noqa: PLC0415
    from patchc.diff.moved import magnitude  # noqa: PLC0415
    from patchc.storage.values import stored_values  # noqa: PLC0415

    if entry.value.base is None:
        return "its values"
    if entry.value.growths:
        old = stored_values(one, entry.value.base)
        new = stored_values(other, entry.address)
        growths = entry.value.growths
        kept = new.itemsize == old.itemsize and same_old_entries(new, old, growths, entry.dtype)
        return "its new entries" if kept else "old entries too"
    moved = magnitude(one, entry.value.base, other, entry.address)
    return "its values" if moved is None else f"its values, by {moved.largest:.3g} at most"


def _comments(
    before: Path, after: Path, differing: Mapping[str, str], training: Sequence[str]
) -> Iterator[str]:
    yield _SCHEMA
    one, other = (os.path.basename(os.fspath(path)) for path in (before, after))
    yield f"Leads from {_line(one)} to {_line(other)}; inferred by `patchc diff --as-patch`."
    if differing:
        yield "Weights that differ all the same:"
    for path, what in list(differing.items())[:_LISTED]:
        yield f"  {_line(path)}: {what}"
    if len(differing) > _LISTED:
        yield f"  and {len(differing) - _LISTED} more"
    if training:
        yield f"Of the training configuration these differ all the same: {', '.join(training)}."


def _line(text: str) -> str:
    """The text without what could end a comment or hide in it."""
    return "".join(c if c.isprintable() else "?" for c in text)
