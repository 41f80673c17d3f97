"""`make compat`: files of real older packages, patched, converted, and opened by such packages.

Each environment writes the models of `write.py`.  patchc converts and patches
them.  Every result is opened by the version that wrote its base and by every
later one that opens the base, with the optimizer's state, computes what it
should, and trains on.
Names of environments as arguments choose some of them.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compat.cases import Case, made, originals
from compat.environments import KERAS_3, Environment, chosen

LATEST = KERAS_3[-1].name
TAKES_LAYERS_AS_ACTIVATIONS = (3, 12)
"""Keras 3 has no name for the hard sigmoid of Keras 2, which is written as two layers."""

READS_FLAGS = (3, 3)
"""Keras 3.0 trains what a file says is frozen, of its own files too."""

JOBS = int(os.environ.get("PATCHC_COMPAT_JOBS", os.cpu_count() or 1))
"""Environments that read at the same time."""

TABLES = {
    "As written": {"as written"},
    "Converted": {"converted"},
    "Patched": {"as written", "converted"},
}

Verdicts = dict[tuple[Case, str], str]
"""Case and name of the reader -> what is wrong; "" for nothing."""


def main() -> int:
    """Write, patch, read, and print the tables; 1 where anything went wrong."""
    environments = chosen(sys.argv[1:])
    for environment in environments:
        environment.make()
    with tempfile.TemporaryDirectory(prefix="patchc-compat-") as name:
        return _run(environments, Path(name))


def _run(environments: Sequence[Environment], work: Path) -> int:
    cases: list[Case] = []
    for writer in environments:
        folder, unable = writer.models()
        for model, reason in unable.items():
            print(f"{writer.name} could not write all of {model}: {reason}")
        for original in originals(writer, folder):
            cases += [original, *made(original, work / f"{writer.name}-made")]
    verdicts: Verdicts = {}

    def read(reader: Environment) -> Verdicts:
        found = _read(reader, [case for case in cases if _may_read(reader, case)], work)
        print(f"read with {reader.name}", file=sys.stderr)
        return found

    with ThreadPoolExecutor(JOBS) as pool:
        for found in pool.map(read, environments):
            verdicts |= found
    return _tell(environments, cases, verdicts)


def _may_read(reader: Environment, case: Case) -> bool:
    """Whether a version is asked to open a file.

    What Keras wrote, and what patchc patched in the same format, is asked of
    the writer's version and every later one of its line: 2.x and 3.x.  A
    conversion is a file of Keras 3, and asked of all of those; of conversions
    that differ in the dialect of the base alone, one version is asked.
    """
    writer = case.writer
    if case.refused:
        return False
    if case.what == "freeze" and reader.is_keras_3 and reader.version < READS_FLAGS:
        return False
    later = reader.is_keras_3 == writer.is_keras_3 and reader.version >= writer.version
    if case.what != "converted":
        return later or (case.what == "as written" and reader.name == LATEST)
    if writer.is_keras_3:
        return later and reader.name in {writer.name, LATEST}
    if case.model == "recurrent" and reader.version < TAKES_LAYERS_AS_ACTIVATIONS:
        return False
    return reader.is_keras_3 and (case.path.stem.endswith("-h5") or reader.name == LATEST)


def _job(reader: Environment, case: Case) -> dict[str, object]:
    """What is asked of a file; training takes a while, and is asked of one version."""
    patched = case.base is not None and case.what != "converted"
    once = reader.name == (case.writer.name if patched else LATEST)
    return {
        "path": str(case.path),
        "probes": str(case.probes),
        "same": case.same,
        # Keras 3 on JAX does not train what it loads from its own HDF5 files
        "train": once and patched and not (case.writer.is_keras_3 and case.path.suffix == ".h5"),
        "stepped": once and case.what == "converted",
        "base": str(case.base) if patched and reader.name == case.writer.name else "",
    }


def _read(reader: Environment, cases: Sequence[Case], work: Path) -> Verdicts:
    listed = work / f"{reader.name}.json"
    listed.write_text(json.dumps([_job(reader, case) for case in cases]))
    found = json.loads(reader.run("read.py", str(listed)).splitlines()[-1])
    return {(case, reader.name): verdict for case, verdict in zip(cases, found, strict=True)}


def _tell(environments: Sequence[Environment], cases: Sequence[Case], verdicts: Verdicts) -> int:
    """Print tables and failures; what a reader cannot open as written is not held against us."""
    unable = {
        (case.path, reader)
        for (case, reader), verdict in verdicts.items()
        if case.what == "as written" and verdict
    }
    asked = {key: verdict for key, verdict in verdicts.items() if not _excused(*key, unable)}
    for title, whats in TABLES.items():
        of_kind = [case for case in cases if (case.what in whats) == (title != "Patched")]
        print(f"\n{title}: opened / asked, by writer (rows) and reader (columns)\n")
        _table(environments, of_kind, asked)
    print()
    for title, reason in sorted({(c.title, c.refused) for c in cases if c.refused}):
        print(f"refused: {title}: {reason}")
    failures = [(c, r, v) for (c, r), v in asked.items() if v and c.what != "as written"]
    for case, reader, verdict in failures:
        print(f"failed: {case.title} in {reader}: {verdict}")
    print(f"\n{len(verdicts)} files opened, {len(failures)} failures")
    return int(bool(failures))


def _excused(case: Case, reader: str, unable: set[tuple[Path, str]]) -> bool:
    """Whether a reader need not open a file: it does not open the base either.

    A conversion has another format than its base; there it is the reader's own
    file of the same model that counts.  Nor does a base that its own writer
    does not open: Keras 2.12 leaves out of archives what it asks for later.
    """
    if case.base is None:
        return False
    if (case.base, case.writer.name) in unable:
        return True
    if case.what != "converted":
        return (case.base, reader) in unable
    own = f"{case.model}.keras"
    return any(path.name == own and path.parent.parent.name == reader for path, _ in unable)


def _table(environments: Sequence[Environment], cases: Sequence[Case], verdicts: Verdicts) -> None:
    names = [e.name for e in environments]
    rows = [["", *names]]
    for writer in names:
        row = [writer]
        for reader in names:
            found = [
                verdicts[case, reader]
                for case in cases
                if case.writer.name == writer and (case, reader) in verdicts
            ]
            row.append(f"{found.count('')}/{len(found)}" if found else "-")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(f"| {' | '.join(cells)} |")
        if number == 0:
            print(f"|{'|'.join('-' * (width + 2) for width in widths)}|")


if __name__ == "__main__":
    sys.exit(main())
