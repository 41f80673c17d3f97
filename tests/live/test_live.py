from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import patchc
from tests.live.builders import (
    Net,
    Scale,
    features,
    labels,
    out,
    patch,
    perceptron,
    same,
    stir,
    train,
    values,
)

GROW = "{select: d1, expand: {by: 2}}"
FREEZE = "{select: d0, freeze: true}"


def test_gives_a_new_model_and_a_report_that_holds() -> None:
    model = train(perceptron())
    new, report = patchc.apply(model, patch(GROW), report=True)
    assert new is not model
    assert report.ok
    assert [check.name for check in report.checks] == [
        "configuration-as-planned",
        "every-weight-accounted-for",
        "kept-weights-identical",
        "new-values-as-planned",
        "optimizer-state-as-planned",
    ]
    assert report.to_dict()["ledger"]["grown"] == 3
    np.testing.assert_allclose(out(new, features()), out(model, features()), rtol=1e-6, atol=1e-6)


def test_the_plan_of_a_model_is_that_of_its_file(tmp_path: Any) -> None:
    model = train(perceptron())
    model.save(tmp_path / "m.keras")
    live = patchc.plan(model, patch(GROW)).to_dict()
    file = patchc.plan(tmp_path / "m.keras", patch(GROW)).to_dict()
    live.pop("base"), file.pop("base")
    assert live == file


def test_a_plan_changes_nothing() -> None:
    model = train(perceptron())
    before = values(model)
    patchc.plan(model, patch(GROW, FREEZE))
    assert same(values(model), before)


def test_the_input_model_stays_as_it_is_while_the_new_one_trains() -> None:
    inputs = keras.Input((4,), dtype="int32", name="ids")
    hidden = layers.Flatten()(layers.Embedding(9, 3, name="embedding")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="head")(hidden))
    ids = np.arange(32 * 4).reshape(32, 4) % 9
    model.compile(keras.optimizers.Adam(0.1), "mse")
    target = np.ones((32, 3), "float32")
    model.train_on_batch(ids, target)
    before, objects = values(model), [id(layer) for layer in model.layers]
    new = patchc.apply(model, patch("{select: head, rename: top}"))
    for _ in range(3):
        new.train_on_batch(ids, target)
    assert same(values(model), before)
    assert [id(layer) for layer in model.layers] == objects
    after = values(new)
    model.train_on_batch(ids, target)
    assert same(values(new), after)
    shared = {id(layer) for layer in model.layers} & {id(layer) for layer in new.layers}
    assert not shared
    assert new.optimizer is not model.optimizer


def test_training_goes_on_where_it_stopped() -> None:
    model = train(perceptron(), keras.optimizers.Adam(0.01))
    new = patchc.apply(model, patch(FREEZE))
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations) == 3
    assert float(new.optimizer.learning_rate) == float(model.optimizer.learning_rate)
    assert new.train_on_batch(features(), labels()) == model.train_on_batch(features(), labels())
    assert same(
        [out(new.get_layer("d1"), np.ones((2, 8)))], [out(model.get_layer("d1"), np.ones((2, 8)))]
    )


def test_a_schedule_goes_on() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    model = train(perceptron(), keras.optimizers.SGD(schedule, momentum=0.9))
    new = patchc.apply(model, patch(GROW))
    assert float(new.optimizer.learning_rate) == float(model.optimizer.learning_rate) < 0.1


def test_an_untrained_or_uncompiled_model_comes_out_so() -> None:
    model = perceptron()
    assert not patchc.apply(model, patch(FREEZE)).compiled
    model.compile("adam", "mse")
    new = patchc.apply(model, patch(FREEZE))
    assert new.compiled
    assert not new.optimizer.built
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_shared_layers_several_ends_and_nested_models() -> None:
    first, second = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    inner_in = keras.Input((6,))
    inner = keras.Model(inner_in, layers.Dense(4, name="deep")(inner_in), name="inner")
    shared = layers.Dense(4, name="shared")
    joined = layers.Add()([inner(first), shared(first), shared(second)])
    model = keras.Model(
        {"a": first, "b": second},
        {"p": layers.Dense(2, name="p")(joined), "q": layers.Dense(3, name="q")(joined)},
    )
    model.compile("adam", {"p": "mse", "q": None})
    given = {"a": features(), "b": features() + 1}
    freeze = patch("{select: inner/deep, freeze: true}")
    new, report = patchc.apply(stir(model), freeze, report=True)
    assert report.ok
    for key, expected in model(given).items():
        assert same([np.array(new(given)[key])], [np.array(expected)])
    assert len(new.trainable_variables) == len(model.trainable_variables) - 2


