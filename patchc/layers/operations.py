"""Operations that are no layers: `x * 2.0` and `ops.relu(x)` in a functional model.

Three kinds are known: element-wise ones (here), those that move entries about
(`moving`, `taking`, `pattern`), and those that hand axes on by name (`linked`).
An operation shares its class name with a layer at times, so the module
decides: `keras.src.ops.numpy` and its siblings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.layers.base import CallSpec, Config, NoRuleError, RuleError, Shape, TensorSpec
from patchc.layers.constants import array_shape, is_array
from patchc.layers.contracts import BOTH, NONE, ONLY_MEAN, ONLY_ZERO, Contracts
from patchc.layers.linked import LINKED
from patchc.layers.movement import Movement, Mover
from patchc.layers.moving import MOVING
from patchc.layers.operands import operands
from patchc.layers.pattern import PATTERNS
from patchc.layers.shapes import written
from patchc.layers.taking import TAKING
from patchc.layers.views import Linker, View

_UNARY = {
    "numpy": (
        "Abs Absolute Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Ceil Clip Copy Cos Cosh "
        "Deg2rad Exp Exp2 Expm1 Fabs Floor I0 Log Log10 Log1p Log2 NanToNum Negative Rad2deg "
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
        "Add Arctan2 Divide DivideNoNan FloorDivide Fmax Fmin Fmod Heaviside Hypot Logaddexp "
        "Logaddexp2 Maximum Minimum Mod Multiply Nextafter Power Subtract TrueDivide"
    ),
}
_TESTS = {
    1: "Isfinite Isinf Isnan Isneginf Isposinf LogicalNot Signbit",
    2: "Equal Greater GreaterEqual Isclose Less LessEqual LogicalAnd LogicalOr LogicalXor NotEqual",
}
"""Keras makes masks with them (`Embedding(mask_zero=True)`)."""
_CASTS = (
    ("core", "Cast"),
    ("core", "SaturateCast"),
    ("numpy", "OnesLike"),
    ("numpy", "ZerosLike"),
)
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
        "Rsqrt",
        "Sqrt",
        "Tan",
    }
)
"""Operations that are not defined for all numbers."""
_FACTORS = frozenset({"Multiply", "Divide", "TrueDivide", "FloorDivide", "Mod", "Fmod", "Power"})
"""Operations whose second operand changes nothing where it is one."""
_AT_ORIGIN = (
    "Abs Absolute Arctan Cbrt Celu Elu Erf Expm1 Fabs Gelu HardShrink HardSilu HardTanh LeakyRelu"
    " Log1p Maximum Minimum Relu Relu6 Selu Sign Silu Sin Sinh SoftShrink Softsign Sqrt Square"
    " Tanh TanhShrink"
)
_ZERO_AT_ZERO = frozenset(_AT_ORIGIN.split())
"""Operations that make zero of nothing but zeros."""


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

    @property
    def neutral(self) -> float:
        """What a constant operand gets where it has to have further entries."""
        return 1.0 if self.class_name in _FACTORS else 0.0

    def may_fail(self, call: CallSpec) -> bool:
        """Whether some entries, such as zero or negative ones, give infinity or no number.

        Multiplied by a zero weight, those would still spoil what reads them.
        """
        given = _operands(call)
        second = given[1] if len(given) > 1 else None
        if self.class_name == "Power":
            return not (isinstance(second, (int, float)) and second >= 0 and second == int(second))
        divides = "Divide" in self.class_name or self.class_name in {"Mod", "Fmod"}
        return self.class_name in _PARTIAL or (divides and isinstance(second, TensorSpec))

    def kept(self, call: CallSpec) -> Contracts:
        """What it hands on of the new entries of its tensors, see `patchc.layers.contracts`."""
        given = _operands(call)[: self.operands]
        tensors = [isinstance(operand, TensorSpec) for operand in given]
        if any(is_array(operand) for operand in given):
            return NONE
        if self.class_name in {"Add", "Subtract"}:
            return BOTH if all(tensors) else ONLY_MEAN
        if self.class_name == "Multiply":
            return ONLY_ZERO if all(tensors) else BOTH
        if self.class_name in {"Divide", "TrueDivide"}:
            return BOTH if tensors == [True, False] else NONE
        if self.class_name in {"Copy", "Negative", "StopGradient"}:
            return BOTH
        if self.class_name == "NotEqual":
            return ONLY_ZERO if given[1:] == [0] else NONE
        return ONLY_ZERO if self.class_name in _ZERO_AT_ZERO and all(tensors) else NONE

    def outputs(self, config: Config, call: CallSpec) -> Sequence[TensorSpec]:
        """Shape and dtype of the one output.

        Raises:
            RuleError: where the operands do not fit, or where their dtypes are
                not one (floating-point, but for comparisons): Keras then has
                rules of its own.
        """
        given = _operands(call)[: self.operands]
        if len(given) < self.operands:
            raise RuleError(f"needs {self.operands} operands")
        dtypes = {tensor.dtype for tensor in given if isinstance(tensor, TensorSpec)}
        if len(dtypes) != 1 or not ("float" in min(dtypes) or self.dtype):
            raise NoRuleError(f"has operands of {', '.join(sorted(dtypes)) or 'no tensors'}")
        return [TensorSpec(_broadcast_of(given, min(dtypes)), self.dtype or min(dtypes))]


@dataclass(frozen=True, slots=True)
class _Cast(OperationRule):
    """The same entries, or as many, of the dtype that the configuration names."""

    def outputs(self, config: Config, call: CallSpec) -> Sequence[TensorSpec]:
        """The shape of the input."""
        given = _operands(call)[:1]
        if not given or not isinstance(given[0], TensorSpec):
            raise RuleError("needs a tensor")
        dtype = config.get("dtype") or given[0].dtype
        if not isinstance(dtype, str):
            raise NoRuleError("makes entries of a dtype without a name")
        return [TensorSpec(given[0].shape, dtype)]


@dataclass(frozen=True, slots=True)
class _Where(OperationRule):
    """Entries of one operand or the other, as a third one says."""

    def outputs(self, config: Config, call: CallSpec) -> Sequence[TensorSpec]:
        """All operands, broadcast."""
        given = operands(call, ("condition", "x1", "x2"))
        parts = [TensorSpec(p.shape, p.dtype) if hasattr(p, "shape") else p for p in given.values()]
        if len(parts) != 3 or any(part is None for part in parts):
            raise NoRuleError("names places instead of choosing entries")
        dtypes = {part.dtype for part in parts[1:] if isinstance(part, TensorSpec)}
        if len(dtypes) != 1 or "float" not in min(dtypes):
            raise NoRuleError(f"has operands of {', '.join(sorted(dtypes)) or 'no tensors'}")
        return [TensorSpec(_broadcast_of(parts, min(dtypes)), min(dtypes))]


@dataclass(frozen=True, slots=True)
class MovingRule:
    """What an operation that moves entries makes of its inputs.

    Args:
        class_name: of the operation.
        mover: how it moves them.
    """

    class_name: str
    mover: Mover

    def movement(self, config: Config, call: CallSpec) -> Movement:
        """The routes of one call.  Raises RuleError where patchc does not know them."""
        return self.mover.movement(config, operands(call, self.mover.parameters))

    def outputs(self, config: Config, call: CallSpec) -> Sequence[TensorSpec]:
        """Shape and dtype of every output.  Raises RuleError where patchc does not know."""
        dtypes = {tensor.dtype for tensor in call.tensors()}
        if len(dtypes) != 1:
            raise NoRuleError(f"has operands of {', '.join(sorted(dtypes)) or 'no tensors'}")
        movement = self.movement(config, call)
        return [TensorSpec(route.shape(), min(dtypes)) for route in movement.routes]


@dataclass(frozen=True, slots=True)
class LinkedRule:
    """What an operation that hands axes on by name makes of its inputs.

    Args:
        class_name: of the operation.
        linker: which of its axes belong together.
    """

    class_name: str
    linker: Linker

    def view(self, config: Config, call: CallSpec) -> View:
        """What belongs together in one call.  Raises RuleError where patchc does not know."""
        return self.linker.view(config, operands(call, self.linker.parameters))

    def outputs(self, config: Config, call: CallSpec) -> Sequence[TensorSpec]:
        """Shape and dtype of every output.  Raises RuleError where patchc does not know."""
        return self.view(config, call).outputs


AnyRule = OperationRule | MovingRule | LinkedRule


def _operands(call: CallSpec) -> list[Any]:
    """The operands in order; those that are given by name come last (`x`, `x1`, `x2`)."""
    named = [call.kwargs[key] for key in ("x", "x1", "x2", "variable") if key in call.kwargs]
    return [*call.args, *named]


def _broadcast_of(given: Sequence[Any], dtype: str) -> Shape:
    shape: Shape = ()
    for operand in given:
        shape = broadcast(shape, _shape_of(operand, dtype))
    return shape


def _shape_of(operand: Any, dtype: str) -> Shape:
    if isinstance(operand, TensorSpec):
        return operand.shape
    if isinstance(operand, (int, float)):
        return ()
    if is_array(operand) and operand["config"].get("dtype") in {dtype, "bool"}:
        return array_shape(operand)
    raise NoRuleError("has a constant operand of another kind")


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


_ELEMENTWISE: Mapping[tuple[str, str], OperationRule] = {
    (module, name): OperationRule(name, count)
    for count, table in ((1, _UNARY), (2, _BINARY))
    for module, names in table.items()
    for name in names.split()
} | {
    ("numpy", name): OperationRule(name, count, dtype="bool")
    for count, names in _TESTS.items()
    for name in names.split()
}
_CHOOSING: Mapping[tuple[str, str], OperationRule] = {
    **{(module, name): _Cast(name, 1) for module, name in _CASTS},
    ("numpy", "Where"): _Where("Where", 3),
}
_RULES: Mapping[tuple[str, str], AnyRule] = {
    **_ELEMENTWISE,
    **_CHOOSING,
    **{key: MovingRule(key[1], mover) for key, mover in {**MOVING, **TAKING, **PATTERNS}.items()},
    **{key: LinkedRule(key[1], linker) for key, linker in LINKED.items()},
}


def operation_rule(class_name: str, module: str | None) -> AnyRule | None:
    """The rule of an operation node; None where there is none.

    Args:
        class_name: as in the model's configuration.
        module: the module it names, such as `keras.src.ops.numpy`.
    """
    if module is None or not module.startswith(_MODULE):
        return None
    return _RULES.get((module.removeprefix(_MODULE), class_name))


def all_operations() -> tuple[tuple[str, AnyRule], ...]:
    """Every known operation as (module, rule)."""
    return tuple((_MODULE + module, rule) for (module, _), rule in sorted(_RULES.items(), key=str))
