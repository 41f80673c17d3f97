"""Preprocessing layers against Keras."""

from __future__ import annotations

from tests.layers.oracle import call, check_arguments, check_case, check_elementwise, check_feature


def test_rescaling() -> None:
    spec = call((None, 4, 3))
    assert check_case("Rescaling", {"scale": 0.5}, spec)
    assert check_case("Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": 1}, spec)
    assert check_elementwise("Rescaling", {"scale": 0.5, "offset": 1}, spec)
    assert check_feature("Rescaling", {"scale": 0.5, "offset": 1}, spec)
    assert not check_feature("Rescaling", {"scale": [1.0, 2.0, 3.0]}, spec)
    check_arguments("Rescaling", {"scale": 0.5})
