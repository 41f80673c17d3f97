"""Open models with whatever Keras this interpreter has: `read.py MODULE LIST`.

LIST is a JSON file: `[{"path", "probes", "same", "train", "stepped", "base"}, ...]`.
Prints, as JSON, what went wrong with each; "" where nothing did.  A model opens
when it loads with its optimizer and without a word about skipped variables,
computes, and gives the outputs beside the probes where they are to be the same.
With `train` it trains on; with `stepped` one step of training leads to the same
outputs as in the writer; with `base` each variable of its optimizer holds what
the one of that name holds in the file that it was made of.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cache
from typing import Any

import numpy as np

keras: Any = importlib.import_module(sys.argv[1])
TOLERANCE = 1e-5
STEP_TOLERANCE = 1e-4
"""After a step of training, in which gradients are summed in another order."""

SAID = io.StringIO()
"""What Keras 2 logs where Keras 3 warns."""


def trouble(job: dict[str, Any]) -> str:
    """What is wrong with a model; "" for nothing."""
    with _listening() as messages:
        model = keras.models.load_model(job["path"], **job.get("options", {}))
    skipped = [text for text in messages if _is_about_state(text)]
    if skipped:
        return skipped[0][:200]
    probes = np.load(job["probes"])
    x = probes["x"]
    if job["same"] and (wrong := _differs(model, x, probes["y"], TOLERANCE)):
        return f"outputs differ by {wrong}"
    if job.get("base") and (wrong := _other_state(model, job["base"])):
        return wrong
    if job.get("stepped"):
        model.train_on_batch(x, np.arange(len(x)) % 3)
        if wrong := _differs(model, x, probes["stepped"], STEP_TOLERANCE):
            return f"outputs after a step of training differ by {wrong}"
    if job.get("train"):
        model.fit(x, np.arange(len(x)) % 3, verbose=0)
    return ""


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collects all that Keras says, by whatever way."""
    messages: list[str] = []
    said = io.StringIO()
    SAID.seek(0)
    SAID.truncate()
    with warnings.catch_warnings(record=True) as caught, redirect_stderr(said):
        warnings.simplefilter("always")
        yield messages
    messages += [str(warning.message) for warning in caught]
    messages += [said.getvalue(), *SAID.getvalue().splitlines()]


def _is_about_state(text: str) -> bool:
    words = ("kipping variable", "not loaded", "freshly initialized optimizer")
    return any(word in text for word in words)


def _differs(model: Any, x: Any, wanted: Any, tolerance: float) -> str:
    """By how much the outputs are not those that are wanted; "" where they are."""
    outputs = model(x, training=False)  # compiled, older XLA is off by 1e-3
    outputs = np.asarray(outputs[0] if isinstance(outputs, list) else outputs)
    if np.allclose(outputs, wanted, atol=tolerance, rtol=0):
        return ""
    return f"{np.abs(outputs - wanted).max():.2g}"


def _other_state(model: Any, base: str) -> str:
    """A variable of the optimizer that does not hold what it held in the base; "" for none."""
    before, after = _state_of(base), _state(model)
    shared = [n for n in after if n in before and after[n].shape == before[n].shape]
    slots = [name for name in after if name in before and after[name].ndim]
    if not slots and any(value.ndim for value in before.values()):
        return "the optimizer has no variable of the base"
    wrong = [name for name in shared if not np.array_equal(before[name], after[name])]
    return f"optimizer: `{wrong[0]}` is not that of the base" if wrong else ""


@cache
def _state_of(path: str) -> dict[str, Any]:
    return _state(keras.models.load_model(path))


def _state(model: Any) -> dict[str, Any]:
    """The optimizer's variables by name, of those that no other shares."""
    variables = model.optimizer.variables
    if not isinstance(variables, list):  # a method, once
        variables = variables()
    named = [(getattr(v, "path", None) or v.name, np.array(v)) for v in variables]
    names = [name for name, _ in named]
    return {name: value for name, value in named if names.count(name) == 1}


def main() -> None:
    """Try all models of the list."""
    logger = logging.getLogger("absl")
    logger.handlers = [logging.StreamHandler(SAID)]
    logger.propagate = False
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
