"""What rules of several families share: settings, and layers inside a layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from patchc.layers.base import (
    REQUIRED,
    CallSpec,
    Config,
    Port,
    Rule,
    RuleError,
    TensorSpec,
    WeightSpec,
    complete,
    policy_of,
)
from patchc.layers.contracts import Contract, Contracts, Norm, Way
from patchc.layers.objects import initializer_strategy, is_serialised
from patchc.layers.registry import rule_for
from patchc.model.axis import AxisMap
from patchc.model.initializers import snake_case
from patchc.model.values import Strategy


def setting(rule: Rule, config: Config, key: str) -> Any:
    """An argument's value in canonical form, Keras's default where it is left out.

    Raises:
        RuleError: the value is missing or none that Keras takes.
    """
    argument = rule.arguments[key]
    value = config.get(key, argument.default)
    if value is REQUIRED:
        raise RuleError(f"needs `{key}`")
    try:
        return argument.kind(value)
    except RuleError as error:
        raise RuleError(f"has a wrong `{key}`, which {error}") from None


def initial(rule: Rule, config: Config, key: str) -> Strategy:
    """The strategy of the initialiser argument `key`.  Raises RuleError where it is custom."""
    return initializer_strategy(config.get(key, rule.arguments[key].default))


def known(size: int | None) -> int:
    """A size that a weight's shape needs.  Raises RuleError where it is unknown."""
    if size is None:
        raise RuleError("needs an input with a known number of features")
    return size


def tensor(call: CallSpec, name: str, position: int) -> TensorSpec:
    """The tensor a call gives as argument `name`.  Raises RuleError where there is none."""
    found = call.get(name, position)
    if not isinstance(found, TensorSpec):
        raise RuleError(f"needs a tensor as `{name}`")
    return found


def placed(specs: Iterable[WeightSpec], name: str, slot: str, config: Config) -> list[WeightSpec]:
    """The weights of a layer inside a layer, named and stored from the outer one on.

    Args:
        name: of the inner layer.
        slot: group of the inner layer in that of the outer one.
        config: of the inner layer, for its dtype.
    """
    own = policy_of(config)[1]
    return [
        replace(
            spec,
            name=f"{name}/{spec.name}",
            slot=f"{slot}/{spec.slot}",
            dtype=spec.dtype or own,
        )
        for spec in specs
    ]


@dataclass(frozen=True, slots=True)
class Child:
    """A layer inside a layer.

    Args:
        rule: of its class.
        name: its own, or the one that Keras derives from its class.
        config: its configuration, with Keras's defaults.
    """

    rule: Rule
    name: str
    config: Config

    def weights(self, call: CallSpec, slot: str) -> list[WeightSpec]:
        """Its weights as its parent has them; `slot` is its group there."""
        return placed(self.rule.weights(self.config, call), self.name, slot, self.config)

    def groups(self, slot: str) -> list[str]:
        """Its storage groups from its parent on."""
        return [f"{slot}/{group}".rstrip("/") for group in self.rule.groups(self.config)]


def child(value: Any, what: str, name: str | None = None) -> Child:
    """The layer behind a configuration value in Keras's serialised form.

    Args:
        value: the serialised layer.
        what: how messages begin: `wraps`, `has as its cell`.
        name: for a layer that has none; left out: its class in snake_case.

    Raises:
        RuleError: it is no layer, a model, or of a class without a rule.
    """
    if not is_serialised(value):
        raise RuleError(f"{what} something that is no layer")
    class_name = value["class_name"]
    if class_name in {"Functional", "Model", "Sequential"}:
        raise RuleError(f"{what} a nested model ({class_name}), which has no rule")
    rule = rule_for(class_name, value.get("module"), value.get("registered_name"))
    if rule is None:
        raise RuleError(f"{what} a layer of class {class_name}, which has no rule")
    config = value.get("config")
    if not isinstance(config, Mapping):
        raise RuleError(f"{what} a layer of class {class_name} without a configuration")
    own = config.get("name") or name or snake_case(rule.class_name)
    return Child(rule, str(own), complete(rule, config))


def numbered(classes: Iterable[str]) -> list[str]:
    """Keras's names for a list of layers by class: `lstm_cell`, `lstm_cell_1`, ...

    Source: `keras.src.saving.saving_lib._save_container_state`.
    """
    used: dict[str, int] = {}
    names = []
    for name in map(snake_case, classes):
        count = used.get(name, 0)
        used[name] = count + 1
        names.append(f"{name}_{count}" if count else name)
    return names


