"""Element-wise operations against Keras."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchc.layers.base import CallSpec, RuleError, Shape, TensorSpec
from patchc.layers.operations import OperationRule, all_operations, operation_rule
from tests.layers.oracle import REFUSALS, call, keras, symbolic

few = settings(max_examples=15, deadline=None, derandomize=True, database=None)
NEEDED: dict[str, Any] = {"Clip": (-0.5, 0.5), "Threshold": (0.1, 0.0)}
OPERATIONS = [
    pytest.param(module, rule, id=rule.class_name)
    for module, rule in all_operations()
    if type(rule) is OperationRule
]
sizes = st.sampled_from([None, 1, 2, 3])
shapes = st.lists(sizes, max_size=3).map(tuple)


def keras_operation(module: str, name: str) -> Any:
    return getattr(import_module(module), name)(*NEEDED.get(name, ()))


@pytest.mark.parametrize(("module", "rule"), OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_shape_and_dtype(module: str, rule: OperationRule, dtype: str) -> None:
    operands = [TensorSpec((None, 2, 3), dtype), TensorSpec((2, 1), dtype)][: rule.operands]
    output = keras_operation(module, rule.class_name)(*symbolic(operands))
    assert rule.outputs({}, CallSpec(tuple(operands))) == [TensorSpec(output.shape, output.dtype)]


@pytest.mark.parametrize(("module", "rule"), OPERATIONS)
def test_elementwise(module: str, rule: OperationRule) -> None:
    assert rule.elementwise
    operation = keras_operation(module, rule.class_name)
    rng = np.random.default_rng(1)
    operands = [rng.uniform(0.1, 0.9, (2, 3)).astype("float32") for _ in range(rule.operands)]
    before = keras.ops.convert_to_numpy(operation(*operands))
    operands[0][1, 2] = 0.3
    after = keras.ops.convert_to_numpy(operation(*operands))
    same = np.isclose(before, after, equal_nan=True)
    same[1, 2] = True
    assert same.all()


@few
@given(one=shapes, other=shapes)
def test_broadcasting(one: Shape, other: Shape) -> None:
    spec = CallSpec((TensorSpec(one), TensorSpec(other)))
    rule = operation_rule("Add", "keras.src.ops.numpy")
    assert isinstance(rule, OperationRule)
    try:
        output = keras.ops.add(*symbolic(list(spec.args)))
    except REFUSALS:
        with pytest.raises(RuleError):
            rule.outputs({}, spec)
        return
    assert rule.outputs({}, spec) == [TensorSpec(tuple(output.shape))]


def test_constants() -> None:
    rule = operation_rule("Multiply", "keras.src.ops.numpy")
    assert rule is not None
    constant = {"class_name": "__tensor__", "config": {"value": [[1.0, 2.0]], "dtype": "float32"}}
    spec = TensorSpec((None, 3, 1))
    assert rule.outputs({}, CallSpec((2.0, spec))) == [spec]
    assert rule.outputs({}, CallSpec((spec, constant))) == [TensorSpec((None, 3, 2))]
    assert rule.outputs({}, CallSpec((), {"x1": spec, "x2": 2})) == [spec]


@pytest.mark.parametrize(
    "operands",
    [
        (TensorSpec((None, 3), "int32"), 2.0),
        (TensorSpec((None, 3)), TensorSpec((None, 3), "float16")),
        (TensorSpec((None, 3)), "a"),
        (TensorSpec((None, 3)),),
        (1.0, 2.0),
    ],
)
def test_what_is_not_known_is_refused(operands: tuple[object, ...]) -> None:
    rule = operation_rule("Add", "keras.src.ops.numpy")
    assert isinstance(rule, OperationRule)
    with pytest.raises(RuleError):
        rule.outputs({}, CallSpec(operands))


def test_only_operations_have_operation_rules() -> None:
    assert operation_rule("Add", "keras.layers") is None
    assert operation_rule("Add", None) is None
    assert operation_rule("Kron", "keras.src.ops.numpy") is None
    assert call((None, 3)).shape == (None, 3)
