"""Outputs of real old models in the Keras that still opens them: `real.py MODULE LIST`.

LIST is a JSON file: `[{"path", "probes"}, ...]`.  Writes seeded inputs and
outputs to `probes`; prints, as JSON, why a model does not open, "" where it does.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

import numpy as np

keras: Any = importlib.import_module(sys.argv[1])
OPEN_SIZE = 64


def run(job: dict[str, str]) -> None:
    """Open one model, and keep what it makes of seeded inputs."""
    model = keras.models.load_model(job["path"], compile=False)
    [tensor] = model.inputs
    shape = [size or OPEN_SIZE for size in tensor.shape[1:]]
    x = np.random.default_rng(3).uniform(-1, 1, (4, *shape)).astype("float32")
    outputs = model(x, training=False)
    first = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
    np.savez(job["probes"], x=x, y=np.asarray(first))


def main() -> None:
    """Try all models of the list."""
    with open(sys.argv[2], encoding="utf-8") as file:
        jobs = json.load(file)
    found = []
    for job in jobs:
        try:
            run(job)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}"[:300])
        else:
            found.append("")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
