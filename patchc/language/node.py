"""A value of a patch together with its place: what the builders walk over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from patchc.errors import Diagnostic, Span
from patchc.language.source import Document, Path

__all__ = ["Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """The value at one path of a document.

    Args:
        problems: where `report` puts what is found; shared by all nodes.
    """

    value: Any
    path: Path
    document: Document
    problems: list[Diagnostic]

    def __getitem__(self, key: str | int) -> Node:
        return Node(self.value[key], (*self.path, key), self.document, self.problems)

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def get(self, key: str) -> Any:
        """The value under `key`, None where it is not given."""
        return self.value.get(key)

    def entries(self) -> Iterator[tuple[str, Node]]:
        """The keys of a mapping, in the order written, with their values."""
        return ((key, self[key]) for key in self.value)

    def items(self) -> Iterator[Node]:
        """The items of a list."""
        return (self[index] for index in range(len(self.value)))

    @property
    def span(self) -> Span:
        """Where the value stands."""
        return self.document.spans[self.path]

    @property
    def key_span(self) -> Span:
        """Where the key of the value stands."""
        return self.document.key_spans[self.path]

    def report(
        self, code: str, message: str, hint: str | None = None, *, span: Span | None = None
    ) -> None:
        """Record a problem with this value; `span` is another place than the value's own."""
        self.problems.append(Diagnostic(code, message, span or self.span, hint))
