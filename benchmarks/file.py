"""`patchc apply` on files, against `cp` and against a Keras script.

Every apply includes the full check of the kept weights in the written file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import PATCHC, PYTHON, Bars, Results, run, side_by_side

PATCH = """\
patchc: 1
id: five-more-classes
edits:
  - select: {head: 0}
    expand: {by: 5}
"""
COPY, BARE, FULL, SCRIPT = (
    "cp --reflink=never",
    "patchc apply --no-digest",
    "patchc apply",
    "Keras script",
)


def main() -> int:
    bars = Bars()
    with tempfile.TemporaryDirectory(prefix="patchc-bench-") as folder:
        patch = Path(folder, "patch.yaml")
        patch.write_text(PATCH)
        for name in ("VGG16", "ResNet50", "MobileNetV2"):
            results = _measure(name, patch)
            faster = 12 if name == "VGG16" else 1
            bars.at_least("Keras script / patchc apply, time", results.ratio(SCRIPT, FULL), faster)
            if name == "VGG16":
                _hold(results, bars)
            print()
    return bars.exit_code


def _measure(name: str, patch: Path) -> Results:
    base, out = patch.with_name("base.keras"), patch.with_name("out.keras")
    run([PYTHON, "-m", "benchmarks.application", name, str(base)])
    print(f"{name}, {base.stat().st_size / 1e6:.0f} MB, head grown by 5")
    apply = [PATCHC, "apply", str(base), str(patch), "-o", str(out), "--quiet"]
    results = side_by_side(
        {
            COPY: ["cp", "--reflink=never", str(base), str(out)],
            BARE: [*apply, "--no-digest"],
            FULL: apply,
            SCRIPT: [PYTHON, "-m", "benchmarks.keras_script", str(base), str(out)],
        },
        clean=lambda: out.unlink(missing_ok=True),
    )
    results.show()
    return results


def _hold(results: Results, bars: Bars) -> None:
    bars.at_most("patchc apply --no-digest / cp, time", results.ratio(BARE, COPY), 3.5)
    bars.at_most("patchc apply / cp, time", results.ratio(FULL, COPY), 5)
    memory = max(results.megabytes(BARE), results.megabytes(FULL))
    bars.at_least("Keras script / patchc apply, memory", results.megabytes(SCRIPT) / memory, 20)
    bars.at_most("patchc apply, memory in MB", memory, 200)


if __name__ == "__main__":
    sys.exit(main())
