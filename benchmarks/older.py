"""`patchc apply` on an HDF5 model and on sharded weights, against `cp` and against Keras scripts.

Every apply includes the full check of the kept weights in the written files,
and the digest of the base, by which the history calls it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.file import BARE, COPY, FULL, PATCH, SCRIPT
from benchmarks.measure import PATCHC, PYTHON, Bars, Results, run, side_by_side

INIT = """\
patchc: 1
id: new-head
edits:
  - select: {head: 0}
    init: default
"""
MODEL = "VGG16"
ROUNDS = 3


def main() -> int:
    bars = Bars()
    with tempfile.TemporaryDirectory(prefix="patchc-bench-") as place:
        folder = Path(place)
        base = folder / "base.h5"
        run([PYTHON, "-m", "benchmarks.application", MODEL, str(base)])
        _hold(_hdf5(base), bars)
        print()
        _hold(_sharded(base), bars)
    return bars.exit_code


def _hdf5(base: Path) -> Results:
    out, patch = base.with_name("out.h5"), base.with_name("grow.yaml")
    patch.write_text(PATCH)
    print(f"{MODEL} as an HDF5 model, {_megabytes([base])} MB, head grown by 5")
    apply = [PATCHC, "apply", str(base), str(patch), "-o", str(out), "--quiet"]
    results = side_by_side(
        {
            COPY: ["cp", "--reflink=never", str(base), str(out)],
            BARE: [*apply, "--no-digest"],
            FULL: apply,
            SCRIPT: [PYTHON, "-m", "benchmarks.keras_script", str(base), str(out)],
        },
        lambda: out.unlink(missing_ok=True),
        ROUNDS,
    )
    results.show()
    return results


def _sharded(model: Path) -> Results:
    before, after = model.with_name("before"), model.with_name("after")
    before.mkdir()
    base, out, patch = before / "base.weights.json", after / "out.weights.json", before / "i.yaml"
    patch.write_text(INIT)
    shards = [PYTHON, "-m", "benchmarks.shards"]
    run([*shards, str(model), str(base)])
    files = [base, *sorted(before.glob("*.weights.h5"))]
    told = f"{len(files) - 1} shards, {_megabytes(files)} MB, new values in the head"
    print(f"{MODEL} as sharded weights, {told}")
    apply = [PATCHC, "apply", str(base), str(patch), "-o", str(out), "--quiet"]

    def clean() -> None:
        shutil.rmtree(after, ignore_errors=True)
        after.mkdir()

    results = side_by_side(
        {
            COPY: ["cp", "--reflink=never", *map(str, files), str(after)],
            BARE: [*apply, "--no-digest"],
            FULL: apply,
            SCRIPT: [*shards, str(base), str(out)],
        },
        clean,
        ROUNDS,
    )
    results.show()
    return results


def _megabytes(files: list[Path]) -> int:
    return round(sum(file.stat().st_size for file in files) / 1e6)


def _hold(results: Results, bars: Bars) -> None:
    bars.at_most("patchc apply --no-digest / cp, time", results.ratio(BARE, COPY), 5)
    bars.at_most("patchc apply / cp, time", results.ratio(FULL, COPY), 5)
    bars.at_least("Keras script / patchc apply, time", results.ratio(SCRIPT, FULL), 5)
    memory = max(results.megabytes(BARE), results.megabytes(FULL))
    bars.at_least("Keras script / patchc apply, memory", results.megabytes(SCRIPT) / memory, 8)
    bars.at_most("patchc apply, memory in MB", memory, 200)


if __name__ == "__main__":
    sys.exit(main())
