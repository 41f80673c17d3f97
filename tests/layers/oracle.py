"""Holds rules of `patchc.layers` against Keras itself.

Every function takes a class name, a configuration as a patch gives it, and the
call as a `CallSpec` (see `call`), and asserts.
"""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from patchc.layers.arguments import COMMON, accepted, check_config
from patchc.layers.base import (
    REQUIRED,
    CallSpec,
    Rule,
    RuleError,
    Shape,
    TensorSpec,
    WeightSpec,
    complete,
)
from patchc.layers.objects import REGULARIZERS, initializer_strategy, is_serialised
from patchc.layers.registry import rule_by_name
from patchc.model.initializers import snake_case
from patchc.model.values import Strategy
from tests.layers.samples import concrete, values_of

keras: Any = import_module("keras")
REFUSALS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
    import_module("tensorflow").errors.OpError,
)
"""What Keras raises where it refuses a configuration or an input."""

NAME = "probe"


def call(*shapes: Shape, dtype: str = "float32", **kwargs: Any) -> CallSpec:
    """The call `layer(x)` for one shape (with the batch axis), `layer([x, y])` for several."""
    specs = [TensorSpec(shape, dtype) for shape in shapes]
    return CallSpec((specs[0] if len(specs) == 1 else specs,), kwargs)


def rule_of(class_name: str) -> Rule:
    rule = rule_by_name(class_name)
    assert rule is not None, f"no rule for {class_name}"
    return rule


