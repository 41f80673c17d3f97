"""What a layer rule is.

A rule is the truth about one Keras layer class: its constructor arguments, the
weights it creates, the meaning of their axes, and the shape of its output.
Rules work on configuration and shapes alone; the tests hold each of them
against Keras itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from patchc.layers.contracts import NONE, Contract, Contracts, Norm, Way
from patchc.layers.hard_sigmoid import activation_groups
from patchc.model.axis import AxisMap
from patchc.model.graph import Shape, TensorSpec
from patchc.model.values import Strategy

__all__ = [
    "REQUIRED",
    "Argument",
    "CallSpec",
    "Config",
    "NoRuleError",
    "Port",
    "Rule",
    "RuleError",
    "Shape",
    "TensorSpec",
    "WeightSpec",
    "complete",
    "policy_of",
]

Config = Mapping[str, Any]


class RuleError(ValueError):
    """A configuration or an input that the layer class does not take.

    The message is one clause, in lower case, that can follow a layer's name.
    """


class NoRuleError(RuleError):
    """A case that Keras takes and that patchc has no rule for."""


@dataclass(frozen=True, slots=True)
class CallSpec:
    """The arguments of one call of a layer.

    Args:
        args: positional arguments: TensorSpec, nested lists and dicts of them,
            or constants.
        kwargs: the same by name.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def get(self, name: str, position: int) -> Any:
        """The argument `name`, given by name or at `position`; None where absent."""
        if name in self.kwargs:
            return self.kwargs[name]
        return self.args[position] if position < len(self.args) else None

    def tensors(self) -> list[TensorSpec]:
        """All tensors in Keras's order: positional first, dicts by sorted key."""
        return list(_tensors((self.args, dict(self.kwargs))))

    @property
    def shape(self) -> Shape:
        """Shape of the first tensor.  Raises RuleError where there is none."""
        tensors = self.tensors()
        if not tensors:
            raise RuleError("needs an input tensor")
        return tensors[0].shape


def _tensors(node: Any) -> Iterator[TensorSpec]:
    if isinstance(node, TensorSpec):
        yield node
    elif isinstance(node, Mapping):
        for key in sorted(node):
            yield from _tensors(node[key])
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from _tensors(item)


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """One weight that a layer creates.

    Args:
        name: Keras's variable path below the layer: `kernel`, `query/kernel`,
            `lstm_cell/kernel`.
        slot: storage address below the layer's group: `vars/0`,
            `query_dense/vars/0`, `cell/vars/0`.
        shape: of the variable, as stored.
        axes: what each axis runs over, by the name of a dimension of the
            layer: a config key (`units`, `filters`, `input_dim`), `input` for
            the feature axis of the input, `4*units` for four blocks of
            `units`, `input*depth_multiplier` for neighbours (entry
            `c * depth_multiplier + j`), "" for any other (such as a spatial
            axis of a kernel).
        initializer: what Keras fills it with when it is new.
        trainable: whether it trains while the layer does.
        dtype: storage dtype; None is the layer's variable dtype.
        twin: name of the weight that this is a second copy of, where Keras
            stores one twice.
    """

    name: str
    slot: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    initializer: Strategy
    trainable: bool = True
    dtype: str | None = None
    twin: str | None = None


REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Argument:
    """One constructor argument.

    Args:
        kind: checks a value as a patch gives it and returns it as Keras's
            `get_config` would write it; raises RuleError with a clause such as
            `must be a positive integer`.
        default: Keras's default, as `get_config` would write it; REQUIRED
            where there is none.
    """

    kind: Callable[[Any], Any]
    default: Any = REQUIRED


@dataclass(frozen=True, slots=True)
class Port:
    """An axis of a tensor that a call reads or makes.

    Args:
        output: whether the call makes the tensor.
        index: which of its tensors, in Keras's order.
        axis: which axis, from 0.
        label: what it runs over, as in `WeightSpec.axes`.
    """

    output: bool
    index: int
    axis: int
    label: str


