"""A difference as text: what `patchc diff` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from patchc.diff.difference import fates_of
from patchc.report.paint import PLAIN, Paint
from patchc.report.safe import padded, safe
from patchc.report.words import counted, ends_text, fates, table, value_text, weight_shape

if TYPE_CHECKING:
    from patchc.diff.difference import Difference, LayerDifference, Side, WeightDifference

NOTHING_DIFFERS = "No differences."
_FOLD_FROM = 4
_SYMBOLS = {"new": "+", "gone": "-", "changed": "~"}


def difference_text(found: Difference, paint: Paint = PLAIN) -> str:
    """Both models, the layers that differ, totals, and one line that sums up."""
    lines = [*_header(found, paint), ""]
    for group in _alike(found.layers):
        lines += _layer(group, paint)
    if found.layers:
        lines.append("")
    lines += [*_totals(found, paint), "", paint.bold(summary(found))]
    return "\n".join(lines)


def summary(found: Difference) -> str:
    """The closing line: `2 layers changed, 1 new; 3 weights changed.`."""
    if found.same:
        return NOTHING_DIFFERS
    layers = [
        f"{counted(number, 'layer')} {change}"
        for change in ("changed", "new", "gone")
        if (number := sum(layer.change == change for layer in found.layers))
    ]
    counts = {fate: n for fate, n in fates_of(found.weights).items() if fate != "identical"}
    weights = f"weights: {fates(counts)}" if any(counts.values()) else "all weights identical"
    return f"{', '.join(layers) or 'Same layers'}; {weights}."


def _header(found: Difference, paint: Paint) -> Iterator[str]:
    yield f"{paint.red('---')} {_side(found.before)}"
    yield f"{paint.green('+++')} {_side(found.after)}"


def _side(side: Side) -> str:
    model = f"{safe(side.name)}  {safe(side.class_name)}"
    size = f"{counted(side.layers, 'layer')}, {side.params[0]:,} params"
    return f"{safe(side.path)}  {model}  {size}"


# --------------------------------------------------------------------------- layers


def _alike(layers: Sequence[LayerDifference]) -> Iterator[list[LayerDifference]]:
    """Layers in groups: many that differ in the same way, without weights, are told as one."""
    groups: dict[Any, list[LayerDifference]] = {}
    for layer in layers:
        likeness: Any = layer.path
        if not layer.weights and layer.change != "new" and not layer.reads:
            likeness = (layer.change, what_text(layer))
        groups.setdefault(likeness, []).append(layer)
    for group in groups.values():
        if len(group) >= _FOLD_FROM:
            yield group
        else:
            yield from ([layer] for layer in group)


def _layer(group: Sequence[LayerDifference], paint: Paint) -> Iterator[str]:
    first = group[0]
    symbol = _SYMBOLS[first.change]
    colour = {"+": paint.green, "-": paint.red, "~": paint.yellow}[symbol]
    what = what_text(first)
    if len(group) > 1:
        yield f"{colour(f'  {symbol}')} {counted(len(group), 'layer')}  {what}".rstrip()
        yield f"      {paint.dim(f'{safe(group[0].path)} ... {safe(group[-1].path)}')}"
        return
    told = [safe(first.path) or "the model", safe(first.class_name), what]
    yield f"{colour(f'  {symbol}')} {'  '.join(part for part in told if part)}"
    rows = [weight_cells(weight, first.path) for weight in first.weights]
    yield from (f"      {line}" for line in table(rows))


def what_text(layer: LayerDifference) -> str:
    """What differs in a layer, but for its weights: `units 8 -> 10, trainable true -> false`."""
    told = []
    if layer.before not in {None, layer.path}:
        told.append(f"was {safe(layer.before)}")
    for key, (old, new) in layer.config.items():
        change = f"{value_text(old)} -> " if layer.change != "new" else ""
        told.append(f"{safe(key)} {change}{value_text(new)}")
    if layer.trainable is not None:
        old, new = map(value_text, layer.trainable)
        told.append(f"trainable {old} -> {new}")
    if layer.reads is not None:
        old_names, new_names = (", ".join(map(safe, names)) for names in layer.reads)
        told.append(f"reads {old_names} -> {new_names}" if old_names else f"reads {new_names}")
    return ", ".join(told)


def weight_cells(weight: WeightDifference, layer: str) -> tuple[str, str, str]:
    """Name, shapes, and what has become of a weight."""
    name = safe(weight.path.removeprefix(f"{layer}/") if layer else weight.path)
    shapes = [weight_shape(shape) for shape in (weight.before, weight.after) if shape is not None]
    return name, " -> ".join(dict.fromkeys(shapes)), _moved(weight)


def _moved(weight: WeightDifference) -> str:
    dtypes = [dtype for dtype in weight.dtypes if dtype is not None]
    cast = f", {safe(' -> '.join(dtypes))}" if len(set(dtypes)) == 2 else ""
    if weight.moved is None:
        return f"{weight.fate}{cast}"
    if weight.fate in {"grown", "shrunk", "reshaped"}:
        how = "identical" if weight.moved.is_zero else f"changed by {_magnitude(weight)}"
        return f"{weight.fate}{cast}, shared entries {how}"
    return f"{weight.fate}{cast}, by {_magnitude(weight)}"


def _magnitude(weight: WeightDifference) -> str:
    assert weight.moved is not None
    most = f"{weight.moved.largest:.3g} at most"
    part = weight.moved.relative
    return most if part is None else f"{most}, {part:.2%} of its norm"


# --------------------------------------------------------------------------- totals


def _totals(found: Difference, paint: Paint) -> Iterator[str]:
    rows = [("Weights", fates(fates_of(found.weights)))]
    if found.optimizer:
        rows.append(("Optimizer", fates(fates_of(found.optimizer))))
    rows.append(("Params", _params(found.before.params, found.after.params)))
    for name, one, other in (
        ("Inputs", found.before.inputs, found.after.inputs),
        ("Outputs", found.before.outputs, found.after.outputs),
    ):
        if one != other:
            rows.append((name, f"{_ends(one)} -> {_ends(other)}"))
    if found.before.history != found.after.history:
        told = [", ".join(map(safe, s.history)) or "none" for s in (found.before, found.after)]
        rows.append(("History", " -> ".join(told)))
    for key, (old, new) in found.training.items():
        rows.append(("Training", f"{safe(key)} {value_text(old)} -> {value_text(new)}"))
    for name, text in rows:
        yield f"{paint.bold(padded(name, 11))}{text}"


def _ends(ends: Sequence[Mapping[str, Any]]) -> str:
    return ends_text(ends) or "not known"


def _params(before: tuple[int, int], after: tuple[int, int]) -> str:
    total, trainable = (
        f"{old:,}" if old == new else f"{old:,} -> {new:,}"
        for old, new in zip(before, after, strict=True)
    )
    return f"{total}, trainable {trainable}"
