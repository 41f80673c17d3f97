"""A plan as text: what `patchc plan` prints."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from patchc.report.paint import PLAIN, Paint
from patchc.report.plan_items import Item, Items
from patchc.report.repair_text import repairs_text
from patchc.report.safe import padded, safe, width
from patchc.report.source import place
from patchc.report.words import (
    counted,
    ends_text,
    fates,
    params_text,
    table,
)

if TYPE_CHECKING:
    from patchc.compiler.plan import EditLabel, OptimizerChange, Plan
    from patchc.errors import Diagnostic
    from patchc.model.values import Value

NOTHING_TO_DO = "No changes. The model already is as the patch wants it."

_WIDEST_NAME = 40
_VERBS = (
    "replace",
    "add",
    "resize",
    "set",
    "freeze",
    "unfreeze",
    "re-initialise",
    "rename",
    "expose",
    "remove",
)
"""What layers are counted as in the closing line, in this order."""

_TOLD = {"expose": "make an output"}


def plan_text(plan: Plan, paint: Paint = PLAIN) -> str:
    """The whole plan for people: header, edits, totals, warnings, and one line that sums up."""
    lines = [*_header(plan, paint), ""]
    if not plan.is_empty:
        for label, items in edits_of(plan):
            lines += [*_edit(label, items, paint), ""]
        lines += [*totals(plan, paint), ""]
    if plan.base.repairs:
        lines += [*repairs_text(plan.base.repairs, "Repairs in a .keras output", paint), ""]
    if plan.warnings:
        lines += [*warning_lines(plan.warnings, paint), ""]
    lines.append(paint.bold(tally(plan)))
    return "\n".join(lines)


def edits_of(plan: Plan) -> Iterator[tuple[EditLabel, list[Item]]]:
    """Each edit with its items, many alike told as one."""
    items = Items(plan)
    for number, label in enumerate(plan.edits):
        yield label, items.folded(items.of_edit(number))


def tally(plan: Plan) -> str:
    """The closing line: `Plan: 1 to add, 2 to resize.`."""
    if plan.is_empty:
        return NOTHING_TO_DO
    items = Items(plan)
    names: dict[str, set[str]] = {}
    for number in range(len(plan.edits)):
        for item in items.of_edit(number):
            names.setdefault(item.verb, set()).add(item.name)
    verbs = [*_VERBS, *(verb for verb in names if verb not in _VERBS)]
    told = [f"{len(names[verb]):,} to {_TOLD.get(verb, verb)}" for verb in verbs if verb in names]
    return f"Plan: {', '.join(told)}."


# --------------------------------------------------------------------------- header


def _header(plan: Plan, paint: Paint) -> Iterator[str]:
    for patch in plan.patches:
        yield f"patch  {paint.bold(safe(patch.id))}  {safe(patch.file)}"
        if patch.description:
            yield from (f"       {safe(line)}" for line in patch.description.splitlines())
    size = f"{counted(len(plan.before.layers), 'layer')}, {plan.params['before']:,} params"
    yield f"model  {paint.bold(safe(os.path.basename(plan.base.path)))}  {size}"


# ---------------------------------------------------------------------------- edits


def _edit(label: EditLabel, items: Sequence[Item], paint: Paint) -> Iterator[str]:
    where = paint.dim(f"{safe(label.file)}:{label.line}")
    cost = f"  {label.params:+,} params" if label.params else ""
    why = f"  # {safe(label.why)}" if label.why else ""
    yield f"{paint.bold(safe(label.text))}  {where}{cost}{why}"
    if not items:
        yield "  nothing to do"
    yield from _item_lines(items, paint, "")


def _item_lines(items: Sequence[Item], paint: Paint, indent: str) -> Iterator[str]:
    names = _columns(name_of(item) for item in items)
    kinds = _columns(item.kind for item in items)
    for item in items:
        symbol = _symbol(item.symbol, paint)
        cells = [padded(name_of(item), names), padded(item.kind, kinds), item.what, item.reason]
        told = "  ".join(cell for cell in map(safe, cells) if cell).rstrip()
        yield f"{indent}{symbol} {told}"
        if item.alike:
            yield f"{indent}      {paint.dim(f'{safe(item.alike[0])} ... {safe(item.alike[-1])}')}"
        rows = [(safe(w.name), w.shape, w.how) for w in item.weights]
        yield from (f"{indent}      {line}" for line in table(rows))
        if item.parts:
            yield from _item_lines(item.parts, paint, f"{indent}   ")


def _columns(texts: Iterable[str]) -> int:
    return min(max((width(safe(text)) for text in texts), default=0), _WIDEST_NAME)


def name_of(item: Item) -> str:
    """How an item's layer is called."""
    return item.name or "the model"


def _symbol(symbol: str, paint: Paint) -> str:
    colours = {"+": paint.green, "-": paint.red, "-/+": paint.red, "~": paint.yellow}
    return colours[symbol](f"{symbol:>3}")


# --------------------------------------------------------------------------- totals


def totals(plan: Plan, paint: Paint = PLAIN) -> list[str]:
    """Weights, optimizer, parameters, and the outputs where they change."""
    rows = [("Weights", fates(plan.ledger.counts()))]
    if plan.optimizer.entries or plan.optimizer.dropped:
        rows.append(("Optimizer", _optimizer(plan.optimizer, paint)))
        rows += [("", line) for line in slot_lines(plan.optimizer)]
    rows.append(("Params", params_text(plan.params)))
    if plan.before.outputs != plan.outputs:
        rows.append(("Outputs", f"{ends_text(plan.before.outputs)} -> {ends_text(plan.outputs)}"))
    rows += [("Order", line) for line in order_lines(plan.independent)]
    return [f"{paint.bold(padded(name, 11))}{text}" for name, text in rows]


def order_lines(independent: Iterable[tuple[str, str]]) -> list[str]:
    """Which neighbouring patches may change places."""
    return [f"{safe(a)} and {safe(b)} give the same in either order" for a, b in independent]


def _optimizer(change: OptimizerChange, paint: Paint) -> str:
    if change.reason:
        return paint.red(f"STATE DROPPED, {change.dropped} variables: {safe(change.reason)}")
    return fates(change.counts())


def slot_lines(change: OptimizerChange) -> list[str]:
    """One line for each kind of change to an optimizer's averages: `2 velocity grown: mean`."""
    kinds = Counter(
        (entry.path.partition(" of ")[0], entry.fate, _beginning(entry.value))
        for entry in change.entries
        if " of " in entry.path and entry.fate != "kept"
    )
    return [f"{number:,} {name} {fate}: {how}" for (name, fate, how), number in kinds.items()]


def _beginning(value: Value) -> str:
    """How the new entries of an average begin."""
    if value.mirror is not None:
        return "as the weight"
    if value.base is None and value.init is not None:
        made = [value.init]
    else:
        made = [growth.fill for growth in value.growths if growth.map.new]
    if not made:
        return "entries taken out"
    constant = made[0].arguments.get("value")
    return made[0].name.lower() if constant is None else f"{constant:g}"


def warning_lines(warnings: Iterable[Diagnostic], paint: Paint = PLAIN) -> Iterator[str]:
    """Warnings with their place and the way out, two lines each."""
    yield paint.bold("Warnings")
    for warning in warnings:
        where = f"  {place(warning)}" if place(warning) else ""
        yield f"  {paint.yellow(warning.code)}{where}  {safe(warning.message, 1_000)}"
        if warning.help:
            yield f"        help: {safe(warning.help, 1_000)}"
