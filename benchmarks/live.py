"""What patching a model in memory costs, beside the script that people write for it.

`python -m benchmarks.live` runs both on ResNet50 and VGG16, each run in a
process of its own, in turn, and holds the ratio of the fastest runs against its
bar: other programs can only slow a run down.  The script clones the model and
sets the weights of the clone; the patch freezes all but the head.  Time is that
of the call, memory what the process's peak grew by.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Bars

MODELS = ("ResNet50", "VGG16")
WAYS = ("clone_model", "patchc")
ROUNDS = 5
PATCH = "patchc: 1\nid: tune-head\nedits:\n  - {select: {not: {head: 0}}, freeze: true}\n"


def peak() -> float:
    """Peak resident set in MiB since the last `forget_peak`; Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def forget_peak() -> float:
    """Let the peak begin anew at what is resident now, which is returned."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def cloned(model: Any) -> Any:
    import keras

    new = keras.models.clone_model(model)
    new.set_weights(model.get_weights())
    for layer in new.layers[:-1]:
        layer.trainable = False
    return new


def patched(model: Any) -> Any:
    import patchc

    return patchc.apply(model, patchc.loads(PATCH))


def measure(way: str, name: str) -> None:
    """Print seconds and MiB of one call, the first and a later one."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    import patchc.live  # noqa: F401 (both ways start with their imports done)

    make = cloned if way == "clone_model" else patched
    make(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2), keras.layers.Dense(2)]))
    model = getattr(keras.applications, name)(weights=None)
    before, start = forget_peak(), time.perf_counter()
    new = make(model)
    first = time.perf_counter() - start
    grown = peak() - before
    del new
    start = time.perf_counter()
    make(model)
    print(json.dumps([first, time.perf_counter() - start, grown]))


def rounds(name: str) -> dict[str, list[list[float]]]:
    """Figures of each way, one process after the other."""
    runs: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.live", way, name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
    return runs


def main() -> int:
    bars = Bars()
    for name in MODELS:
        runs = rounds(name)
        print(f"{name}: a model in memory, all but its head frozen")
        for way in WAYS:
            first, again, memory = (
                statistics.median(column) for column in zip(*runs[way], strict=True)
            )
            print(f"  {way:<28}{first:8.2f} s {again:8.2f} s again {memory:8.0f} MB more")
        for place, what in enumerate(("first call", "later call", "memory")):
            ours, theirs = (
                min(run[place] for run in runs[way]) for way in ("patchc", "clone_model")
            )
            bars.at_most(f"{what}, patchc to clone_model + set_weights", ours / theirs, 1.0)
    return bars.exit_code


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(*sys.argv[1:])
    else:
        sys.exit(main())
