"""Random growth of random graphs: what is accepted leaves the outputs as they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.bench import examples
from tests.properties.widening import ANY, IMAGE, SEQUENCE, VECTOR, T, widen


class _Drawn:
    """Hypothesis makes the choices."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def one(self, options: Sequence[T]) -> T:
        found: T = self._data.draw(st.sampled_from(list(options)))
        return found

    def number(self, low: int, high: int) -> int:
        found: int = self._data.draw(st.integers(low, high))
        return found


@given(st.data())
@examples(20)
def test_what_grows_is_not_noticed(data: Any) -> None:
    outcome = widen(_Drawn(data))
    assert outcome.verdict != "different", outcome.detail


def test_the_graphs_are_of_many_kinds() -> None:
    assert len(ANY) + len(VECTOR) + len(SEQUENCE) + len(IMAGE) >= 60
