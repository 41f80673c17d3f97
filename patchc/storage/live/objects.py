"""The classes and functions that a model in memory is made of.

A file names them, and whoever loads it has to have them.  Here the model
itself has them: nothing is imported and nothing is unpickled.
"""

from __future__ import annotations

import codecs
import json
import marshal
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

import keras
from keras.src.saving import serialization_lib

from patchc.errors import Diagnostic, PatchError

MODEL = "<model>"
"""What messages call a model in memory."""

_KINDS = (
    keras.Operation,
    keras.optimizers.Optimizer,
    keras.optimizers.schedules.LearningRateSchedule,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
)
_ANONYMOUS = "__lambda__"
_LONGEST = 200
_CAUSE = "Exception encountered: "
FAILURES = (AttributeError, KeyError, NotImplementedError, TypeError, ValueError)
"""What the methods of a custom class may raise where they were not written for this."""


def refusal(message: str, way_out: str, code: str = "PC308") -> PatchError:
    """An error about the model in memory."""
    return PatchError(Diagnostic(code, message, file=MODEL, help=way_out))


class Objects:
    """Classes and functions of one model, by the names that its configuration uses.

    Attributes:
        by_name: what `keras.saving.custom_object_scope` takes.
    """

    def __init__(self, model: keras.Model) -> None:
        self.by_name: dict[str, Any] = {}
        self._name = type(model).__name__
        self._found: dict[str, list[Any]] = {}
        self._anonymous: list[Any] = []
        for item in _reachable(model):
            self._add(item)

    def _add(self, item: Any) -> None:
        if getattr(item, "__name__", "") == "<lambda>":
            self._anonymous.append(item)
            return
        known = self._found.setdefault(keras.saving.get_registered_name(item), [])
        if all(item is not other for other in known):
            known.append(item)

    def config(self, model: keras.Model) -> dict[str, Any]:
        """The configuration that saving the model would write, as read back from JSON.

        Anonymous functions, and losses and metrics that cannot be written,
        stand in it by a name of `by_name`; such a loss or metric is the
        model's own object.

        Raises:
            PatchError: PC308 where a class of the model cannot be written.
        """
        return dict(self._written(lambda: _entry(model) | self._compile_config(model)))

    def entries(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        """The configurations of several objects that may share layers."""
        return list(self._written(lambda: [_entry(item) for item in items]))

    def _written(self, write: Callable[[], Any]) -> Any:
        with warnings.catch_warnings(), serialization_lib.ObjectSharingScope():
            warnings.simplefilter("ignore")
            try:
                return json.loads(json.dumps(self._name_all(write())))
            except FAILURES as error:
                raise _unwritable(self._name, error) from None

    def _compile_config(self, model: keras.Model) -> dict[str, Any]:
        held = getattr(model, "_compile_config", None)
        if not model.compiled or held is None or compiles_itself(model):
            written = model.get_compile_config()
            return {} if written is None else {"compile_config": written}
        return {"compile_config": {key: self._write(key, v) for key, v in held.config.items()}}

    def _write(self, key: str, value: Any) -> Any:
        """A part of the training configuration; what cannot be written goes by a name."""
        if isinstance(value, Mapping):
            return {name: self._write(key, item) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._write(key, item) for item in value]
        try:
            written = keras.saving.serialize_keras_object(value)
            json.dumps(written)
            if key == "optimizer" or not isinstance(value, _KINDS) or _returns(value):
                return written
        except FAILURES:
            if key == "optimizer":
                raise
        return self._named(value)

    def _named(self, item: Any) -> dict[str, Any]:
        """A name for an object, in the form in which Keras looks one up."""
        name = f"<{type(item).__name__} {len(self.by_name)} of the model>"
        self.by_name[name] = item
        kind = {"module": "builtins", "class_name": "function"}
        return {**kind, "config": name, "registered_name": name}

    def _name_all(self, node: Any) -> Any:
        """Resolve every name in a configuration, and give names to anonymous functions."""
        if isinstance(node, (list, tuple)):
            return [self._name_all(item) for item in node]
        if not isinstance(node, Mapping):
            return node
        if node.get("class_name") == _ANONYMOUS:
            return self._named(self._function_of(node["config"]))
        if _is_bare_function(node):
            return self._named(self._function_of(node))
        self._resolve(node)
        return {key: self._name_all(item) for key, item in node.items()}

    def _resolve(self, node: Mapping[str, Any]) -> None:
        name = node.get("registered_name")
        if node.get("class_name") == "function" and isinstance(node.get("config"), str):
            name = node["config"]
        found = self._found.get(name, []) if isinstance(name, str) else []
        if len(found) > 1:
            message = f"the model uses {len(found)} different things called `{name}`"
            raise refusal(message, "give them different names")
        if found and name not in self.by_name:
            self.by_name[str(name)] = found[0]

    def _function_of(self, config: Mapping[str, Any]) -> Any:
        """The anonymous function that was written: the one with its code and surroundings."""
        keys = ("code", "defaults", "closure")
        code, _, closure = config.get("value") or [config[key] for key in keys]
        # These bytes were written a moment ago from a function of this process.
        wanted = marshal.loads(codecs.decode(code.encode(), "base64"))  # noqa: S302
        for function in self._anonymous:
            held = [cell.cell_contents for cell in function.__closure__ or ()]
            same = all(a is b for a, b in zip(held, closure or (), strict=False))
            if function.__code__ == wanted and same:
                return function
        raise ValueError("it holds an anonymous function that cannot be found again")


def copied(config: Mapping[str, Any]) -> Any:
    """A configuration that Keras may take apart; it consists of what JSON has."""
    return json.loads(json.dumps(config))


def build(config: Mapping[str, Any], objects: Objects) -> Any:
    """A new object from a configuration, with the model's own classes.

    Raises:
        PatchError: PC308 where a class refuses the configuration that it wrote.
    """
    with keras.saving.custom_object_scope(objects.by_name):
        try:
            return keras.saving.deserialize_keras_object(copied(config))
        except FAILURES as error:
            name = config.get("class_name")
            raise refusal(
                f"the {name} cannot be built anew from its configuration: {first_line(error)}",
                "let `from_config` of the class take what `get_config` gives",
            ) from error


def _entry(item: Any) -> dict[str, Any]:
    """What `serialize_keras_object` writes, but for the training configuration."""
    cls = type(item)
    inner = serialization_lib.serialize_dict(item.get_config())
    entry = serialization_lib.serialize_with_public_class(cls, inner) or {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": inner,
        "registered_name": keras.saving.get_registered_name(cls),
    }
    built = item.get_build_config()
    return entry if built is None else entry | {"build_config": built}


def compiles_itself(model: keras.Model) -> bool:
    """Whether a class has a `compile` of its own, and says how to write and redo it."""
    own, base = type(model), keras.Model
    return (
        own.get_compile_config is not base.get_compile_config
        or own.compile_from_config is not base.compile_from_config
    )


def _is_bare_function(node: Mapping[str, Any]) -> bool:
    """Whether it is what `keras.activations.serialize` makes of an anonymous function."""
    value = node.get("value")
    is_dump = isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[0], str)
    return set(node) == {"value"} and is_dump


