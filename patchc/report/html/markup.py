"""HTML elements from plain values, with everything escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from patchc.report.safe import safe


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as text of a page: escaped, with invisible characters shown."""
    return Html(escape(safe(value, 2_000)))


def element(name: str, *inside: object, **attributes: object) -> Html:
    """An element with what stands inside it; plain values are escaped.

    Args:
        attributes: `class_` is `class`, other underscores are hyphens; None
            leaves one out, True gives it no value.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{given}>{joined(inside)}</{name}>")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'


def joined(parts: Iterable[object]) -> Html:
    """Parts one behind the other; plain values are escaped."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], **attributes: object) -> Html:
    """A table; a cell that is a number or begins with a digit is set to the right."""
    head = element("tr", *(element("th", heading) for heading in headings))
    body = (element("tr", *map(_cell, row)) for row in rows)
    parts = element("thead", head), element("tbody", *body)
    return element("div", element("table", *parts, **attributes), class_="scroll")


def _cell(value: object) -> Html:
    number = isinstance(value, int) and not isinstance(value, bool)
    shown = f"{value:,}" if number else value
    return element("td", shown, class_="number" if number else None)
