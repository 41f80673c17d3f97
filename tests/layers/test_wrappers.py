"""Layers around a layer against Keras."""

from __future__ import annotations

import zipfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import CallSpec, Config, RuleError, TensorSpec, complete
from tests.layers.oracle import (
    call,
    canonical,
    check_arguments,
    check_case,
    check_elementwise,
    check_identity,
    check_saved,
    check_weights,
    keras,
    make,
    make_and_call,
    model_of,
    path_below,
    recorded_initializers,
    rule_of,
    stored,
)

few = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def full(name: str, config: dict[str, Any]) -> Config:
    return complete(rule_of(name), canonical(name, config))


# ---------------------------------------------------------------- TimeDistributed

INNER: tuple[Any, ...] = (
    {"Dense": {"units": 4}},
    {"Dense": {"units": 4, "dtype": "float64"}},
    {"Conv1D": {"filters": 2, "kernel_size": 3}},
    {"BatchNormalization": {"name": "norm"}},
    {"LSTM": {"units": 2, "return_sequences": True}},
    {"Bidirectional": {"layer": {"GRU": {"units": 2}}}},
    {"TimeDistributed": {"layer": {"Dense": {"units": 3}}}},
    "Flatten",
    {"Dropout": {"rate": 0.5}},
)


@few
@given(
    inner=st.sampled_from(INNER),
    shape=st.lists(st.one_of(st.none(), st.integers(2, 4)), min_size=2, max_size=4),
    dtype=st.sampled_from(["float32", "mixed_float16"]),
)
def test_time_distributed(inner: Any, shape: list[int | None], dtype: str) -> None:
    if not (inner == "Flatten" and None in shape):
        check_case("TimeDistributed", {"layer": inner, "dtype": dtype}, call((None, *shape)))


def test_an_inner_layer_without_a_kernel_still_has_a_group(tmp_path: Path) -> None:
    check_saved("TimeDistributed", {"layer": "ReLU"}, call((None, 4, 3)), tmp_path)


@pytest.mark.parametrize(
    ("inner", "shape"),
    [
        ({"Dense": {"units": 4}}, (None, 4, 3)),
        ({"LSTM": {"units": 4, "name": "memory"}}, (None, 4, 5, 3)),
        ({"TimeDistributed": {"layer": {"Dense": {"units": 3}}}}, (None, 4, 5, 3)),
    ],
)
def test_time_distributed_is_stored_where_keras_stores_it(
    inner: Any, shape: Any, tmp_path: Path
) -> None:
    check_saved("TimeDistributed", {"layer": inner}, call(shape), tmp_path)


def test_what_the_inner_layer_is_step_by_step() -> None:
    spec = call((2, 4, 3))
    assert check_identity("TimeDistributed", {"layer": {"Dense": {"units": 3}}}, spec)
    assert not check_identity("TimeDistributed", {"layer": {"Dense": {"units": 4}}}, spec)
    assert check_elementwise("TimeDistributed", {"layer": "ReLU"}, spec)
    assert not check_elementwise("TimeDistributed", {"layer": {"Dense": {"units": 3}}}, spec)


def test_a_layer_with_several_outputs_is_refused() -> None:
    config = full("TimeDistributed", {"layer": {"LSTM": {"units": 2, "return_state": True}}})
    with pytest.raises(RuleError, match="3 outputs"):
        rule_of("TimeDistributed").outputs(config, call((None, 4, 5, 3)))


# ---------------------------------------------------------------- Bidirectional

RECURRENT: tuple[Any, ...] = (
    {"LSTM": {"units": 3}},
    {"GRU": {"units": 3, "name": "forward_gates"}},
    {"SimpleRNN": {"units": 3, "go_backwards": True}},
    {"RNN": {"cell": {"LSTMCell": {"units": 3, "name": "cell"}}}},
    {"RNN": {"cell": [{"LSTMCell": {"units": 3}}, {"GRUCell": {"units": 2}}]}},
)


@few
@given(
    inner=st.sampled_from(RECURRENT[:2] + RECURRENT[3:]),
    flags=st.fixed_dictionaries(
        {},
        optional={key: st.booleans() for key in ("return_sequences", "return_state", "stateful")},
    ),
    mode=st.sampled_from(["concat", "sum", "ave", "mul", None]),
    dtype=st.sampled_from(["float32", "mixed_float16"]),
    batch=st.sampled_from([None, 2]),
)
def test_bidirectional(
    inner: dict[str, Any], flags: dict[str, bool], mode: Any, dtype: str, batch: int | None
) -> None:
    [(name, config)] = inner.items()
    whole = {"layer": {name: {**config, **flags}}, "merge_mode": mode, "dtype": dtype}
    check_case("Bidirectional", whole, call((batch, 4, 3)))


