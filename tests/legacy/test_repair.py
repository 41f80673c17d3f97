"""Older configurations become what Keras 3 loads, each change with its layer and reason."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from patchc.layers.hard_sigmoid import HARD_SIGMOID
from patchc.legacy.repair import LegacyError, Repaired, repair_model


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    """A layer as Keras 1 and 2 wrote it."""
    return {"class_name": class_name, "config": {"name": name, **config}}


def repaired(*layers: dict[str, Any], version: str = "2.4.0", training: Any = None) -> Repaired:
    """A Sequential of such layers, repaired; the first one carries the input's shape."""
    first = copy.deepcopy(layers[0])
    first["config"].setdefault("batch_input_shape", [None, 8, 8, 3])
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [first, *layers[1:]]}}
    return repair_model(model, training, version)


def config_of(result: Repaired, name: str) -> dict[str, Any]:
    """A layer's configuration after the repair."""
    found = [e for e in result.config["config"]["layers"] if e["config"]["name"] == name]
    config: dict[str, Any] = found[0]["config"]
    return config


def said(result: Repaired, name: str) -> list[str]:
    """What was done to a layer."""
    return [repair.what for repair in result.repairs if repair.layer == name]


def test_a_list_of_layers_becomes_a_sequential_with_an_input() -> None:
    layers = [layer("Dense", "d", units=2, batch_input_shape=[None, 4], dtype="float32")]
    config = copy.deepcopy(layers)
    result = repair_model({"class_name": "Sequential", "config": config}, None, "2.0.5")
    assert config == layers, "the file's own configuration is not touched"
    first, second = result.config["config"]["layers"]
    assert first["class_name"] == "InputLayer"
    assert first["config"]["batch_shape"] == [None, 4]
    assert "batch_input_shape" not in second["config"]
    assert (second["module"], second["registered_name"]) == ("keras.layers", None)
    assert result.config["module"] == "keras"
    assert not result.missing


def test_names_and_arguments_of_keras_1() -> None:
    convolution = layer(
        "Convolution2D",
        "c",
        nb_filter=4,
        nb_row=3,
        nb_col=5,
        border_mode="same",
        subsample=[2, 2],
        dim_ordering="th",
        init="he_normal",
        W_regularizer={"name": "WeightRegularizer", "l1": 0.0, "l2": 0.5},
        b_constraint={"name": "MaxNorm", "m": 2, "axis": 0},
        bias=True,
    )
    result = repaired(convolution, layer("Dropout", "p", p=0.25), version="1.2.1")
    config = config_of(result, "c")
    assert config["filters"] == 4
    assert config["kernel_size"] == [3, 5]
    assert (config["padding"], config["strides"]) == ("same", [2, 2])
    assert config["data_format"] == "channels_first"
    assert config["kernel_initializer"] == "he_normal"
    assert config["kernel_regularizer"]["class_name"] == "L1L2"
    assert config["kernel_regularizer"]["config"] == {"l1": 0.0, "l2": 0.5}
    assert config["bias_constraint"]["config"] == {"max_value": 2, "axis": 0}
    assert config_of(result, "p") == {"name": "p", "rate": 0.25}
    assert "class `Convolution2D` became `Conv2D`" in said(result, "c")
    assert all(repair.reason for repair in result.repairs)


def test_recurrent_layers_of_keras_1() -> None:
    lstm = layer(
        "LSTM",
        "l",
        output_dim=3,
        inner_init="orthogonal",
        inner_activation="sigmoid",
        forget_bias_init="one",
        consume_less="cpu",
        dropout_W=0.1,
    )
    config = config_of(repaired(lstm, version="1.2.1"), "l")
    assert config == {
        "name": "l",
        "units": 3,
        "recurrent_initializer": "orthogonal",
        "recurrent_activation": "sigmoid",
        "unit_forget_bias": True,
        "dropout": 0.1,
    }


