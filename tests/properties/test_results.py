"""Random patches on random models: the result is what its plan says, as Keras sees it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import patchc
from tests.properties import oracle
from tests.properties.bench import examples, planned, saved
from tests.properties.graphs import random_model
from tests.properties.patches import VERBS, Facts, growable, patch_of, random_edit, random_edits


@given(st.data())
@examples(70)
def test_keras_loads_what_the_plan_says(data: Any) -> None:
    model = random_model(data.draw)
    patch = patch_of(random_edits(data.draw, Facts.of(model)))
    with saved(model) as base:
        out = base.with_name("out.keras")
        plan = planned(base, patch, out)
        assume(plan is not None)
        assert plan is not None
        assert patchc.apply(base, patch, out).ok
        oracle.assert_accounted(base, plan, out)
        before, after = oracle.loaded(base), oracle.loaded(out)
        oracle.assert_loads_as_planned(before, plan, after)
        oracle.assert_counts(plan, after)
        oracle.assert_shapes(plan, after)
        oracle.assert_resaves_alike(after, out, base.with_name("again.keras"))
        oracle.assert_slots_follow(oracle.loaded(base), plan, oracle.loaded(out))


@pytest.mark.parametrize("verb", sorted(VERBS))
@given(data=st.data())
@examples(6)
def test_every_verb_gives_a_model_that_keras_loads(verb: str, data: Any) -> None:
    model = random_model(data.draw)
    patch = patch_of([random_edit(data.draw, Facts.of(model), [verb])])
    with saved(model) as base:
        out = base.with_name("out.keras")
        plan = planned(base, patch, out)
        assume(plan is not None)
        assert plan is not None
        patchc.apply(base, patch, out)
        after = oracle.loaded(out)
        oracle.assert_loads_as_planned(oracle.loaded(base), plan, after)
        oracle.assert_counts(plan, after)


@given(st.data())
@examples(20)
def test_the_same_patch_gives_the_same_file(data: Any) -> None:
    model = random_model(data.draw)
    patch = patch_of(random_edits(data.draw, Facts.of(model)))
    with saved(model) as base:
        out = base.with_name("out.keras")
        assume(planned(base, patch, out) is not None)
        patchc.apply(base, patch, out)
        first = out.read_bytes()
        patchc.apply(base, patch, out, force=True)
        assert out.read_bytes() == first
        assert patchc.verify(base, out, patch).ok


@given(st.data())
@examples(30)
def test_edits_together_are_edits_one_after_the_other(data: Any) -> None:
    model = random_model(data.draw)
    facts = Facts.of(model)
    edits = [random_edit(data.draw, facts) for _ in range(2)]
    with saved(model) as base:
        together, first, second = (base.with_name(f"{n}.keras") for n in ("both", "one", "two"))
        plan = planned(base, patch_of(edits), together)
        assume(plan is not None)
        assert plan is not None
        patchc.apply(base, patch_of(edits), together)
        patchc.apply(base, patch_of(edits[:1]), first)
        patchc.apply(first, patch_of(edits[1:]), second, again=True)
        assert oracle.config_of(second) == oracle.config_of(together)
        grown = {entry.address for entry in plan.ledger.entries if entry.value.growths}
        one, other = oracle.layer_weights(together), oracle.layer_weights(second)
        # New entries of a weight that grows twice are drawn anew, so theirs may differ.
        assert {k: v for k, v in one.items() if k not in grown} == {
            k: v for k, v in other.items() if k not in grown
        }


@given(st.data())
@examples(25)
def test_growing_and_shrinking_back_restores_every_weight(data: Any) -> None:
    model = random_model(data.draw, trained=False)
    path = data.draw(st.sampled_from(growable(Facts.of(model))))
    grow = patch_of([{"select": path, "expand": {"by": 2}}])
    with saved(model) as base:
        grown, back = base.with_name("grown.keras"), base.with_name("back.keras")
        plan = planned(base, grow, grown)
        assume(plan is not None)
        assert plan is not None
        sizes = [o.before for o in plan.operations if (o.action, o.address) == ("resize", path)]
        size = next((v for v in (sizes or [{}])[0].values() if isinstance(v, int)), None)
        assume(size is not None)
        assert size is not None
        patchc.apply(base, grow, grown)
        drop = {"select": path, "shrink": {"drop": [size, size + 1]}}
        patchc.apply(grown, patch_of([drop]), back, again=True)
        assert oracle.weight_bytes(back) == oracle.weight_bytes(base)
