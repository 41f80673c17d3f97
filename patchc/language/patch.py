"""Patch: what a patch file says, as frozen data with places.

Nothing here knows a model.  Layer classes, weights and shapes are looked up by
the compiler.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from patchc.errors import Source, Span
from patchc.model.values import Strategy

# --------------------------------------------------------------------- selectors


@dataclass(frozen=True, slots=True)
class NameSelector:
    """A glob on a layer's own name, or on its path where it has a slash."""

    glob: str
    span: Span


@dataclass(frozen=True, slots=True)
class AnySelector:
    """What any of `items` picks (a YAML list)."""

    items: tuple[Selector, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class KeySelector:
    """What all keys of a mapping pick together.

    Args:
        keys: in the order written.  Values by key: `name`, `class`: tuple of
            str; `regex`: str; `where`: dict; `weighted`, `trainable`: bool;
            `output`, `input`: int or str; `head`: int or str; `inside`,
            `before`, `after`, `not`: Selector; `any`, `all`: tuple of Selector;
            `block`: BlockBounds; `first`, `last`, `nth`: int.
        spans: place of each key's value.
    """

    keys: Mapping[str, Any]
    spans: Mapping[str, Span]
    span: Span


@dataclass(frozen=True, slots=True)
class BlockBounds:
    """The bounds of a region of the graph, both included."""

    from_: Selector
    to: Selector
    span: Span


Selector = NameSelector | AnySelector | KeySelector

# ------------------------------------------------------------------------ layers


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A new layer: Keras class name and the constructor keys that the user gave."""

    class_name: str
    config: Mapping[str, Any]
    span: Span
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Place of each config key's value."""
    key_spans: Mapping[str, Span] = field(default_factory=dict)
    """Place of each config key."""


@dataclass(frozen=True, slots=True)
class Residual:
    """A chain whose result is added to its input."""

    chain: tuple[Element, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class CopyOf:
    """A copy of a layer or block with its weights."""

    selector: Selector
    span: Span


Element = LayerSpec | Residual | CopyOf

# ------------------------------------------------------------------------- verbs


@dataclass(frozen=True, slots=True)
class Init:
    """How new values are made.

    Args:
        strategies: by weight key; a bare strategy stands under the key "".
        spans: place of each strategy.
        key_spans: place of each key.
    """

    strategies: Mapping[str, Strategy]
    span: Span
    spans: Mapping[str, Span]
    key_spans: Mapping[str, Span]

    @property
    def bare(self) -> Strategy | None:
        """The strategy for all weights, where `init` is no mapping by weight."""
        return self.strategies.get("")


@dataclass(frozen=True, slots=True)
class Replace:
    chain: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class Expand:
    by: int | None
    to: int | None
    axis: str | None
    at: tuple[int, ...] | None
    """One old index for all new entries, or one per new entry."""
    preserve: bool
    max_prob_shift: float | None
    tokens: tuple[str | int, ...] | None


@dataclass(frozen=True, slots=True)
class Shrink:
    drop: tuple[int, ...] | None
    keep: tuple[int, ...] | None
    axis: str | None


@dataclass(frozen=True, slots=True)
class Freeze:
    frozen: bool


@dataclass(frozen=True, slots=True)
class InitVerb:
    """`init` alone; the strategies are the edit's `init`."""


@dataclass(frozen=True, slots=True)
class Insert:
    chain: tuple[Element, ...]
    after: bool


@dataclass(frozen=True, slots=True)
class AddOutput:
    chain: tuple[Element, ...]
    """Empty: the selected layer's tensor is exposed as it is."""
    call: int | None


@dataclass(frozen=True, slots=True)
class Remove:
    pass


@dataclass(frozen=True, slots=True)
class Truncate:
    call: int | None


@dataclass(frozen=True, slots=True)
class SetConfig:
    values: Mapping[str, Any]
    spans: Mapping[str, Span]


@dataclass(frozen=True, slots=True)
class Rename:
    name: str


Verb = (
    Replace
    | Expand
    | Shrink
    | Freeze
    | InitVerb
    | Insert
    | AddOutput
    | Remove
    | Truncate
    | SetConfig
    | Rename
)

# ------------------------------------------------------------------------- patch


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: a selector and exactly one verb.

    Args:
        index: position in `edits`, from 0.
        verb_name: the key as written: `insert_after`, `freeze`, ...
        verb_span: place of the verb's value.
        count: `one`, `some`, `any` or a number, where the user overrides it.
    """

    index: int
    select: Selector
    verb: Verb
    verb_name: str
    span: Span
    verb_span: Span
    init: Init | None = None
    count: str | int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """What must hold of the model before anything is done.

    Args:
        values: `name`, `input_shape`, `output_shape`, `structure`, `sha256` as
            far as given; shapes are tuples, or a list of tuples where there
            are several.
        spans: place of each value.
    """

    values: Mapping[str, Any]
    spans: Mapping[str, Span]


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch file, validated.

    Args:
        sha256: hex digest of the file's bytes.
        params: the values of its parameters, defaults and `--set` applied.
        compile, verify: the mappings as written.
        warnings: lints that need no model.
    """

    id: str
    edits: tuple[Edit, ...]
    source: Source
    sha256: str
    description: str | None = None
    requires: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    expect: Expect | None = None
    compile: Mapping[str, Any] | None = None
    verify: Mapping[str, Any] | None = None
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Place of each top-level key's value."""
    warnings: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """The file's whole text, a byte order mark included: what `sha256` is of."""
        text = self.source.text
        same = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() == self.sha256
        return text if same else f"\ufeff{text}"