def canonical(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as the compiler would write it; RuleError where it is refused."""
    checked = check_config(rule_of(class_name), config)
    if checked.problems:
        raise RuleError("; ".join(problem.message for problem in checked.problems))
    return checked.config


def symbolic(node: Any) -> Any:
    """Keras inputs in the place of every TensorSpec."""
    if isinstance(node, TensorSpec):
        return keras.Input(batch_shape=node.shape, dtype=node.dtype)
    if isinstance(node, Mapping):
        return {key: symbolic(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(symbolic(item) for item in node)
    return node


def make(class_name: str, config: Mapping[str, Any]) -> Any:
    """The Keras layer, made from a configuration as Keras makes it on loading."""
    return keras.layers.deserialize(
        {
            "module": "keras.layers",
            "class_name": rule_of(class_name).class_name,
            "config": {"name": NAME, **json.loads(json.dumps(dict(config)))},
            "registered_name": None,
        }
    )


def make_and_call(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> tuple[Any, ...]:
    """Layer, symbolic arguments, symbolic keyword arguments, outputs."""
    keras.utils.clear_session(free_memory=False)
    layer = make(class_name, config)
    args = [symbolic(arg) for arg in spec.args]
    kwargs = {key: symbolic(value) for key, value in spec.kwargs.items()}
    return layer, args, kwargs, layer(*args, **kwargs)


def judged(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> Any:
    """What the rule says: (weights, output shapes, dtype), or the RuleError."""
    rule = rule_of(class_name)
    try:
        full = complete(rule, canonical(class_name, config))
        weights = list(rule.weights(full, spec))
        outputs = [tuple(shape) for shape in rule.outputs(full, spec)]
        return weights, outputs, rule.output_dtype(full, spec)
    except RuleError as error:
        return error


@contextmanager
def recorded_initializers() -> Iterator[dict[int, Any]]:
    """Collects `id(variable) -> initializer` of every weight that layers add."""
    found: dict[int, Any] = {}
    original = keras.layers.Layer.add_weight

    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        variable = original(self, *args, **kwargs)
        bound = inspect.signature(original).bind(self, *args, **kwargs).arguments
        found[id(variable)] = bound.get("initializer")
        return variable

    keras.layers.Layer.add_weight = add_weight
    try:
        yield found
    finally:
        keras.layers.Layer.add_weight = original


def check_case(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> bool:
    """Rule and Keras agree on refusal, output shapes, dtype and weights.

    Returns whether both accept the case.
    """
    said = judged(class_name, config, spec)
    case = f"{class_name} {dict(config)} on {spec}"
    as_written = config if isinstance(said, RuleError) else canonical(class_name, config)
    with recorded_initializers() as initializers:
        try:
            layer, _, _, output = make_and_call(class_name, as_written, spec)
        except REFUSALS as error:
            refusal: Exception | None = error
        else:
            refusal = None
    if refusal is not None:
        assert isinstance(said, RuleError), f"{case}: Keras refuses: {refusal}"
        return False
    assert not isinstance(said, RuleError), f"{case}: Keras accepts, the rule: {said}"
    weights, shapes, dtype = said
    tensors = keras.tree.flatten(output)
    assert shapes == [tuple(tensor.shape) for tensor in tensors], case
    assert {dtype} == {tensor.dtype for tensor in tensors} or not tensors, case
    check_weights(weights, layer, initializers, case)
    return True


def path_below(variable: Any) -> str:
    """A variable's path below the probed layer."""
    return str(variable.path).split(f"{NAME}/", 1)[1]


def check_weights(
    said: list[WeightSpec], layer: Any, initializers: Mapping[int, Any], case: str
) -> None:
    found = layer.weights
    assert [w.name for w in said] == [path_below(v) for v in found], case
    for spec, variable in zip(said, found, strict=True):
        where = f"{case}: {spec.name}"
        assert spec.shape == tuple(variable.shape), where
        assert len(spec.axes) == len(spec.shape), where
        assert (spec.trainable and layer.trainable) == variable.trainable, where
        assert (spec.dtype or layer.variable_dtype) == variable.dtype, where
        assert id(variable) in initializers, where
        check_initializer(spec.initializer, initializers[id(variable)], where)


def check_initializer(said: Strategy, given: Any, where: str) -> None:
    """Class and arguments agree; an initialiser that is a closure has no class to compare."""
    made = keras.initializers.get("glorot_uniform" if given is None else given)
    if isinstance(made, keras.initializers.Initializer):
        config = keras.initializers.serialize(made)
        config["config"].pop("seed", None)
        wanted = Strategy(said.name, {k: v for k, v in said.arguments.items() if k != "seed"})
        assert wanted == initializer_strategy(config), where


def model_of(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> tuple[Any, Any]:
    """A model of this one layer, and the layer."""
    written = canonical(class_name, config)
    layer, args, kwargs, output = make_and_call(class_name, written, spec)
    inputs = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    return keras.Model(inputs, output), layer


def check_saved(class_name: str, config: Mapping[str, Any], spec: CallSpec, folder: Path) -> None:
    """Slots and groups are where Keras writes them, each with the value of its weight."""
    model, layer = model_of(class_name, config, spec)
    rng = np.random.default_rng(1)
    for variable in layer.weights:
        variable.assign(rng.uniform(1, 100, variable.shape))
    model.save(folder / "probe.keras")
    rule = rule_of(class_name)
    full = complete(rule, canonical(class_name, config))
    weights = rule.weights(full, spec)
    with zipfile.ZipFile(folder / "probe.keras") as archive:
        archive.extract("model.weights.h5", folder)
    with h5py.File(folder / "model.weights.h5") as file:
        own = file[f"layers/{snake_case(type(layer).__name__)}"]
        groups, datasets = stored(own)
        assert set(groups) == set(rule.groups(full))
        for weight, variable in zip(weights, layer.weights, strict=True):
            value = keras.ops.convert_to_numpy(variable.value)
            assert np.array_equal(np.asarray(own[weight.slot]), value), weight.slot
        assert {weight.slot for weight in weights} == set(datasets)


def stored(own: Any) -> tuple[list[str], list[str]]:
    """Groups that hold `vars`, and the paths of all datasets, below a layer's group."""
    groups, datasets = [], []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            datasets.append(name)
        elif name.rsplit("/", maxsplit=1)[-1] == "vars":
            groups.append(name.removesuffix("vars").rstrip("/"))

    own.visititems(visit)
    return groups, datasets


def built(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> tuple[Rule, Any, Any]:
    """Rule, completed configuration, and the Keras layer, built for the call."""
    layer = make_and_call(class_name, canonical(class_name, config), spec)[0]
    rule = rule_of(class_name)
    return rule, complete(rule, canonical(class_name, config)), layer


def run(layer: Any, args: Any, kwargs: Any) -> list[Any]:
    """Outputs at inference, as arrays."""
    if "training" in inspect.signature(layer.call).parameters:
        kwargs = {**kwargs, "training": False}
    return [keras.ops.convert_to_numpy(t) for t in keras.tree.flatten(layer(*args, **kwargs))]


def check_identity(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> bool:
    """With the rule's identity values the layer hands its first input on.

    Returns False where the rule says that the layer has no identity.
    """
    rule, full, layer = built(class_name, config, spec)
    strategies = rule.identity(full, spec)
    if strategies is None:
        return False
    assert set(strategies) == {weight.name for weight in rule.weights(full, spec)}
    for variable in layer.weights:
        variable.assign(values_of(strategies[path_below(variable)], tuple(variable.shape)))
    args, kwargs = concrete(spec.args, rng := np.random.default_rng(2)), concrete(spec.kwargs, rng)
    [output] = run(layer, args, kwargs)
    given = keras.tree.flatten(args)[0]
    np.testing.assert_allclose(output, given, rtol=1e-6, atol=1e-6)
    return True


def _influence(
    layer: Any, spec: CallSpec, place: Callable[[tuple[int, ...]], tuple[Any, ...]]
) -> tuple[Any, tuple[Any, ...]]:
    """Which entries of the first output move with the entries at `place` of the first input."""
    rng = np.random.default_rng(3)
    args, kwargs = concrete(spec.args, rng), concrete(spec.kwargs, rng)
    before = run(layer, args, kwargs)[0]
    first = keras.tree.flatten(args)[0]
    where = place(first.shape)
    moved = np.zeros(before.shape, bool)
    for step in (1, -2, 3):  # an entry may move past a maximum, or below zero
        first[where] += step
        moved |= ~np.isclose(run(layer, args, kwargs)[0], before)
    return moved, where


def check_elementwise(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> bool:
    """An element-wise rule: a change of one entry of the input moves that entry only.

    Returns False where the rule does not claim it.
    """
    rule, full, layer = built(class_name, config, spec)
    if not rule.is_elementwise(full):
        return False
    moved, where = _influence(layer, spec, lambda shape: tuple(size - 1 for size in shape))
    moved[where] = False
    assert not moved.any()
    return True


def check_feature(class_name: str, config: Mapping[str, Any], spec: CallSpec) -> bool:
    """A rule with `feature = "input"`: input channel c moves output channel c only.

    Returns False where the rule does not claim it.
    """
    rule, full, layer = built(class_name, config, spec)
    if rule.feature_of(full, spec) != "input":
        return False
    axis = 1 if full.get("data_format") == "channels_first" else -1
    channel = [slice(None)] * len(spec.shape)
    channel[axis] = slice(1, 2)
    moved, _ = _influence(layer, spec, lambda _: tuple(channel))
    others = np.delete(moved, 1, axis=axis if moved.ndim == len(spec.shape) else -1)
    assert not others.any()
    return True


def comparable(value: Any) -> Any:
    """A configuration value in a form in which equal meaning is equal."""
    if is_serialised(value):
        if value.get("module") == "keras.initializers":
            strategy = initializer_strategy(value)
            return (strategy.name, {k: v for k, v in strategy.arguments.items() if k != "seed"})
        if value.get("module") == "keras.layers":
            return value["class_name"]
        return (value["class_name"], value.get("config"))
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    return value


def comparable_argument(name: str, value: Any) -> Any:
    if name.endswith("initializer") and isinstance(value, str):
        return comparable(keras.initializers.serialize(keras.initializers.get(value)))
    if name.endswith("regularizer") and value in REGULARIZERS:
        return comparable(keras.regularizers.serialize(keras.regularizers.get(value)))
    return comparable(value)


def check_arguments(
    class_name: str,
    minimal: Mapping[str, Any] | None = None,
    skip: tuple[str, ...] = (),
    inherited: tuple[str, ...] = (),
) -> None:
    """Names and defaults of a rule's arguments are those of Keras's constructor.

    Args:
        class_name: of the layer.
        minimal: values for the required arguments, as a patch gives them.
        skip: arguments that Keras has and the rule leaves out on purpose.
        inherited: arguments that Keras takes through `**kwargs`, for a base class.
    """
    rule = rule_of(class_name)
    signature = inspect.signature(getattr(keras.layers, class_name).__init__).parameters
    named = {
        key: parameter.default
        for key, parameter in signature.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    named.update(dict.fromkeys(inherited))
    own = set(named) - {"self", *COMMON, *skip}
    assert own == set(rule.arguments) - set(COMMON)
    for key, argument in rule.arguments.items():
        required = named.get(key) is inspect.Parameter.empty
        assert (argument.default is REQUIRED) == required, key
    check_common(rule, canonical(class_name, minimal or {}))
    full = complete(rule, canonical(class_name, minimal or {}))
    written = make(class_name, canonical(class_name, minimal or {})).get_config()
    for key in sorted(set(rule.arguments) & set(written)):
        expected = comparable_argument(key, full[key])
        assert expected == comparable_argument(key, written[key]), key


def check_common(rule: Rule, minimal: Mapping[str, Any]) -> None:
    """The common arguments are those that the constructor takes."""
    samples = {
        "name": "other",
        "trainable": False,
        "dtype": "float32",
        "activity_regularizer": "l2",
        "autocast": False,
    }
    taken = set()
    for key, value in samples.items():
        try:
            make(rule.class_name, {**minimal, key: value})
        except REFUSALS:
            continue
        taken.add(key)
    assert taken == set(samples) & set(accepted(rule))