def test_bidirectional_with_states_both_kept_and_returned_is_refused() -> None:
    inner = {"LSTM": {"units": 3, "stateful": True, "return_state": True}}
    assert not check_case("Bidirectional", {"layer": inner}, call((2, 4, 3)))


def test_bidirectional_convolution() -> None:
    inner = {"ConvLSTM1D": {"filters": 2, "kernel_size": 2, "return_sequences": True}}
    assert check_case("Bidirectional", {"layer": inner}, call((None, 3, 4, 2)))


BACKWARD = {"GRU": {"units": 3, "go_backwards": True, "name": "back"}}


def test_a_backward_layer_of_its_own(tmp_path: Path) -> None:
    config = {"layer": {"GRU": {"units": 3}}, "backward_layer": BACKWARD}
    assert check_case("Bidirectional", config, call((None, 4, 3)))
    check_saved("Bidirectional", config, call((None, 4, 3)), tmp_path)


@pytest.mark.parametrize("inner", RECURRENT[:2] + RECURRENT[3:])
def test_bidirectional_is_stored_where_keras_stores_it(inner: Any, tmp_path: Path) -> None:
    check_saved("Bidirectional", {"layer": inner}, call((None, 4, 3)), tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"layer": {"Dense": {"units": 2}}},
        {"layer": {"GRU": {"units": 3}}, "merge_mode": "max"},
        {"layer": RECURRENT[2]},
        {"layer": {"GRU": {"units": 3}}, "backward_layer": {"GRU": {"units": 3}}},
        {
            "layer": {"GRU": {"units": 3, "return_state": True}},
            "backward_layer": BACKWARD,
        },
    ],
)
def test_bidirectional_refuses_what_keras_refuses(config: dict[str, Any]) -> None:
    assert not check_case("Bidirectional", config, call((None, 4, 3)))


def test_directions_of_different_sizes_are_refused() -> None:
    backward = {"GRU": {"units": 4, "go_backwards": True}}
    config = full("Bidirectional", {"layer": {"GRU": {"units": 3}}, "backward_layer": backward})
    with pytest.raises(RuleError, match="another size"):
        rule_of("Bidirectional").weights(config, call((None, 4, 3)))


def test_concatenated_features_are_two_blocks() -> None:
    rule, spec = rule_of("Bidirectional"), call((None, 4, 3))
    config = full("Bidirectional", {"layer": {"LSTM": {"units": 3}}})
    assert rule.feature_of(config, spec) == "2*units"
    assert rule.feature_of({**config, "merge_mode": "sum"}, spec) == "units"
    assert rule.dimensions(config) == ("units",)


@pytest.mark.parametrize("with_backward", [False, True])
def test_both_directions_grow(*, with_backward: bool) -> None:
    config: dict[str, Any] = {"layer": {"GRU": {"units": 3}}}
    if with_backward:
        config["backward_layer"] = BACKWARD
    spec = call((None, 4, 3))
    layer = make_and_call("Bidirectional", canonical("Bidirectional", config), spec)[0]
    rule, written = rule_of("Bidirectional"), layer.get_config()
    grown = {**written, **rule.resized(written, "units", 5)}
    made = keras.layers.Bidirectional.from_config(deepcopy(grown))
    made(keras.Input((4, 3)))
    assert [w.shape for w in rule.weights(grown, spec)] == [tuple(v.shape) for v in made.weights]
    assert rule.size_of(grown, "units") == 5
    assert rule.outputs(grown, spec) == [(None, 10)]


# ---------------------------------------------------------------- SpectralNormalization

WITH_KERNEL: tuple[tuple[Any, Any, str], ...] = (
    ({"Dense": {"units": 4}}, (None, 3), "kernel"),
    ({"Conv2D": {"filters": 2, "kernel_size": 3, "name": "conv"}}, (None, 5, 5, 3), "kernel"),
    ({"Conv1DTranspose": {"filters": 2, "kernel_size": 3}}, (None, 5, 3), "kernel"),
    ({"DepthwiseConv1D": {"kernel_size": 2, "depth_multiplier": 2}}, (None, 5, 3), "kernel"),
    ({"Embedding": {"input_dim": 5, "output_dim": 2}}, (None, 3), "embeddings"),
    (
        {"EinsumDense": {"equation": "abc,cd->abd", "output_shape": [None, 4], "bias_axes": "d"}},
        (None, 5, 3),
        "kernel",
    ),
)


