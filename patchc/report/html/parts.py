"""The parts of a plan and of a report, each as a piece of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from patchc.report.html.markup import Html, element, joined, table
from patchc.report.plan_items import Item
from patchc.report.plan_text import edits_of, name_of, order_lines, tally
from patchc.report.source import place
from patchc.report.words import (
    counted,
    ends_text,
    fates,
    params_text,
    strategy_text,
    weight_shape,
)

if TYPE_CHECKING:
    from patchc.checks import Check
    from patchc.compiler.plan import LedgerEntry, Plan
    from patchc.errors import Diagnostic

_KIND = {"+": "new", "-": "gone", "-/+": "gone", "~": "changed"}


def headline(plan: Plan) -> Html:
    """Which patches, which model, and the line that sums up."""
    patches = [
        element(
            "div",
            element("strong", patch.id),
            f"  {patch.file}",
            *(element("div", line) for line in (patch.description or "").splitlines()),
            class_="patch",
        )
        for patch in plan.patches
    ]
    size = f"{counted(len(plan.before.layers), 'layer')}, {plan.params['before']:,} params"
    model = element("p", "model ", element("strong", plan.base.path), f"  {size}", class_="quiet")
    return joined([*patches, model, element("p", tally(plan), class_="tally")])


def totals(plan: Plan) -> Html:
    """Weights, optimizer, parameters and outputs."""
    rows = [("Parameters", params_text(plan.params)), ("Weights", fates(plan.ledger.counts()))]
    if plan.optimizer.reason:
        rows.append(("Optimizer", f"state dropped: {plan.optimizer.reason}"))
    elif plan.optimizer.entries or plan.optimizer.dropped:
        rows.append(("Optimizer", fates(plan.optimizer.counts())))
    rows += [("Order", line) for line in order_lines(plan.independent)]
    outputs = ends_text(plan.before.outputs), ends_text(plan.outputs)
    rows.append(("Outputs", " → ".join(dict.fromkeys(outputs))))
    cells = (element("div", element("dt", name), element("dd", told)) for name, told in rows)
    return element("dl", *cells, class_="totals")


def warnings(found: Sequence[Diagnostic]) -> Html:
    """Warnings with their place and the way out; nothing where there are none."""
    if not found:
        return Html()
    items = (
        element(
            "li",
            element("code", warning.code),
            f" {warning.message}",
            element("span", f" {place(warning)}", class_="quiet"),
            Html("<br>") if warning.help else "",
            element("span", warning.help or "", class_="quiet"),
        )
        for warning in found
    )
    return element("ul", *items, class_="warnings")


def edits(plan: Plan) -> Html:
    """What each edit does, layer by layer."""
    return joined(
        element(
            "section",
            element(
                "h3",
                label.text,
                element("span", f" {label.file}:{label.line}", class_="quiet"),
                f" {label.params:+,} params" if label.params else "",
                element("span", f" {label.why}" if label.why else "", class_="why"),
            ),
            *(_items(items) if items else [element("p", "nothing to do", class_="quiet")]),
            class_="edit",
        )
        for label, items in edits_of(plan)
    )


def _items(items: Iterable[Item]) -> Iterator[Html]:
    for item in items:
        alike = f"{item.alike[0]} … {item.alike[-1]}" if item.alike else ""
        weights = (f"{w.name}  {w.shape}  {w.how}" for w in item.weights)
        yield element(
            "div",
            element("code", item.symbol, class_="symbol"),
            element("strong", name_of(item)),
            element("span", f" {item.kind}", class_="quiet"),
            f" {item.what} ",
            element("span", item.reason, class_="quiet"),
            element("div", alike, class_="quiet") if alike else "",
            *(element("div", weight, class_="weight") for weight in weights),
            *_items(item.parts),
            class_=f"item {_KIND.get(item.symbol, 'changed')}",
        )


# --------------------------------------------------------------------------- ledger


def ledger(plan: Plan) -> Html:
    """Every weight of the result, and those that are dropped; what changes comes first."""
    entries = plan.ledger.entries
    changed = [entry for entry in entries if entry.fate != "kept"]
    kept = [entry for entry in entries if entry.fate == "kept"]
    parts = []
    if changed or plan.ledger.dropped:
        rows = [*map(_entry(plan), changed), *map(_dropped(plan), plan.ledger.dropped.items())]
        parts.append(table(_HEADINGS, rows))
    if kept:
        told = element("summary", f"{counted(len(kept), 'weight')} kept, bit for bit")
        parts.append(element("details", told, table(_HEADINGS, map(_entry(plan), kept))))
    return joined(parts)


_HEADINGS = ("weight", "fate", "shape", "dtype", "trains", "values")


def _entry(plan: Plan) -> Any:
    def row(entry: LedgerEntry) -> tuple[object, ...]:
        base = plan.base.weights.get(entry.value.base or entry.value.replaces or "")
        shapes = [weight_shape(base.shape)] if base is not None else []
        told = " → ".join(dict.fromkeys([*shapes, weight_shape(entry.shape)]))
        name = element("span", entry.path)
        if base is not None and base.path != entry.path:
            origin = "copy of" if entry.value.copied else "was"
            name = joined([name, element("div", f"{origin} {base.path}", class_="quiet")])
        trains = "yes" if entry.trainable else "no"
        return name, _fate(entry.fate), told, entry.dtype, trains, _how(entry)

    return row


def _how(entry: LedgerEntry) -> str:
    value = entry.value
    if value.base is None:
        return strategy_text(value.init.to_json()) if value.init else "new"
    if not value.growths:
        return "a copy" if value.copied else "as in the base"
    fills = dict.fromkeys(strategy_text(growth.fill.to_json()) for growth in value.growths)
    new = any(growth.map.new for growth in value.growths)
    return f"old entries kept, new ones: {', '.join(fills)}" if new else "entries taken out"


def _dropped(plan: Plan) -> Any:
    def row(item: tuple[str, str]) -> tuple[object, ...]:
        address, path = item
        base = plan.base.weights[address]
        return path, _fate("dropped"), weight_shape(base.shape), base.dtype, "", ""

    return row


def _fate(fate: str) -> Html:
    return element("span", fate, class_=f"fate {fate}")


def params(plan: Plan) -> Html:
    """Parameters of each layer whose number changes, and in all."""
    before, after = _sizes_before(plan), _sizes_after(plan)
    rows: list[tuple[object, ...]] = [
        (path, before.get(path, 0), after.get(path, 0), _difference(before, after, path))
        for path in {**after, **before}
        if before.get(path, 0) != after.get(path, 0)
    ]
    counts = plan.params
    for name, kind in (("all layers", ""), ("of these trainable", "trainable_")):
        old, new = counts[f"{kind}before"], counts[f"{kind}after"]
        rows.append((element("strong", name), old, new, f"{new - old:+,}"))
    return table(("layer", "before", "after", "change"), rows)


def _difference(before: Mapping[str, int], after: Mapping[str, int], path: str) -> str:
    return f"{after.get(path, 0) - before.get(path, 0):+,}"


def _sizes_before(plan: Plan) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for weight in plan.base.weights.values():
        sizes[weight.layer] = sizes.get(weight.layer, 0) + _size(weight.shape)
    return sizes


def _sizes_after(plan: Plan) -> dict[str, int]:
    """By the path that a layer has in the base, where it comes from there."""
    sizes: dict[str, int] = {}
    layers = sorted(plan.layers, key=len, reverse=True)
    for entry in plan.ledger.entries:
        base = plan.base.weights.get(entry.value.base or entry.value.replaces or "")
        own = next((path for path in layers if entry.path.startswith(f"{path}/")), "")
        path = own if base is None or entry.value.copied else base.layer
        sizes[path] = sizes.get(path, 0) + _size(entry.shape)
    return sizes


def _size(shape: Sequence[int]) -> int:
    count = 1
    for dimension in shape:
        count *= dimension
    return count


# --------------------------------------------------------------------------- checks


def checks(found: Sequence[Check]) -> Html:
    """What was checked of a result."""
    marks = {True: ("ok", "fate ok"), False: ("FAILED", "fate failed")}
    rows = []
    for check in found:
        word, look = marks[check.ok]
        rows.append((element("span", word, class_=look), check.name, check.detail))
    return table(("", "check", "found"), rows)
