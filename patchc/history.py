"""History of model files: shown, and carried over to a model that Keras has saved since."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.compiler.plan import FORMAT_VERSION
from patchc.errors import Diagnostic, PatchError
from patchc.language.source import decode, parse
from patchc.model.document import structure_hash
from patchc.model.history import Applied
from patchc.results import Written
from patchc.snapshot import structural_differences
from patchc.storage.keras_file import KerasFile
from patchc.storage.open_model import open_model
from patchc.storage.publish import OutputFile, publishing
from patchc.storage.write_again import (
    changed_dataset,
    changed_member,
    copy_tree,
    write_history,
)

Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Log:
    """The history of a model file.

    Args:
        path: of the file.
        contents: its contents digest, by which a later entry calls it its base.
        history: the patches that made it, newest first.
    """

    path: str
    contents: str
    history: tuple[Applied, ...]

    def to_dict(self) -> dict[str, Any]:
        """The log as JSON (`schemas/report.v1.schema.json`)."""
        return {
            "format_version": FORMAT_VERSION,
            "command": "log",
            "ok": True,
            "model": {"path": self.path, "contents": self.contents},
            "history": [applied.to_dict() for applied in self.history],
            "diagnostics": [],
        }


def log_of(model: Path) -> Log:
    """The history of a model file.

    Raises:
        PatchError: the file is not understood.
    """
    with open_model(model) as source:
        return Log(source.file.path, source.contents(), source.history[::-1])


def description_of(applied: Applied) -> str | None:
    """What an applied patch says of itself."""
    try:
        data: Mapping[str, Any] = parse(decode(applied.text.encode(), applied.id)).data
    except (PatchError, ValueError):
        return None
    found = data.get("description")
    return found if isinstance(found, str) else None


def adopt_history(
    before: Path, after: Path, out: Path, *, force: bool = False, in_place: bool = False
) -> Written:
    """Give a model that was trained and saved the history of the one that it was trained from.

    Args:
        before: a model with a history.
        after: the same model, saved again by Keras, as a `.keras` or HDF5 file.
        out: where the model with both goes.
        force: replace an existing file.
        in_place: `out` is `after` itself.

    Raises:
        PatchError: PC316 where the history cannot be that of `after`; nothing
            was written.
    """
    with open_model(before) as old, open_model(after) as new:
        _check_adoptable(old, new)
        place = publishing(
            out,
            force=force,
            in_place_of=new.file.identity if in_place else None,
            inputs=[old.file.identity, new.file.identity],
        )
        with place as output:
            _write(new, old.history, output)
            _check_written(new, old.history, output, os.fspath(out))
            size = output.size
        return _adopted(old, new, os.fspath(out), size)


def _check_adoptable(old: KerasFile, new: KerasFile) -> None:
    if new.shards is not None:
        message = "an index of sharded weights is no model that Keras has trained and saved"
        raise _refusal(new.file.path, message, "name a .keras or HDF5 file")
    if not old.history:
        message, way_out = "it has no history that could be carried over", "name a patched model"
        raise _refusal(old.file.path, message, way_out)
    if new.history and new.history != old.history:
        message = "it has a history of its own, which is another one"
        raise _refusal(new.file.path, message, "name the model as Keras saved it")
    one, two = old.document(), new.document()
    if structure_hash(one.root) != structure_hash(two.root):
        found = structural_differences(one, two) or ["connections between layers"]
        message = f"its structure is not that of {old.file.path}: {', '.join(found[:5])}"
        way_out = "name the model that AFTER was trained from, as it was before"
        raise _refusal(new.file.path, message, way_out)


def _refusal(path: str, message: str, way_out: str) -> PatchError:
    return PatchError(Diagnostic("PC316", message, file=path, help=way_out))


def _write(new: KerasFile, history: Sequence[Applied], output: OutputFile) -> None:
    if new.archive is not None:
        write_history(new, new.archive, history, output)
    else:
        copy_tree(new, new.root_group, history, output)


def _check_written(
    new: KerasFile, history: Sequence[Applied], output: OutputFile, path: str
) -> None:
    with open_model(output.temporary, beside=new.file.path) as result:
        if new.archive is not None and result.archive is not None:
            wrong = changed_member(new.archive, result.archive)
        else:
            wrong = changed_dataset(new, result)
        if result.history != tuple(history):
            wrong = "the history"
    if wrong is not None:
        message = f"{wrong} was not written as it should be"
        raise PatchError(Diagnostic("PC501", message, file=path, help="look at the disk"))


def _adopted(old: KerasFile, new: KerasFile, out: str, size: int) -> Written:
    count = len(old.history)
    patches = f"{count} patches" if count > 1 else "1 patch"
    return Written(
        command="adopt",
        base={"path": new.file.path},
        output={"path": out, "bytes": size},
        summary=f"Wrote {out} with the history of {old.file.path}: {patches}.",
        facts={"patches": [{"id": a.id, "sha256": a.sha256} for a in old.history]},
    )
