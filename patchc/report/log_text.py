"""A history as text: what `patchc log` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from patchc.history import description_of
from patchc.report.paint import PLAIN, Paint
from patchc.report.safe import safe

if TYPE_CHECKING:
    from patchc.history import Log
    from patchc.model.history import Applied

_SHOWN = 12
"""Digits of a digest that are enough to tell two files apart."""

_NOTHING = (
    "No patches. Where Keras has saved the model since it was patched, it dropped the history:",
    "`patchc adopt BEFORE AFTER -o OUT` carries it over.",
)


def log_text(log: Log, paint: Paint = PLAIN) -> str:
    """Each patch with its digest, parameters and base, newest first."""
    number = len(log.history)
    count = f"  {number} patches, newest first" if number > 1 else "  1 patch"
    head = f"{paint.bold(safe(log.path))}  contents:{log.contents[:_SHOWN]}"
    if not log.history:
        return "\n".join([head, "", *_NOTHING])
    entries = ["\n".join(_entry(applied, paint)) for applied in log.history]
    return "\n\n".join([f"{head}{count}", *entries])


def _entry(applied: Applied, paint: Paint) -> Iterator[str]:
    digest = f"sha256:{safe(applied.sha256)[:_SHOWN]}"
    yield f"{paint.bold(safe(applied.id))}  {digest}  patchc {safe(applied.patchc)}"
    for line in (description_of(applied) or "").splitlines():
        yield f"  {safe(line)}"
    if applied.params:
        params = ", ".join(f"{name}={value}" for name, value in applied.params.items())
        yield f"  params  {safe(params)}"
    if applied.seed is not None:
        yield f"  seed    {applied.seed}"
    yield f"  base    contents:{safe(applied.base)[:_SHOWN]}"
