"""Recurrent layers and convolutional LSTMs.  Their weights are those of a cell.

Axis names are those of the cells, `units` and `4*units` (see `cells`), for
convolutional LSTMs `filters` and `4*filters`.  The states of a stateful layer
are no weights and are not stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    data_format,
    int_tuple,
    layer,
    list_of,
    one_of,
    padding,
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
from patchc.layers.cells import (
    ACTIVATION_KEYS,
    CELLS,
    FORGET,
    GATES,
    NO,
    Cell,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    cell_of,
    couples_gates,
    forget_bias,
    kernels,
)
from patchc.layers.contracts import NONE, ONLY_ZERO, Contracts
from patchc.layers.objects import (
    activation_keeps,
    is_serialised,
    refuse_activation_objects,
)
from patchc.layers.parts import Child, Containing, known, numbered, placed, setting
from patchc.layers.shapes import need_rank
from patchc.layers.windows import channels_of, spatial, window_size, with_channels

_SEQUENCE: Mapping[str, Argument] = {
    "activity_regularizer": Argument(regularizer, None),
    "return_sequences": NO,
    "return_state": NO,
    "go_backwards": NO,
    "stateful": NO,
}
_PLAIN: Mapping[str, Argument] = {**_SEQUENCE, "unroll": NO}
_CUDNN = {"use_cudnn": Argument(one_of("auto", True, False), "auto")}


class Recurrent(Rule):
    """A cell that runs along axis 1 of its input.

    Outputs: the last one, or all with `return_sequences`; then the states with
    `return_state`.
    """

    rank: ClassVar[int] = 3

    def sequences(self, config: Config, call: CallSpec) -> Shape:
        """Shape of the input; checks what Keras asks of a stateful layer."""
        refuse_quantised(config)
        given = call.get("sequences", 0)
        first = CallSpec((given,)) if isinstance(given, TensorSpec) else call
        shape = need_rank(first, self.rank)
        if setting(self, config, "stateful") and shape[0] is None:
            raise RuleError("is stateful, which needs an input with a fixed batch size")
        return shape

    def step_outputs(self, config: Config, step: Shape) -> tuple[Shape, list[Shape]]:
        """Output and states of one step, without the batch axis."""
        raise NotImplementedError

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """Zeros, from states that are zero: the candidate is, and gates only weigh it."""
        own_start = len(call.tensors()) == 1
        return activation_keeps(config.get("activation", "tanh")) & (
            ONLY_ZERO if own_start else NONE
        )

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The output, then the states."""
        batch, steps, *rest = self.sequences(config, call)
        output, states = self.step_outputs(config, (batch, *rest))
        first = (batch, steps) if setting(self, config, "return_sequences") else (batch,)
        result: list[Shape] = [(*first, *output)]
        if setting(self, config, "return_state"):
            result += [(batch, *state) for state in states]
        return result


class _OfCell(Recurrent):
    """A layer with a cell that has a rule."""

    def cell(self, config: Config) -> tuple[Child, Cell]:
        """The cell, and its rule as that of a cell."""
        raise NotImplementedError

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """The weights of the cell, below the cell's name."""
        batch, _, *rest = self.sequences(config, call)
        step = CallSpec((TensorSpec((batch, *rest)),))
        return self.cell(config)[0].weights(step, "cell")

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and the cell's."""
        return ["", *self.cell(config)[0].groups("cell")]

    def step_outputs(self, config: Config, step: Shape) -> tuple[Shape, list[Shape]]:
        """Output and states of the cell."""
        inner, rule = self.cell(config)
        sizes = rule.state_sizes(inner.config)
        return (rule.output_size(inner.config),), [(size,) for size in sizes]