@pytest.mark.parametrize(
    ("mode", "class_name", "extra"),
    [
        ("sum", "Add", {}),
        ("concat", "Concatenate", {"axis": 1}),
        ("cos", "Dot", {"axes": 2, "normalize": True}),
    ],
)
def test_merge_of_keras_1(mode: str, class_name: str, extra: dict[str, Any]) -> None:
    merge = layer("Merge", "m", mode=mode, concat_axis=1, dot_axes=2)
    result = repaired(layer("Flatten", "f"), merge, version="1.2.1")
    entry = result.config["config"]["layers"][2]
    assert entry["class_name"] == class_name
    assert entry["config"] == {"name": "m", **extra}


def test_what_keras_3_does_not_take_is_dropped_where_it_says_nothing() -> None:
    result = repaired(
        layer("DepthwiseConv2D", "d", kernel_size=[3, 3], groups=1),
        layer("LSTM", "l", units=2, time_major=False, implementation=2),
        layer("BatchNormalization", "b", axis=[3]),
        layer("Embedding", "e", input_dim=3, output_dim=2, input_length=4),
        layer("Dense", "k", kernel_initializer=init("Zeros", dtype="float32")),
    )
    assert "groups" not in config_of(result, "d")
    assert not {"time_major", "implementation"} & config_of(result, "l").keys()
    assert config_of(result, "b")["axis"] == 3
    assert "input_length" not in config_of(result, "e")
    assert config_of(result, "k")["kernel_initializer"]["config"] == {}
    assert not result.missing


def init(class_name: str, **config: Any) -> dict[str, Any]:
    """An initialiser as Keras 2 wrote it."""
    return {"class_name": class_name, "config": config}


def test_an_initialiser_gets_the_name_that_every_keras_3_knows() -> None:
    """Keras before 3.6 does not know `Orthogonal`."""
    wrapped = init("Orthogonal", gain=1.0, seed=None) | {"module": "keras.initializers"}
    for given in (init("Orthogonal", gain=1.0, seed=None), wrapped):
        config = config_of(repaired(layer("LSTM", "l", units=2, recurrent_initializer=given)), "l")
        assert config["recurrent_initializer"]["class_name"] == "OrthogonalInitializer"


def test_what_would_be_missed_is_left_and_named() -> None:
    result = repaired(
        layer("DepthwiseConv2D", "d", kernel_size=[3, 3], groups=2),
        layer("LSTM", "l", units=2, time_major=True),
        layer("MyLayer", "mine", k=3),
        layer("Activation", "a", activation="my_function"),
        layer("Lambda", "code", function=["4wEA", None, None], function_type="lambda"),
    )
    assert config_of(result, "d")["groups"] == 2
    assert config_of(result, "mine") == {"name": "mine", "k": 3}
    named = {missing.layer: missing.name for missing in result.missing}
    assert named == {
        "d": "DepthwiseConv2D with groups: 2",
        "l": "LSTM with time_major: true",
        "mine": "MyLayer",
        "a": "my_function",
        "code": "Lambda",
    }
    assert all(missing.way_out for missing in result.missing)


def test_layers_that_keras_applications_has_for_itself_are_found() -> None:
    """HDF5 files name no module: what only has the same class name stays the user's own."""
    scale = {"init_values": 1e-6, "projection_dim": 3}
    one, two = [[["x", 0, 0, {}]]], [[["x", 0, 0, {}], ["y", 0, 0, {}]]]
    layers = [
        layer("LayerScale", "convnext_tiny_stage_0_block_0_layer_scale", **scale),
        layer("LayerScale", "my_scale", **scale),
        layer("Custom>CustomScaleLayer", "custom_scale_layer_3", scale=0.17),
        layer("Custom>CustomScaleLayer", "custom_scale_layer_4", scale=0.17),
    ]
    for entry, nodes in zip(layers, (one, one, two, one), strict=True):
        entry["inbound_nodes"] = nodes
    result = repaired(*layers)
    modules = [entry["module"] for entry in result.config["config"]["layers"]]
    applications = "keras.src.applications."
    home = [f"{applications}convnext", None, f"{applications}inception_resnet_v2", None]
    assert modules[-4:] == home
    named = {missing.layer: missing.name for missing in result.missing}
    assert named == {"my_scale": "LayerScale", "custom_scale_layer_4": "Custom>CustomScaleLayer"}


