"""Dtype policies, LoRA adapters and quantised layers are carried through, never edited inside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import patchc
from tests.live.builders import (
    FREEZE,
    GROW,
    array,
    features,
    labels,
    out,
    patch,
    perceptron,
    same,
    stir,
    train,
    values,
)


@contextmanager
def global_policy(name: str) -> Iterator[None]:
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def through_a_file(model: Any, edit: str, folder: Path) -> Any:
    model.save(folder / "m.keras")
    patchc.apply(folder / "m.keras", patch(edit), folder / "out.keras", force=True)
    return keras.models.load_model(folder / "out.keras")


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "mixed_bfloat16"])
def test_policies_are_carried_through(policy: str, tmp_path: Path) -> None:
    with global_policy(policy):
        model = train(perceptron())
    before = values(model)
    new, report = patchc.apply(model, patch(GROW), report=True)
    assert report.to_dict()["optimizer"]["dropped"] == 0
    assert new.dtype_policy == model.dtype_policy
    assert type(new.optimizer) is type(model.optimizer)
    assert int(new.optimizer.iterations) == int(model.optimizer.iterations)
    assert new.get_layer("d1").kernel.dtype == model.get_layer("d1").kernel.dtype
    assert same([out(new, features())], [out(model, features())])
    with global_policy(policy):  # where Keras looks when it puts the loss scale around an optimizer
        filed = through_a_file(model, GROW, tmp_path)
    assert same(values(new), values(filed))
    new.train_on_batch(features(), labels())
    assert same(values(model), before)


def adapted() -> Any:
    model = perceptron()
    model.get_layer("d0").enable_lora(2)
    return train(stir(model))


@pytest.mark.parametrize(("edit", "dropped"), [(GROW, 0), (FREEZE, 6)])
def test_a_lora_adapter_stays_what_it_is(edit: str, dropped: int) -> None:
    model = adapted()
    before = values(model)
    new, report = patchc.apply(model, patch(edit), report=True)
    assert report.to_dict()["optimizer"]["dropped"] == dropped
    assert same(*([array(v) for v in m.get_layer("d0").variables] for m in (new, model)))
    assert len(new.get_layer("d0").trainable_variables) == (0 if dropped else 3)
    new.train_on_batch(features(), labels())
    assert same(values(model), before)


def quantised() -> Any:
    model = stir(perceptron())
    model.get_layer("d0").quantize("int8")
    return train(model)


@pytest.mark.parametrize(("edit", "dropped"), [(GROW, 0), (FREEZE, 2)])
def test_a_quantised_layer_is_carried_through(edit: str, dropped: int) -> None:
    model = quantised()
    before = values(model)
    new, report = patchc.apply(model, patch(edit), report=True)
    assert report.to_dict()["optimizer"]["dropped"] == dropped
    np.testing.assert_allclose(out(new, features()), out(model, features()), rtol=1e-6)
    assert new.get_layer("d0").quantization_mode == "int8"
    new.train_on_batch(features(), labels())
    assert same(values(model), before)


@pytest.mark.parametrize("make", [adapted, quantised])
def test_a_file_computes_what_it_computed(make: Any, tmp_path: Path) -> None:
    model = make()
    for edit in (GROW, FREEZE, "{select: bn, insert_after: {Dropout: {rate: 0.1}}}"):
        filed = through_a_file(model, edit, tmp_path)
        np.testing.assert_allclose(out(filed, features()), out(model, features()), rtol=1e-5)
        assert filed.get_layer("d0").quantization_mode == model.get_layer("d0").quantization_mode


INSIDE = (
    "{select: d0, expand: {by: 2}}",
    "{select: d0, shrink: {drop: [0]}}",
    "{select: d0, init: default}",
    "{select: d0, init: {'*': zeros}}",
    "{select: d0, set: {use_bias: false}}",
    "{select: d0, set: {dtype: bfloat16}}",
    "{select: d0, set: {lora_rank: 4}}",
    "{select: bn, insert_after: {copy_of: d0}}",
)


@pytest.mark.parametrize("make", [adapted, quantised])
def test_its_inside_is_not_edited(make: Any, tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "m.keras")
    for edit in INSIDE:
        for source in (model, tmp_path / "m.keras"):
            with pytest.raises(patchc.PatchError, match=r"quantised|LoRA"):
                patchc.plan(source, patch(edit))
    reaches = perceptron()
    reaches.get_layer("d1").enable_lora(2)
    with pytest.raises(patchc.PatchError, match="reaches `d1`, which carries a LoRA adapter"):
        patchc.plan(reaches, patch("{select: d0, expand: {by: 1}}"))
