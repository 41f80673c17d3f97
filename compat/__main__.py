"""`make compat`: files of real older packages, patched, converted, and opened by such packages.

Each environment writes the models of `write.py`.  patchc converts and patches
them.  Every result is opened by the version that wrote its base and by every
later one, with the optimizer's state, computes what it should, and trains on.
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

JOBS = int(os.environ.get("PATCHC_COMPAT_JOBS", os.cpu_count() or 1))
"""Environments that read at the same time."""

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
    written: list[Case] = []
    cases: list[Case] = []
    for writer in environments:
        folder, unable = writer.models()
        for model, reason in unable.items():
            print(f"{writer.name} could not write all of {model}: {reason}")
        for original in originals(writer, folder):
            written.append(original)
            cases += made(original, work / f"{writer.name}-made")
    verdicts: Verdicts = {}

    def read(reader: Environment) -> Verdicts:
        found = _read(reader, [c for c in (*written, *cases) if _may_read(reader, c)], work)
        print(f"read with {reader.name}", file=sys.stderr)
        return found

    with ThreadPoolExecutor(JOBS) as pool:
        for found in pool.map(read, environments):
            verdicts |= found
    return _tell(environments, written, cases, verdicts)


def _may_read(reader: Environment, case: Case) -> bool:
    """Whether a version is asked to open a file.

    A `.keras` file is asked of its writer's version and every later one; one
    that was made of a file of Keras 2 is a file of Keras 3, and asked of all of
    those.  An HDF5 model stays one of the Keras that wrote it.  Of files that
    differ in the dialect of the base alone, one version is asked.
    """
    writer = case.writer
    if case.refused:
        return False
    if case.what == "as written":
        return reader.name == writer.name and case.path.suffix == ".keras"
    later = reader.is_keras_3 == writer.is_keras_3 and reader.version >= writer.version
    if case.path.suffix == ".h5":
        return later and (not writer.is_keras_3 or reader.name == writer.name)
    if writer.is_keras_3:
        return later and (case.what != "converted" or reader.name in {writer.name, LATEST})
    if case.model == "recurrent" and reader.version < TAKES_LAYERS_AS_ACTIVATIONS:
        return False
    plain = case.what == "converted" and case.path.stem.endswith("-h5")
    return reader.is_keras_3 and (plain or reader.name == LATEST)


def _is_trained(reader: Environment, case: Case) -> bool:
    """Whether a model goes on training after loading, which takes a while."""
    if case.path.suffix != ".keras":
        return False
    return reader.name == (LATEST if case.what == "converted" else case.writer.name)


def _read(reader: Environment, cases: Sequence[Case], work: Path) -> Verdicts:
    jobs = [
        {
            "path": str(case.path),
            "probes": str(case.probes),
            "same": case.same,
            "train": _is_trained(reader, case),
        }
        for case in cases
    ]
    listed = work / f"{reader.name}.json"
    listed.write_text(json.dumps(jobs))
    found = json.loads(reader.run("read.py", str(listed)).splitlines()[-1])
    return {(case, reader.name): verdict for case, verdict in zip(cases, found, strict=True)}


def _tell(
    environments: Sequence[Environment],
    written: Sequence[Case],
    cases: Sequence[Case],
    verdicts: Verdicts,
) -> int:
    """Print tables and failures; what a reader cannot open as written is not held against us."""
    excused = _excused(written, verdicts)
    failures: list[str] = []
    for title, kinds in (("Converted", {"converted"}), ("Patched", set())):
        of_kind = [c for c in cases if (c.what in kinds) == bool(kinds)]
        print(f"\n{title}: opened / asked, by writer (rows) and reader (columns)\n")
        _table(environments, of_kind, verdicts, excused)
    for (case, reader), verdict in verdicts.items():
        if verdict and case.what != "as written" and (case.model, reader) not in excused:
            failures.append(f"{case.title} in {reader}: {verdict}")
    for model, reader in sorted(excused):
        print(f"not asked: {model} in {reader}, which cannot open its own")
    for case in (c for c in cases if c.refused):
        print(f"refused: {case.title}: {case.refused}")
    print("\n".join(["", *failures]))
    print(f"{len(verdicts)} files opened, {len(failures)} failures")
    return int(bool(failures))


def _excused(written: Sequence[Case], verdicts: Verdicts) -> set[tuple[str, str]]:
    """Models that a version cannot open although it wrote them itself, with the version."""
    return {
        (case.model, case.writer.name)
        for case in written
        if verdicts.get((case, case.writer.name)) and case.path.suffix == ".keras"
    }


def _table(
    environments: Sequence[Environment],
    cases: Sequence[Case],
    verdicts: Verdicts,
    excused: set[tuple[str, str]],
) -> None:
    names = [e.name for e in environments]
    rows = [["", *names]]
    for writer in names:
        row = [writer]
        for reader in names:
            asked = [
                case
                for case in cases
                if case.writer.name == writer
                and (case, reader) in verdicts
                and (case.model, reader) not in excused
            ]
            good = sum(not verdicts[case, reader] for case in asked)
            row.append(f"{good}/{len(asked)}" if asked else "-")
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print(f"| {' | '.join(cells)} |")
        if number == 0:
            print(f"|{'|'.join('-' * (width + 2) for width in widths)}|")


if __name__ == "__main__":
    sys.exit(main())
