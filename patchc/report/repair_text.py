"""Repairs of older configurations as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from patchc.report.paint import Paint
from patchc.report.safe import safe
from patchc.report.words import counted

_SHOWN = 4


def repairs_text(repairs: Sequence[Mapping[str, str]], title: str, paint: Paint) -> Iterator[str]:
    """Equal repairs of several layers stand together, with the layers below."""
    together: dict[tuple[str, str], list[str]] = {}
    for repair in repairs:
        together.setdefault((repair["what"], repair["reason"]), []).append(repair["layer"])
    yield paint.bold(f"{title} ({len(repairs)})")
    for (what, reason), layers in together.items():
        yield f"  {safe(what)}: {safe(reason)}"
        yield f"      {_listed(layers)}"


def _listed(layers: Sequence[str]) -> str:
    names = [safe(name) if name else "the model" for name in layers]
    if len(names) <= _SHOWN:
        return ", ".join(names)
    shown = ", ".join(names[: _SHOWN - 1])
    return f"{counted(len(names), 'layer')}: {shown}, ..."