def with_config(value: Mapping[str, Any], changes: Config) -> dict[str, Any]:
    """A serialised layer with other settings.

    Without its `build_config`: Keras would build it for the input it had.
    """
    rest = {key: item for key, item in value.items() if key != "build_config"}
    return {**rest, "config": {**(value.get("config") or {}), **changes}}


class Containing(Rule):
    """A layer whose dimensions are those of a layer inside it.

    Attributes:
        key: the configuration key of the layer inside.
    """

    feature = "layer"
    key: ClassVar[str] = "layer"

    def inside(self, config: Config) -> Child:
        """The layer inside.  Raises RuleError where it has no rule."""
        return child(config.get(self.key), "wraps")

    def inner_call(self, call: CallSpec) -> CallSpec:
        """The call of the layer inside.  Raises RuleError where the input does not fit."""
        return call

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """That of the layer inside."""
        inner = self.inside(config)
        return inner.rule.feature_of(inner.config, self.inner_call(call))

    def couples_features(self, config: Config, call: CallSpec) -> bool:
        """Whether the layer inside does."""
        inner = self.inside(config)
        return inner.rule.couples_features(inner.config, self.inner_call(call))

    def kept(self, config: Config) -> Contracts:
        """What the layer inside keeps."""
        inner = self.inside(config)
        return inner.rule.kept(inner.config)

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """What the weights of the layer inside make."""
        inner = self.inside(config)
        return inner.rule.made(inner.config, self.inner_call(call))

    def meets(
        self, config: Config, call: CallSpec, label: str, contract: Contract
    ) -> tuple[Way, ...]:
        """How those of the layer inside do."""
        inner = self.inside(config)
        return inner.rule.meets(inner.config, self.inner_call(call), label, contract)

    def norm(self, config: Config, call: CallSpec, change: AxisMap, size: int) -> Norm | None:
        """What the layer inside asks; its weights are not rescaled from outside."""
        inner = self.inside(config)
        asked = inner.rule.norm(inner.config, self.inner_call(call), change, size)
        return None if asked is None else Norm()

    def dimensions(self, config: Config) -> Sequence[str]:
        """Those of the layer inside."""
        inner = self.inside(config)
        return inner.rule.dimensions(inner.config)

    def size_of(self, config: Config, dimension: str) -> int:
        """Size of a dimension of the layer inside."""
        inner = self.inside(config)
        return inner.rule.size_of(inner.config, dimension)

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """The layer inside with the other size."""
        inner = self.inside(config)
        changes = inner.rule.resized(inner.config, dimension, size)
        return {self.key: with_config(config[self.key], changes)}

    def outer_axis(self, axis: int) -> int:
        """The axis of the layer's tensors that an axis of the inner layer's is."""
        return axis

    def aliases(self, config: Config, call: CallSpec) -> Mapping[str, str]:
        """Those of the layer inside."""
        inner = self.inside(config)
        return inner.rule.aliases(inner.config, self.inner_call(call))

    def ports(self, config: Config, call: CallSpec) -> Sequence[Port] | None:
        """Those of the layer inside, where it names them itself."""
        inner = self.inside(config)
        ports = inner.rule.ports(inner.config, self.inner_call(call))
        if ports is None:
            return None
        return [replace(port, axis=self.outer_axis(port.axis)) for port in ports]

    def implied(
        self, config: Config, label: str, change: AxisMap, size: int
    ) -> Mapping[str, tuple[AxisMap, int]]:
        """What changes along inside."""
        inner = self.inside(config)
        return inner.rule.implied(inner.config, label, change, size)

    def blocks(self, config: Config, label: str, size: int, changed: Sequence[str]) -> int:
        """Those of the layer inside."""
        inner = self.inside(config)
        return inner.rule.blocks(inner.config, label, size, changed)

    def followed(self, config: Config, label: str, change: AxisMap, size: int) -> Mapping[str, Any]:
        """The layer inside with the keys that change."""
        inner = self.inside(config)
        changes = inner.rule.followed(inner.config, label, change, size)
        return {self.key: with_config(config[self.key], changes)} if changes else {}