def local_model() -> Any:
    """A model of classes and functions that only this process has."""

    def doubled(tensor: Any) -> Any:
        return keras.ops.relu(tensor) * 2

    def distance(true: Any, predicted: Any) -> Any:
        return keras.ops.mean((true - predicted) ** 2, -1)

    class Pull(keras.regularizers.Regularizer):  # type: ignore[misc]  # Keras has no types
        def __call__(self, weight: Any) -> Any:
            return keras.ops.sum(weight**2) * 1e-3

        def get_config(self) -> dict[str, Any]:
            return {}

    factor = 3.0
    inputs = keras.Input((6,))
    hidden = layers.Dense(8, doubled, kernel_regularizer=Pull(), name="d0")(inputs)
    hidden = Scale(name="scale")(hidden)
    hidden = layers.Lambda(lambda tensor: tensor * factor, name="times")(hidden)
    hidden = layers.Dense(4, activation=lambda tensor: tensor + 1, name="d1")(hidden)
    model = keras.Model(inputs, layers.Dense(3, name="head")(hidden))
    model.compile("adam", distance, metrics=[keras.metrics.MeanAbsoluteError()])
    model.train_on_batch(features(), np.ones((32, 3), "float32"))
    return model


def test_classes_and_functions_of_the_process_need_no_registration() -> None:
    model = local_model()
    new, report = patchc.apply(model, patch(FREEZE), report=True)
    assert report.ok
    assert same([out(new, features())], [out(model, features())])
    assert len(patchc.apply(model, patch("{select: d1, freeze: true}")).losses) == 1
    dropped = report.to_dict()["optimizer"]["dropped"]
    assert dropped == 4  # the slots of the frozen layer alone: the others know what trains
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_two_things_of_one_name_are_refused() -> None:
    def make(power: float) -> Any:
        def act(tensor: Any) -> Any:
            return tensor * power

        return act

    model = keras.Sequential([keras.Input((2,)), layers.Dense(2, make(1.0), name="d0")])
    model.add(layers.Dense(2, make(2.0), name="d1"))
    with pytest.raises(patchc.PatchError, match=r"2 different things called `.*act`"):
        patchc.apply(model, patch(FREEZE))


def test_a_loss_that_cannot_be_written_is_taken_as_it_is() -> None:
    class Odd(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
        def __init__(self, weight: Any) -> None:
            super().__init__()
            self.weight = weight

        def call(self, true: Any, predicted: Any) -> Any:
            return keras.ops.mean(keras.ops.abs(true - predicted) * self.weight, -1)

    model = perceptron()
    loss = Odd(np.float32(2.0))
    model.compile("adam", loss)
    new = patchc.apply(model, patch(FREEZE))
    assert new.loss is loss
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_vocabularies_come_along() -> None:
    lookup = layers.StringLookup(name="lookup")
    lookup.adapt(np.array(["tent", "kayak", "tent"]))
    inputs = keras.Input((1,), dtype="string")
    hidden = layers.Flatten()(layers.Embedding(lookup.vocabulary_size(), 4)(lookup(inputs)))
    norm = layers.Normalization(name="norm")
    norm.adapt(features(size=4))
    model = keras.Model(inputs, layers.Dense(2, name="head")(norm(hidden)))
    new = patchc.apply(model, patch("{select: head, expand: {by: 1}}"))
    words = np.array([["kayak"], ["tent"], ["sled"]])
    assert new.get_layer("lookup").get_vocabulary() == lookup.get_vocabulary()
    np.testing.assert_allclose(out(new, words)[:, :2], out(model, words), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "mixed_bfloat16"])
def test_policies_are_carried_through(policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        model = train(perceptron())
    finally:
        keras.config.set_dtype_policy("float32")
    new, report = patchc.apply(model, patch(GROW), report=True)
    assert report.to_dict()["optimizer"]["dropped"] == 0
    assert new.dtype_policy == model.dtype_policy
    assert type(new.optimizer) is type(model.optimizer)
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations)
    assert new.get_layer("d1").kernel.dtype == model.get_layer("d1").kernel.dtype
    assert same([out(new, features())], [out(model, features())])
    new.train_on_batch(features(), labels())


def test_a_lora_adapter_stays_what_it_is() -> None:
    model = perceptron()
    model.get_layer("d0").enable_lora(2)
    train(stir(model))
    new, report = patchc.apply(model, patch(GROW), report=True)
    assert report.to_dict()["optimizer"]["dropped"] == 0
    assert same(*([v.numpy() for v in m.get_layer("d0").variables] for m in (new, model)))
    with pytest.raises(patchc.PatchError, match="LoRA"):
        patchc.apply(model, patch("{select: d0, expand: {by: 2}}"))


def test_a_quantised_layer_is_carried_through() -> None:
    model = perceptron()
    model.get_layer("d0").quantize("int8")
    new = patchc.apply(model, patch(GROW))
    np.testing.assert_allclose(out(new, features()), out(model, features()), rtol=1e-6)
    assert new.get_layer("d0").quantization_mode == "int8"
    with pytest.raises(patchc.PatchError, match="quantised"):
        patchc.apply(model, patch("{select: d0, expand: {by: 2}}"))


