"""Rules of Dense, EinsumDense and the layers without weights of `keras.layers.core`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    activation,
    anything,
    boolean,
    constraint,
    initializer,
    non_negative_int,
    number,
    optional,
    positive_int,
    regularizer,
    shape,
    string,
    tensor_dtype,
)
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Port,
    Rule,
    RuleError,
    Shape,
    WeightSpec,
    refuse_quantised,
)
from patchc.layers.contracts import BOTH, ONLY_ZERO, Contract, Contracts, Norm, Way
from patchc.layers.einsum import Einsum, Equation, einsum_initializer, parse_equation
from patchc.layers.objects import (
    activation_is_elementwise,
    activation_keeps,
    activation_name,
    initializer_strategy,
    refuse_activation_objects,
)
from patchc.layers.parts import setting
from patchc.layers.shapes import input_dtype, need_min_rank, need_size
from patchc.model.axis import AxisMap
from patchc.model.values import ZEROS, Strategy


def _flag(value: Any) -> bool:
    return False if value is None else boolean(value)


def _dtype(value: Any) -> str:
    return "float32" if value is None else tensor_dtype(value)


class InputLayer(Rule):
    """An input of a model."""

    class_name = "InputLayer"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "shape": Argument(optional(shape), None),
        "batch_size": Argument(optional(non_negative_int), None),
        "dtype": Argument(_dtype, "float32"),
        "sparse": Argument(_flag, False),
        "ragged": Argument(_flag, False),
        "batch_shape": Argument(optional(shape), None),
        "optional": Argument(boolean, False),
    }
    common = ("name",)
    feature = "input"
    elementwise = True

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The shape of the input, batch included."""
        inner, whole = (setting(self, config, key) for key in ("shape", "batch_shape"))
        batch = setting(self, config, "batch_size")
        if (inner is None) == (whole is None):
            raise RuleError("needs either `shape` or `batch_shape`")
        if whole is not None:
            if batch is not None:
                raise RuleError("needs either `batch_size` or `batch_shape`")
            return (tuple(whole),)
        return ((batch, *inner),)

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """The dtype of the input."""
        return str(setting(self, config, "dtype"))


_KERNEL_AND_BIAS: Mapping[str, Argument] = {
    "kernel_initializer": Argument(initializer, "glorot_uniform"),
    "bias_initializer": Argument(initializer, "zeros"),
    "kernel_regularizer": Argument(regularizer, None),
    "bias_regularizer": Argument(regularizer, None),
    "kernel_constraint": Argument(constraint, None),
    "bias_constraint": Argument(constraint, None),
    "lora_rank": Argument(optional(positive_int), None),
    "lora_alpha": Argument(optional(number), None),
    "quantization_config": Argument(anything, None),
}


