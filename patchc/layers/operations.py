"""Operations that are no layers: `x * 2.0` and `ops.relu(x)` in a functional model.

Only element-wise ones are known.  An operation shares its class name with a
layer at times, so the module decides: `keras.src.ops.numpy` and its siblings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.layers.base import CallSpec, Config, RuleError, Shape, TensorSpec
from patchc.layers.objects import is_serialised
from patchc.layers.shapes import written

_UNARY = {
    "numpy": (
        "Abs Absolute Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Ceil Clip Copy Cos Cosh "
        "Deg2rad Exp Exp2 Expm1 Fabs Floor Log Log10 Log1p Log2 NanToNum Negative Rad2deg "
        "Round Sign Sin Sinc Sinh Sqrt Square Tan Tanh Trunc"
    ),
    "nn": (
        "Celu Elu Gelu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid Relu Relu6 "
        "Selu Sigmoid Silu SoftShrink Softplus Softsign SparsePlus SparseSigmoid Squareplus "
        "TanhShrink Threshold"
    ),
    "math": "Erf Erfc Erfinv Rsqrt",
    "core": "StopGradient",
}
_BINARY = {
    "numpy": (
        "Add Arctan2 Divide DivideNoNan FloorDivide Fmax Fmin Fmod Hypot Logaddexp Logaddexp2 "
        "Maximum Minimum Mod Multiply Power Subtract TrueDivide"
    ),
}
_COMPARISONS = "Equal Greater GreaterEqual Less LessEqual NotEqual"
"""Keras makes masks with them (`Embedding(mask_zero=True)`)."""
_MODULE = "keras.src.ops."
_PARTIAL = frozenset(
    {
        "Arccos",
        "Arccosh",
        "Arcsin",
        "Arctanh",
        "Erfinv",
        "Log",
        "Log10",
        "Log1p",
        "Log2",
        "Power",
        "Rsqrt",
        "Sqrt",
        "Tan",
    }
)
"""Operations that are not defined for all numbers."""


@dataclass(frozen=True, slots=True)
class OperationRule:
    """What an element-wise operation makes of its inputs.

    Args:
        class_name: of the operation.
        operands: number of operands that are broadcast against one another.
        elementwise: each entry of the output depends on the entries of the
            same place in the inputs only.
        dtype: of the output; None: that of the operands.
    """

    class_name: str
    operands: int
    elementwise: bool = True
    dtype: str | None = None

    def may_fail(self, tensors: int) -> bool:
        """Whether some entries, such as zero or negative ones, give infinity or no number.

        Multiplied by a zero weight, those would still spoil what reads them.

        Args:
            tensors: number of its operands that are no constants.
        """
        divides = "Divide" in self.class_name or self.class_name in {"Mod", "Fmod"}
        return self.class_name in _PARTIAL or (divides and tensors > 1)

    def outputs(self, config: Config, call: CallSpec) -> Sequence[TensorSpec]:
        """Shape and dtype of the one output.

        Raises:
            RuleError: where the operands do not fit, or where their dtypes are
                not one (floating-point, but for comparisons): Keras then has
                rules of its own.
        """
        operands = _operands(call)
        if len(operands) < self.operands:
            raise RuleError(f"needs {self.operands} operands")
        tensors = [item for item in operands[: self.operands] if isinstance(item, TensorSpec)]
        dtypes = {tensor.dtype for tensor in tensors}
        if len(dtypes) != 1 or not ("float" in min(dtypes) or self.dtype):
            listed = ", ".join(sorted(dtypes)) or "no tensors"
            raise RuleError(f"has operands of {listed}, for which patchc has no rule")
        shape: Shape = ()
        for operand in operands[: self.operands]:
            shape = broadcast(shape, _shape_of(operand, min(dtypes)))
        return [TensorSpec(shape, self.dtype or min(dtypes))]


def _operands(call: CallSpec) -> list[Any]:
    """The operands in order; those that are given by name come last (`x`, `x1`, `x2`)."""
    named = [call.kwargs[key] for key in ("x", "x1", "x2", "variable") if key in call.kwargs]
    return [*call.args, *named]


def _shape_of(operand: Any, dtype: str) -> Shape:
    if isinstance(operand, TensorSpec):
        return operand.shape
    if isinstance(operand, (int, float)):
        return ()
    if is_serialised(operand) and operand["class_name"] in {"__tensor__", "__numpy__"}:
        inner = operand.get("config")
        if isinstance(inner, Mapping) and inner.get("dtype") == dtype:
            return _nested_shape(inner.get("value"))
    raise RuleError("has a constant operand for which patchc has no rule")


def _nested_shape(value: Any) -> Shape:
    if not isinstance(value, (list, tuple)):
        return ()
    return (len(value), *(_nested_shape(value[0]) if value else ()))


def broadcast(one: Shape, other: Shape) -> Shape:
    """The shape of two operands broadcast against each other, aligned at the end.

    An unknown size takes the other one's, unless that is 1.
    Source: `keras.src.ops.operation_utils.broadcast_shapes`.
    """
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    padded = (1,) * (len(longer) - len(shorter)) + tuple(shorter)
    result = []
    for size, against in zip(longer, padded, strict=True):
        known = {size, against} - {1, None}
        if len(known) > 1:
            raise RuleError(f"cannot broadcast {written(one)} and {written(other)}")
        unknown = None in {size, against}
        result.append(known.pop() if known else None if unknown else 1)
    return tuple(result)


_RULES: Mapping[tuple[str, str], OperationRule] = {
    (module, name): OperationRule(name, operands)
    for operands, table in ((1, _UNARY), (2, _BINARY))
    for module, names in table.items()
    for name in names.split()
} | {("numpy", name): OperationRule(name, 2, dtype="bool") for name in _COMPARISONS.split()}


def operation_rule(class_name: str, module: str | None) -> OperationRule | None:
    """The rule of an operation node; None where there is none.

    Args:
        class_name: as in the model's configuration.
        module: the module it names, such as `keras.src.ops.numpy`.
    """
    if module is None or not module.startswith(_MODULE):
        return None
    return _RULES.get((module.removeprefix(_MODULE), class_name))


def all_operations() -> tuple[tuple[str, OperationRule], ...]:
    """Every known operation as (module, rule)."""
    return tuple((_MODULE + module, rule) for (module, _), rule in sorted(_RULES.items(), key=str))
