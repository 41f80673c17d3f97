"""The HDF5 writer, with h5py and the strict reader as oracles."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import h5py
import numpy as np
import pytest

from patchc.storage.hdf5.tree import (
    Attribute,
    Group,
    Hdf5Error,
    dataset,
    dataspace,
    datatype,
    names_attribute,
    text_attribute,
)
from patchc.storage.hdf5.writer import layout
from tests.storage.hdf5_oracle import (
    assert_round_trip,
    assert_same_as_h5py,
    fill_with_everything,
    layers,
    made,
    read,
    rewritten,
    rewritten_zeros,
    without_offsets,
)


def test_round_trip_of_every_type_and_attribute() -> None:
    assert_round_trip(made(fill_with_everything))


def wide(count: int) -> Group:
    members = {f"layer_{index}": Group({}, {}) for index in range(count)}
    return Group({"layers": Group({**members})})


@pytest.mark.parametrize("count", [0, 1, 8, 9, 256, 257, 8192, 8193])
def test_groups_of_every_size(count: int) -> None:
    data = rewritten(b"", wide(count))
    with h5py.File(io.BytesIO(data)) as file:
        assert list(file["layers"]) == sorted(wide(count).members["layers"].members)  # type: ignore[union-attr]  # it is a group
        if count:
            assert f"layers/layer_{count - 1}" in file
    assert without_offsets(read(data)).keys() == without_offsets(wide(count)).keys()


@pytest.mark.parametrize("count", [0, 7, 300, 9000])
def test_h5py_may_go_on_in_a_written_file(count: int) -> None:
    buffer = io.BytesIO(rewritten(b"", wide(count)))
    with h5py.File(buffer, "r+") as file:
        for index in range(0, count, 3):
            del file[f"layers/layer_{index}"]
        for index in range(100):
            file[f"layers/new_{index}/x"] = np.arange(index)
        file["layers"].attrs["name"] = "x" * 500
        file["layers"].attrs.update({f"a{index}": "text" for index in range(30)})
    assert assert_same_as_h5py(buffer.getvalue()) == 100
    assert_round_trip(buffer.getvalue())


def test_layout_puts_the_data_behind_the_metadata_in_order() -> None:
    root = Group(
        {
            "b": Group({"10": dataset((3,), "int8"), "2": dataset((2, 2), "float32")}),
            "a": dataset((), "float64"),
            "z": dataset((0, 4), "float32"),
        }
    )
    plan = layout(root)
    assert list(plan.offsets) == ["a", "b/10", "b/2"]
    assert plan.offsets["a"] == (len(plan.metadata) + 7) // 8 * 8
    assert all(offset % 8 == 0 for offset in plan.offsets.values())
    assert plan.size == plan.offsets["b/2"] + 16
    assert plan == layout(root)
    shuffled = Group(dict(reversed(root.members.items())))
    assert layout(shuffled) == plan


def test_a_file_beyond_four_gibibytes_can_be_laid_out() -> None:
    plan = layout(Group({"a": dataset((1 << 33,), "int8"), "b": dataset((1,), "int8")}))
    assert plan.offsets["b"] == plan.offsets["a"] + (1 << 33)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0", "\ud800"])
def test_impossible_names_are_not_written(name: str) -> None:
    with pytest.raises(Hdf5Error, match="cannot"):
        layout(Group({name: Group()}))


def test_attributes_that_do_not_fit_are_not_written() -> None:
    big = names_attribute(["x" * 100] * 700)
    with pytest.raises(Hdf5Error, match="cannot hold attribute 'layer_names' of /a"):
        layout(Group({"a": Group({}, {"layer_names": big})}))
    wrong = Attribute(datatype("int8"), dataspace((3,)), b"xy")
    with pytest.raises(Hdf5Error, match="does not fill its shape"):
        layout(Group({}, {"x": wrong}))
    with pytest.raises(Hdf5Error, match="a NUL in it"):
        layout(Group({}, {"x": text_attribute("a\0b")}))
    with pytest.raises(Hdf5Error, match="no valid Unicode"):
        layout(Group({}, {"x": text_attribute("\ud800")}))


def fastest(call: Callable[[], object]) -> float:
    """Seconds of the faster of two calls."""
    times = []
    for _ in range(2):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def test_speed_and_linear_time() -> None:
    small, large = layers(250), layers(5_000)
    data = rewritten_zeros(large)
    assert fastest(lambda: read(data)) < 2
    times = [fastest(lambda: layout(small)), fastest(lambda: layout(large))]
    assert times[1] < 60 * times[0]
