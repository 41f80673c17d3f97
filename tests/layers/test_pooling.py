"""Pooling against Keras."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import complete
from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_feature,
    check_identity,
    rule_of,
)

few = settings(max_examples=60, deadline=None, derandomize=True, database=None)
LOCAL = tuple(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3))
GLOBAL = tuple(f"Global{name}" for name in LOCAL)
ADAPTIVE = tuple(f"Adaptive{name}" for name in LOCAL)


def rank_of(class_name: str) -> int:
    return int(class_name[-2])


def minimal(name: str) -> dict[str, Any]:
    if name in LOCAL:
        return {"pool_size": 2, "strides": 2}
    return {"output_size": 2} if name in ADAPTIVE else {}


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, dict[str, Any], Any]:
    name = draw(st.sampled_from((*LOCAL, *GLOBAL, *ADAPTIVE)))
    rank = rank_of(name)
    small = st.one_of(st.integers(1, 3), st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    required: dict[str, Any] = {}
    options: dict[str, Any] = {
        "data_format": st.sampled_from([None, "channels_last", "channels_first"]),
        "dtype": st.sampled_from(["float32", "mixed_float16"]),
    }
    if name in LOCAL:
        required["pool_size"] = small
        options["strides"] = st.one_of(st.none(), small)
        options["padding"] = st.sampled_from(["valid", "same"])
    elif name in ADAPTIVE:
        required["output_size"] = small
    else:
        options["keepdims"] = st.booleans()
    config = draw(st.fixed_dictionaries(required, optional=options))
    sizes = st.one_of(st.none(), st.integers(1, 6))
    shape = draw(st.lists(sizes, min_size=rank + 1, max_size=rank + 1))
    return name, config, (draw(st.sampled_from([None, 2])), *shape)


@few
@given(cases())
def test_shapes(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


@pytest.mark.parametrize(
    ("name", "config", "shape"),
    [
        ("MaxPooling1D", {"pool_size": 3}, (None, 2, 3)),
        ("MaxPooling2D", {"pool_size": [2, 2, 2]}, (None, 4, 4, 3)),
        ("AveragePooling2D", {}, (None, 4, 4, 3)),
        ("AveragePooling2D", {"pool_size": 2, "padding": "causal"}, (None, 4, 4, 3)),
        ("GlobalMaxPooling2D", {}, (None, 4, 3)),
        ("AdaptiveMaxPooling1D", {"output_size": [2, 2]}, (None, 4, 3)),
    ],
)
def test_refuses_what_keras_refuses(name: str, config: dict[str, Any], shape: Any) -> None:
    assert not check_case(name, config, call(shape))


@pytest.mark.parametrize("name", [*LOCAL, *GLOBAL, *ADAPTIVE])
def test_arguments(name: str) -> None:
    check_arguments(name, minimal(name))


@pytest.mark.parametrize("name", ["MaxPooling2D", "GlobalAveragePooling1D", "AdaptiveMaxPooling2D"])
def test_each_channel_by_itself(name: str) -> None:
    assert check_feature(name, minimal(name), call((2, *(4,) * rank_of(name), 3)))


@pytest.mark.parametrize("name", LOCAL)
def test_identity(name: str) -> None:
    spec = call((2, *(3,) * rank_of(name), 2))
    assert check_identity(name, {"pool_size": 1}, spec)
    for config in ({"pool_size": 1, "strides": 2}, {"pool_size": 2, "strides": 1}):
        settled = complete(rule_of(name), canonical(name, config))
        assert rule_of(name).identity(settled, spec) is None
