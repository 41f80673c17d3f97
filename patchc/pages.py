"""Pages: a plan as a file for the browser."""

from __future__ import annotations

import os
from collections.abc import Sequence

from patchc.compiler.plan import Plan
from patchc.language.patch import Patch
from patchc.layers.infer import infer
from patchc.pipeline import plan_file
from patchc.report.html.page import page
from patchc.results import Report
from patchc.storage.open_model import open_model
from patchc.storage.publish import publishing

Path = str | os.PathLike[str]


def write_page(
    model: Path,
    patches: Sequence[Patch],
    out: Path,
    *,
    force: bool = False,
    report: Report | None = None,
) -> Plan:
    """Write a page about what patches do to a model; it appears when it is whole.

    Args:
        force: replace an existing file.
        report: what was checked of a result, where there is one.

    Raises:
        PatchError: a file is not understood, a patch does not fit, or the page
            cannot be written.
    """
    plan = plan_file(model, patches)
    with open_model(model) as source:
        before = source.document().root
        assert before.graph is not None
        infer(before.graph)
        text = page(plan, before, patches, report)
        with publishing(out, force=force, inputs=[source.file.identity]) as output:
            output.write_at(0, text.encode("utf-8", "backslashreplace"))
    return plan
