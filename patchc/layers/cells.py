"""Cells of recurrent layers.

Gates stand one behind the other on the last axis: LSTM i, f, c, o
(`4*units`), GRU z, r, h (`3*units`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from patchc.layers.arguments import (
    activation,
    boolean,
    constraint,
    initializer,
    integer,
    layer,
    list_of,
    number,
    optional,
    positive_int,
    regularizer,
)
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Rule,
    RuleError,
    Shape,
    TensorSpec,
    WeightSpec,
    refuse_quantised,
)
from patchc.layers.objects import (
    activation_is_elementwise,
    is_serialised,
    refuse_activation_objects,
)
from patchc.layers.parts import Child, child, initial, numbered, setting, with_config
from patchc.layers.shapes import need_min_rank, need_size
from patchc.model.values import ONES, Strategy

YES = Argument(boolean, True)
NO = Argument(boolean, False)
GATES: Mapping[str, Argument] = {
    "activation": Argument(activation, "tanh"),
    "use_bias": YES,
    "kernel_initializer": Argument(initializer, "glorot_uniform"),
    "recurrent_initializer": Argument(initializer, "orthogonal"),
    "bias_initializer": Argument(initializer, "zeros"),
    **{
        f"{weight}_{what}": Argument(kind, None)
        for what, kind in (("regularizer", regularizer), ("constraint", constraint))
        for weight in ("kernel", "recurrent", "bias")
    },
    "dropout": Argument(number, 0.0),
    "recurrent_dropout": Argument(number, 0.0),
    "seed": Argument(optional(integer), None),
}
"""What all recurrent layers and cells take."""

GATED: Mapping[str, Argument] = {"recurrent_activation": Argument(activation, "sigmoid")}
FORGET: Mapping[str, Argument] = {**GATED, "unit_forget_bias": YES}
_UNITS = {"units": Argument(positive_int)}

ACTIVATION_KEYS = ("activation", "recurrent_activation")
Bias = tuple[tuple[int, ...], tuple[str, ...], Strategy]


def couples_gates(rule: Rule, config: Config) -> bool:
    """Whether an activation of the gates makes units depend on one another."""
    keys = [key for key in ACTIVATION_KEYS if key in rule.arguments]
    return not all(activation_is_elementwise(setting(rule, config, key)) for key in keys)


def forget_bias(rule: Rule, config: Config) -> Strategy:
    """Initial bias of an LSTM: with `unit_forget_bias` the forget gate starts at one."""
    base = initial(rule, config, "bias_initializer")
    if not setting(rule, config, "unit_forget_bias"):
        return base
    return Strategy("Blocks", {"blocks": [block.to_json() for block in (base, ONES, base, base)]})


def kernels(
    rule: Rule, config: Config, window: Sequence[int], features: int, sizes: tuple[str, str]
) -> list[WeightSpec]:
    """`kernel` (window..., features, gates) and `recurrent_kernel` (window..., units, gates).

    Args:
        window: sizes of a convolution's kernel, empty for a plain cell.
        sizes: the dimension of the units, and that of all gates: `units`, `4*units`.
    """
    units = setting(rule, config, sizes[0])
    wide = units * (int(sizes[1].split("*", maxsplit=1)[0]) if "*" in sizes[1] else 1)
    free = ("",) * len(window)
    rows = (
        ("kernel", features, "input", "kernel_initializer"),
        ("recurrent_kernel", units, sizes[0], "recurrent_initializer"),
    )
    return [
        WeightSpec(
            name,
            f"vars/{i}",
            (*window, size, wide),
            (*free, axis, sizes[1]),
            initial(rule, config, key),
        )
        for i, (name, size, axis, key) in enumerate(rows)
    ]


class Cell(Rule):
    """One step of a recurrent layer.

    Attributes:
        wide: the dimension of all gates together.
        states: number of states, each of `units` entries.
    """

    feature: ClassVar[str | None] = "units"
    grows: ClassVar[tuple[str, ...]] = ("units",)
    wide: ClassVar[str] = "units"
    states: ClassVar[int] = 1

    def state_sizes(self, config: Config) -> list[int]:
        """Number of entries of each state, in order."""
        return [self.output_size(config)] * self.states

    def output_size(self, config: Config) -> int:
        """Number of features that a step puts out."""
        return int(setting(self, config, "units"))

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`kernel` (input, gates), `recurrent_kernel` (units, gates), `bias`."""
        refuse_quantised(config)
        refuse_activation_objects(*(config.get(key) for key in ACTIVATION_KEYS))
        specs = kernels(
            self, config, (), need_size(need_min_rank(call, 2), -1), ("units", self.wide)
        )
        if setting(self, config, "use_bias"):
            shape, axes, strategy = self.bias(config, specs[0].shape[-1])
            specs.append(WeightSpec("bias", "vars/2", shape, axes, strategy))
        return specs

    def bias(self, config: Config, size: int) -> Bias:
        """Shape, axes and initial values of the bias; `size` is that of all gates."""
        return (size,), (self.wide,), initial(self, config, "bias_initializer")

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether an activation does, as a softmax."""
        return couples_gates(self, config)

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The output of the step, then its states."""
        sizes = [self.output_size(config), *self.state_sizes(config)]
        batch = need_min_rank(call, 2)[0]
        return tuple((batch, size) for size in sizes)


