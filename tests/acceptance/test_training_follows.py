"""Losses, weights and metrics stay with the outputs that they were given for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import patchc
from patchc.errors import PatchError
from tests.acceptance.cases import trains_on
from tests.acceptance.judge import judge, patch_of
from tests.conftest import Zoo

CATEGORIES = "sparse_categorical_crossentropy"


@pytest.fixture
def weighted(zoo: Zoo, tmp_path: Path) -> Path:
    """Two outputs in a list, whose losses have weights."""
    model: Any = keras.models.load_model(zoo("two_heads"))
    losses = {"kind": CATEGORIES, "size": "mse"}
    model.compile("adam", losses, loss_weights={"kind": 1.0, "size": 0.5})
    given = [np.ones((4, 6)), np.ones((4, 4))]
    model.train_on_batch(given, {"kind": np.zeros(4), "size": np.ones((4, 1))})
    path = tmp_path / "weighted.keras"
    model.save(path)
    return path


def compiled(model: Path, edits: str, room: Path, **top: str) -> Any:
    """The training configuration of a result that Keras has loaded."""
    return judge(model, patch_of(edits, **top), room).config["compile_config"]


def test_exchanged_outputs_take_their_losses_along(weighted: Path, tmp_path: Path) -> None:
    edits = "- {select: [size, kind], truncate: true}"
    found = compiled(weighted, edits, tmp_path)
    assert found["loss"] == {"size": "mse", "kind": CATEGORIES}
    assert found["loss_weights"] == {"size": 0.5, "kind": 1.0}


def test_an_output_that_is_left_alone_keeps_its_loss(weighted: Path, tmp_path: Path) -> None:
    judged = judge(weighted, patch_of("- {select: size, truncate: true}"), tmp_path)
    assert judged.config["compile_config"]["loss"] == "mse"
    assert judged.config["compile_config"]["loss_weights"] == 0.5
    assert judged.warned == []


def test_losses_of_outputs_that_are_gone_are_dropped_loudly(zoo: Zoo, tmp_path: Path) -> None:
    judged = judge(zoo("tower"), patch_of("- {select: hidden, truncate: true}"), tmp_path)
    assert judged.config["compile_config"]["loss"] is None
    assert judged.warned == ["PC906"]


def test_an_old_and_a_new_output(weighted: Path, tmp_path: Path) -> None:
    judged = judge(weighted, patch_of("- {select: [kind, trunk], truncate: true}"), tmp_path)
    assert judged.config["compile_config"]["loss"] == {"kind": CATEGORIES, "trunk": None}
    assert judged.warned == ["PC906"]


def test_a_further_output_trains_where_losses_are_weighted(weighted: Path, tmp_path: Path) -> None:
    edits = "- {select: trunk, add_output: {Dense: {units: 1, name: extra}}}"
    judged = judge(weighted, patch_of(edits), tmp_path)
    found = judged.config["compile_config"]
    assert found["loss"] == {"kind": CATEGORIES, "size": "mse", "extra": None}
    assert found["loss_weights"] == {"kind": 1.0, "size": 0.5, "extra": 1.0}
    trains_on(judged)


def test_compile_adds_to_the_losses_that_are_there(weighted: Path, tmp_path: Path) -> None:
    edits = "- {select: trunk, add_output: {Dense: {units: 1, name: extra}}}"
    judged = judge(weighted, patch_of(edits, compile="{loss: {extra: mae}}"), tmp_path)
    expected = {"kind": CATEGORIES, "size": "mse", "extra": "mae"}
    assert judged.config["compile_config"]["loss"] == expected
    assert judged.warned == []
    trains_on(judged)


def test_a_learning_rate_is_that_of_the_new_optimizer(zoo: Zoo, tmp_path: Path) -> None:
    for written in (
        "{learning_rate: 0.5, optimizer: {SGD: {}}}",
        "{optimizer: {SGD: {}}, learning_rate: 0.5}",
    ):
        patch = patch_of("- {select: hidden, freeze: true}", compile=written)
        judged = judge(zoo("tower"), patch, tmp_path)
        assert float(judged.result.optimizer.learning_rate) == 0.5
        text = str(judged.plan)
        assert "compile  <string>" in text
        assert "optimizer Adam -> SGD" in text
        assert "learning_rate 0.001" in text
        assert "-> 0.5" in text


def test_the_key_of_an_output_is_not_given_twice(zoo: Zoo) -> None:
    patch = patch_of("- {select: trunk, add_output: {Dense: {units: 2, name: kind}}}")
    with pytest.raises(PatchError) as caught:
        patchc.plan(zoo("dict_heads"), patch)
    assert [found.code for found in caught.value.diagnostics] == ["PC304"]


def test_a_copy_before_its_original_leaves_it_the_slots(zoo: Zoo, tmp_path: Path) -> None:
    edits = "- {select: hidden, insert_after: {copy_of: hidden_2}}"
    judged = judge(zoo("tower"), patch_of(edits), tmp_path)
    assert judged.plan.optimizer.counts() == {"kept": 14, "grown": 0, "new": 4, "dropped": 0}