class _Layered(_OfCell):
    """A layer that makes its cell, called `lstm_cell`, of its own arguments."""

    cell_rule: ClassVar[Cell]
    feature = "units"
    grows = ("units",)

    def cell(self, config: Config) -> tuple[Child, Cell]:
        """The cell with its share of the configuration."""
        shared = {*self.cell_rule.arguments, "dtype"}
        own = {key: value for key, value in config.items() if key in shared}
        [name] = numbered([self.cell_rule.class_name])
        return Child(self.cell_rule, name, own), self.cell_rule

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether an activation does, as a softmax."""
        return self.cell_rule.couples_features(config, call)


class SimpleRNN(_Layered):
    """A SimpleRNNCell along a sequence."""

    class_name = "SimpleRNN"
    cell_rule = SimpleRNNCell()
    arguments: ClassVar[Mapping[str, Argument]] = {**SimpleRNNCell.arguments, **_PLAIN}


class LSTM(_Layered):
    """An LSTMCell along a sequence."""

    class_name = "LSTM"
    cell_rule = LSTMCell()
    arguments: ClassVar[Mapping[str, Argument]] = {**LSTMCell.arguments, **_PLAIN, **_CUDNN}


class GRU(_Layered):
    """A GRUCell along a sequence."""

    class_name = "GRU"
    cell_rule = GRUCell()
    arguments: ClassVar[Mapping[str, Argument]] = {**GRUCell.arguments, **_PLAIN, **_CUDNN}


def _cells(value: Any) -> Any:
    return list_of(layer)(value) if isinstance(value, (list, tuple)) else layer(value)


class RNN(Containing, _OfCell):
    """Any cell with a rule along a sequence; a list of cells is a stack of them."""

    class_name = "RNN"
    feature = "units"
    key = "cell"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "cell": Argument(_cells),
        "return_sequences": NO,
        "return_state": NO,
        "go_backwards": NO,
        "stateful": NO,
        "unroll": NO,
        "zero_output_for_mask": NO,
    }

    def cell(self, config: Config) -> tuple[Child, Cell]:
        """The cell of the configuration, by its own name."""
        return cell_of(config.get("cell"))

    def inside(self, config: Config) -> Child:
        """The cell."""
        return self.cell(config)[0]

    def inner_call(self, call: CallSpec) -> CallSpec:
        """One step."""
        batch, _, *rest = need_rank(call, self.rank)
        return CallSpec((TensorSpec((batch, *rest)),))

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """The cell, or the list of cells, with the other size."""
        if is_serialised(config.get("cell")):
            return super().resized(config, dimension, size)
        inner = self.inside(config)
        return {"cell": inner.rule.resized(inner.config, dimension, size)["cells"]}


class _ConvLSTM(Recurrent):
    """Gates i, f, c, o, each a convolution; states h and c.

    `kernel` (k..., input, 4*filters), `recurrent_kernel` (k..., filters,
    4*filters), `bias` (4*filters), all below `conv_lstm_cell`.
    """

    feature = "filters"
    grows = ("filters",)
    freezable = False

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """The weights of the cell."""
        batch, _, *rest = self.sequences(config, call)
        refuse_activation_objects(*(config.get(key) for key in ACTIVATION_KEYS))
        self.step_outputs(config, (batch, *rest))
        features = known(channels_of((batch, *rest), setting(self, config, "data_format")))
        window = setting(self, config, "kernel_size")
        specs = kernels(self, config, window, features, ("filters", "4*filters"))
        if setting(self, config, "use_bias"):
            size = specs[0].shape[-1]
            strategy = forget_bias(self, config)
            specs.append(WeightSpec("bias", "vars/2", (size,), ("4*filters",), strategy))
        return placed(specs, "conv_lstm_cell", "cell", config)

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and the cell's."""
        return ["", *(f"cell/{group}".rstrip("/") for group in super().groups(config))]

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether an activation does, as a softmax."""
        return couples_gates(self, config)

    def step_outputs(self, config: Config, step: Shape) -> tuple[Shape, list[Shape]]:
        """The same shape for the output and both states."""
        fmt, pad = setting(self, config, "data_format"), setting(self, config, "padding")
        if None in spatial(step, fmt):
            raise RuleError("needs an input whose spatial axes are all known")
        sizes, rates = setting(self, config, "kernel_size"), setting(self, config, "dilation_rate")
        strides = setting(self, config, "strides")
        if max(strides) > 1 and max(rates) > 1:
            raise RuleError("has `strides` and `dilation_rate` above 1 at once")
        parts = zip(spatial(step, fmt), sizes, rates, strides, strict=True)
        moved = [window_size(n, (k - 1) * rate + 1, s, pad) for n, k, rate, s in parts]
        output = with_channels(moved, step, setting(self, config, "filters"), fmt)[1:]
        return output, [output, output]


def _conv_arguments(rank: int) -> dict[str, Argument]:
    ones = [1] * rank
    return {
        "filters": Argument(positive_int),
        "kernel_size": Argument(int_tuple(rank)),
        "strides": Argument(int_tuple(rank), ones),
        "padding": Argument(padding, "valid"),
        "data_format": Argument(data_format, "channels_last"),
        "dilation_rate": Argument(int_tuple(rank), ones),
        **GATES,
        **FORGET,
        **_SEQUENCE,
    }


class ConvLSTM1D(_ConvLSTM):
    """An LSTM whose input and states have one spatial axis."""

    class_name = "ConvLSTM1D"
    rank = 4
    arguments: ClassVar[Mapping[str, Argument]] = _conv_arguments(1)


class ConvLSTM2D(_ConvLSTM):
    """An LSTM whose input and states have two spatial axes."""

    class_name = "ConvLSTM2D"
    rank = 5
    arguments: ClassVar[Mapping[str, Argument]] = _conv_arguments(2)


class ConvLSTM3D(_ConvLSTM):
    """An LSTM whose input and states have three spatial axes."""

    class_name = "ConvLSTM3D"
    rank = 6
    arguments: ClassVar[Mapping[str, Argument]] = _conv_arguments(3)


RULES: tuple[Rule, ...] = (
    *CELLS,
    SimpleRNN(),
    LSTM(),
    GRU(),
    RNN(),
    ConvLSTM1D(),
    ConvLSTM2D(),
    ConvLSTM3D(),
)
"""The rules of this family."""