def _returns(item: Any) -> bool:
    """Whether an object can be made anew from its own configuration."""
    try:
        type(item).from_config(item.get_config())
    except FAILURES:
        return False
    return True


def _unwritable(name: str, error: Exception) -> PatchError:
    return refusal(
        f"the {name} has no configuration to build a new one from: {first_line(error)}",
        "give the class that the message is about a `get_config`",
    )


def first_line(error: Exception) -> str:
    """What an error says, or its cause where it names one, without the listings around it."""
    text = " ".join(str(error).rpartition(_CAUSE)[2].split())
    first = text.split(". ", maxsplit=1)[0].strip("'\" .")
    return first if len(first) <= _LONGEST else f"{first[:_LONGEST]}..."


def _reachable(model: keras.Model) -> Iterator[Any]:
    """Classes and functions, other than Keras's own, that the model's objects hold."""
    seen: set[int] = set()
    pending: list[Any] = [model]
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        pending.extend(_held(item))
        named = type(item) if isinstance(item, _KINDS) else item
        if isinstance(named, (type, FunctionType)) and not _is_keras(named):
            yield named


def _held(item: Any) -> Iterable[Any]:
    """What an object holds that may be named in its configuration."""
    if isinstance(item, (list, tuple, set)):
        return item
    if isinstance(item, Mapping):
        return item.values()
    if isinstance(item, serialization_lib.SerializableDict):
        return [item.config]
    return vars(item).values() if isinstance(item, _KINDS) else ()


def _is_keras(item: type | Callable[..., Any]) -> bool:
    return (item.__module__ or "").split(".", maxsplit=1)[0] == "keras"
