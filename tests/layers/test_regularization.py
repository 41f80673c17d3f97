"""Dropout, noise and activity regularisation against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.oracle import (
    call,
    check_arguments,
    check_case,
    check_elementwise,
    check_feature,
    check_identity,
    check_saved,
)

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
rates = st.sampled_from([0, 0.5, 1, 1.5, -0.1])
CASES: list[tuple[str, dict[str, Any], tuple[int | None, ...]]] = [
    ("ActivityRegularization", {}, (None, 4, 3)),
    ("AlphaDropout", {"rate": 0.5}, (None, 4, 3)),
    ("Dropout", {"rate": 0.5}, (None, 4, 3)),
    ("GaussianDropout", {"rate": 0.5}, (None, 4, 3)),
    ("GaussianNoise", {"stddev": 0.5}, (None, 4, 3)),
    ("SpatialDropout1D", {"rate": 0.5}, (None, 4, 3)),
    ("SpatialDropout2D", {"rate": 0.5}, (None, 4, 4, 3)),
    ("SpatialDropout3D", {"rate": 0.5}, (None, 4, 4, 4, 3)),
]


@few
@given(
    rate=rates,
    noise_shape=st.sampled_from([None, [None, 1, 3], [2], [0, 1]]),
    seed=st.sampled_from([None, 7]),
)
def test_dropout(rate: float, noise_shape: Any, seed: int | None) -> None:
    config = {"rate": rate, "noise_shape": noise_shape, "seed": seed}
    check_case("Dropout", config, call((None, 4, 3)))


@pytest.mark.parametrize(("class_name", "config", "shape"), CASES)
def test_all(class_name: str, config: dict[str, Any], shape: tuple[int | None, ...]) -> None:
    spec = call(shape)
    assert check_case(class_name, config, spec)
    assert check_case(class_name, {**config, "dtype": "mixed_float16"}, spec)
    assert check_case(class_name, config, call(shape, dtype="int32"))
    assert check_identity(class_name, config, spec)
    assert check_elementwise(class_name, config, spec)
    assert check_feature(class_name, config, spec)
    check_arguments(class_name, config)


@pytest.mark.parametrize("class_name", ["AlphaDropout", "GaussianDropout", "SpatialDropout1D"])
@pytest.mark.parametrize("rate", [0, 1, 1.5, -0.1])
def test_rates(class_name: str, rate: float) -> None:
    assert check_case(class_name, {"rate": rate}, call((None, 4, 3))) == (0 <= rate <= 1)


def test_spatial_dropout_needs_its_rank() -> None:
    assert not check_case("SpatialDropout2D", {"rate": 0.5}, call((None, 4, 3)))
    assert not check_case("SpatialDropout1D", {"rate": 0.5, "trainable": True}, call((None, 4, 3)))


def test_saved(tmp_path: Path) -> None:
    check_saved("Dropout", {"rate": 0.5}, call((None, 4)), tmp_path)
    check_saved("GaussianNoise", {"stddev": 0.5}, call((None, 4)), tmp_path)
