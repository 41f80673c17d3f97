"""Plan: what will be done, as plain data.

A plan holds names, shapes and strategies, never arrays.  It is the only thing
that a sink reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.errors import Diagnostic
from patchc.model.document import Document
from patchc.model.values import Value

FORMAT_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a plan.

    Args:
        action: `add`, `remove`, `rewire`, `set`, `rename`, `resize`,
            `initialise`, `drop`, `output`, or the same for optimizer slots.
        address: path of the layer, or of layer and weight.
        before, after: class, configuration, shape, ... as it was and will be.
        reason: why, where the edit alone does not tell.
        edit: number of the edit, counted through all patches.
    """

    action: str
    address: str
    before: Any
    after: Any
    reason: str = ""
    edit: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The operation as JSON."""
        return {
            "action": self.action,
            "address": self.address,
            "before": self.before,
            "after": self.after,
            "reason": self.reason,
            "edit": self.edit,
        }


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A weight of the result: what it is and where it comes from.

    Args:
        address: storage address in the result.
        path: layer and name.
        fate: `kept`, `grown`, `shrunk`, `rescaled`, `new` or `reinitialised`.
        value: where the values come from.
    """

    address: str
    path: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    fate: str
    value: Value

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON."""
        value = self.value
        return {
            "address": self.address,
            "path": self.path,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "trainable": self.trainable,
            "fate": self.fate,
            "from": value.base,
            "growths": [growth.to_json() for growth in value.growths],
            "init": value.init.to_json() if value.init else None,
        }


FATES = ("kept", "grown", "shrunk", "rescaled", "new", "reinitialised", "dropped")


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every weight of input and output, accounted for.

    Args:
        entries: the weights of the result, in storage order.
        dropped: weights of the base that the result does not hold, by address.
    """

    entries: tuple[LedgerEntry, ...]
    dropped: Mapping[str, str]
    """Address in the base -> path."""

    def counts(self) -> dict[str, int]:
        """Number of weights by fate."""
        counted = Counter(entry.fate for entry in self.entries)
        counted["dropped"] = len(self.dropped)
        return {fate: counted[fate] for fate in FATES}


@dataclass(frozen=True, slots=True)
class EditLabel:
    """Which edit an operation comes from, for people.

    Args:
        text: `edits[0] expand`.
        params: by how many parameters the edit changes the model.
    """

    patch: str
    text: str
    file: str
    line: int
    why: str | None
    params: int = 0


@dataclass(frozen=True, slots=True)
class OptimizerChange:
    """What becomes of the optimizer's stored variables.

    Args:
        entries: the variables of the result, in their order.
        dropped: number of variables of the base that the result does not hold.
        reason: why the whole state is dropped, where it is.
    """

    entries: tuple[LedgerEntry, ...] = ()
    dropped: int = 0
    reason: str = ""

    def counts(self) -> dict[str, int]:
        """Totals for reports."""
        counted = Counter(entry.fate for entry in self.entries)
        return {
            "kept": counted["kept"],
            "grown": counted["grown"] + counted["rescaled"],
            "new": counted["new"] + counted["reinitialised"],
            "dropped": self.dropped,
        }


@dataclass(frozen=True, slots=True)
class StorageGroup:
    """A group in which Keras writes the `vars` of a layer or of a part of one.

    Args:
        path: in the result.
        base: the group in the base whose attributes it keeps; None for a new one.
        name: the name to write on it; None where it stays as in the base.
    """

    path: str
    base: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class PatchLabel:
    """Which patch a plan comes from.

    Args:
        file: its name, as the user wrote it.
        text: the file's whole text.
        params: the value of each parameter.
        seed: as the patch says; None where it says nothing.
    """

    id: str
    sha256: str
    file: str
    description: str | None
    text: str = field(default="", repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The label as JSON."""
        return {
            "id": self.id,
            "sha256": self.sha256,
            "file": self.file,
            "description": self.description,
            "params": dict(self.params),
            "seed": self.seed,
        }


@dataclass(frozen=True, slots=True)
class Outline:
    """A model in outline.

    Args:
        layers: class of each layer by path, in the order of `model.layers`.
        outputs: name and shape of each.
        structure: structure hash.
    """

    layers: Mapping[str, str]
    outputs: tuple[Mapping[str, Any], ...]
    structure: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be done to a model.

    Args:
        base: the document that was compiled against; its root is edited.
        before: the base in outline.
        patches: a label for each patch.
        edits: a label for each edit.
        operations: what happens, in order.
        ledger: where each weight comes from and goes.
        config: configuration of the result.
        groups: storage groups of the result.
        assets: member of the result -> member of the base.
        appended: member of the result -> the lines that it has beyond that of the base.
        params: parameter counts before and after.
        layers: class of each layer of the result by path.
        inputs, outputs: name and shape of each.
        structure: structure hash of the result.
        warnings: lints and losses.
        independent: ids of neighbouring patches whose order does not matter.
    """

    base: Document
    before: Outline
    patches: tuple[PatchLabel, ...]
    edits: tuple[EditLabel, ...]
    operations: tuple[Operation, ...]
    ledger: Ledger
    optimizer: OptimizerChange
    config: Mapping[str, Any]
    groups: tuple[StorageGroup, ...]
    assets: Mapping[str, str]
    params: Mapping[str, int]
    layers: Mapping[str, str]
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[Mapping[str, Any], ...]
    structure: str
    warnings: tuple[Diagnostic, ...] = ()
    independent: tuple[tuple[str, str], ...] = ()
    appended: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.operations

    def __str__(self) -> str:
        # The report room stands to the right of this one; a plan only lends it its `str`.
        from patchc.report.plan_text import plan_text  # noqa: PLC0415

        return plan_text(self)

    def _repr_html_(self) -> str:
        """The plan as a notebook shows it."""
        from patchc.report.html.page import plan_fragment  # noqa: PLC0415 (as above)

        return plan_fragment(self)

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON (`schemas/plan.v1.schema.json`)."""
        return {
            "format_version": FORMAT_VERSION,
            "command": "plan",
            "ok": True,
            "base": self._base_facts(),
            "patches": [patch.to_dict() for patch in self.patches],
            "edits": [
                {
                    "patch": e.patch,
                    "edit": e.text,
                    "file": e.file,
                    "line": e.line,
                    "why": e.why,
                    "params": e.params,
                }
                for e in self.edits
            ],
            "operations": [operation.to_dict() for operation in self.operations],
            "ledger": self.ledger.counts(),
            "weights": [entry.to_dict() for entry in self.ledger.entries],
            "dropped": dict(self.ledger.dropped),
            "optimizer": self.optimizer.counts(),
            "params": dict(self.params),
            "inputs": [dict(end) for end in self.inputs],
            "outputs": [dict(end) for end in self.outputs],
            "structure": self.structure,
            "independent": [list(pair) for pair in self.independent],
            **self.repairs(),
            "diagnostics": [warning.to_dict() for warning in self.warnings],
        }

    def repairs(self) -> dict[str, Any]:
        """Repairs of an older base as JSON, `{"repairs": [...]}`; empty where there are none."""
        return {"repairs": [dict(r) for r in self.base.repairs]} if self.base.repairs else {}

    def _base_facts(self) -> dict[str, Any]:
        return {
            "path": self.base.path,
            "sha256": self.base.digest,
            **self.base.fingerprint,
            "structure": self.before.structure,
            "layers": len(self.before.layers),
            "outputs": [dict(end) for end in self.before.outputs],
        }
