"""Storage groups are numbered by class, in Keras's order, model by model."""

from __future__ import annotations

import pytest

from patchc.model.addresses import addresses
from patchc.model.graph import Layer
from tests.model.tiny import find, model


def groups(root: Layer) -> dict[str, str]:
    """Path -> group, the root's left out."""
    return {layer.path: group for layer, group in addresses(root).items() if layer.home}


DENSE = {"a": "Dense", "b": "Dense", "c": "Dense"}


def test_the_first_of_a_class_has_no_number() -> None:
    root = model({"x": [], "a": ["x"], "b": ["a"], "c": ["b"]}, "c", classes=DENSE)
    assert groups(root) == {
        "x": "layers/input_layer",
        "a": "layers/dense",
        "b": "layers/dense_1",
        "c": "layers/dense_2",
    }
    assert addresses(root)[root] == ""


def test_names_do_not_matter() -> None:
    root = model({"x": [], "dense_1": ["x"], "dense": ["dense_1"]}, "dense")
    for layer in ("dense_1", "dense"):
        find(root, layer).class_name = "Dense"
    assert groups(root)["dense_1"] == "layers/dense"
    assert groups(root)["dense"] == "layers/dense_1"


def test_a_new_output_can_renumber_other_layers() -> None:
    wiring = {"x": [], "a": ["x"], "b": ["x"], "c": ["b"]}
    one = groups(model(wiring, ["a", "b"], classes=DENSE))
    two = groups(model(wiring, ["a", "c"], classes=DENSE))
    assert (one["a"], one["b"]) == ("layers/dense", "layers/dense_1")
    assert (two["b"], two["a"]) == ("layers/dense", "layers/dense_1")


@pytest.mark.parametrize(
    ("class_name", "group"),
    [
        ("Conv2DTranspose", "conv2d_transpose"),
        ("LSTM", "lstm"),
        ("PReLU", "p_re_lu"),
        ("MultiHeadAttention", "multi_head_attention"),
        ("GroupQueryAttention", "grouped_query_attention"),
        ("MyLayer2D", "my_layer2d"),
    ],
)
def test_groups_are_named_after_the_class(class_name: str, group: str) -> None:
    root = model({"x": [], "a": ["x"]}, "a", classes={"a": class_name})
    assert groups(root)["a"] == f"layers/{group}"


def test_each_nested_model_counts_for_itself() -> None:
    inner = model({"y": [], "a": ["y"], "b": ["a"]}, "b", name="inner", classes=DENSE)
    root = model(
        {"x": [], "a": ["x"], "inner": ["a"]}, "inner", classes=DENSE, nested={"inner": inner}
    )
    assert groups(root) == {
        "x": "layers/input_layer",
        "a": "layers/dense",
        "inner": "layers/functional",
        "inner/y": "layers/functional/layers/input_layer",
        "inner/a": "layers/functional/layers/dense",
        "inner/b": "layers/functional/layers/dense_1",
    }


def test_operations_have_no_group() -> None:
    root = model({"x": [], "m": ["x"], "a": ["m"]}, "a")
    find(root, "m").module = "keras.src.ops.numpy"
    assert "m" not in groups(root)


def test_a_layer_that_two_models_share_is_stored_where_it_comes_first() -> None:
    inner = model({"y": [], "a": ["y"]}, "a", name="inner", classes=DENSE)
    root = model(
        {"x": [], "inner": ["x"], "b": ["inner"], "c": ["b"]},
        "c",
        classes=DENSE,
        nested={"inner": inner},
    )
    find(root, "b").alias_of = find(inner, "a")
    found = groups(root)
    assert found["inner/a"] == "layers/functional/layers/dense"
    assert "b" not in found
    assert found["c"] == "layers/dense_1"
