"""Recurrent layers, their cells, and convolutional LSTMs against Keras."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.arrays.initializers import initialise
from patchc.layers.base import CallSpec, Config, RuleError, TensorSpec, complete
from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_saved,
    keras,
    make,
    make_and_call,
    rule_of,
)

few = settings(max_examples=40, deadline=None, derandomize=True, database=None)
LAYERS = ("SimpleRNN", "LSTM", "GRU")
CELLS = ("SimpleRNNCell", "LSTMCell", "GRUCell")
CONV = ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")


def full(name: str, config: dict[str, Any]) -> Config:
    return complete(rule_of(name), canonical(name, config))


def cell_options(name: str) -> dict[str, Any]:
    options: dict[str, Any] = {
        "use_bias": st.booleans(),
        "activation": st.sampled_from(["relu", "tanh", "softmax"]),
        "recurrent_initializer": st.sampled_from(["glorot_normal", "orthogonal"]),
        "bias_initializer": st.sampled_from(["ones", {"RandomNormal": {"stddev": 0.1}}]),
        "dropout": st.sampled_from([0.0, 0.2]),
    }
    if "LSTM" in name:
        options["unit_forget_bias"] = st.booleans()
    if "GRU" in name:
        options["reset_after"] = st.booleans()
    return options


FLAGS = {
    key: st.booleans() for key in ("return_sequences", "return_state", "go_backwards", "stateful")
}
DTYPES = {"dtype": st.sampled_from(["float32", "mixed_float16"])}


@st.composite
def layer_cases(draw: st.DrawFn) -> tuple[str, dict[str, Any], Any]:
    name = draw(st.sampled_from(LAYERS))
    options = {**cell_options(name), **FLAGS, **DTYPES, "unroll": st.just(False)}
    config = draw(st.fixed_dictionaries({"units": st.integers(1, 4)}, optional=options))
    size = st.one_of(st.none(), st.integers(1, 5))
    return name, config, (draw(st.sampled_from([None, 2])), draw(size), draw(st.integers(1, 4)))


@few
@given(layer_cases())
def test_layers(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


@st.composite
def cells(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(st.sampled_from(CELLS))
    options = cell_options(name)
    return {name: draw(st.fixed_dictionaries({"units": st.integers(1, 4)}, optional=options))}


@few
@given(
    cell=st.one_of(
        cells(),
        st.lists(cells(), min_size=1, max_size=3),
        st.lists(cells(), min_size=1, max_size=3).map(lambda c: {"StackedRNNCells": {"cells": c}}),
    ),
    config=st.fixed_dictionaries({}, optional={**FLAGS, **DTYPES}),
    batch=st.sampled_from([None, 2]),
)
def test_rnn(cell: Any, config: dict[str, Any], batch: int | None) -> None:
    check_case("RNN", {"cell": cell, **config}, call((batch, 4, 3)))


@st.composite
def conv_cases(draw: st.DrawFn) -> tuple[str, dict[str, Any], Any]:
    name = draw(st.sampled_from(CONV))
    rank = int(name[-2])
    small = st.one_of(st.integers(1, 3), st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    options = {
        **cell_options(name),
        **FLAGS,
        **DTYPES,
        "padding": st.sampled_from(["valid", "same"]),
        "strides": small,
        "dilation_rate": st.sampled_from([1, 1, 2]),
        "data_format": st.sampled_from(["channels_last", "channels_first"]),
    }
    required = {"filters": st.integers(1, 3), "kernel_size": small}
    config = draw(st.fixed_dictionaries(required, optional=options))
    size = st.integers(2, 6)
    rest = draw(st.lists(size, min_size=rank + 1, max_size=rank + 1))
    return name, config, (draw(st.sampled_from([None, 2])), draw(st.sampled_from([None, 3])), *rest)


@few
@given(conv_cases())
def test_convolutional_lstms(case: tuple[str, dict[str, Any], Any]) -> None:
    name, config, shape = case
    check_case(name, config, call(shape))


LSTM_CELL = {"LSTMCell": {"units": 2}}


@pytest.mark.parametrize(
    ("name", "config", "shape"),
    [
        ("LSTM", {"units": 0}, (None, 4, 3)),
        ("LSTM", {"units": 2}, (None, 3)),
        ("LSTM", {"units": 2}, (None, 4, 5, 3)),
        ("LSTM", {"units": 2}, (None, 4, None)),
        ("GRU", {"units": 2, "stateful": True}, (None, 4, 3)),
        ("RNN", {"cell": "Dense"}, (None, 4, 3)),
        ("RNN", {"cell": {"Dense": {"units": 2}}}, (None, 4, 3)),
        ("RNN", {"cell": LSTM_CELL, "stateful": True}, (None, 4, 3)),
        ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (None, 4, None, 3)),
        ("ConvLSTM1D", {"filters": 2, "kernel_size": 6}, (None, 4, 5, 3)),
        ("ConvLSTM2D", {"filters": 2, "kernel_size": 2}, (None, 4, 5, 3)),
    ],
)
def test_refuses_what_keras_refuses(name: str, config: dict[str, Any], shape: Any) -> None:
    assert not check_case(name, config, call(shape))


def test_initial_states_do_not_change_the_shapes() -> None:
    state = TensorSpec((None, 3))
    spec = CallSpec((TensorSpec((None, 4, 5)),), {"initial_state": [state, state]})
    assert check_case("LSTM", {"units": 3, "return_state": True}, spec)


@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_arguments(name: str) -> None:
    check_arguments(name, {"units": 2})


@pytest.mark.parametrize("name", CONV)
def test_arguments_of_convolutional_lstms(name: str) -> None:
    check_arguments(name, {"filters": 2, "kernel_size": 3})


def test_arguments_of_layers_with_cells() -> None:
    cell = canonical("RNN", {"cell": LSTM_CELL})["cell"]
    check_arguments("RNN", {"cell": cell})
    check_arguments("StackedRNNCells", {"cells": [cell]})


STACK = {"cell": [LSTM_CELL, {"GRUCell": {"units": 3}}, {"LSTMCell": {"units": 4}}]}


@pytest.mark.parametrize(
    ("name", "config", "shape"),
    [
        ("LSTM", {"units": 2, "dropout": 0.1}, (None, 4, 3)),
        ("GRU", {"units": 2, "stateful": True}, (2, 4, 3)),
        ("SimpleRNN", {"units": 2, "use_bias": False}, (None, 4, 3)),
        ("RNN", {"cell": LSTM_CELL}, (None, 4, 3)),
        ("RNN", STACK, (None, 4, 3)),
        ("ConvLSTM2D", {"filters": 2, "kernel_size": 2}, (None, 2, 4, 4, 3)),
    ],
)
def test_is_stored_where_keras_stores_it(
    name: str, config: dict[str, Any], shape: Any, tmp_path: Path
) -> None:
    check_saved(name, config, call(shape), tmp_path)


@pytest.mark.parametrize(
    ("name", "config", "shape"),
    [
        ("LSTM", {"units": 3}, (None, 4, 2)),
        ("LSTM", {"units": 3, "bias_initializer": {"constant": {"value": 0.5}}}, (None, 4, 2)),
        ("ConvLSTM1D", {"filters": 2, "kernel_size": 2}, (None, 4, 5, 2)),
    ],
)
def test_forget_gate_starts_at_one(name: str, config: dict[str, Any], shape: Any) -> None:
    layer = make_and_call(name, canonical(name, config), call(shape))[0]
    [bias] = [w for w in rule_of(name).weights(full(name, config), call(shape)) if "bias" in w.name]
    made = initialise(bias.initializer, bias.shape, "float32", bytes(16))
    np.testing.assert_array_equal(made, keras.ops.convert_to_numpy(layer.weights[-1]))


def test_gates_are_blocks_of_units() -> None:
    spec = call((None, 4, 3))

    def axes(name: str, config: dict[str, Any]) -> list[tuple[str, ...]]:
        return [w.axes for w in rule_of(name).weights(full(name, config), spec)]

    assert axes("LSTM", {"units": 2}) == [("input", "4*units"), ("units", "4*units"), ("4*units",)]
    assert axes("GRU", {"units": 2})[2] == ("", "3*units")
    assert axes("GRU", {"units": 2, "reset_after": False})[2] == ("3*units",)
    assert axes("SimpleRNN", {"units": 2})[1] == ("units", "units")


def test_cells_of_a_stack_read_one_another() -> None:
    rule, config = rule_of("RNN"), full("RNN", STACK)
    spec = call((None, 4, 3))
    kernels = [w.axes for w in rule.weights(config, spec) if w.name.endswith("/kernel")]
    assert kernels == [
        ("input", "4*units[0]"),
        ("units[0]", "3*units[1]"),
        ("units[1]", "4*units[2]"),
    ]
    assert rule.dimensions(config) == ["units[2]", "units[1]", "units[0]"]
    assert rule.feature_of(config, spec) == "units[2]"
    assert rule.size_of(config, "units[1]") == 3


@pytest.mark.parametrize("cell", [STACK["cell"], {"StackedRNNCells": STACK}])
def test_a_cell_of_a_stack_is_resized(cell: Any) -> None:
    if isinstance(cell, dict):
        cell = {"StackedRNNCells": {"cells": STACK["cell"]}}
    rule, config = rule_of("RNN"), full("RNN", {"cell": cell})
    grown = {**config, **rule.resized(config, "units[1]", 7)}
    assert rule.size_of(grown, "units[1]") == 7
    assert [rule.size_of(grown, f"units[{i}]") for i in (0, 2)] == [2, 4]
    weights = rule.weights(grown, call((None, 4, 3)))
    layer = make("RNN", grown)
    layer(keras.Input((4, 3)))
    assert [w.shape for w in weights] == [tuple(v.shape) for v in layer.weights]


def test_what_a_file_says_of_a_built_cell_is_dropped_when_it_grows() -> None:
    layer = make_and_call("RNN", canonical("RNN", STACK), call((None, 4, 3)))[0]
    written = layer.get_config()
    rule = rule_of("RNN")
    grown = {**written, **rule.resized(written, "units[0]", 6)}
    made = keras.layers.RNN.from_config(deepcopy(grown))
    made(keras.Input((4, 3)))
    weights = rule.weights(grown, call((None, 4, 3)))
    assert [w.shape for w in weights] == [tuple(v.shape) for v in made.weights]
    assert weights[0].shape == (3, 24)


def test_a_single_cell_lends_its_dimensions() -> None:
    rule, config = rule_of("RNN"), full("RNN", {"cell": LSTM_CELL})
    assert rule.dimensions(config) == ("units",)
    assert rule.feature_of(config, call((None, 4, 3))) == "units"
    assert rule.size_of({**config, **rule.resized(config, "units", 5)}, "units") == 5


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ({"class_name": "MyCell", "module": "here", "registered_name": "here>MyCell"}, "MyCell"),
        ({"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}}, "none"),
        ({"class_name": "LSTMCell", "module": "keras.layers"}, "without a configuration"),
        ([], "list of `cells`"),
        (None, "no layer"),
    ],
)
def test_cells_without_a_rule_are_refused(cell: Any, word: str) -> None:
    with pytest.raises(RuleError, match=word):
        rule_of("RNN").weights({"cell": cell}, call((None, 4, 3)))


def test_a_softmax_couples_units() -> None:
    spec = call((None, 4, 3))
    assert rule_of("GRU").couples_features(full("GRU", {"units": 2, "activation": "softmax"}), spec)
    assert not rule_of("GRU").couples_features(full("GRU", {"units": 2}), spec)


def test_a_frozen_convolutional_lstm_does_not_come_back_frozen() -> None:
    assert not any(rule_of(name).freezable for name in CONV)
    assert all(rule_of(name).freezable for name in LAYERS)
