"""Operations that move entries or hand axes on: their shapes, held against Keras."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from typing import Any

import pytest

from patchc.layers.base import CallSpec, RuleError, TensorSpec
from patchc.layers.operations import OperationRule, all_operations, operation_rule
from patchc.layers.unfollowed import UNFOLLOWED
from tests.layers.oracle import keras, symbolic

X = TensorSpec((None, 4, 6, 8))
FIXED = TensorSpec((2, 4, 6, 8))
FLAT = TensorSpec((None, 8))
IDS = TensorSpec((None, 5), "int32")
Case = tuple[dict[str, Any], list[Any]]
ELLIPSIS = {"class_name": "__ellipsis__", "config": {}}
KEY = [
    {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}},
    {"class_name": "__slice__", "config": {"start": 1, "stop": None, "step": None}},
    2,
]
REDUCTIONS = (
    "Amax Amin All Any Argmax Argmin Max Mean Median Min Nanargmax Nanargmin Nanmax Nanmean"
    " Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar Prod Ptp Std Sum Var Logsumexp Norm"
)
CASES: dict[str, list[Case]] = {
    **{
        name: [({"axis": 1, "keepdims": True}, [X]), ({"axis": -1}, [X])]
        for name in REDUCTIONS.split()
    },
    "CountNonzero": [({"axis": [1, 2]}, [X])],
    "Average": [({"axis": 2}, [X])],
    **{
        name: [({"axis": 1}, [X, 0.5])]
        for name in ("Quantile", "Percentile", "Nanquantile", "Nanpercentile")
    },
    "Moments": [({"axes": [1, 2]}, [X]), ({"axes": [0], "keepdims": True}, [X])],
    "Trapezoid": [({"axis": 1}, [X])],
    **{
        name: [({"axis": 2}, [X]), ({}, [X])]
        for name in ("LogSoftmax", "Normalize", "Softmax", "Sparsemax", "Sort", "Argsort")
    },
    **{name: [({"axis": 1}, [X])] for name in ("Cumprod", "Cumsum", "Nancumprod", "Nancumsum")},
    "TopK": [({"k": 3}, [X])],
    "BatchNorm": [({"axis": 1}, [X, *[TensorSpec((4,))] * 4])],
    "LayerNorm": [({}, [X, None, None])],
    "RMSNorm": [({"axis": 1}, [X, None])],
    "OneHot": [({"num_classes": 3}, [IDS]), ({"num_classes": 3, "axis": 1}, [IDS])],
    "Tril": [({}, [X])],
    "Triu": [({"k": 1}, [X])],
    "DotProductAttention": [({}, [X, X, X])],
    "Dot": [({}, [FLAT, TensorSpec((8, 3))]), ({}, [X, TensorSpec((5, 8, 3))])],
    "Einsum": [({"subscripts": "bhwc,bhwd->bcd"}, [X, X])],
    "Inner": [({}, [FLAT, TensorSpec((3, 8))])],
    "Matmul": [({}, [X, TensorSpec((None, 4, 8, 3))]), ({}, [X, TensorSpec((8, 3))])],
    "Tensordot": [({"axes": [[3], [0]]}, [X, TensorSpec((8, 3))])],
    "CropImages": [
        ({"top_cropping": 1, "bottom_cropping": 0, "left_cropping": 2, "right_cropping": 1,
          "data_format": "channels_last"}, [X])
    ],
    "PadImages": [
        ({"top_padding": 1, "left_padding": 0, "target_height": 8, "target_width": 9,
          "data_format": "channels_last"}, [X])
    ],
    "GaussianBlur": [({"data_format": "channels_last"}, [X])],
    "Resize": [({"size": [3, 5], "data_format": "channels_last"}, [X])],
    "AveragePool": [({"pool_size": 2, "padding": "same", "data_format": "channels_last"}, [X])],
    "MaxPool": [
        ({"pool_size": [2, 3], "strides": 1, "data_format": "channels_first"}, [X]),
        ({"pool_size": 2, "strides": 2, "data_format": "channels_last"}, [X]),
    ],
    "DepthToSpace": [
        ({"block_size": 2}, [X]), ({"block_size": 2, "data_format": "channels_first"}, [X])
    ],
    "SpaceToDepth": [
        ({"block_size": 2}, [X]), ({"block_size": 2, "data_format": "channels_first"}, [X])
    ],
    "Glu": [({}, [X]), ({"axis": 1}, [X])],
    "Append": [({"axis": 1}, [X, X])],
    "BroadcastTo": [({"shape": [2, 4, 6, 8]}, [TensorSpec((2, 1, 6, 1))])],
    "Concatenate": [({"axis": -1}, [[X, X, X]]), ({"axis": 1}, [[X, X]])],
    "Dstack": [({}, [[X, X]])],
    "Hstack": [({}, [[X, X]])],
    "Vstack": [({}, [[X, X]])],
    "ExpandDims": [({"axis": -1}, [X]), ({"axis": [1, 2]}, [X])],
    "Flip": [({"axis": 1}, [X]), ({}, [FIXED])],
    "Fliplr": [({}, [X])],
    "Flipud": [({}, [FIXED])],
    "Moveaxis": [({"source": 1, "destination": -1}, [X]),
                 ({"source": [1, 2], "destination": [3, 1]}, [X])],
    "Pad": [({"pad_width": [[0, 0], [1, 2], [0, 0], [3, 0]]}, [X])],
    "Ravel": [({}, [X]), ({}, [FIXED])],
    "Repeat": [({"repeats": 3, "axis": 2}, [X])],
    "Reshape": [({"newshape": [-1, 24, 2, 4]}, [X]), ({"newshape": [2, -1]}, [FIXED])],
    "Roll": [({"shift": 2, "axis": -1}, [X]), ({"shift": [1, -1], "axis": [1, 2]}, [X])],
    "Squeeze": [({"axis": 1}, [TensorSpec((None, 1, 5))]), ({}, [TensorSpec((None, 1, 5))])],
    "Stack": [({"axis": 1}, [[X, X, X]])],
    "Swapaxes": [({"axis1": 1, "axis2": -1}, [X])],
    "Tile": [({"repeats": [1, 2, 3]}, [X]), ({"repeats": [2, 1, 1, 1, 2]}, [FIXED])],
    "Transpose": [({"axes": [0, 3, 1, 2]}, [X]), ({}, [X])],
    "Slice": [({"shape": [2, 3, -1, 4]}, [FIXED, [0, 1, 2, 3]])],
    "Unstack": [({"axis": 1}, [X])],
    "ArraySplit": [({"indices_or_sections": 3, "axis": -1}, [X])],
    "Dsplit": [({"indices_or_sections": 2}, [X])],
    "Hsplit": [({"indices_or_sections": [1]}, [X])],
    "Vsplit": [({"indices_or_sections": 2}, [FIXED])],
    "Split": [({"indices_or_sections": 2, "axis": -1}, [X]),
              ({"indices_or_sections": [1, 4], "axis": 2}, [X])],
    "GetItem": [({}, [X, KEY]), ({}, [X, 0]), ({}, [X, [ELLIPSIS, None, -1]])],
    "Take": [({"axis": -1}, [X, [0, 2, 1]]), ({"axis": 1}, [X, 3])],
    "Rearrange": [({}, [FIXED, "b (h p) w c -> b h w (p c)", 2])],
    "Where": [({}, [TensorSpec(X.shape, "bool"), X, 0.5])],
    **{name: [({"dtype": "float16"}, [X])] for name in ("Cast", "SaturateCast")},
    **{name: [({}, [X])] for name in ("OnesLike", "ZerosLike")},
}  # fmt: skip
OTHERS = [
    pytest.param(module, rule, id=rule.class_name)
    for module, rule in all_operations()
    if type(rule) is not OperationRule
]


def _live(value: Any) -> Any:
    """An argument as Keras is given it."""
    if isinstance(value, TensorSpec):
        return symbolic(value)
    if isinstance(value, list):
        return [_live(item) for item in value]
    kind = value.get("class_name") if isinstance(value, dict) else None
    if kind == "__ellipsis__":
        return Ellipsis
    return slice(*value["config"].values()) if kind == "__slice__" else value


@pytest.mark.parametrize(("module", "rule"), OTHERS)
def test_outputs_are_those_of_keras(module: str, rule: Any) -> None:
    for config, given in CASES[rule.class_name]:
        args = list(given)
        operation = getattr(import_module(module), rule.class_name)(**config)
        told = json.loads(json.dumps(operation.get_config()))
        live = [_live(arg) for arg in args]
        kwargs: dict[str, Any] = {}
        if rule.class_name == "Rearrange":
            kwargs["p"] = live.pop()
            args.pop()
        if rule.class_name == "GetItem" and isinstance(live[1], list):
            live[1] = tuple(live[1])
        made = keras.tree.flatten(operation(*live, **kwargs))
        said = rule.outputs(told, CallSpec(tuple(args), kwargs))
        assert said == [TensorSpec(tuple(t.shape), t.dtype) for t in made], (config, args)


def test_every_operation_class_has_a_rule_or_a_reason() -> None:
    known = {(module.rpartition(".")[2], rule.class_name) for module, rule in all_operations()}
    assert not known & UNFOLLOWED.keys()
    operation = import_module("keras.src.ops.operation").Operation
    found = set()
    for name in ("core", "numpy", "nn", "math", "linalg", "image", "einops"):
        module = import_module(f"keras.src.ops.{name}")
        for class_name, item in vars(module).items():
            own = inspect.isclass(item) and item.__module__ == module.__name__
            if own and issubclass(item, operation):
                found.add((name, class_name))
    assert found == known | UNFOLLOWED.keys()


@pytest.mark.parametrize(
    ("name", "config", "args"),
    [
        ("Take", {"axis": 1}, [X, IDS]),
        ("Repeat", {"repeats": [1, 2], "axis": 1}, [X]),
        ("Roll", {"shift": 1}, [X]),
        ("GetItem", {}, [X, [IDS]]),
        ("Reshape", {"newshape": "flat"}, [X]),
        ("Matmul", {}, [FLAT, TensorSpec((8,))]),
        ("Einsum", {"subscripts": "...a,ab->...b"}, [FLAT, FLAT]),
        ("Concatenate", {"axis": 0}, [[X, 1.0]]),
        ("Pad", {"pad_width": [1]}, [X]),
        ("Split", {"indices_or_sections": 3, "axis": -1}, [X]),
        ("Sum", {"axis": 7}, [X]),
    ],
)
def test_what_is_not_known_is_refused(name: str, config: dict[str, Any], args: list[Any]) -> None:
    rule = operation_rule(name, "keras.src.ops.numpy")
    assert rule is not None
    with pytest.raises(RuleError):
        rule.outputs(config, CallSpec(tuple(args)))
