"""Heads of outputs, and blocks between layers."""

from __future__ import annotations

import pytest

from patchc.compiler.region import Block, RegionError, block_between, head_of
from patchc.model.graph import Layer, flatten
from tests.model.tiny import Wiring, find, model


def head(root: Layer, number: int = 0) -> str:
    """Path of the head of an output."""
    assert root.graph is not None
    return head_of(flatten(root.graph.outputs)[number]).path


def chain(*classes: str) -> Layer:
    """An input and layers `n0`, `n1`, ... of these classes."""
    names = [f"n{i}" for i in range(len(classes))]
    reads = ["x", *names]
    wiring: dict[str, list[str]] = {"x": []}
    wiring |= {name: [source] for name, source in zip(names, reads, strict=False)}
    return model(wiring, names[-1], classes=dict(zip(names, classes, strict=True)))


@pytest.mark.parametrize(
    "behind", [[], ["Softmax"], ["Dropout", "ReLU"], ["BatchNormalization", "Identity"]]
)
def test_the_head_is_found_behind_what_hands_features_on(behind: list[str]) -> None:
    assert head(chain("Dense", "Dense", *behind)) == "n1"


def test_the_head_is_found_inside_a_nested_model() -> None:
    inner = model({"y": [], "d": ["y"], "s": ["d"]}, "s", name="inner", classes={"d": "Dense"})
    root = model({"x": [], "inner": ["x"], "a": ["inner"]}, "a", nested={"inner": inner})
    assert head(root) == "inner/d"


def test_the_head_is_found_outside_of_a_nested_tail() -> None:
    inner = model({"y": [], "s": ["y"]}, "s", name="inner")
    root = model(
        {"x": [], "d": ["x"], "inner": ["d"]},
        "inner",
        classes={"d": "Dense"},
        nested={"inner": inner},
    )
    assert head(root) == "d"


def test_a_fork_lists_the_candidates() -> None:
    dense = {"a": "Dense", "b": "Dense"}
    root = model({"x": [], "a": ["x"], "b": ["x"], "j": ["a", "b"]}, "j", classes=dense)
    with pytest.raises(RegionError, match=r"`j` \(Add\) joins") as caught:
        head(root)
    assert "`a`, `b`" in caught.value.help


def test_an_output_without_features_of_its_own_has_no_head() -> None:
    with pytest.raises(RegionError, match="input `x`"):
        head(chain("ReLU"))


def test_an_unknown_class_is_not_looked_through() -> None:
    root = chain("Dense", "Mystery")
    find(root, "n1").opaque = "it is a Mystery"
    with pytest.raises(RegionError, match="it is a Mystery"):
        head(root)


# ------------------------------------------------------------------------- blocks

RESIDUAL: Wiring = {
    "x": [],
    "stem": ["x"],
    "c1": ["stem"],
    "c2": ["c1"],
    "short": ["stem"],
    "add": ["short", "c2"],
    "end": ["add"],
}


def block(root: Layer, first: list[str], last: str) -> Block:
    """The block between layers, by path."""
    return block_between([find(root, path) for path in first], [find(root, last)])


def test_a_block_holds_every_layer_on_a_way_through() -> None:
    found = block(model(RESIDUAL, "end"), ["c1", "short"], "add")
    assert {layer.name for layer in found.layers} == {"c1", "c2", "short", "add"}
    assert (found.entry.layer.name, found.exit.layer.name, found.last.name) == (
        "stem",
        "add",
        "add",
    )


def test_one_layer_is_a_block() -> None:
    found = block(model(RESIDUAL, "end"), ["c1"], "c1")
    assert [layer.name for layer in found.layers] == ["c1"]


def test_a_branch_that_comes_in_from_beside_is_named() -> None:
    with pytest.raises(RegionError, match=r"2 tensors enter the block.*`short`, `stem`"):
        block(model(RESIDUAL, "end"), ["c1"], "add")


def test_a_second_tensor_that_leaves_is_named() -> None:
    root = model(RESIDUAL, ["end", "c1"])
    with pytest.raises(RegionError, match=r"2 tensors leave the block.*`c1`, `c2`"):
        block(root, ["c1"], "c2")


def test_bounds_the_wrong_way_round_are_told() -> None:
    with pytest.raises(RegionError, match="no path leads from `add` to `c1`"):
        block(model(RESIDUAL, "end"), ["add"], "c1")


def test_bounds_in_different_models_are_refused() -> None:
    inner = model({"y": [], "i": ["y"]}, "i", name="inner")
    root = model({"x": [], "inner": ["x"], "a": ["inner"]}, "a", nested={"inner": inner})
    with pytest.raises(RegionError, match="different models"):
        block(root, ["inner/i"], "a")


def test_several_ends_are_refused() -> None:
    root = model(RESIDUAL, "end")
    with pytest.raises(RegionError, match="`from` picks 0 layers and `to` picks 1"):
        block_between([], [find(root, "add")])


def test_a_shared_layer_must_lie_inside_with_all_its_calls() -> None:
    wiring: Wiring = {"x": [], "s": [["x"], ["b"]], "a": ["s"], "b": ["a"], "end": ["s:1"]}
    with pytest.raises(RegionError, match="`s` is also called outside"):
        block(model(wiring, "end"), ["a"], "s")
