"""Strict JSON: what `json.loads` takes, without what two readers take differently."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_MAX_DIGITS = 400


def parse_json(text: bytes) -> Any:
    """Read UTF-8 JSON.

    Raises:
        ValueError: where it is no JSON, names a key twice, nests too deep, or
            holds an integer of absurd length.
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_int=_integer)
    except RecursionError:
        raise ValueError("it nests too deep") from None


def finite(value: Any) -> Any:
    """The same data with infinities and NaN, which JSON does not have, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return data


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)
