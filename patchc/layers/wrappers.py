"""Layers around a layer.

Weights are those of the inner layer, below its name; their axes are the inner
layer's, and so are its dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from patchc.layers.arguments import layer, one_of, optional, positive_int
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Rule,
    RuleError,
    Shape,
    TensorSpec,
    WeightSpec,
)
from patchc.layers.parts import Child, Containing, child, setting, with_config
from patchc.layers.recurrent import Recurrent
from patchc.model.values import Strategy

_LAYER = Argument(layer)
_COMMON_FLAGS = ("stateful", "return_sequences", "return_state")


class TimeDistributed(Containing):
    """The inner layer on each step along axis 1."""

    class_name = "TimeDistributed"
    arguments: ClassVar[Mapping[str, Argument]] = {"layer": _LAYER}

    def inner_call(self, call: CallSpec) -> CallSpec:
        """One step."""
        given = call.get("inputs", 0)
        if not isinstance(given, TensorSpec):
            raise RuleError("needs one tensor as its input")
        if len(given.shape) < 3:
            raise RuleError(f"needs an input of three or more axes, got {len(given.shape)}")
        return CallSpec((TensorSpec((given.shape[0], *given.shape[2:]), given.dtype),))

    def outer_axis(self, axis: int) -> int:
        """Steps are axis 1."""
        return axis + 1 if axis else 0

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """The inner layer's, for one step."""
        return self.inside(config).weights(self.inner_call(call), "layer")

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The inner layer's output for one step, with the steps as axis 1."""
        inner = self.inside(config)
        shapes = inner.rule.outputs(inner.config, self.inner_call(call))
        if len(shapes) != 1:
            raise RuleError(f"wraps a layer with {len(shapes)} outputs, but takes one with one")
        return ((shapes[0][0], call.shape[1], *shapes[0][1:]),)

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and the inner layer's."""
        return ["", *self.inside(config).groups("layer")]

    def is_elementwise(self, config: Config) -> bool:
        """Whether the inner layer is."""
        inner = self.inside(config)
        return inner.rule.is_elementwise(inner.config)

    def identity(self, config: Config, call: CallSpec) -> Mapping[str, Strategy] | None:
        """The inner layer's, step by step."""
        inner = self.inside(config)
        found = inner.rule.identity(inner.config, self.inner_call(call))
        if found is None:
            return None
        return {f"{inner.name}/{name}": strategy for name, strategy in found.items()}


class SpectralNormalization(Containing):
    """The inner layer, with its kernel divided by its largest singular value in training.

    Keras stores the kernel twice: as `vars/0`, and with the inner layer, which
    is what it loads last.  The first is a weight `kernel` here (`embeddings`
    around an Embedding), which is no variable of its own and does not train.
    """

    class_name = "SpectralNormalization"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "layer": _LAYER,
        "power_iterations": Argument(positive_int, 1),
    }

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """The copy of the kernel, `vector_u` (1, its last axis), the inner layer's weights."""
        inner = self.inside(config)
        specs = inner.weights(call, "layer")
        kernels = {f"{inner.name}/{name}" for name in ("kernel", "embeddings")}
        kernel = next((spec for spec in specs if spec.name in kernels), None)
        if kernel is None:
            raise RuleError(f"wraps a {inner.rule.class_name}, which has no kernel of its own")
        vector = WeightSpec(
            "vector_u",
            "vars/1",
            (1, kernel.shape[-1]),
            ("", kernel.axes[-1]),
            Strategy("TruncatedNormal", {"stddev": 0.02}),
            trainable=False,
            dtype=kernel.dtype,
        )
        name = kernel.name.removeprefix(f"{inner.name}/")
        return [
            replace(kernel, name=name, slot="vars/0", trainable=False, twin=kernel.name),
            vector,
            *specs,
        ]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The inner layer's."""
        inner = self.inside(config)
        return inner.rule.outputs(inner.config, call)

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and the inner layer's."""
        return ["", *self.inside(config).groups("layer")]


