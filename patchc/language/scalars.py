"""Plain YAML scalars to values, by the core schema of YAML 1.2.

Stricter than the schema in one point: `.nan` and `.inf` are refused, because
neither has a meaning in a patch.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

LONGEST_NUMBER = 64
"""Digits are read up to this many characters."""

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PREFIXED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

FORBIDDEN = re.compile(
    r"[^\t\n\x20-\x7e\xa0-\u200a\u200c-\u2027\u202f-\u205f\u2061-\u2065\u206a-\ud7ff"
    r"\ue000-\ufefe\uff00-\U0010ffff]"
)
"""A character that no text of a patch may hold.

Control characters but tab and line feed, halves of surrogate pairs, and the
invisible characters that turn the direction of text or have no width: they
make two texts look alike that are not.
"""


def resolve(text: str) -> Scalar:
    """Return the value that the plain scalar `text` stands for.

    `012` is 12, `0o17` is 15, `1e-3` is a number; `yes`, `1_000`, `12:30` and
    dates are text.  Raises ValueError, with a message for users, where the
    number is not finite or too long.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"`{text}` is not a finite number")
    prefixed = _PREFIXED.fullmatch(text)
    if not (prefixed or _FLOAT.fullmatch(text)):
        return text
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters, at most {LONGEST_NUMBER} are read")
    if prefixed:
        return int(text, 0)
    return int(text) if _INTEGER.fullmatch(text) else _finite(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"`{text}` is too large for a number")
    return value
