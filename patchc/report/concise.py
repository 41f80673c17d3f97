"""The format `concise`: one line for each finding, for editors and `grep`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from patchc.report.convert_text import repair_lines
from patchc.report.diff_text import summary as difference_summary
from patchc.report.diff_text import weight_cells, what_text
from patchc.report.model_text import shapes_text
from patchc.report.plan_text import edits_of, name_of, order_lines, tally
from patchc.report.result_text import summary
from patchc.report.safe import safe
from patchc.report.source import brief

if TYPE_CHECKING:
    from patchc.codes import Code
    from patchc.compiler.plan import Plan
    from patchc.conversion import Conversion
    from patchc.diff.difference import Difference
    from patchc.errors import Diagnostic
    from patchc.history import Log
    from patchc.inspect import Inspection
    from patchc.language.patch import Patch
    from patchc.report.plan_items import Item
    from patchc.results import Report, Written


class Concise:
    """Says everything in single lines, without colour."""

    is_data = False

    def line(self, diagnostic: Diagnostic) -> str:
        """One diagnostic in one line."""
        return brief(diagnostic)

    def validated(
        self,
        patches: Sequence[Patch],
        warnings: Sequence[Diagnostic],
        independent: Sequence[tuple[str, str]] = (),
    ) -> str:
        """A line for each lint, and one for each patch that is valid."""
        valid = [f"{safe(patch.source.name)}: ok" for patch in patches]
        return "\n".join([*map(self.line, warnings), *valid, *order_lines(independent)])

    def inspected(self, found: Inspection) -> str:
        """A line for each layer; with a selector, the paths that it picks."""
        if found.selection is not None:
            return "\n".join(map(safe, found.selection.picked))
        return "\n".join(
            f"{safe(layer.path)}: {safe(layer.class_name)} {shapes_text(layer)} {layer.params}"
            for layer in found.model.layers
        )

    def planned(self, plan: Plan) -> str:
        """A line for each change of a layer, and the closing line of the plan."""
        return "\n".join([*self.changes(plan), *map(self.line, plan.warnings), tally(plan)])

    def reported(self, report: Report) -> str:
        """A line for each warning and each check that failed, and one that sums up."""
        return "\n".join([*map(self.line, report.diagnostics), summary(report)])

    def converted(self, found: Conversion) -> str:
        """A line for each repair and each warning, and one that sums up."""
        return "\n".join(
            [
                *repair_lines(found.repairs),
                *map(self.line, found.diagnostics),
                summary(found.report),
            ]
        )

    def differed(self, found: Difference) -> str:
        """A line for each layer and each weight that differ, and one that sums up."""
        return "\n".join([*_differences(found), difference_summary(found)])

    def logged(self, log: Log) -> str:
        """A line for each patch, newest first."""
        return "\n".join(
            f"{safe(log.path)}: {safe(applied.id)} sha256:{applied.sha256}"
            for applied in log.history
        )

    def written(self, written: Written) -> str:
        """A line for each warning, and one that sums up."""
        return "\n".join([*map(self.line, written.warnings), safe(written.summary)])

    def explained(self, codes: Mapping[str, Code]) -> str:
        """A line for each code."""
        return "\n".join(f"{name}: {code.title}" for name, code in codes.items())

    def refused(self, command: str, diagnostics: Sequence[Diagnostic]) -> str:
        """A line for each diagnostic."""
        return "\n".join(map(self.line, sorted(diagnostics, key=lambda d: d.position)))

    def changes(self, plan: Plan) -> Iterator[str]:
        """A line for each change of a layer, with the place of its edit."""
        for label, items in edits_of(plan):
            yield from (f"{safe(label.file)}:{label.line}: {item_line(item)}" for item in items)


def item_line(item: Item) -> str:
    """What an edit does to one layer: `~ dense_1 Dense units 8 -> 10`."""
    told = [item.symbol, name_of(item), item.kind, item.what, item.reason]
    return " ".join(safe(part) for part in told if part)


def _differences(found: Difference) -> Iterator[str]:
    for layer in found.layers:
        told = [layer.change, safe(layer.class_name), what_text(layer)]
        yield f"{safe(layer.path) or 'the model'}: {' '.join(part for part in told if part)}"
        for weight in layer.weights:
            _, shapes, moved = weight_cells(weight, layer.path)
            yield f"{safe(weight.path)}: {moved} {shapes}"
