"""A model in a file and the same model in memory come out of a patch alike."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import patchc
from patchc.errors import PatchError
from patchc.language.patch import Patch
from tests.live.builders import same, values
from tests.properties.graphs import keras, random_model
from tests.properties.patches import Facts, patch_of, random_edits

_UNFREEZABLE = ("MultiHeadAttention", "GroupQueryAttention", "ConvLSTM1D", "ConvLSTM2D")


def configuration(model: Any) -> Any:
    """What saving the model writes, without the shapes that it was built with."""
    return _without_shapes(keras.saving.serialize_keras_object(model))


def _without_shapes(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {key: node[key] for key in node if key not in {"build_config", "shared_object_id"}}
        return {key: _without_shapes(value) for key, value in kept.items()}
    if isinstance(node, (list, tuple)):
        return [_without_shapes(item) for item in node]
    return node


def from_file(model: Any, patch: Patch, folder: Path) -> Any:
    model.save(folder / "m.keras")
    patchc.apply(folder / "m.keras", patch, folder / "out.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras tells where it gives up the optimizer's state
        return keras.models.load_model(folder / "out.keras")


def outcome(make: Any) -> tuple[Any, list[str]]:
    try:
        return make(), []
    except PatchError as error:
        return None, [found.message for found in error.diagnostics]


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking would build thousands of models
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_file_and_memory_agree(data: st.DataObject) -> None:
    model = random_model(data.draw)
    frozen = [layer for layer in model._flatten_layers() if not layer.trainable]
    assume(not any(type(layer).__name__ in _UNFREEZABLE for layer in frozen))
    patch = patch_of(random_edits(data.draw, Facts.of(model)))
    before = values(model)
    with TemporaryDirectory() as folder:
        filed, refused = outcome(lambda: from_file(model, patch, Path(folder)))
    made, found = outcome(lambda: patchc.apply(model, patch, report=True))
    assert found == refused, (found, refused)
    assert same(values(model), before)
    if made is None:
        return
    new, report = made
    assume(not any(warning.code == "PC904" for warning in report.diagnostics))
    assert configuration(new) == configuration(filed)
    assert _weights(new) == _weights(filed)
    if report.plan.optimizer.entries:
        _same_state(new.optimizer, filed.optimizer)


def _weights(model: Any) -> list[tuple[str, bytes]]:
    """Paths and values, but for the state of generators, which no file holds."""
    held = [v for v in model.variables if "seed_generator" not in v.path]
    return [(variable.path, variable.numpy().tobytes()) for variable in held]


def _same_state(one: Any, other: Any) -> None:
    pairs = list(zip(one.variables, other.variables, strict=False))
    assert all(np.array_equal(left.numpy(), right.numpy()) for left, right in pairs)
    assert len(one.variables) == len(other.variables) or not one.built
