"""The unfolded graph: up and down stream through nested models."""

from __future__ import annotations

from patchc.compiler.flow import Flow, resolve
from patchc.model.graph import Layer, Tensor
from tests.model.tiny import find, model


def paths(layers: set[Layer]) -> set[str]:
    """The paths of layers."""
    return {layer.path for layer in layers}


def upstream(root: Layer, path: str) -> set[str]:
    """Paths of what a layer depends on."""
    return paths(Flow.of(root).upstream([find(root, path)]))


def downstream(root: Layer, path: str) -> set[str]:
    """Paths of what depends on a layer."""
    return paths(Flow.of(root).downstream([find(root, path)]))


def diamond() -> Layer:
    return model({"x": [], "a": ["x"], "b": ["x"], "j": ["a", "b"], "end": ["j"]}, "end")


def nested(calls: int = 1) -> Layer:
    """`before`, a model of two layers called once or twice, `after`."""
    inner = model({"y": [], "i": ["y"], "k": ["i"]}, "k", name="inner")
    reads = [["before"], ["between"]][:calls]
    wiring: dict[str, list[object]] = {"x": [], "before": ["x"], "inner": [*reads]}
    if calls == 2:
        wiring |= {"between": ["inner"]}
    wiring |= {"after": [f"inner:{calls - 1}"]}
    return model(wiring, "after", nested={"inner": inner})


def test_a_branch_does_not_see_its_neighbour() -> None:
    root = diamond()
    assert upstream(root, "j") == {"x", "a", "b"}
    assert upstream(root, "a") == {"x"}
    assert downstream(root, "a") == {"j", "end"}
    assert downstream(root, "x") == {"a", "b", "j", "end"}
    assert downstream(root, "end") == set()


def test_nested_models_are_seen_through() -> None:
    root = nested()
    assert upstream(root, "after") == {"x", "before", "inner/i", "inner/k"}
    assert upstream(root, "inner/k") == {"x", "before", "inner/i"}
    assert downstream(root, "before") == {"inner/i", "inner/k", "after"}
    assert downstream(root, "inner/i") == {"inner/k", "after"}


def test_a_nested_model_is_one_layer_where_it_is_asked_for_itself() -> None:
    root = nested()
    assert upstream(root, "inner") == {"x", "before"}
    assert downstream(root, "inner") == {"after"}


def test_a_model_called_twice_is_up_and_down_stream_of_itself() -> None:
    root = nested(calls=2)
    assert upstream(root, "inner/i") == {"x", "before", "between", "inner/i", "inner/k"}
    assert downstream(root, "between") == {"inner/i", "inner/k", "after"}


def test_a_tensor_is_followed_to_its_maker_and_out_of_inputs() -> None:
    root = nested()
    inner = find(root, "inner")
    made, context = resolve(Tensor(inner.calls[0]), ())
    assert (made.layer.path, len(context)) == ("inner/k", 1)
    outside, context = resolve(Tensor(find(root, "inner/y").calls[0]), context)
    assert (outside.layer.path, context) == ("before", ())
