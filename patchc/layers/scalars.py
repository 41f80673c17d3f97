"""Kinds of plain argument values: numbers, names, tuples and shapes.

A kind takes a value as a patch gives it and returns it as Keras's `get_config`
would write it (tuples as lists), or raises RuleError with a clause that can
follow the argument's name.  `patchc.layers.arguments` hands all kinds on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from patchc.layers.base import RuleError

Kind = Callable[[Any], Any]


def anything(value: Any) -> Any:
    """Any value, as it is."""
    return value


def boolean(value: Any) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise RuleError("must be true or false")
    return value


def string(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise RuleError("must be a text")
    return value


def is_integer(value: Any) -> bool:
    """Whether `value` is a whole number; booleans are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def integer(value: Any) -> int:
    """Any whole number."""
    if not is_integer(value):
        raise RuleError("must be an integer")
    return int(value)


def positive_int(value: Any) -> int:
    """A whole number from 1."""
    if not is_integer(value) or value < 1:
        raise RuleError("must be a positive integer")
    return int(value)


def non_negative_int(value: Any) -> int:
    """A whole number from 0."""
    if not is_integer(value) or value < 0:
        raise RuleError("must be an integer from 0")
    return int(value)


def number(value: Any) -> float:
    """A finite number."""
    if not is_integer(value) and not isinstance(value, float):
        raise RuleError("must be a number")
    if not math.isfinite(value):
        raise RuleError("must be a finite number")
    result: float = value
    return result


def non_negative_number(value: Any) -> float:
    """A finite number from 0."""
    if number(value) < 0:
        raise RuleError("must be a number from 0")
    return number(value)


def positive_number(value: Any) -> float:
    """A finite number above 0."""
    if number(value) <= 0:
        raise RuleError("must be a number above 0")
    return number(value)


def fraction(value: Any) -> float:
    """A number from 0 to 1, both included, such as a dropout rate."""
    if not 0 <= number(value) <= 1:
        raise RuleError("must be a number from 0 to 1")
    return number(value)


def optional(kind: Kind) -> Kind:
    """`kind`, or null."""

    def check(value: Any) -> Any:
        if value is None:
            return None
        try:
            return kind(value)
        except RuleError as error:
            raise RuleError(f"{error}, or null") from None

    return check


def either(*kinds: Kind) -> Kind:
    """The first of `kinds` that takes the value."""

    def check(value: Any) -> Any:
        messages = []
        for kind in kinds:
            try:
                return kind(value)
            except RuleError as error:
                messages.append(str(error))
        raise RuleError(" or ".join([messages[0], *_without_must(messages[1:])]))

    return check


def _without_must(messages: list[str]) -> list[str]:
    return [message.removeprefix("must be ") for message in messages]


def one_of(*options: Any, fold: bool = False) -> Kind:
    """One of the given values.

    Args:
        options: the values.
        fold: take texts in any case and write them in lower case, as Keras
            does for `padding` and `data_format`.
    """

    def check(value: Any) -> Any:
        folded = value.lower() if fold and isinstance(value, str) else value
        for option in options:
            if type(option) is type(folded) and option == folded:
                return option
        named = ", ".join("null" if option is None else str(option) for option in options)
        raise RuleError(f"must be one of {named}")

    return check


def list_of(kind: Kind, length: int | None = None) -> Kind:
    """A list (of `length`, where given) of values of one kind."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise RuleError("must be a list")
        if length is not None and len(value) != length:
            raise RuleError(f"must be a list of {length}")
        try:
            return [kind(item) for item in value]
        except RuleError as error:
            raise RuleError(f"must be a list, and each entry {error}") from None

    return check


def int_tuple(rank: int, minimum: int = 1) -> Kind:
    """`rank` integers, written as a list; one integer stands for all of them.

    Source: `keras.src.utils.argument_validation.standardize_tuple`.
    """
    message = f"must be an integer from {minimum}, or a list of {rank} of them"

    def check(value: Any) -> list[int]:
        items = [value] * rank if is_integer(value) else value
        if not isinstance(items, (list, tuple)) or len(items) != rank:
            raise RuleError(message)
        if not all(is_integer(item) and item >= minimum for item in items):
            raise RuleError(message)
        return list(items)

    return check


def shape(value: Any) -> list[int | None]:
    """A shape: a list of sizes, null for an unknown one."""
    if not isinstance(value, (list, tuple)):
        raise RuleError("must be a list of sizes, null for an unknown one")
    if not all(size is None or (is_integer(size) and size >= 0) for size in value):
        raise RuleError("must be a list of sizes, null for an unknown one")
    return list(value)


def axes(value: Any) -> int | list[int]:
    """One axis number, or a list of them."""
    if is_integer(value):
        return int(value)
    if not isinstance(value, (list, tuple)) or not all(map(is_integer, value)):
        raise RuleError("must be an axis number, or a list of them")
    return list(value)


def data_format(value: Any) -> str:
    """`channels_last` or `channels_first`; null is Keras's default, `channels_last`."""
    if value is None:
        return "channels_last"
    return str(one_of("channels_last", "channels_first", fold=True)(value))


padding = one_of("valid", "same", fold=True)
"""`valid` or `same`."""
