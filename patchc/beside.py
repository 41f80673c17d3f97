"""What is written beside a result: the undo file, and a statement of where it comes from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import patchc
from patchc.results import Report
from patchc.storage.checked import CheckedBase
from patchc.storage.publish import publishing

Path = str | os.PathLike[str]

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:patchc:apply:1"


@dataclass(frozen=True, slots=True)
class Beside:
    """What to write beside a result.

    Args:
        undo: where to keep what the patches drop or overwrite.
        provenance: whether to write an in-toto statement, as `OUT.patchc.json`.
    """

    undo: Path | None = None
    provenance: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to write, for which the base's SHA-256 is needed."""
        return self.undo is not None or self.provenance


@contextmanager
def withdrawn_on_failure() -> Iterator[list[str]]:
    """A list of published files that go again where the block fails."""
    published: list[str] = []
    try:
        yield published
    except BaseException:
        for path in published:
            with suppress(FileNotFoundError):
                os.unlink(path)
        raise


def write_beside(
    wanted: Beside, base: CheckedBase, report: Report, written: str, *, force: bool
) -> Iterator[str]:
    """Write what is wanted; gives the path of each file that has its name.

    Args:
        report: on the result.
        written: the temporary name of the result.
        force: replace existing files.
    """
    inputs = [base.source.file.identity]
    if wanted.undo is not None:
        from patchc.undo import keep_undo  # noqa: PLC0415 (it imports NumPy)

        with publishing(wanted.undo, force=force, inputs=inputs) as output:
            keep_undo(base.source, report.plan, written, str(base.digest.hex()), output)
        yield os.fspath(wanted.undo)
    if wanted.provenance:
        path = f"{report.output['path']}.patchc.json"
        with publishing(path, force=force, inputs=inputs) as output:
            text = json.dumps(statement(report, base), indent=2) + "\n"
            output.write_at(0, text.encode())
        yield path


def statement(report: Report, base: CheckedBase) -> dict[str, Any]:
    """An in-toto statement: which bytes came from which bytes, by which patches.

    It is not signed and holds no time.  The predicate is SLSA's provenance.
    """
    plan = report.plan
    patches = [
        {"id": p.id, "text": p.text, "params": dict(p.params), "seed": p.seed} for p in plan.patches
    ]
    new = () if plan.is_empty else plan.patches
    history = [*(applied.id for applied in base.source.history), *(patch.id for patch in new)]
    return {
        "_type": STATEMENT,
        "subject": [_resource(report.output["path"], report.output["sha256"])],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"patches": patches},
                "resolvedDependencies": [
                    _resource(report.base["path"], report.base["sha256"]),
                    *(_resource(p.file, p.sha256) for p in plan.patches),
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:patchc", "version": {"patchc": patchc.__version__}}
            },
            "patchc_history": history,
        },
    }


def _resource(path: Any, sha256: Any) -> Mapping[str, Any]:
    return {"name": os.path.basename(str(path)), "digest": {"sha256": sha256}}
