"""Conversions as text: what `patchc convert` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from patchc.report.paint import PLAIN, Paint
from patchc.report.plan_text import totals, warning_lines
from patchc.report.result_text import check_lines, file_lines, summary
from patchc.report.safe import safe
from patchc.report.words import counted

if TYPE_CHECKING:
    from patchc.conversion import Conversion
    from patchc.legacy.notes import Repair

_SHOWN = 4


def conversion_text(found: Conversion, paint: Paint = PLAIN) -> str:
    """The files, the repairs, what is missing, the ledger and the checks."""
    report = found.report
    lines = [*file_lines(report, paint), ""]
    lines += [*_repairs(found.repairs, paint), ""]
    if found.diagnostics:
        lines += [*warning_lines(found.diagnostics, paint), ""]
    lines += [*totals(report.plan, paint), ""]
    return "\n".join([*lines, *check_lines(report.checks, paint), "", paint.bold(summary(report))])


def _repairs(repairs: Sequence[Repair], paint: Paint) -> Iterator[str]:
    """Equal repairs of several layers stand together, with the layers below."""
    if not repairs:
        yield "Nothing to repair: Keras 3 opens the file as it is."
        return
    together: dict[tuple[str, str], list[str]] = {}
    for repair in repairs:
        together.setdefault((repair.what, repair.reason), []).append(repair.layer)
    yield paint.bold(f"Repairs ({len(repairs)})")
    for (what, reason), layers in together.items():
        yield f"  {safe(what)}: {safe(reason)}"
        yield f"      {_listed(layers)}"


def _listed(layers: Sequence[str]) -> str:
    names = [safe(name) if name else "the model" for name in layers]
    if len(names) <= _SHOWN:
        return ", ".join(names)
    shown = ", ".join(names[: _SHOWN - 1])
    return f"{counted(len(names), 'layer')}: {shown}, ..."


def repair_lines(repairs: Sequence[Repair]) -> Iterator[str]:
    """A line for each repair: `conv_1: dropped `groups` (Keras 3 has none)`."""
    for repair in repairs:
        yield f"{safe(repair.layer or '<model>')}: {safe(repair.what)} ({safe(repair.reason)})"
