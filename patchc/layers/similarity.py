"""Attention without projections.

The output runs over the features of the value; query and key share theirs,
`input`, which are those of the value too where there is no key of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from patchc.layers.arguments import (
    boolean,
    integer,
    number,
    one_of,
    optional,
)
from patchc.layers.base import (
    Argument,
    CallSpec,
    Config,
    Port,
    Rule,
    RuleError,
    Shape,
    TensorSpec,
    WeightSpec,
    refuse_quantised,
)
from patchc.layers.contracts import BOTH, Norm
from patchc.layers.parts import setting
from patchc.layers.shapes import need_size
from patchc.model.axis import AxisMap
from patchc.model.values import ONES, Strategy

_NO = Argument(boolean, False)
_YES = Argument(boolean, True)
_RATE = Argument(number, 0.0)
_SEED = Argument(optional(integer), None)


class Attention(Rule):
    """Weighs the value by the similarity of query and key: no projections.

    The output runs over the features of the value; query and key share theirs.
    """

    class_name = "Attention"
    feature = "input:value"
    arguments: ClassVar[Mapping[str, Argument]] = {
        "use_scale": _NO,
        "score_mode": Argument(one_of("dot", "concat"), "dot"),
        "dropout": _RATE,
        "seed": _SEED,
    }

    def _inputs(self, call: CallSpec) -> tuple[Shape, Shape, Shape]:
        """Shapes of query, value and key."""
        given = call.get("inputs", 0)
        if not isinstance(given, (list, tuple)) or len(given) not in {2, 3}:
            raise RuleError("needs a list of inputs: query and value, and perhaps key")
        if not all(isinstance(item, TensorSpec) for item in given):
            raise RuleError("needs a list of tensors")
        query, value, key = given[0].shape, given[1].shape, given[-1].shape
        return query, value, value if len(given) == 2 else key

    def feature_of(self, config: Config, call: CallSpec) -> str | None:
        """The features of the value, which are those of the key where there is no other."""
        return "input" if len(call.tensors()) == 2 else self.feature

    def ports(self, config: Config, call: CallSpec) -> Sequence[Port]:
        """Query and key share `input`; what comes out is what the value has."""
        given = call.get("inputs", 0)
        tensors = list(given) if isinstance(given, (list, tuple)) else []
        value = "input" if len(tensors) == 2 else "input:value"
        labels = ["input", value, "input"][: len(tensors)]
        read = [
            Port(False, i, len(tensor.shape) - 1, label)
            for i, (tensor, label) in enumerate(zip(tensors, labels, strict=True))
        ]
        return [*read, Port(True, 0, len(tensors[0].shape) - 1, value)]

    def asks(
        self, config: Config, call: CallSpec, label: str, change: AxisMap, size: int
    ) -> Norm | None:
        """Scores sum over the features: new ones of query or key have to be zero."""
        if label != "input":
            return None
        one = setting(self, config, "score_mode") == "dot"
        return Norm("zero", of=self._compared(call), one=one)

    def _compared(self, call: CallSpec) -> tuple[int, int]:
        """Numbers of query and key; without a key of its own, the value is one."""
        return 0, len(call.get("inputs", 0)) - 1

    keeps = BOTH  # weights that sum to 1, the same for all features

    def carriers(self, config: Config, call: CallSpec) -> Sequence[int]:
        """The value."""
        return (1,)

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`scale` and, for the score mode `concat`, `concat_score_weight`: one number each."""
        refuse_quantised(config)
        self._inputs(call)
        present = {
            "scale": setting(self, config, "use_scale"),
            "concat_score_weight": setting(self, config, "score_mode") == "concat",
        }
        names = [name for name, wanted in present.items() if wanted]
        return [WeightSpec(name, f"vars/{i}", (), (), ONES) for i, name in enumerate(names)]

    def on_one(self, tensor: Any) -> list[Any]:
        """Self-attention: query and value are the same."""
        return [[tensor, tensor]]

    def outputs(self, config: Config, call: CallSpec) -> Sequence[Shape]:
        """The output; with `return_attention_scores` the scores of query against key."""
        query, value, key = self._inputs(call)
        output = (*query[:-1], value[-1])
        if not call.get("return_attention_scores", 3):
            return (output,)
        return output, (*query[:-1], key[-2])


class AdditiveAttention(Attention):
    """As Attention, with `scale` of one entry per feature of query and key."""

    class_name = "AdditiveAttention"
    arguments: ClassVar[Mapping[str, Argument]] = {"use_scale": _YES, "dropout": _RATE}

    def asks(
        self, config: Config, call: CallSpec, label: str, change: AxisMap, size: int
    ) -> Norm | None:
        """With a scale, which is zero for new features, nothing."""
        if label != "input" or setting(self, config, "use_scale"):
            return None
        return Norm("zero", of=self._compared(call))

    def weights(self, config: Config, call: CallSpec) -> Sequence[WeightSpec]:
        """`scale`, where it is used."""
        refuse_quantised(config)
        query, _, _ = self._inputs(call)
        if not setting(self, config, "use_scale"):
            return ()
        size = need_size(query, -1)
        return [WeightSpec("scale", "vars/0", (size,), ("input",), Strategy("GlorotUniform"))]


RULES: tuple[Rule, ...] = (Attention(), AdditiveAttention())
"""The rules of this family."""
