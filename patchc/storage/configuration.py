"""Configurations of models: read into a graph, and compared."""

from __future__ import annotations

from typing import Any

from patchc.errors import Diagnostic, PatchError
from patchc.model.config import ConfigError, check_order, read_config, write_config
from patchc.model.graph import Layer, flatten, walk
from patchc.model.order import keras_order


def root_of(config: Any, path: str) -> Layer:
    """The model of a configuration, its layers in the order in which Keras 3 will have them.

    Raises:
        PatchError: PC404 where the configuration is not understood.
    """
    try:
        root = read_config(config)
        check_order(root)
    except (ConfigError, KeyError, TypeError, IndexError, AttributeError) as error:
        detail = str(error) if isinstance(error, ConfigError) else "has an unknown layout"
        message = f"its configuration {detail}"
        help_text = "save the model again with the Keras that wrote it"
        raise PatchError(Diagnostic("PC404", message, file=path, help=help_text)) from None
    return root


def comparable(config: Any, path: str) -> Any:
    """A configuration without what depends on who wrote it down: order of layers, known shapes."""
    root = root_of(config, path)
    in_keras_order(root)
    for model in [root, *walk(root)]:
        if model.graph is None:
            continue
        model.graph.inputs = flatten(model.graph.inputs)
        model.graph.outputs = flatten(model.graph.outputs)
        for call in model.graph.calls():
            call.outputs = None
            call.kwargs = {key: value for key, value in call.kwargs.items() if value is not None}
    return write_config(root)


def in_keras_order(root: Layer) -> None:
    """List the layers of a model, and of all inside it, in the order of `model.layers`."""
    for model in [root, *walk(root)]:
        if model.graph is not None and not model.graph.sequential:
            ordered = keras_order(model.graph)
            kept = set(ordered)
            model.graph.layers = [*ordered, *(x for x in model.graph.layers if x not in kept)]
