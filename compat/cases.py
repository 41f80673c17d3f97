"""Cases: what is made of the models that an older Keras wrote, and what must hold of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import patchc
from compat.environments import Environment

PATCHES: Mapping[str, tuple[str, bool]] = {
    "freeze": ("- {select: {weighted: true, first: 1}, freeze: true}", True),
    "grow": ("- {select: {head: 0}, expand: {by: 1}}", False),
    "insert": ("- {select: {head: 0}, insert_before: {Dropout: {rate: 0.1}}}", True),
    "branch": (
        "- {select: hidden_2, insert_after: {residual: [{Dense: {units: 8}}]}, init: identity}",
        True,
    ),
}
"""Name -> edits, and whether the outputs stay what they were."""

PATCHED: Mapping[str, tuple[str, ...]] = {
    "mlp": ("freeze", "grow", "insert", "branch"),
    "convnet": ("freeze", "grow"),
    "recurrent": ("freeze", "grow"),
    "both_ways": ("freeze", "grow"),
    "nested": ("freeze", "insert"),
    "attention": ("freeze", "insert"),
    "operations": ("freeze", "insert"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A file to open.

    Args:
        writer: the environment that wrote the model.
        model: its name.
        what: `as written`, `converted`, or the patch.
        path: of the file.
        probes: inputs and the writer's outputs.
        same: whether the outputs are still the writer's.
        base: the file that it was made of; None: as written.
        refused: why patchc did not make it; "" where it did.
    """

    writer: Environment
    model: str
    what: str
    path: Path
    probes: Path
    same: bool = True
    base: Path | None = None
    refused: str = ""

    @property
    def title(self) -> str:
        """For tables and messages."""
        return f"{self.path.parent.name}/{self.path.name}"


def originals(writer: Environment, folder: Path) -> Iterator[Case]:
    """The files as they were written."""
    for path in sorted([*folder.glob("*.keras"), *folder.glob("*.h5")]):
        probes = path.with_suffix(".npz")
        yield Case(writer, path.stem, "as written", path, probes)


def made(original: Case, folder: Path) -> Iterator[Case]:
    """What patchc makes of a file: conversions, and patched files in the format of the base."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = original.path.suffix[1:]
    if kind == "h5" or not original.writer.is_keras_3:
        yield _convert(original, folder / f"{original.model}-{kind}.keras")
    for name in PATCHED[original.model]:
        yield _patch(original, name, folder / f"{original.model}-{name}{original.path.suffix}")


def _convert(original: Case, out: Path) -> Case:
    refused = ""
    try:
        found = patchc.convert(original.path, out, force=True, digest=False)
        refused = "; ".join(missing.name for missing in found.missing)
    except patchc.PatchError as error:
        refused = str(error)
    return Case(
        original.writer,
        original.model,
        "converted",
        out,
        original.probes,
        base=original.path,
        refused=refused,
    )


def _patch(original: Case, name: str, out: Path) -> Case:
    edits, same = PATCHES[name]
    patch = patchc.loads(f"patchc: 1\nid: {name}\nedits:\n{edits}\n")
    refused = ""
    try:
        patchc.apply(original.path, patch, out, force=True, digest=False)
    except patchc.PatchError as error:
        refused = str(error)
    return Case(
        original.writer, original.model, name, out, original.probes, same, original.path, refused
    )
