"""Proposals: edits that may bring one model nearer to another.

None of them has to be right: each is tried with the compiler, and counts by
what differs afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from patchc.diff.chains import (
    NewPart,
    Unspeakable,
    block_of,
    copied_part,
    layers_between,
    new_part,
    selector_of,
)
from patchc.diff.entries import Entries
from patchc.diff.gaps import Gap, flag_of
from patchc.diff.pairs import Pairs
from patchc.diff.sizes import Edit, Sizes
from patchc.diff.spell import completed, plain_config
from patchc.model.graph import Layer, Tensor, flatten, walk


class Proposals:
    """Edits for what differs between a model and the one that it is to become.

    Args:
        before, after: the root models.
        gaps: what differs.
        entries: tells which entries of a resized layer were there before; left
            out, the first ones.

    Attributes:
        unspeakable: layers of the model after that no patch can make.
    """

    def __init__(
        self,
        before: Layer,
        after: Layer,
        pairs: Pairs,
        gaps: Sequence[Gap],
        entries: Entries | None = None,
    ) -> None:
        self._before = before
        self._after = after
        self._pairs = pairs
        self._gaps = gaps
        self._sizes = Sizes(before, pairs, entries)
        self.unspeakable: list[Unspeakable] = []

    def all(self) -> Iterator[Edit]:
        """Every proposal, the likeliest first."""
        for pair in self._of("weights", "config"):
            yield from self._sizes.edits(*pair)
        yield from self._outputs()
        yield from self._ways()
        yield from self._settings()
        yield from self._remakes()
        yield from self._renames()
        yield from self._flags()

    def _of(self, *kinds: str) -> Iterator[tuple[Layer, Layer]]:
        seen: set[Layer] = set()
        for gap in self._gaps:
            if gap.kind in kinds and gap.before is not None and gap.after is not None:
                if gap.after not in seen:
                    yield gap.before, gap.after
                seen.add(gap.after)

    def _select(self, layer: Layer) -> Any:
        return selector_of(self._before, layer)

    def _edit(self, layer: Layer, verb: str, value: Any) -> Edit:
        return {"select": self._select(layer), verb: value}

    # ----------------------------------------------------------------- topology

    def _ways(self) -> Iterator[Edit]:
        """Where a layer, or an output of a model, reads something else."""
        for before, after in self._of("reads"):
            for old_call, new_call in zip(before.calls, after.calls, strict=False):
                old, new = old_call.tensors(), new_call.tensors()
                if len(old) == len(new):
                    for pair in zip(old, new, strict=True):
                        yield from self._way(*pair, before)
        for before, after in self._of("outputs"):
            assert before.graph is not None
            assert after.graph is not None
            ends = flatten(before.graph.outputs), flatten(after.graph.outputs)
            for pair in zip(*ends, strict=False):
                yield from self._way(*pair, None)

    def _way(self, old: Tensor, new: Tensor, reader: Layer | None) -> Iterator[Edit]:
        if self._pairs.tensor_before(new) == old:
            return
        yield from self._chained(old, new, reader)
        copied = copied_part(self._pairs, new)
        if copied is not None and self._pairs.tensor_before(copied.source) == old:
            yield self._edit(old.layer, "insert_after", copied.elements[0])
            if reader is not None:
                yield self._edit(reader, "insert_before", copied.elements[0])

    def _chained(self, old: Tensor, new: Tensor, reader: Layer | None) -> Iterator[Edit]:
        part = self._new_part(new)
        if part is None:
            return
        source = self._start(part)
        if source is None:
            return
        if source != old:
            yield from self._instead(source, old, part)
        elif part.elements:
            chain = _chain(part.elements)
            yield self._edit(source.layer, "insert_after", chain)
            if reader is not None:
                yield self._edit(reader, "insert_before", chain)

    def _new_part(self, tensor: Tensor, forced: Collection[Layer] = ()) -> NewPart | None:
        try:
            return new_part(self._pairs, tensor, forced)
        except Unspeakable as error:
            self.unspeakable.append(error)
            return None

    def _start(self, part: NewPart) -> Tensor | None:
        """Where new layers start, in the model before."""
        if part.first is None:
            return self._pairs.tensor_before(part.source)
        sources = part.source.call.main_tensors()
        return self._pairs.tensor_before(sources[0]) if sources else None

    def _instead(self, source: Tensor, old: Tensor, part: NewPart) -> Iterator[Edit]:
        """New layers in the place of what leads from `source` to `old`."""
        graph = old.layer.home
        if graph is None or source.layer.home is not graph:
            return
        if part.first is not None:
            yield from self._joined(old, part)
            return
        region = layers_between(graph, source, old)
        if not region:
            return
        select = block_of(self._before, region, source, old)
        if not part.elements:
            yield {"select": select, "remove": True}
            yield {"select": [self._select(layer) for layer in region], "remove": True}
            return
        yield {"select": select, "replace": _chain(_unnamed(part.elements, old.layer.name))}

    def _joined(self, old: Tensor, part: NewPart) -> Iterator[Edit]:
        """New layers whose first reads several tensors, in the place of one that reads them."""
        graph = old.layer.home
        assert graph is not None
        wanted = [self._pairs.tensor_before(t) for t in part.source.call.main_tensors()]
        for layer in graph.layers:
            if any(call.main_tensors() == wanted for call in layer.calls):
                region = layers_between(graph, layer.calls[0].main_tensors()[0], old)
                chain = _chain(_unnamed(part.elements, old.layer.name))
                if layer is old.layer:
                    yield self._edit(layer, "replace", chain)
                elif layer in region:
                    ends = {"from": self._select(layer), "to": self._select(old.layer)}
                    yield {"select": {"block": ends}, "replace": chain}

    # ------------------------------------------------------------------ outputs

    def _outputs(self) -> Iterator[Edit]:
        """Other outputs: those that are there become the only ones, or new ones come."""
        if not any(gap.kind == "outputs" for gap in self._gaps):
            return
        assert self._before.graph is not None
        assert self._after.graph is not None
        wanted = flatten(self._after.graph.outputs)
        given = flatten(self._before.graph.outputs)
        if len(wanted) <= len(given):
            yield from self._truncation(wanted)
        for tensor in wanted:
            if self._pairs.tensor_before(tensor) not in given:
                yield from self._output(tensor)
        yield from self._truncation(wanted)
        sources = [part.source for t in wanted if (part := self._new_part(t)) is not None]
        if sources != wanted:
            yield from self._truncation(sources)

    def _truncation(self, wanted: Sequence[Tensor]) -> Iterator[Edit]:
        places = [self._place(tensor) for tensor in wanted]
        found = [place for place in places if place is not None]
        if len(found) < len(places) or not found:
            return
        calls = {call for _, call in found if call is not None}
        if len(calls) > 1:
            return
        select = [self._select(layer) for layer, _ in found]
        edit = {"select": select[0] if len(select) == 1 else select, "truncate": True}
        yield edit | ({"call": calls.pop()} if calls else {})

    def _output(self, tensor: Tensor) -> Iterator[Edit]:
        part = self._new_part(tensor)
        if part is None or part.first is not None:
            return
        place = self._place(part.source)
        if place is not None:
            layer, call = place
            edit = self._edit(layer, "add_output", _chain(part.elements) or True)
            yield edit | ({"call": call} if call is not None else {})

    def _place(self, tensor: Tensor) -> tuple[Layer, int | None] | None:
        """The layer of the model before that makes a tensor, and which call where it has several.

        What a nested model gives is found inside it.
        """
        after = tensor.layer
        before = self._pairs.backward.get(after)
        if before is None:
            return None
        if after.graph is not None and before.graph is not None and tensor.index > 0:
            return self._place(flatten(after.graph.outputs)[tensor.index])
        number = after.calls.index(tensor.call)
        if tensor.index > 0 or number >= len(before.calls):
            return None
        return before, number if len(before.calls) > 1 else None

    # ------------------------------------------------------------ configuration

    def _settings(self) -> Iterator[Edit]:
        """One edit for all layers in which the same keys get the same values."""
        groups: dict[str, tuple[dict[str, Any], list[Layer]]] = {}
        for before, after in self._of("config"):
            values = _changed(before, after)
            groups.setdefault(repr(sorted(values.items())), (values, []))[1].append(before)
        for values, layers in groups.values():
            if values:
                select = [self._select(layer) for layer in layers]
                yield {"select": select[0] if len(select) == 1 else select, "set": values}

    def _remakes(self) -> Iterator[Edit]:
        """A layer that cannot be changed gives way to one like it, with what leads to it."""
        for before, after in self._of("weights", "config", "reads"):
            if not before.calls or not after.calls or after.graph is not None or after.is_input:
                continue
            part = self._new_part(Tensor(after.calls[0]), {after})
            old = Tensor(before.calls[0])
            if part is None:
                continue
            keep = {"init": "keep"} if after.weights else {}
            if part.first is not None:
                yield from (edit | keep for edit in self._joined(old, part))
                yield from self._joined(old, part)
                continue
            source = self._start(part)
            if source is not None:
                edits = list(self._instead(source, old, part))
                yield from (edit | keep for edit in edits if keep)
                yield from edits

    # ---------------------------------------------------------- names and flags

    def _renames(self) -> Iterator[Edit]:
        for before, after in self._of("name"):
            yield self._edit(before, "rename", after.name)

    def _flags(self) -> Iterator[Edit]:
        for frozen in (True, False):
            layers = [
                before
                for before, after in self._of("trainable")
                if flag_of(after, self._after) is not frozen
            ]
            if layers:
                yield from self._freeze(layers, frozen=frozen)

    def _freeze(self, layers: Sequence[Layer], *, frozen: bool) -> Iterator[Edit]:
        """The layers by name, or all but the others where those are fewer."""
        others = [
            layer
            for layer in walk(self._before)
            if layer not in layers and layer.weights and layer.graph is None
        ]
        named = _one_or_list([self._select(layer) for layer in layers])
        if len(others) < len(layers):
            rest: Any = {"not": _one_or_list([self._select(layer) for layer in others])}
            yield {"select": rest if others else "*", "freeze": frozen}
        yield {"select": named, "freeze": frozen}


def _one_or_list(items: list[Any]) -> Any:
    return items[0] if len(items) == 1 else items


def _chain(elements: Iterable[Any]) -> Any:
    return _one_or_list(list(elements))


def _unnamed(elements: Sequence[Any], name: str) -> list[Any]:
    """The elements without the last one's name, where it is the one that it would get anyway."""
    *rest, last = elements
    if isinstance(last, dict) and "residual" not in last:
        ((kind, config),) = last.items()
        if config.get("name") == name:
            config = {key: value for key, value in config.items() if key != "name"}
            last = {kind: config} if config else kind
    return [*rest, last]


def _changed(before: Layer, after: Layer) -> dict[str, Any]:
    """The keys of a layer that get other values."""
    old, new = plain_config(before), plain_config(after)
    keys = [key for key in {**new, **old} if old.get(key, ...) != new.get(key, ...)]
    if after.is_input:
        return {key: value for key in keys if (value := completed(after, key)) is not None}
    return {key: completed(after, key) for key in keys}