@pytest.mark.parametrize(("inner", "shape", "kernel"), WITH_KERNEL)
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_spectral_normalisation(inner: Any, shape: Any, kernel: str, dtype: str) -> None:
    config, spec = {"layer": inner, "dtype": dtype}, call(shape)
    rule, settled = rule_of("SpectralNormalization"), full("SpectralNormalization", config)
    with recorded_initializers() as initializers:
        layer, _, _, output = make_and_call(
            "SpectralNormalization", canonical("SpectralNormalization", config), spec
        )
    assert rule.outputs(settled, spec) == (tuple(output.shape),)
    assert rule.output_dtype(settled, spec) == output.dtype
    copy, *rest = rule.weights(settled, spec)
    assert (copy.name, copy.slot, copy.trainable) == (kernel, "vars/0", False)
    order = [path_below(variable) for variable in layer.weights]
    check_weights(sorted(rest, key=lambda w: order.index(w.name)), layer, initializers, str(inner))
    trained = [path_below(variable) for variable in layer.trainable_variables]
    assert [w.name for w in rest if w.trainable] == trained


def test_the_kernel_is_stored_twice_and_the_inner_one_is_loaded(tmp_path: Path) -> None:
    config, spec = {"layer": {"Dense": {"units": 4}}}, call((None, 3))
    model, layer = model_of("SpectralNormalization", config, spec)
    model.save(tmp_path / "probe.keras")
    with zipfile.ZipFile(tmp_path / "probe.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    rule, settled = rule_of("SpectralNormalization"), full("SpectralNormalization", config)
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        own = file["layers/spectral_normalization"]
        groups, datasets = stored(own)
        weights = rule.weights(settled, spec)
        assert sorted(groups) == sorted(rule.groups(settled))
        assert sorted(w.slot for w in weights) == sorted(datasets)
        assert all(own[w.slot].shape == w.shape for w in weights)
        own["vars/0"][...], own["layer/vars/0"][...] = 1.0, 2.0
    model.load_weights(tmp_path / "model.weights.h5")
    assert np.all(keras.ops.convert_to_numpy(layer.layer.kernel) == 2.0)


@pytest.mark.parametrize(
    ("inner", "shape"),
    [
        ("BatchNormalization", (None, 3)),
        ({"LSTM": {"units": 2}}, (None, 4, 3)),
        ({"SeparableConv1D": {"filters": 2, "kernel_size": 2}}, (None, 4, 3)),
        ("ReLU", (None, 3)),
    ],
)
def test_spectral_normalisation_needs_a_kernel(inner: Any, shape: Any) -> None:
    assert not check_case("SpectralNormalization", {"layer": inner}, call(shape))


def test_spectral_normalisation_grows_as_its_layer() -> None:
    rule = rule_of("SpectralNormalization")
    config = full("SpectralNormalization", {"layer": {"Conv1D": {"filters": 2, "kernel_size": 3}}})
    spec = call((None, 5, 3))
    assert rule.feature_of(config, spec) == "filters"
    axes = {w.name: w.axes for w in rule.weights(config, spec)}
    assert axes["vector_u"] == ("", "filters")
    assert axes["kernel"] == axes["conv1d/kernel"] == ("", "input", "filters")
    grown = {**config, **rule.resized(config, "filters", 7)}
    layer = make("SpectralNormalization", grown)
    layer(keras.Input((5, 3)))
    shapes = {path_below(v): tuple(v.shape) for v in layer.weights}
    assert {w.name: w.shape for w in rule.weights(grown, spec)[1:]} == shapes


# ---------------------------------------------------------------- all of them


def test_arguments() -> None:
    dense = canonical("TimeDistributed", {"layer": {"Dense": {"units": 2}}})
    check_arguments("TimeDistributed", dense)
    check_arguments("SpectralNormalization", dense)
    both = {"layer": {"GRU": {"units": 3}}, "backward_layer": BACKWARD}
    check_arguments("Bidirectional", canonical("Bidirectional", both), skip=("weights",))


@pytest.mark.parametrize("name", ["TimeDistributed", "SpectralNormalization", "Bidirectional"])
@pytest.mark.parametrize(
    ("inner", "word"),
    [
        ({"class_name": "Functional", "module": "keras", "config": {}}, "nested model"),
        ({"class_name": "Sequential", "module": "keras", "config": {"layers": []}}, "nested model"),
        ({"class_name": "Odd", "module": "odd", "registered_name": "odd>Odd"}, "Odd"),
        ({"class_name": "Dense", "module": "keras.layers", "config": None}, "configuration"),
        ("Dense", "no layer"),
        (None, "no layer"),
    ],
)
def test_inner_layers_without_a_rule_are_refused(name: str, inner: Any, word: str) -> None:
    with pytest.raises(RuleError, match=word):
        rule_of(name).weights({"layer": inner}, call((None, 4, 3)))


def test_a_list_of_inputs_is_refused() -> None:
    config = full("TimeDistributed", {"layer": {"Dense": {"units": 3}}})
    spec = CallSpec(([TensorSpec((None, 4, 3)), TensorSpec((None, 4, 3))],))
    with pytest.raises(RuleError, match="one tensor"):
        rule_of("TimeDistributed").outputs(config, spec)
