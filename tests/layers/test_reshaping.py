"""Layers that move entries about against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import Shape
from tests.layers.oracle import (
    call,
    check_arguments,
    check_case,
    check_feature,
    check_identity,
    check_saved,
)

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
sizes = st.sampled_from([None, 1, 2, 3, 6])
shapes = st.lists(sizes, max_size=3).map(lambda rest: (None, *rest))
formats = st.sampled_from([None, "channels_last", "channels_first", "Channels_Last"])
edges = st.integers(0, 2)
pairs = st.one_of(edges, st.lists(edges, min_size=2, max_size=2))
dtypes = st.sampled_from(["float32", "int32"])


@few
@given(shape=shapes, data_format=formats, dtype=dtypes)
def test_flatten(shape: Shape, data_format: str | None, dtype: str) -> None:
    config = {"data_format": data_format, "dtype": "mixed_float16"}
    assert check_case("Flatten", config, call(shape, dtype=dtype))


@few
@given(
    shape=shapes,
    target=st.lists(st.sampled_from([-1, 1, 2, 3, 6, 12]), max_size=3),
    dtype=dtypes,
)
def test_reshape(shape: Shape, target: list[int], dtype: str) -> None:
    check_case("Reshape", {"target_shape": target}, call(shape, dtype=dtype))


@pytest.mark.parametrize("target", [[None, 3], [-1, -1], [-2, 3], [0, -1], [2, 3], [6], [3, 2, -1]])
@pytest.mark.parametrize("shape", [(None, 6), (None, 2, 3), (2, None, 3)])
def test_reshapes(target: list[int | None], shape: Shape) -> None:
    check_case("Reshape", {"target_shape": target}, call(shape))


@pytest.mark.parametrize("dims", [[1], [2, 1], [1, 2], [3, 1, 2], [2, 3], [1, 1], [0, 1], []])
def test_permute(dims: list[int]) -> None:
    check_case("Permute", {"dims": dims}, call((None, 4, None)))
    check_case("Permute", {"dims": dims}, call((None, *range(2, 2 + len(dims))), dtype="int32"))


@pytest.mark.parametrize("n", [1, 3, 0, -1, 2.5])
def test_repeat_vector(n: Any) -> None:
    check_case("RepeatVector", {"n": n}, call((None, 4)))
    check_case("RepeatVector", {"n": n}, call((None, None), dtype="int32"))
    check_case("RepeatVector", {"n": n}, call((None, 4, 2)))


@few
@given(data=st.data(), rank=st.integers(1, 3), name=st.sampled_from(["Cropping", "ZeroPadding"]))
def test_edges(data: Any, rank: int, name: str) -> None:
    each = edges if rank == 1 else pairs
    count = 2 if rank == 1 else rank
    by = data.draw(st.one_of(edges, st.lists(each, min_size=count, max_size=count)))
    key = "cropping" if name == "Cropping" else "padding"
    config = {key: by}
    if (name, rank) != ("Cropping", 1):
        config["data_format"] = data.draw(formats)
    shape = data.draw(st.lists(sizes, min_size=rank + 1, max_size=rank + 1))
    check_case(f"{name}{rank}D", config, call((None, *shape)))


@few
@given(data=st.data(), rank=st.integers(1, 3))
def test_up_sampling(data: Any, rank: int) -> None:
    factors = st.integers(1, 3)
    both = st.one_of(factors, st.lists(factors, min_size=rank, max_size=rank))
    config = {"size": data.draw(factors if rank == 1 else both)}
    if rank > 1:
        config["data_format"] = data.draw(formats)
    if rank == 2:
        config["interpolation"] = data.draw(st.sampled_from(["nearest", "bilinear", "BICUBIC"]))
    shape = data.draw(st.lists(sizes, min_size=rank + 1, max_size=rank + 1))
    assert check_case(f"UpSampling{rank}D", config, call((None, *shape)))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Cropping1D", {"cropping": -1}),
        ("Cropping2D", {"cropping": [1, 2, 3]}),
        ("ZeroPadding2D", {"padding": [[1, -1], 1]}),
        ("UpSampling1D", {"size": 0}),
        ("UpSampling2D", {"size": [2]}),
    ],
)
def test_refused(name: str, config: dict[str, Any]) -> None:
    rank = int(name[-2])
    assert not check_case(name, config, call((None, *[8] * rank, 3)))


FEATURES: list[tuple[str, dict[str, Any], Shape]] = [
    ("Permute", {"dims": [2, 1, 3]}, (None, 4, 5, 3)),
    ("RepeatVector", {"n": 2}, (None, 3)),
    ("Cropping2D", {"cropping": 1}, (None, 4, 4, 3)),
    ("ZeroPadding2D", {"data_format": "channels_first"}, (None, 3, 4, 4)),
    ("ZeroPadding1D", {}, (None, 4, 3)),
    ("UpSampling2D", {"interpolation": "bilinear"}, (None, 4, 4, 3)),
    ("UpSampling3D", {"data_format": "channels_first"}, (None, 3, 2, 2, 2)),
    ("Flatten", {}, (None, 3)),
]


@pytest.mark.parametrize(("name", "config", "shape"), FEATURES)
def test_features(name: str, config: dict[str, Any], shape: Shape) -> None:
    assert check_feature(name, config, call(shape))


IDENTITIES: list[tuple[str, dict[str, Any], Shape, bool]] = [
    ("Flatten", {}, (None, 3), True),
    ("Flatten", {}, (None, 2, 3), False),
    ("Reshape", {"target_shape": [2, -1]}, (None, 2, 3), True),
    ("Reshape", {"target_shape": [3, 2]}, (None, 2, 3), False),
    ("Permute", {"dims": [1, 2]}, (None, 2, 3), True),
    ("Permute", {"dims": [2, 1]}, (None, 2, 2), False),
    ("RepeatVector", {"n": 1}, (None, 3), False),
    ("Cropping2D", {"cropping": 0}, (None, 2, 2, 3), True),
    ("Cropping1D", {"cropping": 0}, (None, 2, 3), True),
    ("ZeroPadding1D", {"padding": [0, 1]}, (None, 2, 3), False),
    ("ZeroPadding3D", {"padding": 0}, (None, 2, 2, 2, 3), True),
    ("UpSampling1D", {"size": 1}, (None, 2, 3), True),
    ("UpSampling2D", {"size": [1, 2]}, (None, 2, 2, 3), False),
]


@pytest.mark.parametrize(("name", "config", "shape", "has_one"), IDENTITIES)
def test_identities(name: str, config: dict[str, Any], shape: Shape, has_one: bool) -> None:
    assert check_identity(name, config, call(shape)) == has_one


def test_arguments() -> None:
    check_arguments("Reshape", {"target_shape": [3]})
    check_arguments("Permute", {"dims": [1]})
    check_arguments("RepeatVector", {"n": 2})
    check_arguments("Flatten")
    for rank in (1, 2, 3):
        for name in ("Cropping", "ZeroPadding", "UpSampling"):
            check_arguments(f"{name}{rank}D")


def test_saved(tmp_path: Path) -> None:
    check_saved("Flatten", {}, call((None, 2, 3)), tmp_path)
    check_saved("ZeroPadding2D", {}, call((None, 2, 2, 3)), tmp_path)
