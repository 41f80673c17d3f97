"""How often a random axis of a random graph can grow, and that nothing notices.

`python -m benchmarks.widening [COUNT] [FIRST]` makes COUNT random Functional
graphs in double precision (10,000 by default), grows one axis of each in
memory, and compares the outputs: accepted but different results have to be
none, refusals at most 15 %.  FIRST is the number of the first graph; the same
number is always the same graph.
"""

from __future__ import annotations

import os
import random
import re
import sys
from collections import Counter
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.properties.widening import T, widen


class _Seeded:
    """A seed makes the choices."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one(self, options: Sequence[T]) -> T:
        """One of several."""
        return self._random.choice(list(options))

    def number(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randint(low, high)


def main(count: int = 10_000, first: int = 0) -> int:
    """Print the counts; returns 1 where a bar is missed."""
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for seed in range(first, first + count):
        outcome = widen(_Seeded(seed))
        verdicts[outcome.verdict] += 1
        kinds.update(outcome.kinds)
        if outcome.verdict == "different":
            print(f"graph {seed}: {outcome.detail}")
        elif outcome.verdict == "refused":
            reasons[re.sub(r"`[^`]*`", "`...`", outcome.detail)] += 1
    grown = verdicts["same"] + verdicts["different"]
    tried = grown + verdicts["refused"]
    rate = verdicts["refused"] / max(tried, 1)
    print(f"{count} graphs of {len(kinds)} kinds of layers and operations, {tried} with an axis")
    print(f"grown {grown}, of which different {verdicts['different']} (bar 0)")
    print(f"refused {verdicts['refused']}, {rate:.1%} (bar 15 %)")
    for reason, times in reasons.most_common(12):
        print(f"  {times:5} {reason}")
    return int(verdicts["different"] > 0 or rate > 0.15)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
