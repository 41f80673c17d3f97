"""Saved plans: a plan as a file, which is carried out later exactly as it was reviewed.

The file is the plan's JSON with a snapshot of its base and the texts of its
patches.  To carry it out, the patches are compiled again and the result has to
be the plan, to the last seed; a model or a patch that has changed is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from patchc.compiler.plan import FORMAT_VERSION, Plan
from patchc.errors import Diagnostic, PatchError
from patchc.language.load import loads
from patchc.language.patch import Patch
from patchc.language.source import SIZE_LIMIT
from patchc.language.validator import read_schema
from patchc.snapshot import differences, member_crcs, plan_digest
from patchc.storage.checked import CheckedBase
from patchc.storage.files import open_regular
from patchc.storage.jsontext import finite, parse_json
from patchc.storage.keras_file import KerasFile

_LARGEST = 256 << 20
_MOST_NAMED = 5
_REPACKED = "its bytes differ, though all that it holds is the same"
_AGAIN = "make the plan anew with `patchc plan MODEL PATCH -o PLAN`, and have it reviewed"
_COMPARED = ("patches", "edits", "operations", "weights", "dropped", "ledger", "optimizer")
_ENDS = ("params", "inputs", "outputs", "structure")


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan that was read from a file.

    Args:
        path: of the file.
        data: its JSON (`schemas/plan.v1.schema.json`).
    """

    path: str
    data: Mapping[str, Any]

    @property
    def snapshot(self) -> Mapping[str, Any]:
        """What the base was when it was planned."""
        found: Mapping[str, Any] = self.data["snapshot"]
        return found

    def patches(self) -> tuple[Patch, ...]:
        """The patches, as they were planned.

        Raises:
            PatchError: PC408 where a patch file has changed since, PC409 where
                the plan contradicts itself.
        """
        stored = list(zip(self.data["patches"], self.snapshot["texts"], strict=False))
        if len(stored) != len(self.data["patches"]):
            raise self._unusable("it holds another number of patches than of their texts")
        edited = [found for label, text in stored for found in _edited(label, text)]
        if edited:
            raise PatchError(*edited)
        return tuple(self._patch(label, text) for label, text in stored)

    def _patch(self, label: Mapping[str, Any], text: str) -> Patch:
        patch = loads(text, label["file"], _settings(label["params"]))
        if patch.sha256 != label["sha256"]:
            raise self._unusable(
                f"the text of `{label['id']}` in it is not the one that was planned"
            )
        return patch

    def check_base(self, base: CheckedBase) -> None:
        """Refuse a model that is not the one that was planned, as soon as that can be told.

        Raises:
            PatchError: PC408 for each difference.
        """
        source = base.source
        same = member_crcs(source) == self.snapshot["members"]
        if source.archive is None:  # no header says what the weights are
            same = base.digest.hex() == self.snapshot["sha256"]
        if not same:
            changed, others = differences(source, self.snapshot, self._touched())
            done = [f"`{p['id']}`" for p in self.data["patches"] if p["id"] in _ids(source)]
            told = [f"it has {', '.join(done)} in its history"] if done else []
            told += [f"of what the plan changes, {_listed(changed)}"] if changed else []
            told += [f"of what the plan leaves alone, {_listed(others)}"] if others else []
            raise self._stale(source, *(told or [_REPACKED]))

    def check_digest(self, base: CheckedBase) -> None:
        """Refuse a model whose bytes are others, though its headers are the same.

        Raises:
            PatchError: PC408.
        """
        if base.digest.hex() != self.snapshot["sha256"]:
            raise self._stale(base.source, _REPACKED)

    def check_plan(self, plan: Plan) -> None:
        """Refuse what is not, operation by operation and seed by seed, the plan in the file.

        Raises:
            PatchError: PC409 with the first thing that differs.
        """
        made = finite(plan.to_dict())
        for key in (*_COMPARED, *_ENDS):
            if made[key] != self.data[key]:
                what = _first_difference(key, self.data[key], made[key])
                raise self._unusable(f"{what} is not what its patches give")
        if plan_digest(plan) != self.snapshot["result"]:
            version = self.snapshot["patchc"]
            raise self._unusable(f"patchc {version}, which made it, would write other values")

    def _touched(self) -> frozenset[str]:
        changed = (entry["path"] for entry in self.data["weights"] if entry["fate"] != "kept")
        addresses = (operation["address"] for operation in self.data["operations"])
        return frozenset([*changed, *addresses, *self.data["dropped"].values()])

    def _stale(self, source: KerasFile, *found: str) -> PatchError:
        path = source.file.path
        told = [f"the model is not the one that was planned: {text}" for text in found]
        return PatchError(*(Diagnostic("PC408", text, file=path, help=_AGAIN) for text in told))

    def _unusable(self, what: str) -> PatchError:
        message = f"the plan cannot be used: {what}"
        return PatchError(Diagnostic("PC409", message, file=self.path, help=_AGAIN))


