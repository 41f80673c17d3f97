"""How exactly transformers, recurrent layers and moved axes grow, and come back.

`python -m benchmarks.patterns` grows every dimension of small GPT-style and
BERT-style models, tied and untied, each by itself and all together; an axis
that is shuffled, cut into windows, merged, gated, unflattened, interleaved and
padded; and every recurrent layer.  Each result is loaded with Keras, and its
outputs are held against those of the model before; then the new entries are
taken out again, and every stored weight is held against what it was: bit for
bit, or within the last place where growing rescaled it.  Copies are not taken
out: what reads them stays shared out among those that are left.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import patchc
from benchmarks.measure import Bars
from tests.acceptance.widening import (
    Trip,
    apart,
    edits,
    saved,
    stir,
    there_and_back,
)
from tests.patterns import IMAGE, PATTERNS, RECURRENT, on_image
from tests.transformers import AXES, EDITS, KINDS, REFUSED, dimensions, together, transformer

_CLOSE = 1e-6
"""Largest difference of the outputs, relative to the largest of them."""
_LAST_PLACE = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One growth.

    Args:
        model: what grows.
        name: along which axis.
        apart: how far the outputs are from what they were; None where it is refused.
        foretold: whether it has to be refused.
        trip: what growing and shrinking left of the weights; None where nothing was shrunk.
    """

    model: str
    name: str
    apart: float | None
    foretold: bool = False
    trip: Trip | None = None

    @property
    def met(self) -> bool:
        """Whether it is what it has to be."""
        if self.apart is None or self.foretold:
            return self.apart is None and self.foretold
        trip = self.trip
        back = trip is None or (trip.kept == 0 and (trip.rescaled or 0.0) <= _LAST_PLACE)
        return self.apart <= _CLOSE and back

    def show(self) -> None:
        """Print it."""
        far = "refused" if self.apart is None else f"{self.apart:.1e}"
        met = "met" if self.met else "MISSED"
        print(f"  {met:<8}{self.model:<14}{self.name:<26}{far:>9}   {self._back()}", flush=True)

    def _back(self) -> str:
        if self.apart is None:
            return "as foretold" if self.foretold else ""
        if self.trip is None:
            return ""
        kept = f"{self.trip.kept:.0f} ulp" if self.trip.kept else "bit for bit"
        scaled = self.trip.rescaled
        return kept if scaled is None else f"{kept}, rescaled {scaled:.0f} ulp"


def grown(model: Any, base: Path, *chosen: tuple[str, str]) -> float | None:
    """How far the outputs move when a saved model is edited; None where that is refused."""
    import keras

    out = base.with_name("after.keras")
    try:
        patchc.apply(base, edits(*chosen), out, force=True)
    except patchc.PatchError:
        return None
    return apart(model, keras.models.load_model(out))


def transformers(folder: Path) -> Iterator[Row]:
    """Every dimension of every kind of transformer, then all that it can grow at once."""
    import keras

    base = folder / "before.keras"
    for kind, arguments in KINDS.items():
        keras.utils.set_random_seed(4)
        model = transformer(**arguments)
        stir(model)
        model.save(base)
        for name in dimensions(kind):
            foretold = (kind, name) in REFUSED
            if foretold or name not in AXES or name == "width twice":
                yield Row(kind, name, grown(model, base, EDITS[name]), foretold)
                continue
            layer, axis, by = AXES[name]
            trip = there_and_back(base, layer, by, axis)
            yield Row(kind, name, apart(model, trip.wide), trip=trip)
        yield Row(kind, "all together", grown(model, base, *together(kind)))


def patterns(folder: Path) -> Iterator[Row]:
    """Channels of an image that are moved about, grown by a convolution."""
    for name, (pattern, by) in PATTERNS.items():
        model = saved(IMAGE, on_image(pattern), folder)
        trip = there_and_back(folder / "before.keras", "t", by, "filters")
        yield Row("moved", name, apart(model, trip.wide), trip=trip)


def recurrent(folder: Path) -> Iterator[Row]:
    """Units and filters of recurrent layers."""
    for name, (shape, build, axis) in RECURRENT.items():
        model = saved(shape, build, folder)
        trip = there_and_back(folder / "before.keras", "t", 2, axis)
        yield Row("recurrent", name, apart(model, trip.wide), trip=trip)


def main() -> int:
    """Print the table; returns 1 where a bar is missed."""
    print("          model         axis                      difference  and back")
    rows: dict[str, list[Row]] = {}
    for part in (transformers, patterns, recurrent):
        with tempfile.TemporaryDirectory() as folder:
            for row in part(Path(folder)):
                row.show()
                rows.setdefault(part.__name__, []).append(row)
    return _bars(rows)


def _bars(rows: dict[str, list[Row]]) -> int:
    bars = Bars()
    for name, some in rows.items():
        far = max(row.apart for row in some if row.apart is not None)
        bars.at_most(f"{name}, largest difference, in 1e-6", 1e6 * far, 1e6 * _CLOSE)
    every = [row for some in rows.values() for row in some]
    bars.at_least(
        f"rows as they have to be, of {len(every)}", sum(r.met for r in every), len(every)
    )
    trips = [row.trip for row in every if row.trip is not None]
    changed = sum(trip.kept > 0 for trip in trips)
    bars.at_most(f"not bit for bit and back, of {len(trips)}", changed, 0)
    scaled = [trip.rescaled for trip in trips if trip.rescaled is not None]
    bars.at_most(f"ulp of what was rescaled, in {len(scaled)} rows", max(scaled), _LAST_PLACE)
    return bars.exit_code


if __name__ == "__main__":
    sys.exit(main())
