"""History: which patches made a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEYS: Mapping[str, type | tuple[type, ...]] = {
    "id": str,
    "sha256": str,
    "text": str,
    "params": dict,
    "seed": (int, type(None)),
    "patchc": str,
    "base": str,
}
"""What is recorded of each patch, and its type."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A patch that was applied to a model.

    There is no time in it: the same patch on the same file gives the same file.

    Args:
        sha256: of the patch file.
        text: the patch file's whole text.
        params: the value of each parameter.
        seed: as the patch says; None where it says nothing.
        patchc: version of patchc that applied it.
        base: contents digest of the model that it was applied to; patches of
            one call share it.
    """

    id: str
    sha256: str
    text: str
    params: Mapping[str, Any]
    seed: int | None
    patchc: str
    base: str

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON."""
        return {key: getattr(self, key) for key in KEYS} | {"params": dict(self.params)}
