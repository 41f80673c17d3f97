"""Open models with whatever Keras this interpreter has: `read.py MODULE LIST`.

LIST is a JSON file: `[{"path", "probes", "same"}, ...]`.  Prints, as JSON, what
went wrong with each; "" where nothing did.  A model opens when it loads with
its optimizer and without a warning about skipped variables, computes, gives
the outputs beside the probes where they are to be the same, and trains on.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
import warnings
from contextlib import redirect_stderr
from typing import Any

import numpy as np

keras: Any = importlib.import_module(sys.argv[1])
TOLERANCE = 1e-5


def trouble(job: dict[str, Any]) -> str:
    """What is wrong with a model; "" for nothing."""
    said = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, redirect_stderr(said):
        warnings.simplefilter("always")
        model = keras.models.load_model(job["path"], **job.get("options", {}))
    messages = [str(warning.message) for warning in caught] + [said.getvalue()]
    skipped = [text for text in messages if "kipping variable" in text or "not loaded" in text]
    if skipped:
        return skipped[0][:200]
    probes = np.load(job["probes"])
    outputs = model(probes["x"], training=False)  # compiled, older XLA is off by 1e-3
    outputs = np.asarray(outputs[0] if isinstance(outputs, list) else outputs)
    if job["same"] and not np.allclose(outputs, probes["y"], atol=TOLERANCE, rtol=0):
        return f"outputs differ by {np.abs(outputs - probes['y']).max():.2g}"
    if job.get("train", True):
        model.fit(probes["x"], np.arange(len(probes["x"])) % 3, verbose=0)
    return ""


def main() -> None:
    """Try all models of the list."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with open(sys.argv[2], encoding="utf-8") as file:
        jobs = json.load(file)
    found = []
    for job in jobs:
        try:
            found.append(trouble(job))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}"[-400:])
        keras.backend.clear_session()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
