"""Patch every model of a folder, and tell what went wrong by its code.

    python patch_folder.py MODELS PATCH.yaml OUT

Codes are stable: a program can rely on them, and `patchc explain CODE` tells
people about them.  A failure leaves nothing behind, so that the run can simply
be repeated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import patchc

DONE_BEFORE = {"PC313"}  # the patch is in the model's history
NOT_MEANT = {"PC201", "PC307"}  # a selector finds nothing, or `expect` is not met
UNREADABLE = {"PC401", "PC402", "PC403", "PC404", "PC405"}


def main(models: str, patch: str, out: str) -> int:
    """Patch what fits; 1 where something has failed that somebody has to look at."""
    Path(out).mkdir(parents=True, exist_ok=True)
    results = list(patch_all(Path(models), patch, Path(out)))
    for result in results:
        print(json.dumps(result))
    return int(any(result["status"] == "failed" for result in results))


def patch_all(models: Path, patch: str, out: Path) -> Iterator[dict[str, object]]:
    """What became of each model; a patch that is wrong in itself ends it all."""
    loaded = patchc.load(patch)
    for path in sorted(models.glob("*.keras")):
        try:
            report = patchc.apply(path, loaded, out / path.name, force=True)
        except patchc.PatchError as error:
            yield {"model": path.name, **refused(error)}
        else:
            told = report.to_dict()
            yield {"model": path.name, "status": "patched", "ledger": told["ledger"]}


def refused(error: patchc.PatchError) -> dict[str, object]:
    """How to go on after a refusal: by its codes, never by its words."""
    errors = [found for found in error.diagnostics if found.severity == "error"]
    codes = {found.code for found in errors}
    if codes & DONE_BEFORE:
        return {"status": "done before"}
    if codes <= NOT_MEANT:
        return {"status": "skipped", "why": errors[0].message}
    why = "the file is damaged" if codes & UNREADABLE else "the patch does not fit"
    return {"status": "failed", "why": why, "errors": [found.to_dict() for found in errors]}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
