"""An optimizer's slots go wherever the entries of their weights go; Keras is the judge.

Slots are set to what their weights are, so that old entries of both have to
be equal wherever they are afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import patchc
from tests.acceptance.test_every_axis import CASES
from tests.acceptance.test_operations import FOLLOWS
from tests.acceptance.test_own_axes import EVERY, flat
from tests.acceptance.widening import Array, inputs_for, new_places, patch, with_head
from tests.patterns import IMAGE, Build, on_image

OPERATIONS = (
    "channel shuffle", "windows", "patch merging", "pixel shuffle", "gate by hand", "unflatten",
    "grouped-query interleave", "zero-padded shortcut", "transpose", "split in places",
    "split in parts", "tile", "repeat", "middle channels", "ravel",
)  # fmt: skip
AXES = (
    "letters that are read", "into groups", "groups of one", "read by convlstm", "tied vectors",
    "neighbours and others", "scales", "groups of one, inside",
)  # fmt: skip
LAYERS = (
    "SimpleRNN", "LSTM", "GRU, reset after", "ConvLSTM1D", "Bidirectional", "stacked cells, first",
    "Conv2D", "Conv1DTranspose", "SeparableConv1D, multiplier", "EinsumDense", "Embedding, vectors",
    "MultiHeadAttention", "GroupQueryAttention",
)  # fmt: skip
Case = tuple[tuple[int, ...], Build, str, int]
CHANGED: dict[str, Case] = (
    {name: (IMAGE, on_image(FOLLOWS[name][0]), "filters", FOLLOWS[name][1]) for name in OPERATIONS}
    | {name: (EVERY[name][0], flat(EVERY[name][1]), *EVERY[name][2:]) for name in AXES}
    | {name: (*CASES[name][1], CASES[name][0], 2) for name in LAYERS}
)


def _trained(shape: tuple[int, ...], build: Build, path: Path) -> None:
    """A model whose slots are its weights, and their squares."""
    model = with_head(shape, build)
    model.compile(keras.optimizers.Adam(), "mse")
    model.optimizer.build(model.trainable_variables)
    for weight, momentum, velocity in _slots(model):
        model.optimizer.variables[momentum].assign(weight)
        model.optimizer.variables[velocity].assign(weight**2)
    model.save(path)


def _slots(model: Any) -> list[tuple[Array, int, int]]:
    """Each trainable weight, and the numbers of its momentum and velocity."""
    names = [variable.path.rpartition("/")[2] for variable in model.optimizer.variables]
    first = [number for number, name in enumerate(names) if name.endswith("momentum")]
    weights = [np.asarray(weight) for weight in model.trainable_variables]
    return [(w, number, number + 1) for w, number in zip(weights, first, strict=True)]


def _assert_follow(before: Any, after: Any) -> None:
    """The old entries of weights are where those of their slots are; new ones have just begun."""
    variables = [np.asarray(variable) for variable in after.optimizer.variables]
    for (was, *_), (now, momentum, velocity) in zip(_slots(before), _slots(after), strict=True):
        m, v = variables[momentum], variables[velocity]
        old = np.isin(now, was)
        assert old.sum() == was.size
        assert m.shape == v.shape == now.shape
        np.testing.assert_array_equal(m[old], now[old])
        np.testing.assert_array_equal(v[old], now[old] ** 2)
        assert not m[~old].any()
        assert (v[~old] > 0).all()


@pytest.mark.parametrize("name", CHANGED)
def test_slots_follow_their_weights(name: str, tmp_path: Path) -> None:
    shape, build, axis, by = CHANGED[name]
    base, wide, back = (tmp_path / f"{n}.keras" for n in ("before", "wide", "back"))
    _trained(shape, build, base)
    grow = patch(f"expand: {{by: {by}, axis: '{axis}'}}")
    places = new_places(patchc.plan(base, grow), "t", by)
    patchc.apply(base, grow, wide)
    patchc.apply(wide, patch(f"shrink: {{drop: {places}, axis: '{axis}'}}", name="back"), back)
    before, grown, again = map(keras.models.load_model, (base, wide, back))
    _assert_follow(before, grown)
    _assert_follow(before, again)
    assert [w.shape for w in before.weights] == [w.shape for w in again.weights]
    given = inputs_for(grown)
    grown.run_eagerly = True
    loss = grown.train_on_batch(given, np.ones_like(grown(given)))
    assert np.isfinite(loss)
    assert int(grown.optimizer.iterations) == 1
