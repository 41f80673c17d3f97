"""Rules of the embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from patchc.layers.arguments import (
    anything,
    boolean,
    constraint,
    initializer,
    number,
    optional,
    positive_int,
    regularizer,
    tensor_dtype,
)
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Rule,
    RuleError,
    Shape,
    WeightSpec,
    refuse_quantised,
)
from patchc.layers.contracts import BOTH, ONLY_ZERO, Contracts
from patchc.layers.objects import initializer_strategy
from patchc.layers.parts import setting
from patchc.layers.shapes import need_min_rank

_SIZES: Mapping[str, Argument] = {
    "input_dim": Argument(positive_int),
    "output_dim": Argument(positive_int),
}
_COMMON: Mapping[str, Argument] = {
    "embeddings_initializer": Argument(initializer, "uniform"),
    "embeddings_regularizer": Argument(regularizer, None),
    "embeddings_constraint": Argument(constraint, None),
    "mask_zero": Argument(boolean, False),
    "lora_rank": Argument(optional(positive_int), None),
    "lora_alpha": Argument(optional(number), None),
    "quantization_config": Argument(anything, None),
}


class Embedding(Rule):
    """One row of a table for each id."""

    class_name = "Embedding"
    arguments: ClassVar[Mapping[str, Argument]] = {**_SIZES, **_COMMON}
    feature = "output_dim"
    grows = ("input_dim", "output_dim")

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`embeddings` (input_dim, output_dim)."""
        refuse_quantised(config)
        shape = tuple(setting(self, config, key) for key in self.grows)
        made = initializer_strategy(config["embeddings_initializer"])
        return (WeightSpec("embeddings", "vars/0", shape, self.grows, made),)

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """Columns and rows may hold anything."""
        return BOTH

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The input's shape, and `output_dim` behind it."""
        return ((*call.shape, setting(self, config, "output_dim")),)


class ReversibleEmbedding(Embedding):
    """An embedding that can also be asked which ids a vector stands for."""

    class_name = "ReversibleEmbedding"
    arguments: ClassVar[Mapping[str, Argument]] = {
        **_SIZES,
        "tie_weights": Argument(boolean, True),
        **_COMMON,
        "reverse_dtype": Argument(optional(tensor_dtype), None),
        "logit_soft_cap": Argument(optional(number), None),
    }

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`embeddings`, and their reverse where it is not tied."""
        (forward,) = super().weights(config, call)
        if setting(self, config, "tie_weights"):
            return (forward,)
        rows, columns = forward.shape
        axes = ("output_dim", "input_dim")
        name = "reverse_embeddings"
        back = WeightSpec(name, "vars/1", (columns, rows), axes, forward.initializer)
        return (forward, back)

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """As of an embedding; in reverse, one entry per id."""
        if not is_reverse(call):
            return super().outputs(config, call)
        shape = need_min_rank(call, 1)
        size = setting(self, config, "output_dim")
        if shape[-1] not in {None, size}:
            raise RuleError(f"needs vectors of {size} entries, not {shape[-1]}")
        return ((*shape[:-1], setting(self, config, "input_dim")),)

    def made(self, config: Config, call: CallSpec) -> Contracts:
        """A cap on scores keeps zeros alone."""
        capped = is_reverse(call) and setting(self, config, "logit_soft_cap") is not None
        return ONLY_ZERO if capped else BOTH

    def reads_itself(self, config: Config, call: CallSpec) -> str | None:
        """In reverse, where the table is the same one."""
        tied = setting(self, config, "tie_weights")
        return "output_dim" if tied and is_reverse(call) else None

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """`output_dim`, and `input_dim` in reverse."""
        return "input_dim" if is_reverse(call) else "output_dim"


def is_reverse(call: CallSpec) -> bool:
    """Whether a call asks which ids vectors stand for."""
    return bool(call.get("reverse", 1))


RULES: tuple[Rule, ...] = (Embedding(), ReversibleEmbedding())
