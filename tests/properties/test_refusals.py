"""Broken patches end in diagnostics, patches without effect in the same bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import patchc
from tests.properties.bench import examples, planned, saved
from tests.properties.graphs import random_model
from tests.properties.patches import Edit, Facts, damaged, exact, growable, patch_of, random_edits


@given(st.data())
@examples(100)
def test_a_broken_patch_ends_in_diagnostics(data: Any) -> None:
    model = random_model(data.draw, trained=False)
    patch: Any = {"patchc": 1, "id": "random", "edits": random_edits(data.draw, Facts.of(model))}
    for _ in range(data.draw(st.integers(1, 2))):
        patch = damaged(data.draw, patch)
    with saved(model) as base:
        out = base.with_name("out.keras")
        try:
            patchc.apply(base, patchc.loads(json.dumps(patch)), out)
        except patchc.PatchError as error:
            assert error.diagnostics
            assert all(found.to_dict()["message"] for found in error.diagnostics)
            assert list(base.parent.iterdir()) == [base]


def _same_size(draw: Any, facts: Facts) -> Edit:
    sized = [p for p in growable(facts) if hasattr(facts.layers[p], "units")]
    assume(sized)
    path = draw(st.sampled_from(sized))
    return {"select": path, "expand": {"to": facts.layers[path].units}}


def _same_name(draw: Any, facts: Facts) -> Edit:
    path, _ = exact(draw, facts)
    return {"select": path, "rename": facts.layers[path].name}


def _same_flag(draw: Any, facts: Facts) -> Edit:
    flag = draw(st.booleans())
    return {"select": {"trainable": flag, "weighted": True}, "freeze": not flag}


def _nothing(draw: Any, facts: Facts) -> Edit:
    return {"select": "no_such_layer", "count": "any", "remove": True}


@given(st.data())
@examples(40)
def test_a_patch_without_effect_gives_the_same_bytes(data: Any) -> None:
    model = random_model(data.draw)
    edit = data.draw(st.sampled_from([_same_size, _same_name, _same_flag, _nothing]))
    patch = patch_of([edit(data.draw, Facts.of(model))])
    with saved(model) as base:
        out = base.with_name("out.keras")
        plan = planned(base, patch, out)
        assume(plan is not None)
        assert plan is not None
        assert plan.is_empty
        report = patchc.apply(base, patch, out)
        assert report.ok
        assert out.read_bytes() == base.read_bytes()
        assert patchc.verify(base, out, patch).ok
