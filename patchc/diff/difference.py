"""Difference: how two models differ, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchc.compiler.plan import FORMAT_VERSION

WEIGHT_FATES = ("identical", "changed", "grown", "shrunk", "reshaped", "new", "gone")


@dataclass(frozen=True, slots=True)
class Magnitude:
    """How far the values of a weight have moved, over the entries that both models have.

    Args:
        largest: largest absolute change of an entry.
        relative: Euclidean norm of the change over that of the old values;
            None where those are all zero.
    """

    largest: float
    relative: float | None

    @property
    def is_zero(self) -> bool:
        """Whether every entry is what it was."""
        return self.largest == 0.0

    def to_dict(self) -> dict[str, Any]:
        """The magnitude as JSON."""
        return {"largest": self.largest, "relative": self.relative}


@dataclass(frozen=True, slots=True)
class WeightDifference:
    """A weight of either model.

    Args:
        path: layer and name, as the model after calls it where it has it.
        fate: one of `WEIGHT_FATES`.
        before, after: shape; None where there is no such weight.
        dtypes: stored dtype before and after.
        moved: how far its values have moved; None where that is not to be said
            (a new, gone or reshaped weight, or one that holds no numbers).
    """

    path: str
    fate: str
    before: tuple[int, ...] | None
    after: tuple[int, ...] | None
    dtypes: tuple[str | None, str | None]
    moved: Magnitude | None = None

    def to_dict(self) -> dict[str, Any]:
        """The weight as JSON."""
        return {
            "path": self.path,
            "fate": self.fate,
            "shape": [_listed(self.before), _listed(self.after)],
            "dtype": list(self.dtypes),
            "moved": self.moved.to_dict() if self.moved else None,
        }


def _listed(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None else list(shape)


@dataclass(frozen=True, slots=True)
class LayerDifference:
    """A layer that differs.

    Args:
        path: in the model after, or in the one before where it is gone.
        before: its path in the model before, None for a new one.
        class_name: its class.
        change: `new`, `gone` or `changed`.
        config: key -> value before and after.
        reads: names of what it reads, before and after, where that differs.
        trainable: whether it trains, before and after, where that differs.
        weights: its weights, as far as they are not identical.
    """

    path: str
    before: str | None
    class_name: str
    change: str
    config: Mapping[str, tuple[Any, Any]]
    reads: tuple[tuple[str, ...], tuple[str, ...]] | None
    trainable: tuple[bool | None, bool | None] | None
    weights: tuple[WeightDifference, ...]

    def to_dict(self) -> dict[str, Any]:
        """The layer as JSON."""
        return {
            "path": self.path,
            "before": self.before,
            "class": self.class_name,
            "change": self.change,
            "config": {key: list(values) for key, values in self.config.items()},
            "reads": [list(names) for names in self.reads] if self.reads else None,
            "trainable": list(self.trainable) if self.trainable else None,
            "weights": [weight.to_dict() for weight in self.weights],
        }


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models.

    Args:
        params: all parameters, and those that train.
        history: ids of the patches that made it, oldest first.
    """

    path: str
    name: str
    class_name: str
    layers: int
    params: tuple[int, int]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    structure: str
    history: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The model as JSON."""
        return {
            "path": self.path,
            "name": self.name,
            "class": self.class_name,
            "layers": self.layers,
            "params": {"total": self.params[0], "trainable": self.params[1]},
            "inputs": [dict(end) for end in self.inputs],
            "outputs": [dict(end) for end in self.outputs],
            "structure": self.structure,
            "history": list(self.history),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """How two models differ.

    Args:
        layers: those that differ.
        weights: every weight of both.
        optimizer: every variable of both optimizers.
        training: key of the training configuration -> value before and after.
    """

    before: Side
    after: Side
    layers: tuple[LayerDifference, ...]
    weights: tuple[WeightDifference, ...]
    optimizer: tuple[WeightDifference, ...]
    training: Mapping[str, tuple[Any, Any]]

    @property
    def same(self) -> bool:
        """Whether nothing differs: structure, configuration, weights, training state, history."""
        values = (*self.weights, *self.optimizer)
        ends = all(
            getattr(self.before, key) == getattr(self.after, key)
            for key in ("name", "class_name", "inputs", "outputs", "structure", "history")
        )
        changed = any(value.fate != "identical" for value in values)
        return ends and not (self.layers or self.training or changed)

    def to_dict(self) -> dict[str, Any]:
        """The difference as JSON (`schemas/report.v1.schema.json`)."""
        return {
            "format_version": FORMAT_VERSION,
            "command": "diff",
            "ok": True,
            "same": self.same,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "layers": [layer.to_dict() for layer in self.layers],
            "weights": fates_of(self.weights),
            "optimizer": fates_of(self.optimizer),
            "training": {key: list(values) for key, values in self.training.items()},
            "diagnostics": [],
        }


def fates_of(weights: tuple[WeightDifference, ...]) -> dict[str, int]:
    """Number of weights by fate."""
    counted = Counter(weight.fate for weight in weights)
    return {fate: counted[fate] for fate in WEIGHT_FATES}
