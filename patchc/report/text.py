"""The format `text`: for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from patchc.report.paint import PLAIN, Paint
from patchc.report.safe import safe
from patchc.report.source import counts, full, one
from patchc.report.words import counted, table

if TYPE_CHECKING:
    from patchc.codes import Code
    from patchc.compiler.plan import Plan
    from patchc.conversion import Conversion
    from patchc.diff.difference import Difference
    from patchc.errors import Diagnostic
    from patchc.history import Log
    from patchc.inspect import Inspection
    from patchc.language.patch import Patch
    from patchc.results import Report, Written


class Text:
    """Says everything in words and tables.

    What tells of models is imported on use, so that `validate` starts fast.
    """

    is_data = False

    def __init__(self, paint: Paint = PLAIN) -> None:
        self._paint = paint

    def validated(
        self,
        patches: Sequence[Patch],
        warnings: Sequence[Diagnostic],
        independent: Sequence[tuple[str, str]] = (),
    ) -> str:
        """The patches that are valid, and the lints with their source lines."""
        told = [line for warning in warnings for line in (one(warning, self._paint), "")]
        rows = [(safe(p.source.name), safe(p.id), counted(len(p.edits), "edit")) for p in patches]
        told += [f"{self._paint.green('ok')}  {line}" for line in table(rows)]
        if independent:
            from patchc.report.plan_text import order_lines  # noqa: PLC0415 (as above)

            told += order_lines(independent)
        return "\n".join([*told, counts(warnings)] if warnings else told)

    def inspected(self, found: Inspection) -> str:
        """The table of layers, or what a selector picks and why."""
        from patchc.report.model_text import inspection_text  # noqa: PLC0415 (as above)

        return inspection_text(found, self._paint)

    def planned(self, plan: Plan) -> str:
        """The plan, as `str(plan)` gives it."""
        from patchc.report.plan_text import plan_text  # noqa: PLC0415 (as above)

        return plan_text(plan, self._paint)

    def reported(self, report: Report) -> str:
        """Files, ledger and checks."""
        from patchc.report.result_text import report_text  # noqa: PLC0415 (as above)

        return report_text(report, self._paint)

    def converted(self, found: Conversion) -> str:
        """Files, repairs, what is missing, and checks."""
        from patchc.report.convert_text import conversion_text  # noqa: PLC0415 (as above)

        return conversion_text(found, self._paint)

    def differed(self, found: Difference) -> str:
        """Both models, the layers that differ, and totals."""
        from patchc.report.diff_text import difference_text  # noqa: PLC0415 (as above)

        return difference_text(found, self._paint)

    def logged(self, log: Log) -> str:
        """The patches in a model, newest first."""
        from patchc.report.log_text import log_text  # noqa: PLC0415 (as above)

        return log_text(log, self._paint)

    def written(self, written: Written) -> str:
        """What was written, and what could not be done."""
        told = [line for warning in written.warnings for line in (one(warning, self._paint), "")]
        return "\n".join([*told, *map(safe, written.details), safe(written.summary)])

    def explained(self, codes: Mapping[str, Code]) -> str:
        """One code in full, or a list of several."""
        if len(codes) == 1:
            ((name, code),) = codes.items()
            return f"{self._paint.bold(f'{name} {code.title}')}\n\n{code.explanation}"
        return "\n".join(table([(name, code.title) for name, code in codes.items()]))

    def refused(self, command: str, diagnostics: Sequence[Diagnostic]) -> str:
        """Each diagnostic with its source line, and how many there are."""
        return full(diagnostics, self._paint)