class Rule:
    """The truth about one layer class.  Subclasses override what differs.

    Attributes:
        class_name: Keras's class name, also the default snake_case group name.
        arguments: the constructor's own arguments (those that every layer
            takes, `name`, `trainable`, `dtype`, ..., are common to all).
        feature: dimension that the last (channel) axis of the output runs
            over: a config key for a layer that makes its features (`units`),
            `input` for one that hands each input feature on to the output
            entry of the same index, `input*depth_multiplier` as in WeightSpec,
            None where neither is so (Flatten, Concatenate, ...).
        grows: config keys along which `expand` may grow the layer, the default
            first.
        freezable: False for classes that Keras restores as trainable whatever
            the file says.
        common: the arguments that every layer takes, as far as this class does
            and does not list them itself.
        always: arguments with a default that a file must write all the same,
            because the class's `from_config` looks for them.
        elementwise: each entry of the output depends on the same entry of the
            input only (of each input, where there are several).
        keeps: the contracts of new entries that hold of its output where they
            hold of its inputs, see `patchc.layers.contracts`.
    """

    class_name: ClassVar[str]
    arguments: ClassVar[Mapping[str, Argument]] = {}
    feature: ClassVar[str | None] = None
    grows: ClassVar[tuple[str, ...]] = ()
    freezable: ClassVar[bool] = True
    common: ClassVar[tuple[str, ...]] = (
        "name",
        "trainable",
        "dtype",
        "activity_regularizer",
        "autocast",
    )
    always: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = False
    keeps: ClassVar[Contracts] = NONE

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """The weights Keras creates, in the order of `layer.weights`.

        Raises RuleError where Keras would refuse configuration or input.
        """
        return ()

    def on_one(self, tensor: Any) -> list[Any]:
        """The arguments with which a chain calls the layer on the one tensor that it has.

        A layer of attention attends to what it is given.
        """
        return [tensor]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """Shapes of the output tensors, flattened in Keras's order.

        Raises RuleError where Keras would refuse configuration or input.
        """
        return (call.shape,)

    def groups(self, config: Config) -> Sequence[str]:
        """Storage groups below the layer's own in which Keras writes `vars`.

        "" is the layer's own.  Groups without weights count too: Keras before
        3.6 does not load a file in which they are missing.
        """
        return ("", *activation_groups(config))

    def output_dtype(self, config: Config, call: CallSpec) -> str:
        """Dtype of the output tensors: the layer's compute dtype by default."""
        return policy_of(config)[0]

    def is_elementwise(self, config: Config) -> bool:
        """Whether a layer of this configuration is element-wise, see `elementwise`."""
        return self.elementwise

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """What `feature` is for this configuration and call."""
        return self.feature

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether entries of the output's feature axis depend on one another.

        So it is with a softmax or a layer normalisation over the axis, whose
        old entries change as soon as a new one comes.
        """
        return False

    def kept(self, config: Config) -> Contracts:
        """What `keeps` is for this configuration."""
        return self.keeps

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """The contracts that its weights alone can make new entries of its output meet."""
        return NONE

    def meets(
        self, config: Config, call: CallSpec, label: str, contract: Contract
    ) -> tuple[Way, ...]:
        """How new entries of an axis of its output meet a contract; () where they cannot.

        Args:
            label: what the axis runs over.
        """
        if contract in self.made(config, call):
            return ("made",)
        return ("kept",) if contract in self.kept(config) else ()

    def carriers(self, config: Config, call: CallSpec) -> Sequence[int] | None:
        """Numbers of the tensors whose entries its output is made of; None for all that it reads.

        Of the others, an attention only takes how much of each it puts into its output.
        """
        return None

    def factors(self, config: Config) -> Sequence[str]:
        """Weights that, all multiplied by a number, multiply an entry of its output by it.

        () where it has none.
        """
        return ()

    def norm(self, config: Config, call: CallSpec, change: AxisMap, size: int) -> Norm | None:
        """What it asks of its features that change so, to let old entries be; None for nothing.

        Args:
            change: of the feature axis.
            size: before.
        """
        return Norm() if self.couples_features(config, call) else None

    def hands_on(self, config: Config, label: str) -> bool:
        """Whether a weight that runs over a dimension of the input does not sum over it."""
        return False

    def reads_itself(self, config: Config, call: CallSpec) -> str | None:
        """The dimension that a call sums over with a weight that other calls make features of.

        New entries of the weight cannot start at zero for the one and be what
        the others need; so what such a call reads has to be zero there.
        """
        return None

    def aliases(self, config: Config, call: CallSpec) -> Mapping[str, str]:
        """Dimensions that have to stay equal: name -> the one that stands for it."""
        return {}

    def asks(
        self, config: Config, call: CallSpec, label: str, change: AxisMap, size: int
    ) -> Norm | None:
        """What it asks of a dimension that changes so; that of `norm` for its features."""
        feature = self.feature_of(config, call)
        if feature is None or label not in {feature, *feature.split("*")}:
            return None
        return self.norm(config, call, change, size)

    def ports(self, config: Config, call: CallSpec) -> Sequence[Port] | None:
        """Every axis of what it reads and makes that has a name.

        None where they are the feature axes alone: `input` of the first input,
        `feature` of the outputs.
        """
        return None

    def implied(
        self, config: Config, label: str, change: AxisMap, size: int
    ) -> Mapping[str, tuple[AxisMap, int]]:
        """Other dimensions that change with one, and their sizes before."""
        return {}

    def blocks(self, config: Config, label: str, size: int, changed: Sequence[str]) -> int:
        """The number of equal blocks of a dimension that have to change alike.

        Args:
            size: of the dimension before.
            changed: all dimensions that change.
        """
        return 1

    def rescaled(self, config: Config, label: str, change: AxisMap, size: int) -> dict[str, float]:
        """What old entries of weights are multiplied by where a dimension changes."""
        return {}

    def dimensions(self, config: Config) -> Sequence[str]:
        """The names that `expand` takes as `axis`, the default first."""
        return self.grows

    def size_of(self, config: Config, dimension: str) -> int:
        """Size of one of `dimensions`."""
        return int(config[dimension])

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """The config keys that change where one of `dimensions` becomes `size`."""
        return {dimension: size}

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """The config keys that change where a dimension of `size` that it does not own changes.

        Such is the number of features where a layer writes down that of its
        input.  Raises RuleError where the layer cannot follow.
        """
        return {}

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """Strategies by weight name with which the layer hands its input on.

        None where the layer cannot (a Dense that changes the width, a ReLU).
        Judged at inference: dropout and noise are identities.
        """
        return None


def policy_of(config: Config) -> tuple[str, str]:
    """Compute and variable dtype of a layer's dtype policy (`keras.DTypePolicy`).

    Raises:
        RuleError: where it is neither a name nor a serialised policy.
    """
    policy = config.get("dtype")
    if isinstance(policy, Mapping):
        inner = policy.get("config")
        policy = inner.get("name") if isinstance(inner, Mapping) else None
    name = policy or "float32"
    if not isinstance(name, str):
        raise RuleError("has a `dtype` that is no dtype policy")
    if name.startswith("mixed_"):
        return name.removeprefix("mixed_"), "float32"
    return name, name


INSIDE = frozenset({"dtype", "lora_rank", "lora_alpha", "quantization_config"})
"""Configuration keys that say how the weights of a layer are quantised or adapted."""

_QUANTISED = ("int8", "int4", "float8", "gptq", "awq")


def quantisation_of(config: Config) -> str | None:
    """How a layer is quantised or adapted (`int8`, `lora`, ...); None where it is not.

    The weights of such a layer are not those of its rule.
    """
    policy = config.get("dtype")
    if isinstance(policy, Mapping):
        if policy.get("class_name") == "DTypePolicyMap":
            return "a map of dtype policies"
        inner = policy.get("config")
        policy = inner.get("mode") or inner.get("name") if isinstance(inner, Mapping) else None
    if isinstance(policy, str) and policy.startswith(_QUANTISED):
        return policy.split("_", maxsplit=1)[0]
    if config.get("quantization_config"):
        return "quantization_config"
    return "lora" if config.get("lora_rank") else None


def refuse_quantised(config: Config) -> None:
    """Raise RuleError where a layer is quantised or carries a LoRA adapter."""
    found = quantisation_of(config)
    if found == "lora":
        raise RuleError("carries a LoRA adapter, which has no rule")
    if found:
        raise RuleError(f"is quantised ({found}), which has no rule")


def complete(rule: Rule, config: Config) -> dict[str, Any]:
    """Configuration with Keras's defaults for what it leaves out."""
    defaults = {
        key: argument.default
        for key, argument in rule.arguments.items()
        if argument.default is not REQUIRED
    }
    return {**defaults, **config}
