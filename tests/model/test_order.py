"""The order in which Keras lists layers: by depth, then by first visit."""

from __future__ import annotations

import pytest

from patchc.model.graph import Layer, Tensor
from patchc.model.order import CycleError, keras_order, reachable_calls
from tests.model.tiny import find, model


def order(root: Layer) -> list[str]:
    """Names in Keras's order."""
    assert root.graph is not None
    return [layer.name for layer in keras_order(root.graph)]


def test_a_chain_is_listed_from_input_to_output() -> None:
    assert order(model({"x": [], "a": ["x"], "b": ["a"]}, "b")) == ["x", "a", "b"]


def test_the_order_of_the_file_does_not_matter() -> None:
    root = model({"x": [], "a": ["x"], "b": ["a"]}, "b")
    assert root.graph is not None
    root.graph.layers.reverse()
    assert order(root) == ["x", "a", "b"]


def test_a_longer_branch_comes_first() -> None:
    root = model({"x": [], "short": ["x"], "l1": ["x"], "l2": ["l1"], "j": ["short", "l2"]}, "j")
    assert order(root) == ["x", "l1", "short", "l2", "j"]


def test_within_a_depth_the_outputs_decide() -> None:
    wiring = {"x": [], "a": ["x"], "b": ["x"]}
    assert order(model(wiring, ["a", "b"])) == ["x", "a", "b"]
    assert order(model(wiring, ["b", "a"])) == ["x", "b", "a"]
    assert order(model(wiring, {"z": "a", "y": "b"})) == ["x", "b", "a"]


def test_a_shared_layer_counts_with_its_deepest_call() -> None:
    root = model({"x": [], "s": [["x"], ["a"]], "a": ["s"], "j": ["s:1", "a"]}, "j")
    assert order(root) == ["x", "s", "a", "j"]


def test_an_input_without_use_is_listed() -> None:
    root = model({"x": [], "idle": [], "a": ["x"]}, "a")
    assert sorted(order(root)) == ["a", "idle", "x"]


def test_what_leads_to_no_output_is_not_listed() -> None:
    root = model({"x": [], "a": ["x"], "dead": ["x"]}, "a")
    assert order(root) == ["x", "a"]
    assert root.graph is not None
    assert [call.layer.name for call in reachable_calls(root.graph)] == ["x", "a"]


def test_every_call_comes_after_what_it_reads() -> None:
    root = model({"x": [], "a": ["x"], "b": ["a"], "j": ["a", "b"], "k": ["j", "x"]}, ["k", "a"])
    assert root.graph is not None
    seen = set()
    for call in reachable_calls(root.graph):
        assert all(tensor.call in seen for tensor in call.tensors())
        seen.add(call)


def test_a_cycle_is_named() -> None:
    root = model({"x": [], "a": ["x"], "b": ["a"]}, "b")
    find(root, "a").calls[0].args = [Tensor(find(root, "b").calls[0])]
    assert root.graph is not None
    with pytest.raises(CycleError, match=r"^[ab]$"):
        keras_order(root.graph)


def test_a_very_deep_graph_needs_no_recursion() -> None:
    wiring: dict[str, list[str]] = {"x": []}
    for number in range(5000):
        wiring[f"n{number}"] = [list(wiring)[-1]] if number < 1 else [f"n{number - 1}"]
    assert len(order(model(wiring, "n4999"))) == 5001
