"""Members: what becomes of the configuration and the weights of one layer that changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from patchc.compiler.context import Context
from patchc.compiler.contracts import Agreement
from patchc.compiler.fill import DEFAULT
from patchc.compiler.propagate import Dimension, Spread
from patchc.compiler.settle import seed_text
from patchc.layers.base import Rule, complete
from patchc.layers.contracts import Contract, Norm
from patchc.layers.infer import rule_of
from patchc.layers.ports import aliases_of, base_of, derived, dimension_in, reading_axes
from patchc.model.graph import Layer, Weight
from patchc.model.values import ZEROS, Growth, Strategy


@dataclass(frozen=True, slots=True)
class Reading:
    """How what reads the axis of an input changes, where the edit says so.

    Args:
        fill: of new entries.
        scale: of old ones and their copies.
        merge: entries that go are added to those that stay.
    """

    fill: Strategy = ZEROS
    scale: float = 1.0
    merge: bool = False


@dataclass(frozen=True, slots=True)
class Resize:
    """What follows from the change of one dimension of a layer, and how; nothing is done yet.

    Args:
        preserve: old entries must not notice new ones.
        fills: how new entries of the layer's own weights are made, where the
            edit says so.
        reason: why new entries are what they are, where the edit does not say it.
        reading: how what reads the axis changes, where the edit says so.
    """

    spread: Spread
    agreement: Agreement
    preserve: bool
    fills: Mapping[Weight, Strategy] = field(default_factory=dict)
    reason: str = ""
    reading: Reading | None = None

    @property
    def source(self) -> Layer:
        """The layer that the edit selected."""
        return self.spread.source


class Member:
    """One layer among those that change, along one dimension; made before any of them changes.

    Args:
        split: whether what reads copies splits them.
    """

    def __init__(
        self,
        context: Context,
        plan: Resize,
        layer: Layer,
        label: str,
        dimension: Dimension,
        *,
        split: bool,
    ) -> None:
        self._context = context
        self._plan = plan
        self._layer = layer
        self._label = label
        self._dimension = dimension
        self._split = split
        self._silent = plan.agreement.reads_silence(layer, label)

    def resize(self) -> None:
        """Change configuration and weights."""
        self._context.resized.add((self._layer, self._label))
        rule = rule_of(self._layer)
        if rule is None:
            return
        config = complete(rule, self._layer.config)
        norm = self._norm(rule, config)
        self._resize_config(rule, config, norm)
        made = self._plan.agreement.made.get((self._layer, self._label))
        for weight in self._layer.weights:
            before = weight.shape
            for growth in self._growths(rule, config, weight):
                _change(weight, self._filled(weight, growth, norm, made))
            if weight.shape != before:
                self._log_weight(weight, before)

    def _norm(self, rule: Rule, config: Mapping[str, Any]) -> Norm | None:
        """What takes back the factor that the change brings into a normalisation.

        So it is where new entries add nothing to its statistics, and backwards
        where entries go: that counts as if they had added nothing.
        """
        layer, map_, size = self._layer, self._dimension.map, self._dimension.size
        for call in layer.calls:
            if call in self._plan.spread.norms:
                return self._plan.spread.norms[call]
        spec = self._plan.spread.spec(layer.calls[0])
        goes = not map_.new and not map_.repeats and map_.size < size
        runs_over = base_of(rule.feature_of(config, spec) or "") == self._label
        return rule.norm(config, spec, map_, size) if goes and runs_over else None

    def _resize_config(self, rule: Rule, config: Mapping[str, Any], norm: Norm | None) -> None:
        """Write the new size into the configuration, and into the plan."""
        context, layer, source = self._context, self._layer, self._plan.source
        label, map_, size = self._label, self._dimension.map, self._dimension.size
        reason = self._plan.reason if layer is source else f"follows `{source.path}`"
        if label in rule.dimensions(config):
            keys = dict(rule.resized(config, label, map_.size))
        else:
            keys = dict(rule.followed(config, label, map_, size))
        if norm is not None and norm.epsilon:
            keys[norm.epsilon] = float(Fraction(config[norm.epsilon]) * size / map_.size)
        if keys:
            before = {key: layer.config.get(key) for key in keys}
            layer.config = {**layer.config, **keys}
            context.log("resize", layer.path, before, keys, reason)
        elif layer.weights:
            reads = any(reading_axes(rule, config, w.name, w.axes or ()) for w in layer.weights)
            reason = f"reads `{source.path}`" if reads else reason
            context.log("resize", layer.path, {label: size}, {label: map_.size}, reason)

    def _growths(
        self, rule: Rule, config: Mapping[str, Any], weight: Weight
    ) -> list[tuple[Growth, bool]]:
        """How the axes of a weight change, and whether they are summed over.

        Axes that are summed over come last, so that where new entries of both
        kinds cross, the values of the others stand.
        """
        axes = weight.axes or ()
        aliases = aliases_of(rule, config, self._plan.spread.spec(self._layer.calls[0]))
        reading = reading_axes(rule, config, weight.name, axes)
        found = []
        for axis in sorted(range(len(axes)), key=lambda axis: axis in reading):
            part = dimension_in(axes[axis], self._label, aliases)
            if part is None:
                continue
            map_, size, length = self._dimension.map, self._dimension.size, weight.shape[axis]
            change = derived(rule, config, axes[axis], part, map_, size, length)
            assert change is not None  # the spread has checked it
            blocks = length // size if axes[axis].endswith(f"*{part}") else 1
            growth = Growth(axis, change, ZEROS, blocks)
            found.append((growth, axis in reading))
        return found

    def _filled(
        self,
        weight: Weight,
        growth: tuple[Growth, bool],
        norm: Norm | None,
        made: Contract | None,
    ) -> Growth:
        """A growth with what becomes of old entries, and what new ones are."""
        change, reads = growth
        own = self._plan.fills.get(weight) if self._layer is self._plan.source else None
        fill = weight.initializer or ZEROS if own is None or own == DEFAULT else own
        if reads and self._plan.reading is not None:
            reading = self._plan.reading
            return replace(
                change, fill=reading.fill, scale=reading.scale, steady=True, merge=reading.merge
            )
        change = replace(change, scale=self._scale(weight))
        if reads:
            zero = self._plan.preserve and not self._silent
            split = int(self._plan.preserve and change.map.repeats)
            return replace(change, fill=ZEROS if zero else fill, split=split)
        if self._shares_out(weight):
            return replace(change, split=1)
        change = replace(change, gradient=int(self._split and change.map.repeats))
        if norm is not None and weight.name in norm.scaled:
            scale = math.sqrt(self._dimension.size / self._dimension.map.size)
            rounded = norm.wants == "mean"  # what is left of it must not be scaled up
            return replace(change, fill=ZEROS if rounded else fill, scale=scale)
        learned = weight.trainable or weight.twin is not None
        if norm is not None or (made == "zero" and learned):
            fill = ZEROS
        elif made == "mean" and learned:
            fill = Strategy("mean")
        return replace(change, fill=fill)

    def _shares_out(self, weight: Weight) -> bool:
        """Whether a weight shares copies out among themselves, in the place of what reads them."""
        rule = rule_of(self._layer)
        if rule is None or (self._layer, self._label) not in self._plan.agreement.shared:
            return False
        return weight.name in rule.factors(complete(rule, self._layer.config))

    def _scale(self, weight: Weight) -> float:
        """What the rule multiplies old entries of a weight by, so that they do not notice."""
        rule = rule_of(self._layer)
        map_, size = self._dimension.map, self._dimension.size
        goes = not map_.new and map_.size < size
        if rule is None or not (self._plan.preserve or goes):
            return 1.0
        config = complete(rule, self._layer.config)
        return rule.rescaled(config, self._label, map_, size).get(weight.name, 1.0)

    def _log_weight(self, weight: Weight, before: tuple[int, ...]) -> None:
        growth = weight.value.growths[-1]
        after: dict[str, Any] = {"shape": list(weight.shape)}
        if growth.map.new:
            after["init"] = growth.fill.to_json()
        elif growth.map.repeats:
            after["init"] = "copy"
        if growth.scale != 1.0:
            after["scale"] = growth.scale
        elif growth.merge:
            after["merge"] = True
        elif growth.rescales:
            after["split"] = True
        path = f"{self._layer.path}/{weight.name}"
        self._context.log("resize", path, list(before), after)
        name = weight.twin or weight.name
        seed = weight.value.seed or seed_text(self._context, self._layer, name)
        weight.value = replace(weight.value, seed=seed)


def _change(weight: Weight, growth: Growth) -> None:
    old = weight.value
    made = old.made or weight.shape if old.base is None else None
    weight.value = replace(old, growths=(*old.growths, growth), made=made)
    shape = list(weight.shape)
    shape[growth.axis] = growth.map.size
    weight.shape = tuple(shape)
