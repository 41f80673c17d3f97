"""The page that `patchc report` writes, and the fragments that notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from patchc.report.html import parts
from patchc.report.html.markup import Html, element, joined, text
from patchc.report.html.style import STYLE

if TYPE_CHECKING:
    from patchc.compiler.plan import Plan
    from patchc.language.patch import Patch
    from patchc.model.graph import Layer
    from patchc.results import Report

_LATER = (
    "configuration-as-planned",
    "every-weight-accounted-for",
    "kept-weights-identical",
    "new-values-as-planned",
    "optimizer-state-as-planned",
    "history-as-planned",
    "other-members-identical",
)
"""The checks that `apply` makes of every result."""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing, from nowhere."""


def page(plan: Plan, before: Layer, patches: Sequence[Patch], report: Report | None = None) -> str:
    """One self-contained page about a plan: no scripts, and nothing that is loaded.

    Args:
        before: the base, not edited, with its shapes worked out.
        report: what was checked of a result, where there is one.
    """
    from patchc.report.html.graph import drawing  # noqa: PLC0415 (no notebook draws graphs)

    title = f"{', '.join(patch.id for patch in plan.patches)}: plan"
    body = [
        element("h1", "What the patch does"),
        parts.headline(plan),
        parts.totals(plan),
        parts.warnings(plan.warnings),
        _section("Edits", parts.edits(plan)),
        _section("Graph", drawing(plan, before)),
        _section("Parameters", parts.params(plan)),
        _section("Ledger", parts.ledger(plan)),
        _section("Checks", _checks(report)),
        _section("Patch", joined(_source(patch) for patch in patches)),
    ]
    head = [
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        element("title", title),
        element("style", Html(STYLE)),
    ]
    whole = joined([element("head", *head), element("body", *body, class_="patchc page")])
    return f"<!doctype html>\n{element('html', whole, lang='en')}\n"


def _section(name: str, inside: Html) -> Html:
    return element("section", element("h2", name), inside)


def _checks(report: Report | None) -> Html:
    if report is not None:
        told = element("p", f"{report.output['path']}, read back and compared with the model:")
        return joined([told, parts.checks(report.checks)])
    names = element("ul", *(element("li", element("code", name)) for name in _LATER))
    return joined([element("p", "Nothing is written yet. Applying the patch checks:"), names])


def _source(patch: Patch) -> Html:
    lines = patch.source.text.splitlines()
    told = element("p", f"{patch.source.name}  sha256:{patch.sha256}", class_="quiet")
    return joined([told, element("pre", Html("\n".join(map(text, lines))))])


# ------------------------------------------------------------------------ notebooks


def plan_fragment(plan: Plan) -> str:
    """A plan as a notebook shows it."""
    shown = [parts.headline(plan), parts.totals(plan), parts.warnings(plan.warnings)]
    return _fragment(*shown, parts.edits(plan))


def report_fragment(report: Report) -> str:
    """A report as a notebook shows it."""
    return _fragment(
        parts.headline(report.plan),
        parts.totals(report.plan),
        parts.warnings(report.plan.warnings),
        parts.checks(report.checks),
    )


def _fragment(*shown: Html) -> str:
    return element("div", element("style", Html(STYLE)), *shown, class_="patchc")
