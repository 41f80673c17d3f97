"""Results as text: what `patchc apply` and `verify` print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from patchc.report.paint import PLAIN, Paint
from patchc.report.plan_text import NOTHING_TO_DO, totals, warning_lines
from patchc.report.repair_text import repairs_text
from patchc.report.safe import padded, safe
from patchc.report.words import counted, table

if TYPE_CHECKING:
    from patchc.checks import Check
    from patchc.results import Report


def report_text(report: Report, paint: Paint = PLAIN) -> str:
    """The files, the ledger, the checks, and one line that sums up."""
    lines = [*file_lines(report, paint), ""]
    if report.plan.is_empty:
        lines += [NOTHING_TO_DO, ""]
    lines += [*totals(report.plan, paint), ""]
    if report.repaired:
        lines += [*repairs_text(report.plan.base.repairs, "Repairs", paint), ""]
    if report.plan.warnings:
        lines += [*warning_lines(report.plan.warnings, paint), ""]
    lines += [*check_lines(report.checks, paint), "", paint.bold(summary(report))]
    return "\n".join(lines)


def summary(report: Report) -> str:
    """The closing line: `Wrote out.keras, all 6 checks hold.`."""
    failed = sum(not check.ok for check in report.checks)
    number = counted(len(report.checks), "check")
    held = f"{failed} of {number} failed" if failed else f"all {number} hold"
    done = "Verified" if report.command == "verify" else "Wrote"
    return f"{done} {safe(report.output['path'])}, {held}."


def file_lines(report: Report, paint: Paint) -> Iterator[str]:
    """The patches and both files."""
    for patch in report.plan.patches:
        yield f"patch   {paint.bold(safe(patch.id))}  {safe(patch.file)}"
    yield f"base    {_file(report.base)}"
    yield f"output  {_file(report.output)}"


def _file(facts: Mapping[str, Any]) -> str:
    size = f"  {facts['bytes']:,} bytes" if "bytes" in facts else ""
    digest = f"  sha256:{facts['sha256']}" if facts.get("sha256") else ""
    return f"{safe(facts['path'])}{size}{digest}"


def check_lines(checks: Sequence[Check], paint: Paint) -> Iterator[str]:
    """A line for each check."""
    yield paint.bold("Checks")
    rows = [(safe(check.name), safe(check.detail)) for check in checks]
    for check, line in zip(checks, table(rows), strict=True):
        mark = padded("ok" if check.ok else "FAILED", 6)
        yield f"  {paint.green(mark) if check.ok else paint.red(mark)}  {line}"
