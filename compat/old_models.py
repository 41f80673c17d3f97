"""`python -m compat.old_models`: real old models in Keras 2, against their conversions in Keras 3.

The files are those of `tests.real_models`; the table is the one in
`docs/old-models.md`.  Each is run by `tf_keras`, or where that does not open it
by Keras 2.14, whose `.keras` files no later version opens.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import patchc
from compat.environments import KERAS_2, KERAS_3, Environment
from tests.real_models import FILES, real_model

[OLD] = [environment for environment in KERAS_2 if environment.name == "keras-2.14.0"]
TF_KERAS, TODAY = KERAS_2[-1], KERAS_3[-1]


def main() -> int:
    """Print a line for each model; 1 where the outputs of any differ."""
    for environment in (OLD, TF_KERAS, TODAY):
        environment.make()
    with tempfile.TemporaryDirectory(prefix="patchc-compat-") as name:
        return _run(Path(name))


def _run(work: Path) -> int:
    found = {name: patchc.convert(real_model(name), work / f"{name}.keras") for name in FILES}
    paths = {name: work / f"{name}.npz" for name in FILES}
    whole = [name for name in FILES if not found[name].missing]  # the others would run their code
    opened_by = _run_originals(whole, paths, work)
    asked = list(opened_by)
    converted = [
        {"path": str(work / f"{n}.keras"), "probes": str(paths[n]), "same": True, "train": False}
        for n in asked
    ]
    verdicts = dict(zip(asked, _ask(TODAY, "read.py", converted, work), strict=True))
    for name in FILES:
        missing = ", ".join(sorted({m.name for m in found[name].missing}))
        kept = found[name].report.plan.ledger.counts()["kept"]
        state = found[name].report.plan.optimizer.counts()["kept"]
        outputs = verdicts.get(name, "not asked") or f"those of {opened_by[name]}"
        repairs = len(found[name].repairs)
        print(f"| {name} | {repairs} | {kept} | {state} | {missing or 'nothing'} | {outputs} |")
    return int(any(verdicts.values()))


def _run_originals(names: Sequence[str], paths: Mapping[str, Path], work: Path) -> dict[str, str]:
    """Run the originals, each in the first Keras 2 that opens it; name -> of that."""
    opened_by: dict[str, str] = {}
    for environment in (TF_KERAS, OLD):
        left = [name for name in names if name not in opened_by]
        jobs = [{"path": str(real_model(n)), "probes": str(paths[n])} for n in left]
        troubles = zip(left, _ask(environment, "real.py", jobs, work), strict=True)
        opened_by |= {name: environment.name for name, trouble in troubles if not trouble}
    return opened_by


def _ask(
    environment: Environment, script: str, jobs: Sequence[Mapping[str, object]], work: Path
) -> list[str]:
    listed = work / f"{script}.json"
    listed.write_text(json.dumps(jobs))
    answers: list[str] = json.loads(environment.run(script, str(listed)).splitlines()[-1])
    return answers


if __name__ == "__main__":
    sys.exit(main())