def test_the_hard_sigmoid_of_keras_2_stays_what_it_was() -> None:
    """Keras 3 gives this name to another function, and loads it without a word."""
    lstm = layer("LSTM", "l", units=2, recurrent_activation="hard_sigmoid")
    assert config_of(repaired(lstm), "l")["recurrent_activation"] == HARD_SIGMOID
    today = config_of(repaired(lstm, version="3.5.0"), "l")
    assert today["recurrent_activation"] == "hard_sigmoid"


def test_a_gru_keeps_the_form_that_it_had() -> None:
    assert config_of(repaired(layer("GRU", "g", units=2)), "g")["reset_after"] is False
    given = layer("GRU", "g", units=2, reset_after=True)
    assert config_of(repaired(given), "g")["reset_after"] is True


def test_wrapped_layers_are_repaired_too() -> None:
    inner = layer("Dense", "d", units=2, bias_initializer=init("Zeros", dtype="float32"))
    result = repaired(layer("TimeDistributed", "t", layer=inner))
    wrapped = config_of(result, "t")["layer"]
    assert wrapped["module"] == "keras.layers"
    assert wrapped["config"]["bias_initializer"]["config"] == {}
    assert "wrote the module `keras.layers`" in said(result, "t/d")


def functional(*layers: dict[str, Any], outputs: list[Any]) -> dict[str, Any]:
    """A Functional as Keras 2 wrote it: layers with their connections."""
    config = {"name": "f", "layers": list(layers), "output_layers": outputs}
    return {"class_name": "Model", "config": config | {"input_layers": [["x", 0, 0]]}}


def node(entry: dict[str, Any], *nodes: Any) -> dict[str, Any]:
    """A layer with its connections."""
    return entry | {"name": entry["config"]["name"], "inbound_nodes": list(nodes)}


def test_calls_of_nested_models_are_counted_as_keras_3_does() -> None:
    x = node(layer("InputLayer", "x", batch_input_shape=[None, 4], ragged=False))
    inner = functional(
        x, node(layer("Dense", "d", units=4), [["x", 0, 0, {}]]), outputs=[["d", 0, 0]]
    )
    inner["config"]["name"] = "inner"
    chain = layer("Sequential", "chain", layers=[layer("Dense", "e", batch_input_shape=[None, 4])])
    model = functional(
        x,
        node(inner, [["x", 0, 0, {}]]),
        node(chain, [["inner", 1, 0, {}]]),
        node(layer("ReLU", "r"), [["chain", 1, 0, {}]]),
        outputs=[["inner", 1, 0], ["chain", 1, 0], ["r", 0, 0]],
    )
    result = repair_model(model, None, "2.4.0")
    layers = {entry["name"]: entry for entry in result.config["config"]["layers"]}
    assert layers["chain"]["inbound_nodes"] == [[["inner", 0, 0, {}]]]
    assert layers["r"]["inbound_nodes"] == [[["chain", 0, 0, {}]]]
    ends = result.config["config"]["output_layers"]
    assert ends == [["inner", 1, 0], ["chain", 0, 0], ["r", 0, 0]]


