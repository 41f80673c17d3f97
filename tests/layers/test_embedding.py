"""Embeddings against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import complete
from tests.layers.oracle import call, canonical, check_arguments, check_case, check_saved, rule_of

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
sizes = st.integers(1, 5)
shapes = st.lists(st.one_of(st.none(), sizes), max_size=3).map(tuple)
tables: dict[str, Any] = {
    "embeddings_initializer": st.sampled_from(["uniform", "HeNormal", {"constant": {"value": 1}}]),
    "mask_zero": st.booleans(),
    "dtype": st.sampled_from(["float32", "mixed_bfloat16"]),
}


@few
@given(
    shape=shapes,
    config=st.fixed_dictionaries({"input_dim": sizes, "output_dim": sizes}, optional=tables),
    dtype=st.sampled_from(["int32", "float32"]),
)
def test_embedding(shape: tuple[int | None, ...], config: dict[str, Any], dtype: str) -> None:
    assert check_case("Embedding", config, call(shape, dtype=dtype))


@few
@given(
    shape=shapes,
    config=st.fixed_dictionaries(
        {"input_dim": sizes, "output_dim": sizes},
        optional={**tables, "tie_weights": st.booleans()},
    ),
)
def test_reversible_embedding(shape: tuple[int | None, ...], config: dict[str, Any]) -> None:
    assert check_case("ReversibleEmbedding", config, call((None, *shape), dtype="int32"))
    backwards = call((None, *shape, config["output_dim"]), reverse=True)
    assert check_case("ReversibleEmbedding", config, backwards)


def test_feature_of_a_reversed_embedding() -> None:
    rule = rule_of("ReversibleEmbedding")
    config = complete(rule, canonical("ReversibleEmbedding", {"input_dim": 5, "output_dim": 3}))
    assert rule.feature_of(config, call((None, 2), dtype="int32")) == "output_dim"
    assert rule.feature_of(config, call((None, 2, 3), reverse=True)) == "input_dim"


@pytest.mark.parametrize("config", [{"input_dim": 0, "output_dim": 2}, {"input_dim": 3}])
def test_refused(config: dict[str, Any]) -> None:
    assert not check_case("Embedding", config, call((None,)))


def test_arguments() -> None:
    minimal = {"input_dim": 5, "output_dim": 3}
    check_arguments("Embedding", minimal, skip=("weights",))
    inherited = ("lora_rank", "lora_alpha", "quantization_config")
    check_arguments("ReversibleEmbedding", minimal, inherited=inherited)


def test_saved(tmp_path: Path) -> None:
    config = {"input_dim": 5, "output_dim": 3}
    check_saved("Embedding", config, call((None, 2)), tmp_path)
    check_saved("ReversibleEmbedding", {**config, "tie_weights": False}, call((None, 2)), tmp_path)