class Bidirectional(Containing):
    """A recurrent layer and its like in the other direction, their outputs merged.

    Outputs: the merged output, or both without a `merge_mode`; then the states
    of the forward layer and those of the backward layer.  Concatenated, the
    output is two blocks: `2*units`.
    """

    class_name = "Bidirectional"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "layer": _LAYER,
        "merge_mode": Argument(one_of("sum", "mul", "ave", "concat", None), "concat"),
        "backward_layer": Argument(optional(layer), None),
    }

    def inside(self, config: Config) -> Child:
        """The forward layer."""
        return self.directions(config)[0]

    def directions(self, config: Config) -> tuple[Child, Child]:
        """Forward and backward layer; without a `backward_layer` it is made of the other.

        Raises:
            RuleError: they do not fit each other.
        """
        given = child(config.get("layer"), "wraps")
        forward = replace(given, name=f"forward_{given.name.removeprefix('forward_')}")
        if config.get("backward_layer") is not None:
            backward = child(config["backward_layer"], "wraps")
        else:
            name = f"backward_{given.name.removeprefix('backward_')}"
            backward = Child(given.rule, name, {**given.config, "go_backwards": True})
        _check_directions(forward, backward)
        return forward, backward

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """Those of the forward layer, then those of the backward layer."""
        self.outputs(config, call)
        forward, backward = self.directions(config)
        return [
            *forward.weights(call, "forward_layer"),
            *backward.weights(call, "backward_layer"),
        ]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The merged output, or both; then all states."""
        forward, backward = self.directions(config)
        output, *states = forward.rule.outputs(forward.config, call)
        if [output, *states] != list(backward.rule.outputs(backward.config, call)):
            raise RuleError("has a backward layer of another size, which Keras cannot describe")
        mode = setting(self, config, "merge_mode")
        if mode is None:
            return [output, output, *states, *states]
        if mode == "concat":
            width = output[-1]
            output = (*output[:-1], None if width is None else 2 * width)
        return [output, *states, *states]

    def groups(self, config: Config) -> Sequence[str]:
        """Its own, and those of both layers."""
        forward, backward = self.directions(config)
        return ["", *forward.groups("forward_layer"), *backward.groups("backward_layer")]

    def resized(self, config: Config, dimension: str, size: int) -> Mapping[str, Any]:
        """Both layers with the other size."""
        changes = dict(super().resized(config, dimension, size))
        if config.get("backward_layer") is not None:
            _, backward = self.directions(config)
            other = backward.rule.resized(backward.config, dimension, size)
            changes["backward_layer"] = with_config(config["backward_layer"], other)
        return changes

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """The inner layer's, twice where the outputs are concatenated."""
        feature = super().feature_of(config, call)
        if feature is None or setting(self, config, "merge_mode") != "concat":
            return feature
        return f"2*{feature}"


def _check_directions(forward: Child, backward: Child) -> None:
    """Raise RuleError where Keras would not join the two layers."""
    for inner in (forward, backward):
        if not isinstance(inner.rule, Recurrent):
            raise RuleError(f"wraps a {inner.rule.class_name}, which is no recurrent layer")
    if _flag(forward, "go_backwards") == _flag(backward, "go_backwards"):
        raise RuleError("has two layers that run in the same direction")
    for key in _COMMON_FLAGS:
        if _flag(forward, key) != _flag(backward, key):
            raise RuleError(f"has two layers with another `{key}`")
    if _flag(forward, "stateful") and _flag(forward, "return_state"):
        raise RuleError("is stateful and returns its states, which Keras cannot call")


def _flag(inner: Child, key: str) -> bool:
    return bool(setting(inner.rule, inner.config, key))


RULES: tuple[Rule, ...] = (TimeDistributed(), SpectralNormalization(), Bidirectional())
"""The rules of this family."""
