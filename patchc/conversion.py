"""Convert: an older model file made into one that today's Keras opens, its weights untouched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from patchc.compiler.compile import compile_patches
from patchc.errors import Diagnostic, PatchError
from patchc.legacy.notes import Missing, Repair
from patchc.pipeline import ProgressFactory, carry_out, no_progress
from patchc.results import Report
from patchc.storage.checked import CheckedBase, open_checked
from patchc.storage.formats import Format
from patchc.storage.write_model import name_repairs

Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Conversion:
    """What `convert` did.

    Attributes:
        report: files, ledger and checks, as `apply` gives them.
        repairs: what was changed in the configuration, in the order of the layers.
        missing: what Keras cannot load without the user's code.
        lost_state: why the optimizer's state was left behind; "" where it was not.
    """

    report: Report
    repairs: tuple[Repair, ...]
    missing: tuple[Missing, ...]
    lost_state: str = ""

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """A warning for all that is missing, and for a state that is lost."""
        path = str(self.report.base["path"])
        found = [_missing(missing, path) for missing in self.missing]
        if self.lost_state:
            message = f"the optimizer's state is left behind: {self.lost_state}"
            way_out = "training goes on with a fresh optimizer state"
            found.append(Diagnostic("PC905", message, file=path, help=way_out, severity="warning"))
        return (*found, *self.report.diagnostics)

    def to_dict(self) -> dict[str, Any]:
        """The conversion as JSON (`schemas/report.v1.schema.json`)."""
        told = self.report.to_dict()
        del told["patches"]
        return told | {
            "repairs": [repair.to_dict() for repair in self.repairs],
            "missing": [missing.to_dict() for missing in self.missing],
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
        }


def _missing(missing: Missing, path: str) -> Diagnostic:
    where = f"`{missing.layer}`: " if missing.layer else ""
    message = f"{where}{missing.what}: `{missing.name}`"
    return Diagnostic("PC909", message, file=path, help=missing.way_out, severity="warning")


def convert_file(model: Path, out: Path, *, force: bool = False, digest: bool = True) -> Conversion:
    """Convert a model file, see `convert_opened`.

    Args:
        digest: compute SHA-256 of input and output for the report.
    """
    with open_checked(model, sha256=digest) as base:
        return convert_opened(base, out, force=force)


def convert_opened(
    base: CheckedBase,
    out: Path,
    *,
    force: bool = False,
    progress: ProgressFactory = no_progress,
) -> Conversion:
    """Write an open model file as a `.keras` file that Keras 3 opens.

    Weights are found by their recorded names and copied byte by byte; the
    configuration is repaired.  What needs the user's code is carried through
    and named.

    Args:
        out: must end in `.keras`.
        force: replace an existing file.

    Raises:
        PatchError: nothing was written.
    """
    if not os.fspath(out).endswith(".keras"):
        message = "a conversion is written as a .keras file"
        help_text = "give the output a name that ends in .keras"
        raise PatchError(Diagnostic("PC406", message, file=os.fspath(out), help=help_text))
    older = base.source.older
    plan = compile_patches(base.source.document(target=Format.KERAS), ())
    report = carry_out(
        base,
        plan,
        out,
        command="convert",
        force=force,
        progress=progress,
        target=Format.KERAS,
    )
    if older is None:
        return Conversion(report, (), ())
    lost = base.source.lost_state(Format.KERAS)
    repairs = (*older.repaired.repairs, *name_repairs(base.source, plan))
    return Conversion(report, repairs, older.repaired.missing, lost)
