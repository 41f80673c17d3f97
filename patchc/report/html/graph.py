"""Two graphs side by side, what changed marked, as one drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from patchc.compiler.plan import Plan
from patchc.model.graph import Layer
from patchc.report.html.markup import Html, element, joined
from patchc.report.html.rows import Row, lanes, params_of, rows_of
from patchc.report.words import tensor_shape

_HEIGHT = 26
_LANE = 14
_SIDE = 632
_GAP = 40
_CLASS = 384
"""Where the class stands, from the right; behind it are shape and parameters."""
_LETTER = 7.3
_FOLD_FROM = 10
_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class Line:
    """Rows of both graphs at one height.

    Args:
        before, after: None where there is no row on that side.
        mark: `same`, `frozen` (only the flag changes), `changed`, `new` or `gone`.
        folded: lines with this mark that the line stands for; it has no rows then.
    """

    before: Row | None
    after: Row | None
    mark: str
    folded: tuple[Line, ...] = ()


def drawing(plan: Plan, before: Layer) -> Html:
    """The graph before and after; long stretches without a change are folded.

    Args:
        before: the base, not edited, with its shapes worked out.
    """
    old, new = rows_of(before), rows_of(plan.base.root)
    lines = _lines(plan, old, new)
    folded = _folded(lines)
    parts = [_svg(folded, old, new)]
    if len(folded) < len(lines):
        summary = element("summary", f"all {len(lines)} layers")
        parts.append(element("details", summary, _svg(lines, old, new)))
    return joined(parts)


# ---------------------------------------------------------------------------- lines


def _lines(plan: Plan, old: Sequence[Row], new: Sequence[Row]) -> list[Line]:
    changed = _changed(plan)
    one = [row.layer.path for row in old]
    other = [_origin(row.layer) for row in new]
    lines: list[Line] = []
    for kind, i, j, k, m in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind == "equal":
            for left, right in zip(old[i:j], new[k:m], strict=True):
                mark = max(changed.get(row.layer.path, 0) for row in (left, right))
                lines.append(Line(left, right, _MARKS[mark]))
            continue
        lines += [Line(row, None, "gone") for row in old[i:j]]
        lines += [Line(None, row, "new") for row in new[k:m]]
    return _moved(lines)


def _origin(layer: Layer) -> str:
    """The path in the base; a text that is no path for a new layer."""
    return layer.origin if layer.origin is not None else f"\0{layer.path}"


def _moved(lines: Sequence[Line]) -> list[Line]:
    """Layers that are only at another place in the order are neither new nor gone."""
    gone = {line.before.layer.path for line in lines if line.before and not line.after}
    kept = {line.after.layer.origin for line in lines if line.after and not line.before}
    both = gone & {path for path in kept if path is not None}
    return [
        Line(line.before, line.after, "changed")
        if (line.before and not line.after and line.before.layer.path in both)
        or (line.after and not line.before and line.after.layer.origin in both)
        else line
        for line in lines
    ]


_MARKS = ("same", "frozen", "changed")


def _changed(plan: Plan) -> dict[str, int]:
    """Paths, before and after, of layers that an operation speaks of; number of the mark."""
    known = {*plan.before.layers, *plan.layers}
    found: dict[str, int] = {}
    for operation in plan.operations:
        address = operation.address
        while address and address not in known:
            address = address.rpartition("/")[0]
        flag = operation.action == "set" and set(operation.after) == {"trainable"}
        found[address] = max(found.get(address, 0), 1 if flag else 2)
        if operation.action == "rename":
            found[str(operation.after)] = 2
    return found


def _folded(lines: Sequence[Line]) -> list[Line]:
    """Long stretches of lines that are alike become one line."""
    result: list[Line] = []
    for mark, group in groupby(lines, lambda line: line.mark):
        stretch = list(group)
        if mark in {"same", "frozen"} and len(stretch) >= _FOLD_FROM:
            hidden = tuple(stretch[_CONTEXT:-_CONTEXT])
            fold = Line(None, None, mark, hidden)
            stretch = [*stretch[:_CONTEXT], fold, *stretch[-_CONTEXT:]]
        result += stretch
    return result


# -------------------------------------------------------------------------- drawing


def _svg(lines: Sequence[Line], old: Sequence[Row], new: Sequence[Row]) -> Html:
    width, height = 2 * _SIDE + _GAP, (len(lines) + 1) * _HEIGHT + 8
    places = {
        row: _middle(number)
        for number, line in enumerate(lines)
        for shown in (line.folded or (line,))
        for row in (shown.before, shown.after)
        if row is not None
    }
    parts = [
        _heading("before", 0),
        _heading("after", _SIDE + _GAP),
        *(_band(line, number) for number, line in enumerate(lines)),
        *_edges(old, places, 0),
        *_edges(new, places, _SIDE + _GAP),
        *(
            _dots_and_words(line, number, lanes(list(old)), lanes(list(new)))
            for number, line in enumerate(lines)
        ),
    ]
    return element(
        "div",
        element(
            "svg",
            *parts,
            viewBox=f"0 0 {width} {height}",
            width=width,
            height=height,
            role="img",
            aria_label="the graph before and after",
        ),
        class_="scroll",
    )


def _middle(number: int) -> float:
    return (number + 1.5) * _HEIGHT


def _heading(name: str, left: int) -> Html:
    return element("text", name, x=left + 8, y=_HEIGHT * 0.7, class_="heading")


def _band(line: Line, number: int) -> Html:
    """The colour behind a row."""
    top = (number + 1) * _HEIGHT + 1
    lefts = []
    if line.mark in {"gone", "changed", "frozen"} and (line.before or line.folded):
        lefts.append(0)
    if line.mark in {"new", "changed", "frozen"} and (line.after or line.folded):
        lefts.append(_SIDE + _GAP)
    look = f"band {line.mark}"
    size = {"width": _SIDE, "height": _HEIGHT - 2, "rx": 4, "class_": look}
    return joined(element("rect", x=left, y=top, **size) for left in lefts)


def _edges(rows: Sequence[Row], places: Mapping[Row, float], left: int) -> Iterator[Html]:
    for row in rows:
        for source in row.sources:
            start, end = _x(left, source.lane), _x(left, row.lane)
            top, bottom = places[source], places[row]
            if top == bottom:
                continue  # both are folded
            bend = bottom - min(_HEIGHT, max(bottom - top, 0))
            path = f"M{start},{top} V{bend} C{start},{bottom} {end},{bend} {end},{bottom}"
            yield element("path", d=path, class_="edge")


def _x(left: int, lane: int) -> float:
    return left + 12 + lane * _LANE


def _dots_and_words(line: Line, number: int, old_lanes: int, new_lanes: int) -> Html:
    middle = _middle(number)
    if line.folded:
        what = "of which only the flag changes" if line.mark == "frozen" else "without a change"
        told = f"⋯ {len(line.folded)} layers {what}"
        lefts = (_x(0, old_lanes), _x(_SIDE + _GAP, new_lanes))
        return joined(element("text", told, x=x, y=middle + 4, class_="quiet") for x in lefts)
    parts: list[Html] = []
    if line.before is not None:
        parts += _row(line.before, line.mark, middle, 0, old_lanes)
    if line.after is not None:
        parts += _row(line.after, line.mark, middle, _SIDE + _GAP, new_lanes)
    return joined(parts)


def _row(row: Row, mark: str, middle: float, left: int, columns: int) -> Iterator[Html]:
    layer = row.layer
    yield element("circle", cx=_x(left, row.lane), cy=middle, r=4, class_=f"dot {mark}")
    outputs = layer.calls[0].outputs if layer.calls else None
    shape = tensor_shape(outputs[0].shape) if outputs else "?"
    params = params_of(layer)
    start = _x(left, columns) + row.depth * 12
    room = max(8, int((left + _SIDE - _CLASS - start) / _LETTER) - 1)
    title = element("title", f"{layer.path}: {layer.class_name} {shape}, {params:,} params")
    yield element(
        "text",
        title,
        element("tspan", _short(layer.name, room), class_="name"),
        x=start,
        y=middle + 4,
    )
    right = left + _SIDE
    kind = _short(layer.class_name, 19)
    yield element("text", kind, x=right - _CLASS, y=middle + 4, class_="quiet")
    yield element("text", _short(shape, 20), x=right - 92, y=middle + 4, text_anchor="end")
    told = f"{params:,}" if params else ""
    yield element("text", told, x=right - 8, y=middle + 4, text_anchor="end", class_="quiet")


def _short(value: str, room: int) -> str:
    return value if len(value) <= room else f"{value[: max(room - 1, 1)]}…"
