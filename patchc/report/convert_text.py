"""Conversions as text: what `patchc convert` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from patchc.report.paint import PLAIN, Paint
from patchc.report.plan_text import totals, warning_lines
from patchc.report.repair_text import repairs_text
from patchc.report.result_text import check_lines, file_lines, summary
from patchc.report.safe import safe

if TYPE_CHECKING:
    from patchc.conversion import Conversion
    from patchc.legacy.notes import Repair


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
    yield from repairs_text([repair.to_dict() for repair in repairs], "Repairs", paint)


def repair_lines(repairs: Sequence[Repair]) -> Iterator[str]:
    """A line for each repair: `conv_1: dropped `groups` (Keras 3 has none)`."""
    for repair in repairs:
        yield f"{safe(repair.layer or '<model>')}: {safe(repair.what)} ({safe(repair.reason)})"
