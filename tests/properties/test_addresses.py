"""Random models as Keras saves them: read, addressed, and written back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchc.model.addresses import addresses
from patchc.model.config import read_config, write_config
from patchc.model.graph import Layer, walk
from patchc.storage.keras_file import open_keras
from tests.properties import oracle
from tests.properties.bench import examples, saved
from tests.properties.graphs import by_path, keras, random_model


def read(path: Path) -> tuple[Any, Layer]:
    """The configuration of a file, and the model with its weights attached."""
    with open_keras(path) as file:
        return file.config, file.document().root


@given(st.data())
@examples(60)
def test_groups_are_those_that_keras_writes(data: Any) -> None:
    model = random_model(data.draw)
    with saved(model) as path:
        _, root = read(path)
        written = oracle.group_names(path)
    for layer, group in addresses(root).items():
        if layer.home is not None:
            assert written[f"{group}/vars"] == layer.name
    assert len(addresses(root)) == len(set(addresses(root).values()))


@given(st.data())
@examples(60)
def test_weights_are_found_on_the_layers_that_hold_them(data: Any) -> None:
    model = random_model(data.draw)
    with saved(model) as path:
        _, root = read(path)
        stored = oracle.layer_weights(path)
    layers = {layer.path: layer for layer in walk(root)}
    held = by_path(model)
    found = 0
    for path_of, layer in layers.items():
        for weight in layer.weights:
            variable = oracle.keras_weight(model, path_of, weight.name)
            assert any(variable is other for other in held[path_of].variables)
            assert stored[str(weight.value.base)][2] == oracle.value_of(variable)
            assert tuple(variable.shape) == weight.shape
            found += 1
    assert found == len(stored)


@given(st.data())
@examples(60)
def test_configurations_go_back_as_they_came(data: Any) -> None:
    with saved(random_model(data.draw)) as path:
        config, root = read(path)
    assert write_config(read_config(config)) == config
    assert write_config(root) == config


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetB0"])
def test_configurations_of_applications_go_back_as_they_came(name: str, tmp_path: Path) -> None:
    build: Callable[..., Any] = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(64, 64, 3), include_top=False)
    path = tmp_path / f"{name}.keras"
    model.save(path)
    config, root = read(path)
    assert write_config(root) == config
    written = oracle.group_names(path)
    for layer, group in addresses(root).items():
        if layer.home is not None:
            assert written[f"{group}/vars"] == layer.name
