"""Preprocessing layers against Keras."""

from __future__ import annotations

from typing import Any

import pytest

from patchc.layers.base import complete
from patchc.layers.vocabulary import Lookup
from tests.layers.oracle import (
    call,
    check_arguments,
    check_case,
    check_elementwise,
    check_feature,
    make,
    rule_of,
)

MODES = ("one_hot", "multi_hot", "count")


def test_rescaling() -> None:
    spec = call((None, 4, 3))
    assert check_case("Rescaling", {"scale": 0.5}, spec)
    assert check_case("Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": 1}, spec)
    assert check_elementwise("Rescaling", {"scale": 0.5, "offset": 1}, spec)
    assert check_feature("Rescaling", {"scale": 0.5, "offset": 1}, spec)
    assert check_feature("Rescaling", {"scale": [1.0, 2.0, 3.0]}, spec)
    check_arguments("Rescaling", {"scale": 0.5})


@pytest.mark.parametrize(
    ("name", "configs", "dtype"),
    [
        ("CategoryEncoding", [{"num_tokens": 5, "output_mode": m} for m in MODES], "int32"),
        (
            "StringLookup",
            [
                {"vocabulary": ["a", "b"]},
                {"vocabulary": ["", "[UNK]", "a"], "mask_token": ""},
                *({"vocabulary": ["a"], "num_oov_indices": 2, "output_mode": m} for m in MODES),
                {"vocabulary": ["a"], "output_mode": "count", "max_tokens": 7,
                 "pad_to_max_tokens": True},
            ],
            "string",
        ),
        ("IntegerLookup", [{"vocabulary": [3, 4]}, {"vocabulary": [3], "output_mode": "count"}],
         "int64"),
        (
            "TextVectorization",
            [
                {"vocabulary": ["a", "b"]},
                {"vocabulary": ["a"], "output_sequence_length": 4, "ngrams": 2},
                {"vocabulary": ["a"], "split": None, "output_mode": "count"},
                *({"vocabulary": ["a"], "output_mode": m} for m in ("multi_hot", "count")),
                {"vocabulary": ["a"], "output_mode": "count", "max_tokens": 7,
                 "pad_to_max_tokens": True},
            ],
            "string",
        ),
        ("Discretization", [{"bin_boundaries": [0.0, 1.0]}, {"num_bins": 4},
                            *({"bin_boundaries": [0.0], "output_mode": m} for m in MODES)],
         "float32"),
    ],
)  # fmt: skip
def test_tokens_and_bins(name: str, configs: list[dict[str, Any]], dtype: str) -> None:
    for config in configs:
        for shape in ((None, 4), (None, 1)):
            assert check_case(name, config, call(shape, dtype=dtype))


def test_sizes_of_vocabularies() -> None:
    rule = rule_of("StringLookup")
    assert isinstance(rule, Lookup)
    for config in (
        {"vocabulary": ["a", "b"]},
        {"vocabulary": ["a"], "mask_token": "", "num_oov_indices": 3},
        {"vocabulary": ["", "[UNK]", "a"], "mask_token": ""},
    ):
        layer = make("StringLookup", config)
        words: Any = config["vocabulary"]
        assert rule.indices(complete(rule, config), words) == layer.vocabulary_size()
