"""Report: what was done, for people and machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.checks import Check
from patchc.compiler.plan import FORMAT_VERSION, Plan
from patchc.errors import Diagnostic


@dataclass(frozen=True, slots=True)
class Report:
    """What `apply` or `verify` did and found.

    Attributes:
        command: `apply` or `verify`.
        plan: what was to be done.
        base, output: path, and sha256 and size as far as they were asked for.
        checks: what was checked of the result.
        ok: whether every check holds.
    """

    command: str
    plan: Plan
    base: Mapping[str, Any]
    output: Mapping[str, Any]
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Warnings of the plan, and an error for each check that does not hold."""
        failed = [c.diagnostic(str(self.output["path"])) for c in self.checks if not c.ok]
        return (*self.plan.warnings, *failed)

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        # The report room stands to the right of this one; a report only lends it its looks.
        from patchc.report.html.page import report_fragment  # noqa: PLC0415

        return report_fragment(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON (`schemas/report.v1.schema.json`)."""
        plan = self.plan
        return {
            "format_version": FORMAT_VERSION,
            "command": self.command,
            "ok": self.ok,
            "base": dict(self.base),
            "output": dict(self.output),
            "patches": [{"id": patch.id, "sha256": patch.sha256} for patch in plan.patches],
            "ledger": plan.ledger.counts(),
            "optimizer": plan.optimizer.counts(),
            "params": dict(plan.params),
            "inputs": [dict(end) for end in plan.inputs],
            "outputs": [dict(end) for end in plan.outputs],
            "checks": [check.to_dict() for check in self.checks],
            **(plan.repairs() if self.repaired else {}),
            "diagnostics": [diagnostic.to_dict() for diagnostic in self.diagnostics],
        }

    @property
    def repaired(self) -> bool:
        """Whether the output has an older base's repairs: a file of the base's kind has none."""
        return bool(self.plan.base.repairs) and str(self.output["path"]).endswith(".keras")


@dataclass(frozen=True, slots=True)
class Written:
    """What a command wrote that compiles no patch: `adopt` or `revert`.

    Args:
        base: path of the model that it worked on.
        output: path and size of what it wrote.
        summary: one sentence that sums up.
        details: further sentences.
        facts: what the JSON says beyond that.
        warnings: what could not be done.
    """

    command: str
    base: Mapping[str, Any]
    output: Mapping[str, Any]
    summary: str
    details: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON (`schemas/report.v1.schema.json`)."""
        return {
            "format_version": FORMAT_VERSION,
            "command": self.command,
            "ok": True,
            "base": dict(self.base),
            "output": dict(self.output),
            **self.facts,
            "diagnostics": [warning.to_dict() for warning in self.warnings],
        }