def test_initial_states_are_passed_by_name() -> None:
    x = node(layer("InputLayer", "x", batch_input_shape=[None, 5, 4]))
    h = node(layer("InputLayer", "h", batch_input_shape=[None, 2]))
    gru = node(layer("GRU", "g", units=2), [["x", 0, 0, {}], ["h", 0, 0, {}]])
    result = repair_model(functional(x, h, gru, outputs=[["g", 0, 0]]), None, "2.4.0")
    nodes = result.config["config"]["layers"][2]["inbound_nodes"]
    assert nodes == [[["x", 0, 0, {"initial_state": [["h", 0, 0]]}]]]


def test_training_configuration() -> None:
    training = {
        "optimizer_config": {
            "class_name": "Custom>Adam",
            "config": {"lr": 0.5, "decay": 0.0, "is_legacy_optimizer": False, "epsilon": None},
        },
        "loss": {
            "class_name": "BinaryCrossentropy",
            "config": {"reduction": "auto", "from_logits": True, "fn": "binary_crossentropy"},
        },
        "metrics": [[{"class_name": "MeanMetricWrapper", "config": wrapper("accuracy")}]],
        "loss_weights": None,
        "sample_weight_mode": None,
    }
    compiled = repaired(layer("Flatten", "f"), training=training).config["compile_config"]
    optimizer = compiled["optimizer"]
    assert (optimizer["module"], optimizer["class_name"]) == ("keras.optimizers", "Adam")
    assert optimizer["config"] == {"learning_rate": 0.5, "epsilon": 1e-7}
    assert compiled["loss"]["config"] == {"reduction": "sum_over_batch_size", "from_logits": True}
    assert compiled["metrics"][0]["class_name"] == "CategoricalAccuracy"


def wrapper(name: str) -> dict[str, Any]:
    """A metric as tf.keras 2.4 wrote it."""
    return {"name": name, "dtype": "float32", "fn": "categorical_accuracy"}


def test_a_decay_becomes_a_schedule_and_a_foreign_loss_is_named() -> None:
    told = {"class_name": "SGD", "config": {"lr": 0.1, "decay": 0.01, "momentum": 0.9}}
    training = {"optimizer_config": told, "loss": "my_loss", "metrics": ["acc", "my_metric"]}
    result = repaired(layer("Flatten", "f"), training=training)
    rate = result.config["compile_config"]["optimizer"]["config"]["learning_rate"]
    assert rate["class_name"] == "InverseTimeDecay"
    assert rate["config"] == {
        "initial_learning_rate": 0.1,
        "decay_steps": 1,
        "decay_rate": 0.01,
    }
    assert [missing.name for missing in result.missing] == ["my_loss", "my_metric"]
    assert result.config["compile_config"]["loss"] == "my_loss"


def test_repairing_twice_changes_nothing_more() -> None:
    lstm = layer("LSTM", "l", units=2, recurrent_activation="hard_sigmoid", time_major=False)
    once = repaired(lstm, layer("Dense", "d", units=2))
    again = repair_model(once.config, None, "3.0.0")
    assert again.config == once.config
    assert again.repairs == ()


@pytest.mark.parametrize("broken", [None, 3, {}, {"class_name": 3}, {"class_name": "Sequential"}])
def test_what_is_no_configuration_is_refused(broken: Any) -> None:
    with pytest.raises(LegacyError):
        repair_model(broken)


def test_a_flag_that_keras_3_does_not_take_is_dropped() -> None:
    found = repaired(layer("SpatialDropout2D", "drop", rate=0.1, trainable=True))
    assert config_of(found, "drop") == {"name": "drop", "rate": 0.1}
    assert "dropped `trainable`" in said(found, "drop")


def test_numpy_numbers_become_plain_ones() -> None:
    """Keras 2.12 marks them in its archives."""
    zero = {"class_name": "__numpy__", "config": {"value": 0.25, "dtype": "float32"}}
    found = repaired(layer("ReLU", "relu", negative_slope=zero), version="2.12.0")
    assert config_of(found, "relu")["negative_slope"] == 0.25
    assert "wrote NumPy numbers as plain ones" in [repair.what for repair in found.repairs]
