"""Vocabularies that Keras stores as files of their own: a token in each line."""

from __future__ import annotations

from collections.abc import Sequence

FILE = "vocabulary.txt"
"""Name of such a file, in the folder of its layer."""


def lines_of(data: bytes) -> list[str]:
    """The lines of a vocabulary, as Keras reads them: empty ones at the end do not count.

    Source: `IndexLookup.load_assets`.

    Raises:
        UnicodeDecodeError: where it is no UTF-8.
    """
    lines = data.decode().splitlines()
    while lines and not lines[-1]:
        lines.pop()
    return lines


def with_lines(data: bytes, lines: Sequence[str]) -> bytes:
    """A vocabulary with further lines; what it holds stays byte for byte."""
    return b"\n".join([data.rstrip(b"\r\n"), *(line.encode() for line in lines)])