def test_in_memory_attention_stays_frozen() -> None:
    inputs = keras.Input((5, 4))
    hidden = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(2, name="head")(hidden))
    model.get_layer("attention").trainable = False
    model.compile("adam", "mse")
    x = np.ones((4, 5, 4), "float32")
    model.train_on_batch(x, np.zeros((4, 5, 2)))
    new, report = patchc.apply(model, patch("{select: head, rename: top}"), report=True)
    assert not new.get_layer("attention").trainable
    assert report.to_dict()["optimizer"] == {"kept": 6, "grown": 0, "new": 0, "dropped": 0}
    frozen = patchc.apply(model, patch("{select: attention, freeze: false}"))
    assert len(frozen.trainable_variables) == 10


def test_constant_arrays_and_wrong_arguments_are_refused() -> None:
    with pytest.raises(patchc.PatchError, match=r"neither a path nor a keras\.Model"):
        patchc.apply(3, patch(FREEZE))
    with pytest.raises(TypeError, match="save it with"):
        patchc.apply(perceptron(), patch(FREEZE), "out.keras")
    with pytest.raises(TypeError, match="name it with `out`"):
        patchc.apply("model.keras", patch(FREEZE))
    with pytest.raises(patchc.PatchError, match="never built"):
        patchc.apply(keras.Sequential([layers.Dense(2)]), patch(FREEZE))


def net() -> Any:
    keras.utils.set_random_seed(2)
    model = Net()
    model.compile("adam", "mse")
    model.train_on_batch(features(), np.ones((32, 3), "float32"))
    return model


@pytest.mark.parametrize(
    ("edit", "frozen"),
    [
        ("{select: e0, freeze: true}", 2),
        ("{select: m1, freeze: true}", 2),
        ("{select: {class: Dense}, freeze: true}", 10),
        ("{select: e0, expand: {by: 2}}", 0),
        ("{select: e0, insert_after: {Dense: {units: 8, activation: relu}}, init: identity}", 0),
        ("{select: encoder/e1, insert_after: {Dropout: {rate: 0.1}}}", 0),
    ],
)
def test_parts_of_a_subclassed_model(edit: str, frozen: int) -> None:
    model = net()
    before = values(model)
    new, report = patchc.apply(model, patch(edit), report=True)
    assert report.ok
    assert type(new) is Net
    assert same(values(model), before)
    np.testing.assert_allclose(out(new, features()), out(model, features()), rtol=1e-5, atol=1e-6)
    added = report.to_dict()["ledger"]["new"]
    assert len(new.trainable_variables) == len(model.trainable_variables) - frozen + added
    assert int(new.optimizer.iterations) == 1
    new.train_on_batch(features(), np.ones((32, 3), "float32"))


def test_init_in_a_subclassed_model() -> None:
    model = net()
    new = patchc.apply(model, patch("{select: head, init: {kernel: zeros}}"))
    assert not new.head.kernel.numpy().any()
    assert same([new.norm.gamma.numpy()], [model.norm.gamma.numpy()])


@pytest.mark.parametrize(
    "edit",
    [
        "{select: head, expand: {by: 1}}",
        "{select: e1, expand: {by: 1}}",
        "{select: {head: 0}, expand: {by: 1}}",
        "{select: {after: norm}, freeze: true}",
        "{select: norm, insert_after: {Dropout: {rate: 0.1}}}",
        "{select: norm, remove: true}",
        "{select: head, rename: top}",
        "{select: e0, add_output: true}",
        "{select: m0, truncate: true}",
    ],
)
def test_the_rest_of_a_subclassed_model_is_refused(edit: str) -> None:
    with pytest.raises(patchc.PatchError, match=r"Net\.call") as refused:
        patchc.apply(net(), patch(edit))
    assert refused.value.diagnostics[0].code == "PC308"


def test_a_class_without_a_configuration_is_named() -> None:
    class Wrap(keras.Model):  # type: ignore[misc]  # Keras has no types
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function, self.dense = function, layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.function(self.dense(inputs))

    model = Wrap(lambda tensor: tensor)
    model(features())
    with pytest.raises(patchc.PatchError, match="Wrap has no configuration") as refused:
        patchc.apply(model, patch("{select: '*', freeze: true}"))
    assert refused.value.diagnostics[0].code == "PC308"


def test_a_model_class_of_ones_own_keeps_its_training_step() -> None:
    class Counting(keras.Model):  # type: ignore[misc]  # Keras has no types
        steps = 0

        def train_step(self, data: Any) -> Any:
            type(self).steps += 1
            return super().train_step(data)

    base = perceptron()
    model = Counting(base.inputs, base.outputs)
    model.compile("adam", "mse", run_eagerly=True)
    new = patchc.apply(model, patch(GROW))
    assert type(new) is Counting
    new.train_on_batch(features(), np.ones((32, 3), "float32"))
    assert Counting.steps == 1
