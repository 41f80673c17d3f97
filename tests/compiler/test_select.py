"""Selectors: what each form picks, and what is said where it picks nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

import patchc
from patchc.compiler.region import Block
from patchc.compiler.select import Selecting, Selection, no_match
from patchc.errors import PatchError
from patchc.language.patch import Selector
from patchc.model.graph import Layer, Weight, walk
from patchc.model.values import Value
from tests.model.tiny import find, model


def network() -> Layer:
    """x -> a -> inner(i, k) -> b -> act (output 0); a -> c (output 1); i, b, c are dense."""
    inner = model(
        {"y": [], "i": ["y"], "k": ["i"]}, "k", name="inner", classes={"i": "Dense", "k": "ReLU"}
    )
    root = model(
        {"x": [], "a": ["x"], "inner": ["a"], "b": ["inner"], "act": ["b"], "c": ["a"]},
        ["act", "c"],
        name="net",
        classes={"a": "Dropout", "b": "Dense", "act": "Softmax", "c": "Dense"},
        nested={"inner": inner},
    )
    for layer in walk(root):
        if layer.class_name == "Dense":
            layer.weights.append(
                Weight("kernel", "vars/0", (4, 4), "float32", trainable=True, value=Value())
            )
    return root


def selector(written: Any) -> Selector:
    """A selector as a patch would hold it."""
    edit = {"select": written, "freeze": True}
    return patchc.loads(json.dumps({"patchc": 1, "id": "s", "edits": [edit]})).edits[0].select


def select(written: Any, root: Layer | None = None) -> Selection:
    """What a selector picks of the network."""
    return Selecting(root or network()).select(selector(written))


def picked(written: Any, root: Layer | None = None) -> list[str]:
    """Paths of the layers that a selector picks."""
    return [layer.path for layer in select(written, root).layers]


LEAVES = ["a", "inner/i", "inner/k", "b", "act", "c"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a", ["a"]),
        ("i", ["inner/i"]),
        ("inner/i", ["inner/i"]),
        ("*", LEAVES),
        ("a*", ["a", "act"]),
        ("inner/*", ["inner/i", "inner/k"]),
        ("**/k", ["inner/k"]),
        ("inner", ["inner"]),
        ("x", ["x"]),
        ("A", []),
        (["c", "a"], ["a", "c"]),
        ({"name": ["b", "k"]}, ["inner/k", "b"]),
        ({"class": "Dense"}, ["inner/i", "b", "c"]),
        ({"class": ["ReLU", "Softmax"]}, ["inner/k", "act"]),
        ({"class": "Functional"}, ["inner"]),
        ({"class": "InputLayer"}, ["x", "inner/y"]),
        ({"where": {"units": 4}}, ["inner/i", "b", "c"]),
        ({"where": {"units": 5}}, []),
        ({"weighted": True}, ["inner/i", "b", "c"]),
        ({"weighted": False}, ["a", "inner/k", "act"]),
        ({"inside": "inner"}, ["inner/i", "inner/k"]),
        ({"output": 0}, ["act"]),
        ({"output": "c"}, ["c"]),
        ({"input": 0}, ["x"]),
        ({"head": 0}, ["b"]),
        ({"head": "act"}, ["b"]),
        ({"head": "*"}, ["b", "c"]),
        ({"before": "b"}, ["a", "inner/i", "inner/k"]),
        ({"after": "i"}, ["inner/k", "b", "act"]),
        ({"not": {"after": "i"}}, ["a", "inner/i", "c"]),
        ({"not": "*"}, []),
        ({"not": ["a", {"class": "Dense"}]}, ["inner/k", "act"]),
        ({"any": ["a", {"class": "ReLU"}]}, ["a", "inner/k"]),
        ({"all": [{"class": "Dense"}, {"inside": "inner"}]}, ["inner/i"]),
        ({"class": "Dense", "after": "a"}, ["inner/i", "b", "c"]),
        ({"weighted": True, "first": 1}, ["inner/i"]),
        ({"weighted": True, "last": 2}, ["b", "c"]),
        ({"weighted": True, "nth": 1}, ["b"]),
        ({"weighted": True, "nth": -1}, ["c"]),
        ({"weighted": True, "nth": 3}, []),
        ({"weighted": True, "last": 9}, ["inner/i", "b", "c"]),
        ({"name": "*", "block": {"from": "b", "to": "act"}}, ["b", "act"]),
    ],
)
def test_picks(written: Any, expected: list[str]) -> None:
    assert sorted(picked(written)) == sorted(expected)


def test_matches_stand_in_the_order_of_the_model() -> None:
    assert picked(["c", "b", "a"]) == ["a", "b", "c"]


def test_models_and_inputs_are_picked_by_exact_names_alone() -> None:
    for written in ("*", "**", {"not": "a"}, {"after": "a"}, {"weighted": False}, "inn*"):
        assert not {"x", "inner", "inner/y"} & set(picked(written))


def test_everything_that_is_not_picked_has_a_reason() -> None:
    root = network()
    found = select({"class": "Dense", "after": "inner"}, root)
    assert {layer.path for layer in found.layers} | {layer.path for layer in found.rejected} == {
        layer.path for layer in walk(root)
    }
    reasons = {layer.path: reason for layer, reason in found.rejected.items()}
    assert reasons["a"] == "its class is Dropout"
    assert reasons["c"] == "not downstream of `after`"


def test_a_block_is_one_match() -> None:
    found = select({"block": {"from": "inner", "to": "b"}})
    assert len(found.matches) == 1
    assert isinstance(found.matches[0], Block)
    assert [layer.path for layer in found.layers] == ["inner", "b"]


def test_regular_expressions_are_held_against_whole_paths() -> None:
    pytest.importorskip("re2")
    assert picked({"regex": "inner/[ik]"}) == ["inner/i", "inner/k"]
    assert picked({"regex": "i"}) == []


@pytest.mark.parametrize(
    ("written", "code", "text"),
    [
        ({"output": 2}, "PC204", "0: `act`, 1: `c`"),
        ({"input": "y"}, "PC204", "0: `x`"),
        ({"head": "nope"}, "PC204", "0: `act`"),
        ({"block": {"from": "b", "to": "a"}}, "PC203", "no path"),
        ({"block": {"from": "no", "to": "a"}}, "PC203", "picks 0 layers"),
    ],
)
def test_what_cannot_be_resolved_is_refused(written: Any, code: str, text: str) -> None:
    with pytest.raises(PatchError) as caught:
        select(written)
    assert [found.code for found in caught.value.diagnostics] == [code]
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("inne", "`inner`"),
        ("inner/ii", "`inner/i`"),
        ("zzz", "lists the layers"),
        ({"class": "Dens"}, "did you mean `Dense`?"),
        ({"class": "Dense", "after": "b"}, "`after` took away the last 3 candidates"),
        ({"weighted": True, "nth": 7}, "3 layers are left before"),
        ({"name": "c*", "class": "Dropout"}, "`class` leaves none"),
    ],
)
def test_no_match_says_what_is_near_or_in_the_way(written: Any, text: str) -> None:
    root = network()
    assert picked(written, root) == []
    found = no_match(Selecting(root), selector(written))
    assert found.code == "PC201"
    assert text in (found.help or "")


def test_the_trainable_key_asks_what_keras_will_load() -> None:
    root = network()
    find(root, "b").config = {"name": "b", "trainable": False}
    assert "b" not in picked({"weighted": True, "trainable": True}, root)
    root.config = {**root.config, "trainable": False}
    assert picked({"trainable": True}, root) == []
