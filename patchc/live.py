"""The way of a model in memory: from a `keras.Model` and patches to a plan, or to a new model."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from patchc.compiler.compile import compile_patches
from patchc.compiler.plan import Plan
from patchc.errors import PatchError
from patchc.language.patch import Patch
from patchc.results import Report
from patchc.storage.live.checks import check_live
from patchc.storage.live.model import LiveModel, build_live, open_live
from patchc.storage.live.objects import MODEL
from patchc.storage.live.parts import check_patches, check_plan, is_graph
from patchc.storage.live.run import run_patches


def plan_live(model: Any, patches: Sequence[Patch], *, again: bool = False) -> Plan:
    """Compile patches against a model in memory, which has no history.

    Args:
        again: take a patch more than once.

    Raises:
        PatchError: the model cannot be built anew, or a patch does not fit it.
    """
    with open_live(model) as live:
        return _compile(live, patches, again=again)


def apply_live(model: Any, patches: Sequence[Patch], *, again: bool = False) -> tuple[Any, Report]:
    """Make a new model from one in memory, which stays as it is.

    Args:
        again: take a patch more than once.

    Raises:
        PatchError: the model cannot be built anew, a patch does not fit it, or
            a check of the result does not hold.
    """
    with _uncollected(), open_live(model) as live:
        plan = _compile(live, patches, again=again)
        new = build_live(live, plan)
        run = run_patches(model, new, patches, plan)
        nowhere = {"path": MODEL, "sha256": None}
        report = Report(
            command="apply",
            plan=plan,
            base=nowhere,
            output={**nowhere, "bytes": None},
            checks=(*check_live(live, plan, new), *run),
        )
    failed = [check.diagnostic(MODEL) for check in report.checks if not check.ok]
    if failed:
        raise PatchError(*failed)
    return new, report


def _compile(live: LiveModel, patches: Sequence[Patch], *, again: bool) -> Plan:
    if is_graph(live.model):
        return compile_patches(live.document(), patches, again=again)
    check_patches(live.model, patches)
    plan = compile_patches(live.document(), patches, again=again)
    check_plan(live.model, live.outline, plan)
    return plan


@contextmanager
def _uncollected() -> Iterator[None]:
    """Put off Python's search for cycles while a model is built.

    It goes through everything that TensorFlow holds, and takes a third of the
    time that a ResNet50 does.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