def _ids(source: KerasFile) -> set[str]:
    return {applied.id for applied in source.history}


def _listed(texts: Sequence[str]) -> str:
    """Clauses in one line, without one for each of a thousand weights."""
    told = list(texts[:_MOST_NAMED])
    if len(texts) > _MOST_NAMED:
        told.append(f"and {len(texts) - _MOST_NAMED} more differ")
    return ", ".join(told)


def _settings(params: Mapping[str, Any]) -> dict[str, str]:
    """Values of parameters as `--set` takes them."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in params.items()
    }


def _first_difference(key: str, planned: Any, made: Any) -> str:
    if not isinstance(planned, list) or not isinstance(made, list):
        return f"`{key}`"
    pairs = zip_longest(planned, made)
    return next(f"`{key}[{i}]`" for i, (one, two) in enumerate(pairs) if one != two)


def _edited(label: Mapping[str, Any], text: str) -> Iterator[Diagnostic]:
    """What to say where the patch file is there, and is not what was planned."""
    name = label["file"]
    if not os.path.isfile(name):
        return
    with open_regular(name) as file:
        now = file.read_at(0, min(file.size, SIZE_LIMIT + 1))
    planned = text.encode("utf-8", "surrogatepass")
    if now == planned:
        return
    lines = zip_longest(planned.splitlines(), now.splitlines())
    number = next((i for i, (old, new) in enumerate(lines, 1) if old != new), 1)
    message = f"the patch `{label['id']}` was edited since it was planned, first in line {number}"
    yield Diagnostic("PC408", message, file=name, help=_AGAIN)


def saved_text(plan: Plan, kept: Mapping[str, Any]) -> str:
    """The contents of a plan's file.

    Args:
        kept: the snapshot of its base.
    """
    return json.dumps(finite({**plan.to_dict(), "snapshot": kept}), indent=2) + "\n"


def read_plan(path: str | os.PathLike[str]) -> SavedPlan:
    """Read a plan that `patchc plan -o` wrote.

    Raises:
        PatchError: PC401 where there is no such file, PC409 where it is no plan
            or one of another format version.
    """
    with open_regular(path) as file:
        name = file.path
        if file.size > _LARGEST:
            raise _no_plan(name, "it is too large")
        text = file.read_at(0, file.size)
    try:
        data = parse_json(text)
    except ValueError as error:
        raise _no_plan(name, f"it is no JSON: {error}") from None
    _check_version(name, data)
    if "snapshot" not in data:
        raise _no_plan(name, "it does not say what its model was; `--format json` prints no such")
    _check_form(name, data)
    return SavedPlan(name, data)


def _check_version(name: str, data: Any) -> None:
    if not isinstance(data, dict) or data.get("command") != "plan" or data.get("ok") is not True:
        raise _no_plan(name, "it is no plan")
    version = data.get("format_version")
    if version != FORMAT_VERSION:
        what = f"it has the format version {version}, this patchc carries out {FORMAT_VERSION}"
        raise _no_plan(name, what)


def _check_form(name: str, data: Mapping[str, Any]) -> None:
    from jsonschema import Draft7Validator  # noqa: PLC0415 - slow

    schema = json.loads(read_schema("plan"))
    plan = {**schema["definitions"]["plan"], "definitions": schema["definitions"]}
    error = next(Draft7Validator(plan).iter_errors(data), None)
    if error is not None:
        raise _no_plan(name, f"`{error.json_path}` is not what `patchc schema plan` says")


def _no_plan(path: str, what: str) -> PatchError:
    message = f"the plan cannot be used: {what}"
    return PatchError(Diagnostic("PC409", message, file=path, help=_AGAIN))
