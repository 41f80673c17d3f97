"""Patches as text, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

from patchc.errors import Diagnostic, PatchError
from patchc.language import Patch, loads
from patchc.language.patch import Edit

GUIDE = Path(__file__).parents[3] / "shared" / "guides" / "patches-people-need.md"

HEAD = "patchc: 1\nid: a\nedits:\n"


def edit(text: str) -> Edit:
    """The one edit whose keys, one a line, are `text`."""
    return loads(with_edit(text)).edits[0]


def with_edit(text: str) -> str:
    lines = text.strip().split("\n")
    return HEAD + "\n".join(f"  {'-' if i == 0 else ' '} {line}" for i, line in enumerate(lines))


def problems(text: str | bytes, **settings: str) -> list[Diagnostic]:
    """What `loads` refuses the text for; an empty list where it does not."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    try:
        loads(text, set_values=settings)
    except PatchError as error:
        return list(error.diagnostics)
    return []


def edit_problems(text: str) -> list[Diagnostic]:
    return problems(with_edit(text))


def codes(found: list[Diagnostic]) -> list[str]:
    return [diagnostic.code for diagnostic in found]


def marked(diagnostic: Diagnostic) -> str:
    """The text of the source that a diagnostic points at."""
    span = diagnostic.span
    assert span is not None
    assert span.line == span.end_line
    return span.source.line(span.line)[span.column - 1 : span.end_column - 1]


def people_need() -> dict[str, str]:
    """The patches of the guide by name; empty where the guide is not there."""
    if not GUIDE.exists():
        return {}
    found = re.findall(r"\*\*(\w+)\*\*.*?```yaml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    return dict(found)


def load_needed(text: str) -> Patch:
    return loads(text, set_values={"classes": "5"} if "params:" in text else None)
