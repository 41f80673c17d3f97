"""Recorded names tell which weight is which, or they are refused."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from patchc.storage.older.matching import MatchError, Wanted, match, parts_of


def found(names: Mapping[str, tuple[int, ...]], *wanted: str, shape: tuple[int, ...]) -> list[str]:
    """The wanted weight of each name, in the order of the names."""
    paths = [Wanted(tuple(path.split("/")), shape) for path in wanted]
    numbers = match(names, paths)
    return [wanted[numbers[name]] for name in names]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("dense_1/kernel:0", ("dense_1", "kernel")),
        ("dense_1_W:0", ("dense_1", "kernel")),
        ("block1_conv1_W_1:0", ("block1_conv1", "kernel")),
        ("bn_running_std", ("bn", "moving_variance")),
        ("layers\\dense\\bias", ("layers", "dense", "bias")),
    ],
)
def test_parts(name: str, parts: tuple[str, ...]) -> None:
    assert parts_of(name) == parts


def test_two_layers_of_one_shape_by_their_names() -> None:
    names = {"d2/kernel:0": (4, 4), "d1/kernel:0": (4, 4)}
    assert found(names, "d1/kernel", "d2/kernel", shape=(4, 4)) == ["d2/kernel", "d1/kernel"]


def test_both_directions_of_a_bidirectional() -> None:
    names = {
        "bi/backward_lstm/lstm_cell_5/kernel:0": (3, 8),
        "bi/forward_lstm/lstm_cell_4/kernel:0": (3, 8),
    }
    wanted = ("bi/forward_lstm/lstm_cell/kernel", "bi/backward_lstm/lstm_cell/kernel")
    assert found(names, *wanted, shape=(3, 8)) == [wanted[1], wanted[0]]


def test_a_name_that_fits_two_weights_is_refused() -> None:
    names = {"x/kernel:0": (4, 4), "y/kernel:0": (4, 4)}
    with pytest.raises(MatchError, match="does not tell"):
        found(names, "d1/kernel", "d2/kernel", shape=(4, 4))


def test_a_wrong_number_of_weights_is_refused() -> None:
    with pytest.raises(MatchError, match="1 weights are recorded and 2"):
        found({"d1/kernel": (4, 4)}, "d1/kernel", "d2/kernel", shape=(4, 4))


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(MatchError):
        found({"d1/kernel": (4, 5)}, "d1/kernel", shape=(4, 4))
