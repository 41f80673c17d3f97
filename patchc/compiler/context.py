"""Context: what the compiler works on, and how it says no."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from patchc.compiler.plan import Operation
from patchc.errors import Diagnostic, PatchError, Span
from patchc.language.patch import Edit, Patch
from patchc.model.document import Document
from patchc.model.graph import Graph, Layer, TensorSpec, walk
from patchc.model.initializers import snake_case

_NAME = re.compile(r"[A-Za-z0-9._-]+")
"""What TensorFlow takes as the name of a scope, in which Keras calls a layer."""


@dataclass(slots=True)
class Context:
    """The model being edited, and the record of what was done to it.

    Args:
        document: the base; its root is edited in place.
        patch, edit: what is being compiled.
        edit_number: position of the edit among the edits of all patches.
        operations: the plan so far.
        warnings: lints and losses that the user should know of.
        inputs_before: what each layer of the base reads.
        idle_inputs: inputs that lead to no output in the base already.
        output_names: names of the outputs after the last edit.
        promised: a name that no new layer may take, because another one keeps it.
        problems: errors that were noted and not raised yet.
        resized: dimensions that the edit has changed so far.
        copies: path of the layer that a new one is a copy of.
        appended: lines for the files of vocabularies, by layer.
        lossless: outputs that edits have made without a loss, and where.
    """

    document: Document
    patch: Patch = field(init=False)
    edit: Edit = field(init=False)
    edit_number: int = 0
    operations: list[Operation] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    inputs_before: dict[Layer, list[TensorSpec | None]] = field(default_factory=dict)
    idle_inputs: frozenset[Layer] = frozenset()
    output_names: list[str] = field(default_factory=list)
    promised: str | None = None
    problems: list[Diagnostic] = field(default_factory=list)
    resized: set[tuple[Layer, str]] = field(default_factory=set)
    copies: dict[Layer, str] = field(default_factory=dict)
    appended: dict[Layer, list[str]] = field(default_factory=dict)
    lossless: dict[str, Span] = field(default_factory=dict)

    @property
    def root(self) -> Layer:
        """The model being edited."""
        return self.document.root

    def log(self, action: str, address: str, before: Any, after: Any, reason: str = "") -> None:
        """Add an operation to the plan."""
        self.operations.append(
            Operation(action, address, before, after, reason, edit=self.edit_number)
        )

    def log_removed(self, layers: Iterable[Layer], reason: str = "") -> None:
        """Add layers that go, with all weights in them, to the plan."""
        for layer in layers:
            start = layer.origin or layer.path
            self.log("remove", start, layer.class_name, None, reason)
            for inner in [layer, *walk(layer)]:
                for weight in inner.weights:
                    address = f"{inner.origin or inner.path}/{weight.name}"
                    self.log("drop", address, list(weight.shape), None)

    def log_added(self, layers: Iterable[Layer]) -> None:
        """Add new layers and their weights to the plan."""
        for layer in layers:
            copied = self.copies.get(layer)
            reason = f"a copy of `{copied}`" if copied else _told(layer)
            self.log("add", layer.path, None, layer.class_name, reason)
            for weight in layer.weights:
                value = weight.value.init.to_json() if weight.value.init else "kept"
                after = {"shape": list(weight.shape), "init": value}
                self.log("initialise", f"{layer.path}/{weight.name}", None, after)

    def warn(self, code: str, message: str, *, span: Span | None = None, help: str) -> None:  # noqa: A002 (the name the format gives it)
        """Record a warning at the edit, or at `span`."""
        place = span or self.edit.verb_span
        self.warnings.append(Diagnostic(code, message, place, help, severity="warning"))

    def refuse(self, code: str, message: str, *, span: Span | None = None, help: str) -> NoReturn:  # noqa: A002 (the name the format gives it)
        """Raise a PatchError with one diagnostic at the edit's verb, or at `span`."""
        raise PatchError(Diagnostic(code, message, span or self.edit.verb_span, help))

    def problem(self, code: str, message: str, span: Span, help_text: str) -> None:
        """Note an error without stopping, so that its neighbours are found too."""
        self.problems.append(Diagnostic(code, message, span, help_text))

    def raise_problems(self) -> None:
        """Stop where errors have been noted."""
        if self.problems:
            found, self.problems = self.problems, []
            raise PatchError(*found)

    def layers(self) -> list[Layer]:
        """All layers, nested models and inputs below the root."""
        return list(walk(self.root))

    def free_name(self, wanted: str) -> str:
        """`wanted`, or `wanted_1`, `wanted_2`, ... where it is taken, as Keras counts."""
        taken = {self.promised, *(layer.name for layer in self.layers())}
        if wanted not in taken:
            return wanted
        number = 1
        while f"{wanted}_{number}" in taken:
            number += 1
        return f"{wanted}_{number}"

    def automatic_name(self, class_name: str) -> str:
        """The name Keras would give to a new layer of a class, made unique."""
        return self.free_name(snake_case(class_name))

    def check_name(self, name: str, span: Span, *, leaving: Iterable[Layer] = ()) -> None:
        """Refuse a name that is taken, or that Keras does not take.

        Args:
            leaving: layers that give way, whose names become free.
        """
        if not _NAME.fullmatch(name):
            self.refuse(
                "PC304",
                f"{name!r} cannot be the name of a layer",
                span=span,
                help="use letters, digits, `_`, `-` and `.`",
            )
        gone = set(leaving)
        taken = {self.promised, *(layer.name for layer in self.layers() if layer not in gone)}
        if name in taken:
            self.refuse(
                "PC304",
                f"a layer named `{name}` is there already",
                span=span,
                help=f"`{self.free_name(name)}` is free",
            )


def graphs_below(root: Layer) -> list[Graph]:
    """The graphs of the root and of all models inside it."""
    owners = [root, *walk(root)]
    return [owner.graph for owner in owners if owner.graph is not None]


def shape_text(shape: Iterable[int | None]) -> str:
    """A shape as people read it: `(null, 8)`."""
    inside = ", ".join("null" if n is None else str(n) for n in shape)
    return f"({inside})"


def _told(layer: Layer) -> str:
    """The configuration of a new layer in one line."""
    given = {key: value for key, value in layer.config.items() if key != "name"}
    return ", ".join(f"{key}={_short(value)}" for key, value in given.items())


def _short(value: Any) -> str:
    text = value.get("class_name", str(value)) if isinstance(value, dict) else str(value)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 3] + "..."


_MAX_VALUE = 40
