"""Random patches are taken back: the original file comes back, byte for byte."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import patchc
from tests.properties import oracle
from tests.properties.bench import examples, planned, saved
from tests.properties.graphs import random_model
from tests.properties.patches import Facts, patch_of, random_edits


@given(st.data())
@examples(25)
def test_apply_then_revert_gives_the_original_file(data: Any) -> None:
    model = random_model(data.draw)
    patch = patch_of(random_edits(data.draw, Facts.of(model)))
    with saved(model) as base:
        out, undo, back = (base.with_name(n) for n in ("out.keras", "out.undo", "back.keras"))
        assume(planned(base, patch, out) is not None)
        patchc.apply(base, patch, out, undo_file=undo, digest=False)
        assert patchc.revert(out, undo, back).facts["exact"]
        assert back.read_bytes() == base.read_bytes()


@given(st.data())
@examples(10)
def test_a_trained_result_gets_the_structure_of_its_base(data: Any) -> None:
    """Every weight of the result is moved; those that the base shares with it stay moved."""
    model = random_model(data.draw)
    patch = patch_of(random_edits(data.draw, Facts.of(model)))
    with saved(model) as base:
        out, undo, back = (base.with_name(n) for n in ("out.keras", "out.undo", "back.keras"))
        plan = planned(base, patch, out)
        assume(plan is not None)
        patchc.apply(base, patch, out, undo_file=undo, digest=False)
        trained = oracle.loaded(out)
        for variable in trained.trainable_variables:
            variable.assign_add(variable * 0 + 1)
        trained.save(out)
        patchc.revert(out, undo, back)
        moved, before, after = map(oracle.layer_weights, (out, base, back))
        assert oracle.config_of(back) == oracle.config_of(base)
        assert after.keys() == before.keys()
        assert plan is not None
        kept = {e.value.base: e for e in plan.ledger.entries if e.fate == "kept"}
        for address, entry in kept.items():
            assert after[str(address)] == moved[entry.address], entry.path
        for address in plan.ledger.dropped:
            assert after[address] == before[address]
        assert oracle.loaded(back).count_params() == oracle.loaded(base).count_params()
