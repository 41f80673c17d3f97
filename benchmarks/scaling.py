"""Planning a Functional model of 1,000, 3,000 and 10,000 layers."""

from __future__ import annotations

import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.file import PATCH
from benchmarks.measure import PATCHC, PYTHON, Bars, run, side_by_side

SIZES = (1_000, 3_000, 10_000)
LINEAR = 2
"""1 is linear growth; quadratic growth would give (10,000 + 3,000) / (3,000 + 1,000) = 3.25."""


def main() -> int:
    bars = Bars()
    with tempfile.TemporaryDirectory(prefix="patchc-bench-") as folder:
        patch = Path(folder, "patch.yaml")
        patch.write_text(PATCH)
        commands = {}
        for size in SIZES:
            path = Path(folder, f"{size}.keras")
            run([PYTHON, "-m", "benchmarks.deep_model", str(size), str(path)])
            commands[f"patchc plan, {size:,} layers"] = [PATCHC, "plan", str(path), str(patch)]
        results = side_by_side(commands)
    print("patchc plan of a Functional model: blocks of dense, normalisation, ReLU, residual add")
    results.show()
    seconds = [results.seconds(name) for name in commands]
    steps = zip(pairwise(SIZES), pairwise(seconds), strict=True)
    further = [(after - before) / (more - less) for (less, more), (before, after) in steps]
    for (less, more), each in zip(pairwise(SIZES), further, strict=True):
        print(f"  from {less:>5,} to {more:>6,} layers: {each * 1e3:.3f} ms for each further layer")
    bars.at_most("a layer of the last step / of the first", further[1] / further[0], LINEAR)
    return bars.exit_code


if __name__ == "__main__":
    sys.exit(main())
