"""Colours, for terminals that want them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts colour on text, or leaves it plain.

    Args:
        on: whether there is colour.
    """

    on: bool = False

    def bold(self, text: str) -> str:
        """Headings."""
        return self._code("1", text)

    def red(self, text: str) -> str:
        """Errors, and what is taken away."""
        return self._code("31", text)

    def green(self, text: str) -> str:
        """What is new, and what holds."""
        return self._code("32", text)

    def yellow(self, text: str) -> str:
        """Warnings, and what changes."""
        return self._code("33", text)

    def blue(self, text: str) -> str:
        """The frame around source lines."""
        return self._code("34", text)

    def dim(self, text: str) -> str:
        """What may be passed over."""
        return self._code("2", text)

    def _code(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text


PLAIN = Paint()
"""No colour."""
