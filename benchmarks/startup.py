"""How long a command takes to get going: `validate` and `plan` against plain imports."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.file import PATCH
from benchmarks.measure import PATCHC, PYTHON, Bars, run, side_by_side

ROUNDS = 15

_LIST_IMPORTS = """\
import atexit, sys, sysconfig
before = set(sys.modules)
def tell():
    folder = sysconfig.get_path("purelib")
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(folder):
            print(name, file=sys.stderr)
atexit.register(tell)
from patchc.cli import main
main()
"""


def main() -> int:
    bars = Bars()
    with tempfile.TemporaryDirectory(prefix="patchc-bench-") as folder:
        patch, model = Path(folder, "patch.yaml"), Path(folder, "base.keras")
        patch.write_text(PATCH)
        _validate(patch, bars)
        print()
        run([PYTHON, "-m", "benchmarks.application", "ResNet50", str(model)])
        _plan(model, patch, bars)
    return bars.exit_code


def _validate(patch: Path, bars: Bars) -> None:
    modules = third_party_imports("validate", str(patch))
    print(f"patchc validate, which imports {len(modules)} modules of other packages")
    results = side_by_side(
        {
            "import them alone": [PYTHON, "-c", f"import {', '.join(modules)}"],
            "patchc validate": [PATCHC, "validate", str(patch)],
        },
        rounds=ROUNDS,
    )
    results.show()
    bars.at_most("validate / its imports", results.ratio("patchc validate", "import them alone"), 2)


def third_party_imports(*arguments: str) -> list[str]:
    """The modules of other packages that a command imports, sorted."""
    command = [PYTHON, "-c", _LIST_IMPORTS, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return sorted(name for name in done.stderr.split() if name.replace(".", "").isidentifier())


def _plan(model: Path, patch: Path, bars: Bars) -> None:
    print("patchc plan of ResNet50, head grown by 5")
    results = side_by_side(
        {
            "import keras": [PYTHON, "-c", "import keras"],
            "patchc plan": [PATCHC, "plan", str(model), str(patch)],
        },
        rounds=ROUNDS,
    )
    results.show()
    bars.at_most("plan / import keras", results.ratio("patchc plan", "import keras"), 0.4)


if __name__ == "__main__":
    sys.exit(main())
