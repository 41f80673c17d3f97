"""Copies of layers at other places, and branches inside branches."""

from __future__ import annotations

from pathlib import Path

import pytest

import patchc
from patchc.errors import PatchError
from tests.acceptance.judge import assert_same_function, judge, patch_of
from tests.conftest import Zoo


@pytest.mark.parametrize(
    ("edits", "output"),
    [
        ("- {select: relu_2, insert_after: {copy_of: pool}}", (None, 5)),
        (
            """
- select: relu_1
  add_output: [{copy_of: pool}, Flatten, {Dense: {units: 2, name: aux}}]
""",
            (None, 2),
        ),
        ("- {select: conv_3, insert_after: {copy_of: relu_1}}", (None, 5)),
    ],
)
def test_a_copy_has_the_shape_of_its_place(
    edits: str, output: tuple[int | None, ...], zoo: Zoo, tmp_path: Path
) -> None:
    judged = judge(zoo("convnet"), patch_of(edits), tmp_path)
    assert judged.result.outputs[-1].shape == output


def test_a_copy_whose_weights_do_not_fit_its_place_is_refused(zoo: Zoo) -> None:
    with pytest.raises(PatchError) as caught:
        patchc.plan(zoo("tower"), patch_of("- {select: hidden_2, insert_after: {copy_of: hidden}}"))
    assert [found.code for found in caught.value.diagnostics] == ["PC302"]


@pytest.mark.parametrize(
    "chain",
    [
        "[{Dense: {units: 16}}, {residual: [{Dense: {units: 16}}]}]",
        "[{residual: [{Dense: {units: 16}}]}, {Dense: {units: 16}}]",
        "[{Dense: {units: 16}}, {residual: [{Dense: {units: 16, activation: relu}}]}, ReLU]",
        "[{copy_of: hidden_2}, {Dense: {units: 16}}]",
    ],
)
def test_branches_inside_branches_add_nothing(chain: str, zoo: Zoo, tmp_path: Path) -> None:
    edits = f"- {{select: hidden, insert_after: {{residual: {chain}}}, init: identity}}"
    judged = judge(zoo("tower"), patch_of(edits), tmp_path)
    assert_same_function(judged, relative=0)


def test_several_elements_are_each_an_identity(zoo: Zoo, tmp_path: Path) -> None:
    chain = "[{residual: [{Dense: {units: 16}}]}, {Dense: {units: 16}}, {Dropout: {rate: 0.2}}]"
    edits = f"- {{select: hidden, insert_after: {chain}, init: identity}}"
    assert_same_function(judge(zoo("tower"), patch_of(edits), tmp_path))


@pytest.mark.parametrize(
    "chain",
    ["[{residual: [{Dense: {units: 16}}]}]", "[{residual: [{residual: [{Dense: {units: 16}}]}]}]"],
)
def test_a_branch_that_hands_its_input_on_cannot_add_nothing(chain: str, zoo: Zoo) -> None:
    edits = f"- {{select: hidden, insert_after: {{residual: {chain}}}, init: identity}}"
    with pytest.raises(PatchError) as caught:
        patchc.plan(zoo("tower"), patch_of(edits))
    assert [found.code for found in caught.value.diagnostics] == ["PC305"]
