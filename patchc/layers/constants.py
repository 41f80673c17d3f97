"""Constant arrays among the arguments of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchc.layers.base import Shape
from patchc.layers.objects import is_serialised
from patchc.model.axis import NEW, AxisMap

_ARRAYS = frozenset({"__tensor__", "__numpy__"})


def is_array(value: Any) -> bool:
    """Whether an argument is an array that Keras wrote into the configuration."""
    return is_serialised(value) and value["class_name"] in _ARRAYS


def array_shape(value: Any) -> Shape:
    """Shape of such an array."""
    return _nested_shape(value["config"].get("value"))


def _nested_shape(value: Any) -> Shape:
    if not isinstance(value, (list, tuple)):
        return ()
    return (len(value), *(_nested_shape(value[0]) if value else ()))


def array_changed(value: Mapping[str, Any], axis: int, change: AxisMap, new: float) -> Any:
    """The array with one axis changed; new entries are `new`."""
    inside = _changed(value["config"]["value"], axis, change, new)
    return {**value, "config": {**value["config"], "value": inside}}


def _changed(values: Any, axis: int, change: AxisMap, new: float) -> Any:
    if axis:
        return [_changed(item, axis - 1, change, new) for item in values]
    return [_like(values[0], new) if i == NEW else values[i] for i in change.indices()]


def _like(example: Any, new: float) -> Any:
    """`new` in the shape, and of the kind of number, of an example."""
    if isinstance(example, (list, tuple)):
        return [_like(item, new) for item in example]
    return type(example)(new)