class Dense(Rule):
    """A matrix product over the last axis."""

    class_name = "Dense"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "units": Argument(positive_int),
        "activation": Argument(activation, "linear"),
        "use_bias": Argument(boolean, True),
        "activity_regularizer": Argument(regularizer, None),
        **_KERNEL_AND_BIAS,
    }
    feature = "units"
    grows = ("units",)

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`kernel` (input, units) and `bias` (units)."""
        refuse_quantised(config)
        refuse_activation_objects(config.get("activation"))
        given = need_min_rank(call, 2)
        units = setting(self, config, "units")
        made = initializer_strategy(config["kernel_initializer"])
        size = need_size(given, -1)
        kernel = WeightSpec("kernel", "vars/0", (size, units), ("input", "units"), made)
        if not setting(self, config, "use_bias"):
            return (kernel,)
        made = initializer_strategy(config["bias_initializer"])
        return (kernel, WeightSpec("bias", "vars/1", (units,), ("units",), made))

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape with `units` entries on the last axis."""
        return ((*need_min_rank(call, 2)[:-1], setting(self, config, "units")),)

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether the activation does, as a softmax."""
        return not activation_is_elementwise(config.get("activation"))

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """What the activation keeps of what the product can be."""
        return activation_keeps(config.get("activation"))

    def factors(self, config: Config) -> Sequence[str]:
        """`kernel` and `bias`, where nothing is applied behind them."""
        linear = activation_name(config.get("activation")) == "linear"
        return ("kernel", "bias") if linear else ()

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """The identity matrix, where the width stays and nothing else is applied."""
        is_plain = activation_name(config.get("activation")) == "linear"
        if not is_plain or call.shape[-1:] != (setting(self, config, "units"),):
            return None
        bias = {"bias": ZEROS} if setting(self, config, "use_bias") else {}
        return {"kernel": Strategy("Identity"), **bias}


def _output_shape(value: Any) -> list[int | None]:
    return shape([value] if isinstance(value, int) and not isinstance(value, bool) else value)


class EinsumDense(Rule):
    """An einsum of the input with a kernel; its dimensions are letters of the equation."""

    class_name = "EinsumDense"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "equation": Argument(parse_equation),
        "output_shape": Argument(_output_shape),
        "activation": Argument(activation, "linear"),
        "bias_axes": Argument(optional(string), None),
        **_KERNEL_AND_BIAS,
        "gptq_unpacked_column_size": Argument(anything, None),
    }

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`kernel` with an axis per letter, and `bias` with those of `bias_axes`."""
        refuse_quantised(config)
        refuse_activation_objects(config.get("activation"))
        einsum = self._einsum(config, call)
        made = einsum_initializer(initializer_strategy(config["kernel_initializer"]), einsum)
        kernel = WeightSpec("kernel", "vars/0", *einsum.kernel(), made)
        letters = setting(self, config, "bias_axes")
        if letters is None:
            return (kernel,)
        made = initializer_strategy(config["bias_initializer"])
        return (kernel, WeightSpec("bias", "vars/1", *einsum.bias(letters), made))

    def _einsum(self, config: Config, call: CallSpec) -> Einsum:
        sizes = setting(self, config, "output_shape")
        return Einsum.of(setting(self, config, "equation"), sizes, call.shape)

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The shape that equation and `output_shape` give."""
        return (self._einsum(config, call).output,)

    def ports(self, config: Config, call: CallSpec) -> Sequence[Port]:
        """Every letter of input and output."""
        read, made = self._einsum(config, call).labels()
        return [
            Port(output, 0, axis, label)
            for output, labels in ((False, read), (True, made))
            for axis, label in enumerate(labels)
            if label
        ]

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """`output_shape`, where it gives the size of a letter that the input has too."""
        equation, letter = self._letter(config, label)
        sizes = list(setting(self, config, "output_shape"))
        if letter not in equation.made:
            return {}
        place = equation.made.index(letter) - len(equation.made)
        if place < -len(sizes) or sizes[place] is None:
            return {}
        sizes[place] = change.size
        return {"output_shape": sizes}

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """The last letter of the output, or `input` where it is the input's last one."""
        return self._einsum(config, call).feature()

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether the activation does, as a softmax."""
        return not activation_is_elementwise(config.get("activation"))

    def _letter(self, config: Config, label: str) -> tuple[Equation, str]:
        """The equation, and the letter that a label stands for."""
        equation = Equation.of(setting(self, config, "equation"))
        return equation, equation.given[-1] if label == "input" else label[-1]

    def hands_on(self, config: Config, label: str) -> bool:
        """Whether the output has the letter too."""
        equation, letter = self._letter(config, label)
        return letter in equation.made

    def meets(
        self, config: Config, call: CallSpec, label: str, contract: Contract
    ) -> tuple[Way, ...]:
        """By kernel and bias; along a letter that the kernel lacks, by the input and the bias.

        A bias that lacks the letter is added to new entries as to old ones.
        """
        equation, letter = self._letter(config, label)
        letters = setting(self, config, "bias_axes")
        shifted = letters is not None and letter not in letters
        if contract not in activation_keeps(config.get("activation")):
            return ()
        if contract == "zero" and shifted:
            return ()
        if letter in equation.given and letter not in equation.kernel:
            return ("kept",) if letters is None or shifted else ("kept", "made")
        return () if contract == "mean" and letter in equation.given else ("made",)

    def dimensions(self, config: Config) -> Sequence[str]:
        """The letters that the kernel brings into the output, the last one first."""
        return Einsum.letters(setting(self, config, "equation"))

    def size_of(self, config: Config, dimension: str) -> int:
        """Size of the output axis with that letter, as `output_shape` says."""
        place = Einsum.place(setting(self, config, "equation"), dimension)
        return int(setting(self, config, "output_shape")[place])

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """`output_shape` with another size for the letter."""
        sizes = setting(self, config, "output_shape")
        sizes[Einsum.place(setting(self, config, "equation"), dimension)] = size
        return {"output_shape": sizes}


class Identity(Rule):
    """Hands its input on."""

    class_name = "Identity"
    feature = "input"
    elementwise = True
    keeps = BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The shapes of all inputs."""
        return tuple(spec.shape for spec in call.tensors())

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """The input's dtype, as the layer casts it."""
        return input_dtype(config, call)

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy]:
        """It always is one."""
        return {}


class Masking(Rule):
    """Marks steps all of whose features have one value."""

    class_name = "Masking"
    arguments: ClassVar[Mapping[str, Argument]] = {"mask_value": Argument(number, 0.0)}
    feature = "input"
    keeps = ONLY_ZERO

    def norm(self, config: Config, call: CallSpec, change: AxisMap, size: int) -> Norm | None:
        """New features that are zero mask no step, and unmask none, where zero is the mark."""
        return Norm("zero" if setting(self, config, "mask_value") == 0 else None)


RULES: tuple[Rule, ...] = (InputLayer(), Dense(), EinsumDense(), Identity(), Masking())
