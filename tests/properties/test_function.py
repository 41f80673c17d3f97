"""Random edits that must not change what a model computes."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import patchc
from tests.properties import oracle
from tests.properties.bench import examples, planned, saved
from tests.properties.graphs import Draw, keras, leaves_of, random_model
from tests.properties.patches import Edit, Facts, exact, growable, patch_of, random_edit


def _grow(draw: Draw[Any], facts: Facts) -> Edit:
    path = draw(st.sampled_from(growable(facts)))
    return {"select": path, "expand": {"by": draw(st.integers(1, 3))}}


def _insert(draw: Draw[Any], facts: Facts) -> Edit:
    path, _ = exact(draw, facts)
    verb = draw(st.sampled_from(["insert_after", "insert_before"]))
    size = getattr(facts.layers[path], "units", 3)
    dense = {"Dense": {"units": size}}
    layers = [
        "BatchNormalization",
        {"Dropout": {"rate": 0.5}},
        {"GaussianNoise": {"stddev": 0.1}},
        dense,
        {"residual": [dense]},
    ]
    new = draw(st.sampled_from(layers))
    return {"select": path, verb: new, "init": "identity"}


def _quiet(draw: Draw[Any], facts: Facts) -> Edit:
    return random_edit(draw, facts, ["freeze", "rename"])


@given(st.data())
@examples(50)
def test_the_function_stays(data: Any) -> None:
    model = random_model(data.draw, trained=False)
    assume(not any("float16" in layer.dtype_policy.name for layer in leaves_of(model)))
    edit = data.draw(st.sampled_from([_grow, _grow, _insert, _insert, _quiet]))
    patch = patch_of([edit(data.draw, Facts.of(model))])
    with saved(model) as base:
        out = base.with_name("out.keras")
        plan = planned(base, patch, out)
        assume(plan is not None)
        assert plan is not None
        patchc.apply(base, patch, out)
        before = oracle.outputs_of(oracle.loaded(base))
        after = oracle.outputs_of(oracle.loaded(out))
        for one, other in zip(before, after, strict=True):
            if one.shape == other.shape:
                oracle.assert_close([one], [other])
            else:
                assert one.ndim == other.ndim  # a head has grown


@given(st.data())
@examples(20)
def test_old_logits_of_a_grown_head_stay(data: Any) -> None:
    units, by = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    place = data.draw(st.integers(0, units))
    inner = random_model(data.draw, trained=False)
    features = inner.outputs[0]
    keras.backend.clear_session(free_memory=False)
    flat = keras.layers.Flatten(name="flat_features")(features)
    logits = keras.layers.Dense(units, name="logits_of_it")(flat)
    model = keras.Model(inner.inputs, logits)
    edit = {"select": {"head": 0}, "expand": {"by": by, "at": place}, "init": "ones"}
    with saved(model) as base:
        out = base.with_name("out.keras")
        patchc.apply(base, patch_of([edit]), out)
        (before,) = oracle.outputs_of(oracle.loaded(base))
        (after,) = oracle.outputs_of(oracle.loaded(out))
    kept = [i for i in range(units + by) if not place <= i < place + by]
    assert after.shape[-1] == units + by
    oracle.assert_close([before], [after[..., kept]])
