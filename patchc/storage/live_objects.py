"""The classes and functions that a model in memory is made of.

A file names them; whoever loads it has to have them.  Here the model itself
has them: nothing is imported and nothing is unpickled.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
from keras.src.saving import serialization_lib

from patchc.errors import Diagnostic, PatchError

MODEL = "<model>"
"""What messages call a model in memory."""

_KEPT = "<object>"
_KINDS = (
    keras.Layer,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.Operation,
)


def refusal(message: str, way_out: str, code: str = "PC308") -> PatchError:
    """An error about the model in memory."""
    return PatchError(Diagnostic(code, message, file=MODEL, help=way_out))


def read_config(model: keras.Model) -> dict[str, Any]:
    """The configuration that saving the model would write.

    Anonymous functions stand in it by a name that `custom_objects` resolves;
    so do losses, metrics and optimizers that cannot be written.

    Raises:
        PatchError: PC308 where a class of the model has no configuration.
    """
    with warnings.catch_warnings(), serialization_lib.ObjectSharingScope():
        warnings.simplefilter("ignore")
        try:
            config = dict(
                serialization_lib.serialize_with_public_class(type(model), {})
                or {
                    "module": type(model).__module__,
                    "class_name": type(model).__name__,
                    "registered_name": keras.saving.get_registered_name(type(model)),
                }
            )
            config["config"] = serialization_lib.serialize_dict(model.get_config())
            config["build_config"] = serialization_lib.serialize_keras_object(
                model.get_build_config()
            )
        except (NotImplementedError, TypeError, ValueError) as error:
            raise _no_config(model, error) from None
    return config


def _no_config(model: keras.Model, error: Exception) -> PatchError:
    first = str(error).strip().split("\n", maxsplit=1)[0]
    return refusal(
        f"the {type(model).__name__} has no configuration to build a new one from: {first}",
        "give its class, or the class that the message names, a `get_config`",
    )
