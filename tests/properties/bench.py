"""How the properties are run: how many examples, and where their files lie."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

import patchc
from patchc.compiler.plan import Plan
from patchc.language.patch import Patch

_HUNT = os.environ.get("HYPOTHESIS_PROFILE") == "hunt"
"""`HYPOTHESIS_PROFILE=hunt` looks for new failures, with many more random examples."""


def examples(number: int) -> settings:
    """Run a property on that many examples, the same ones every time; many more in a hunt."""
    return settings(
        max_examples=number * 50 if _HUNT else number,
        derandomize=not _HUNT,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )


@contextmanager
def saved(model: Any) -> Iterator[Path]:
    """A folder of its own that holds nothing but the saved model; its path."""
    with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
        path = Path(folder, "base.keras")
        model.save(path)
        yield path


def planned(base: Path, patch: Patch, out: Path) -> Plan | None:
    """The plan, or None for a patch that is refused: with reasons, and without a trace."""
    before = base.read_bytes()
    try:
        return patchc.plan(base, patch)
    except patchc.PatchError as error:
        assert error.diagnostics
        assert all(found.message and found.help for found in error.diagnostics)
    with pytest.raises(patchc.PatchError):
        patchc.apply(base, patch, out)
    assert list(base.parent.iterdir()) == [base]
    assert base.read_bytes() == before
    return None
