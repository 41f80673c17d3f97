"""Text from models and patches made safe for terminals.

Layer names, messages and file names can hold anything.  Printed as they are,
escape sequences could repaint the screen, and invisible characters could make
one name look like another.
"""

from __future__ import annotations

import unicodedata

LIMIT = 400
"""Characters that are shown of one value."""


def safe(text: object, limit: int = LIMIT) -> str:
    """The text with control, bidirectional and invisible characters escaped, and cut.

    Args:
        limit: characters before escaping; longer text ends in `...`.
    """
    shown = str(text)
    if len(shown) > limit:
        shown = f"{shown[: max(limit - 3, 0)]}..."
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else _escaped(c) for c in shown)


def _escaped(character: str) -> str:
    r"""A character as Python writes it in a string: `\x1b`, `\u202e`."""
    return character.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Columns that a safe text takes on a terminal: wide characters take two, marks none."""
    if text.isascii():
        return len(text)
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def padded(text: str, columns: int) -> str:
    """The text with spaces behind it up to a number of columns."""
    return text + " " * (columns - width(text))
