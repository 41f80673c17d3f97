"""What layer rules ask of shapes and dtypes again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from patchc.layers.base import CallSpec, Config, RuleError, Shape, TensorSpec, policy_of
from patchc.model.axis import NEW, AxisMap


def written(shape: Sequence[int | None]) -> str:
    """A shape as messages write it: `[null, 3]`."""
    return f"[{', '.join('null' if size is None else str(size) for size in shape)}]"


def need_rank(call: CallSpec, rank: int) -> Shape:
    """Shape of the first input, which must have exactly `rank` axes, the batch included."""
    if len(call.shape) != rank:
        raise RuleError(f"needs an input with {rank} axes, and gets {written(call.shape)}")
    return call.shape


def need_min_rank(call: CallSpec, rank: int) -> Shape:
    """Shape of the first input, which must have at least `rank` axes, the batch included."""
    if len(call.shape) < rank:
        raise RuleError(f"needs an input with {rank} axes or more, and gets {written(call.shape)}")
    return call.shape


def need_size(shape: Shape, axis: int) -> int:
    """Size of an axis, which must be known."""
    has_axis = -len(shape) <= axis < len(shape)
    size = shape[axis] if has_axis else None
    if size is None:
        raise RuleError(f"needs an input whose axis {axis} is known, and gets {written(shape)}")
    return size


def spatial_axes(config: Config, rank: int) -> range:
    """The spatial axes of a tensor with `rank` of them, by the layer's data format."""
    first = 2 if config.get("data_format") == "channels_first" else 1
    return range(first, first + rank)


def channel_axis(config: Config) -> int:
    """The channel axis by the layer's data format."""
    return 1 if config.get("data_format") == "channels_first" else -1


def replaced(shape: Shape, sizes: Mapping[int, int | None]) -> Shape:
    """`shape` with other sizes on some axes."""
    return tuple(sizes.get(axis, size) for axis, size in enumerate(shape))


def input_dtype(config: Config, call: CallSpec) -> str:
    """Dtype of the first input inside the layer: floats are cast to the compute dtype."""
    tensors = call.tensors()
    if not tensors:
        raise RuleError("needs an input tensor")
    given = tensors[0].dtype
    casts = config.get("autocast", True) and "float" in given
    return policy_of(config)[0] if casts else given


def list_of_inputs(call: CallSpec) -> list[TensorSpec]:
    """The inputs of a layer that is called on a list.

    Raises:
        RuleError: where the call gives something else.
    """
    first: Any = call.args[0] if call.args else call.kwargs.get("inputs")
    is_list = isinstance(first, (list, tuple)) and first
    if not is_list or not all(isinstance(item, TensorSpec) for item in first):
        raise RuleError("needs a list of inputs")
    return list(first)


def listed_after(value: Any, change: AxisMap, size: int, new: float) -> Any:
    """A list of one number per feature, after a change of the features.

    Nested lists of one entry may lie around it.

    Raises:
        RuleError: where it is not such a list.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return [listed_after(value[0], change, size, new)]
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, list) or len(value) != size:
        raise RuleError("holds numbers that are not one for each feature")
    return [new if index == NEW else value[index] for index in change.indices()]
