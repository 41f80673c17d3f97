"""Random patches on random models: what `diff` infers from base and result leads there too."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import patchc
from patchc.diff.as_patch import as_patch
from patchc.diff.compare import compare_files
from patchc.diff.difference import Difference
from tests.properties.bench import examples, saved
from tests.properties.graphs import random_model
from tests.properties.patches import Facts, patch_of, random_edits

_AT_LEAST = 0.95
"""Share of random patches for which a patch has to be found."""


def test_the_inferred_patch_gives_the_structure_of_the_random_one() -> None:
    ends: Counter[str] = Counter()

    @given(st.data())
    @examples(50)
    def infer(data: Any) -> None:
        model = random_model(data.draw)
        patch = patch_of(random_edits(data.draw, Facts.of(model)))
        with saved(model) as base:
            try:
                plan = patchc.plan(base, patch)
            except patchc.PatchError:
                return
            out = base.with_name("out.keras")
            patchc.apply(base, patch, out)
            try:
                text = as_patch(base, out).text
            except patchc.PatchError as error:
                told = error.diagnostics[0]
                assert (told.code, bool(told.help)) == ("PC311", True)
                idle = "nothing for a patch to do" in told.message
                assert not idle or _only_values_differ(compare_files(base, out))
                ends["nothing to do" if idle else "refused"] += 1
                return
            inferred = patchc.plan(base, patchc.loads(text))
            assert inferred.structure == plan.structure
            assert inferred.outputs == plan.outputs
            assert inferred.params == plan.params
            ends["found"] += 1

    infer()
    assert ends["found"] >= 15
    assert ends["found"] >= _AT_LEAST * (ends["found"] + ends["refused"]), ends


def _only_values_differ(found: Difference) -> bool:
    """Such is the difference that a patch with `init` alone makes."""
    quiet = all(not (c.config or c.reads or c.trainable) for c in found.layers)
    changes = {layer.change for layer in found.layers}
    return quiet and changes <= {"changed"} and found.before.structure == found.after.structure
