"""Training goes on where it stopped: the figures of `benchmarks.continuity`, with their bounds."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import patchc
from benchmarks import continuity
from tests.live.builders import features, labels, patch, perceptron, train

_BOUND = 0.5
"""Of what is coupled through a norm, as a part of the largest update; measured: up to 0.32."""

_CLIPPED = "Adam, global_clipnorm"
_COUPLED = frozenset({"Lamb", "Adafactor", "Muon", "Adam, clipnorm", _CLIPPED})
_NAMES = sorted(continuity.optimizers())


@pytest.mark.parametrize("name", _NAMES)
def test_the_next_step_of_old_parameters_is_the_same(name: str) -> None:
    found = continuity.continuity(continuity.optimizers()[name])
    for edit, apart in found.items():
        if name == _CLIPPED and edit != "rename":
            assert apart < _BOUND
        elif edit in continuity.SAME_SIZES:
            assert apart == 0.0
        else:
            assert apart <= (_BOUND if name in _COUPLED else 1e-6)


def test_the_coupled_ones_are_those_of_the_benchmark() -> None:
    assert set(continuity.coupled()) == _COUPLED


@pytest.mark.parametrize("name", _NAMES)
def test_a_grown_head_keeps_the_state_of_old_entries(name: str) -> None:
    model = train(perceptron(), continuity.optimizers()[name](), steps=2)
    new = patchc.apply(model, patch("{select: head, expand: {by: 2}}"))
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations)
    assert float(new.optimizer.learning_rate) == float(model.optimizer.learning_rate)
    pairs = [*zip(model.optimizer.variables, new.optimizer.variables, strict=True)]
    for old, grown in pairs:
        corner = tuple(slice(size) for size in old.shape)
        assert np.array_equal(grown.numpy()[corner], old.numpy())
    new.train_on_batch(features(), labels(classes=5))


@pytest.mark.parametrize("name", _NAMES)
def test_a_frozen_file_loads_with_its_state_and_without_a_warning(
    name: str, tmp_path: Path
) -> None:
    model = train(perceptron(), continuity.optimizers()[name](), steps=2)
    model.save(tmp_path / "m.keras")
    freeze = patch("{select: d0, freeze: true}")
    report = patchc.apply(tmp_path / "m.keras", freeze, tmp_path / "out.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        loaded: Any = keras.models.load_model(tmp_path / "out.keras")
        live = patchc.apply(model, freeze)
    kept = report.to_dict()["optimizer"]["kept"]
    assert int(loaded.optimizer.iterations) == int(model.optimizer.iterations)
    for one, other in zip(loaded.optimizer.variables, live.optimizer.variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())
    assert len(report.plan.optimizer.entries) == kept


@pytest.mark.parametrize("kind", continuity.STEADY)
def test_new_entries_start_no_faster_than_old_ones_go(kind: str) -> None:
    steady = continuity.STEADY[kind]
    assert continuity.simulated(continuity.mean_start, kind).max() <= 1.1 * steady
    assert continuity.simulated(continuity.zero_start, kind).max() > 6 * steady


def test_new_digits_never_move_faster_than_with_zero_padding() -> None:
    model, data = continuity.digits()
    ours = continuity.digit_updates(model, data, zero=False)
    zeros = continuity.digit_updates(model, data, zero=True)
    assert (ours <= zeros).all()
