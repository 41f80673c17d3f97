"""Numbers, shapes and values as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchc.model.initializers import KERAS_INITIALIZERS, snake_case
from patchc.report.safe import padded, safe, width

_LONGEST_VALUE = 60
_DEEPEST_VALUE = 8


def counted(number: int, noun: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def weight_shape(shape: Iterable[int]) -> str:
    """The shape of a weight, as NumPy prints it: `(16, 10)`, `(10,)`."""
    sizes = [str(size) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def tensor_shape(shape: Iterable[int | None] | None) -> str:
    """The shape of a tensor as patches write it: `[null, 10]`; `?` where it is not known."""
    if shape is None:
        return "?"
    return f"[{', '.join('null' if n is None else str(n) for n in shape)}]"


def value_text(value: Any) -> str:
    """A configuration value as patches write it, cut where it is long."""
    return safe(_value(value), _LONGEST_VALUE)


def _value(value: Any, depth: int = 0) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (Mapping, list, tuple)) and depth >= _DEEPEST_VALUE:
        return "..."
    if isinstance(value, Mapping):
        if "class_name" in value:
            return _object(str(value["class_name"]), value.get("config"), depth + 1)
        told = (f"{key}: {_value(item, depth + 1)}" for key, item in value.items())
        return f"{{{', '.join(told)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item, depth + 1) for item in value)}]"
    return str(value)


def _object(class_name: str, config: Any, depth: int) -> str:
    """A Keras object inside a configuration, such as an initialiser or a policy."""
    given = dict(config) if isinstance(config, Mapping) else {}
    if set(given) == {"name"}:
        return _value(given["name"], depth)
    told = {key: value for key, value in given.items() if value is not None}
    arguments = ", ".join(f"{key}={_value(value, depth)}" for key, value in told.items())
    return f"{class_name}({arguments})" if arguments else class_name


def strategy_text(strategy: Any) -> str:
    """A strategy of the plan (`Strategy.to_json`) as patches write it: `glorot_uniform`."""
    if isinstance(strategy, Mapping):
        ((name, arguments),) = strategy.items()
        told = [f"{key}={_value(value)}" for key, value in arguments.items() if value is not None]
        inside = f"({', '.join(told)})" if told else ""
        return safe(f"{_strategy_name(str(name))}{inside}", _LONGEST_VALUE)
    return _strategy_name(str(strategy))


def _strategy_name(name: str) -> str:
    return snake_case(name) if name in KERAS_INITIALIZERS else name


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What changes in a configuration: `units 10 -> 12, activation relu -> gelu`."""
    return ", ".join(
        f"{safe(key)} {value_text(before.get(key))} -> {value_text(value)}"
        for key, value in after.items()
    )


def fates(counts: Mapping[str, int]) -> str:
    """The counts of a ledger that are not zero: `4 kept, 2 grown`."""
    told = [f"{number:,} {fate}" for fate, number in counts.items() if number]
    return ", ".join(told) or "none"


def params_text(params: Mapping[str, int]) -> str:
    """Parameter counts before and after: `378 -> 800 (+422), trainable 346 -> 540`."""
    before, after = params["before"], params["after"]
    total = f"{before:,}" if before == after else f"{before:,} -> {after:,} ({after - before:+,})"
    before, after = params["trainable_before"], params["trainable_after"]
    trainable = f"{before:,}" if before == after else f"{before:,} -> {after:,}"
    return f"{total}, trainable {trainable}"


def ends_text(ends: Iterable[Mapping[str, Any]]) -> str:
    """Inputs or outputs with their shapes: `label [null, 5], value [null, 1]`."""
    return ", ".join(f"{safe(end['name'])} {tensor_shape(end['shape'])}" for end in ends)


def table(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """Rows in columns, two spaces apart.

    Args:
        right: numbers of the columns that are set to the right.
    """
    if not rows:
        return []
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            " " * (columns - width(cell)) + cell if number in right else padded(cell, columns)
            for number, (cell, columns) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