class SimpleRNNCell(Cell):
    """One gate."""

    class_name = "SimpleRNNCell"
    arguments: ClassVar[Mapping[str, Argument]] = {**_UNITS, **GATES}


class LSTMCell(Cell):
    """Gates i, f, c, o; states h and c."""

    class_name = "LSTMCell"
    wide = "4*units"
    states = 2
    arguments: ClassVar[Mapping[str, Argument]] = {**_UNITS, **GATES, **FORGET}

    def bias(self, config: Config, size: int) -> Bias:
        """One vector; see `forget_bias`."""
        return (size,), (self.wide,), forget_bias(self, config)


class GRUCell(Cell):
    """Gates z, r, h; with `reset_after` a bias for the input and one for the state."""

    class_name = "GRUCell"
    wide = "3*units"
    arguments: ClassVar[Mapping[str, Argument]] = {
        **_UNITS,
        **GATES,
        **GATED,
        "reset_after": YES,
    }

    def bias(self, config: Config, size: int) -> Bias:
        """Two rows with `reset_after`, otherwise one vector."""
        shape, axes, strategy = super().bias(config, size)
        if setting(self, config, "reset_after"):
            return (2, *shape), ("", *axes), strategy
        return shape, axes, strategy


class StackedRNNCells(Cell):
    """Cells one behind the other, stored as a list: `cells/lstm_cell`, `cells/lstm_cell_1`.

    The units of cell `j` are the dimension `units[j]`; cell `j` reads `units[j - 1]`.
    """

    class_name = "StackedRNNCells"
    feature = None
    grows = ()
    arguments: ClassVar[Mapping[str, Argument]] = {"cells": Argument(list_of(layer))}

    def cells(self, config: Config) -> list[tuple[str, Child, Cell]]:
        """Storage group, cell, and its rule, in order."""
        values = config.get("cells")
        if not isinstance(values, (list, tuple)) or not values:
            raise RuleError("needs a list of `cells`")
        classes = [str(value["class_name"]) if is_serialised(value) else "" for value in values]
        result = []
        for group, value in zip(numbered(classes), values, strict=True):
            inner, rule = cell_of(value, group)
            if isinstance(rule, StackedRNNCells):
                raise RuleError("holds a stack of cells in a stack of cells")
            result.append((f"cells/{group}", inner, rule))
        return result

    def state_sizes(self, config: Config) -> list[int]:
        """Number of entries of each state, cell by cell."""
        return [n for _, inner, rule in self.cells(config) for n in rule.state_sizes(inner.config)]

    def output_size(self, config: Config) -> int:
        """Number of features of the last cell."""
        _, inner, rule = self.cells(config)[-1]
        return rule.output_size(inner.config)

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """Those of each cell; a cell reads what the one before puts out."""
        shape = need_min_rank(call, 2)
        specs: list[WeightSpec] = []
        for index, (group, inner, rule) in enumerate(self.cells(config)):
            made = inner.weights(CallSpec((TensorSpec(shape),)), group)
            specs += [replace(spec, axes=_of_cell(spec.axes, index)) for spec in made]
            shape = (shape[0], rule.output_size(inner.config))
        return specs

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and those of each cell."""
        return ["", *(g for group, inner, _ in self.cells(config) for g in inner.groups(group))]

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """The units of the last cell."""
        return self.dimensions(config)[0]

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether a cell does."""
        return any(
            rule.couples_features(inner.config, call) for _, inner, rule in self.cells(config)
        )

    def dimensions(self, config: Config) -> Sequence[str]:
        """The units of each cell, the last cell's first."""
        return [f"units[{index}]" for index in reversed(range(len(self.cells(config))))]

    def size_of(self, config: Config, dimension: str) -> int:
        """Units of a cell."""
        _, inner, rule = self.cells(config)[_number(dimension)]
        return rule.output_size(inner.config)

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """The cells, one of them with other units."""
        chosen = _number(dimension)
        cells = enumerate(config["cells"])
        return {"cells": [with_config(v, {"units": size} if i == chosen else {}) for i, v in cells]}


def _number(dimension: str) -> int:
    """The cell that a dimension such as `units[1]` is of."""
    return int(dimension.removeprefix("units[").removesuffix("]"))


def _of_cell(axes: Sequence[str], index: int) -> tuple[str, ...]:
    """The axes of a cell's weight as those of the stack it stands in."""
    read = f"units[{index - 1}]" if index else "input"
    return tuple(
        read if axis == "input" else f"{axis}[{index}]" if axis.endswith("units") else axis
        for axis in axes
    )


def cell_of(value: Any, name: str | None = None) -> tuple[Child, Cell]:
    """The cell behind a serialised layer, with its rule as that of a cell.

    Args:
        value: the serialised cell; a list of cells stands for StackedRNNCells.
        name: for a cell that has none.

    Raises:
        RuleError: it is no cell that has a rule.
    """
    if isinstance(value, (list, tuple)):
        value = {"class_name": "StackedRNNCells", "config": {"cells": list(value)}}
    inner = child(value, "has as its cell", name)
    if not isinstance(inner.rule, Cell):
        raise RuleError(f"has as its cell a {inner.rule.class_name}, which is none")
    return inner, inner.rule


CELLS: tuple[Rule, ...] = (SimpleRNNCell(), LSTMCell(), GRUCell(), StackedRNNCells())
"""The rules of cells."""
