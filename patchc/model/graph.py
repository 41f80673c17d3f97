"""Graph: what a model is.

Layers, the calls made of them, and the tensors that run between.  The root
model is a layer too: the one whose graph holds everything.  References are to
objects, never to names or positions, so renaming or reordering breaks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from patchc.model.values import Strategy, Value

Shape = tuple[int | None, ...]
_MASKS = frozenset({"mask", "query_mask", "value_mask", "key_mask"})
"""Arguments that Keras fills in by itself when it calls a layer on a masked tensor."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and dtype of a symbolic tensor; None is an unknown dimension."""

    shape: Shape
    dtype: str = "float32"


@dataclass(eq=False, slots=True)
class Weight:
    """One weight of a layer.

    Args:
        name: Keras's variable path below the layer: `kernel`, `query/kernel`.
        slot: storage address below the layer's group: `vars/0`.
        shape: as stored.
        dtype: as stored.
        trainable: whether it trains while its layer does.
        value: where its values come from.
        axes: what each axis runs over, as in `WeightSpec`; None where no rule
            tells.
        initializer: what Keras fills it with when it is new.
        twin: name of the weight that this is a second copy of.
    """

    name: str
    slot: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    value: Value
    axes: tuple[str, ...] | None = None
    initializer: Strategy | None = None
    twin: str | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


@dataclass(eq=False, slots=True)
class Call:
    """One call of a layer: a node of the graph.

    Args:
        layer: the layer that is called.
        args: positional arguments: Tensor, nested lists and dicts of them, or
            constants as in the configuration.
        kwargs: the same by name.
        outputs: the tensors that the call makes; None while not known.
        seen: what `outputs` was worked out from, to tell whether it still holds.
    """

    layer: Layer
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    outputs: list[TensorSpec] | None = None
    seen: Any = None

    def tensors(self) -> list[Tensor]:
        """The tensors it reads, in Keras's order: positional first."""
        return flatten([self.args, self.kwargs])

    def main_tensors(self) -> list[Tensor]:
        """The tensors it reads, without the masks that Keras hands along with them."""
        kwargs = {key: value for key, value in self.kwargs.items() if key not in _MASKS}
        return flatten([self.args, kwargs])

    def substitute(self, change: Callable[[Tensor], Tensor]) -> None:
        """Replace each tensor that the call reads by `change` of it."""
        self.args = [map_tensors(change, arg) for arg in self.args]
        self.kwargs = {key: map_tensors(change, arg) for key, arg in self.kwargs.items()}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Output number `index` of a call."""

    call: Call
    index: int = 0

    @property
    def layer(self) -> Layer:
        """The layer that makes the tensor."""
        return self.call.layer

    @property
    def spec(self) -> TensorSpec | None:
        """Shape and dtype, None where they are not known."""
        outputs = self.call.outputs
        found = outputs[self.index] if outputs and self.index < len(outputs) else None
        return found if found is not None and found.dtype else None


class Loading(Enum):
    """Where a model is loaded from, and by what: which of its flags hold then."""

    KERAS_3 = "a file, by Keras 3"
    KERAS_2 = "a file, by Keras 1 or 2"
    MEMORY = "it is in memory"


@dataclass(eq=False, slots=True)
class Layer:
    """A layer, a nested model, an operation that is no layer, or the root model.

    Args:
        name: unique among the layers of its graph.
        class_name, module, registered_name: as in Keras's configuration.
        config: as in Keras's configuration; never changed in place.  A nested
            model's holds neither its layers nor its connections.
        extra: further keys of its entry (`build_config`, `compile_config`, ...).
        calls: its calls in the graph it lives in.
        home: the graph it lives in, None for the root.
        graph: what is inside, for a model.
        weights: its own weights, without those of layers inside.
        groups: storage groups in which Keras writes `vars`, below its own.
        opaque: why patchc does not look inside it; None where a rule does.
        alias_of: the same layer, stored where it stands first, where a layer
            is shared between two models.
        origin: path in the base model, None for a new layer.
        address: storage group in the base model, None where it has none.
        loading: how the flags of a root come to hold.
    """

    name: str
    class_name: str
    module: str | None
    registered_name: str | None
    config: Mapping[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    home: Graph | None = None
    graph: Graph | None = None
    weights: list[Weight] = field(default_factory=list)
    groups: tuple[str, ...] = ("",)
    opaque: str | None = None
    alias_of: Layer | None = None
    origin: str | None = None
    address: str | None = None
    loading: Loading = Loading.KERAS_3

    @property
    def path(self) -> str:
        """Names from below the root down to this layer, joined by slashes."""
        names = [self.name]
        owner = self.home.owner if self.home else None
        while owner is not None and owner.home is not None:
            names.append(owner.name)
            owner = owner.home.owner
        return "/".join(reversed(names))

    @property
    def is_input(self) -> bool:
        """Whether it is an InputLayer."""
        return self.class_name == "InputLayer" and not self.is_operation

    @property
    def is_operation(self) -> bool:
        """Whether it is an operation of `keras.ops` and no layer."""
        return (self.module or "").startswith(("keras.src.ops", "keras.ops"))

    @property
    def trainable(self) -> bool:
        """The layer's own flag, as in its configuration."""
        return bool(self.config.get("trainable", True))

    def call(self, args: list[Any], kwargs: dict[str, Any] | None = None) -> Call:
        """Record a further call of this layer and return it."""
        call = Call(self, args, kwargs or {})
        self.calls.append(call)
        return call


@dataclass(eq=False, slots=True)
class Graph:
    """The inside of a model.

    Args:
        sequential: whether it is written as a Sequential: a chain, each layer
            called once.
        layers: all layers, operations and inputs, in the order of
            `model.layers`.
        inputs, outputs: a Tensor, or a list or dict of them (possibly nested),
            as the model was given them.
        owner: the model whose inside this is.
        implicit_input: the InputLayer does not stand in the configuration (a
            Sequential that was built from data).
    """

    sequential: bool
    layers: list[Layer]
    inputs: Any
    outputs: Any
    owner: Layer
    implicit_input: bool = False

    def layer(self, name: str) -> Layer | None:
        """The layer called `name`, None where there is none."""
        return next((layer for layer in self.layers if layer.name == name), None)

    def calls(self) -> Iterator[Call]:
        """All calls, layer by layer."""
        for layer in self.layers:
            yield from layer.calls


def walk(root: Layer, *, into_aliases: bool = False) -> Iterator[Layer]:
    """All layers below `root` at any depth, in the order of `model.layers`.

    A nested model comes before the layers inside it; the root does not come.
    A model that is shared between two models is entered where it stands first.
    """
    stack = [iter(root.graph.layers)] if root.graph else []
    while stack:
        layer = next(stack[-1], None)
        if layer is None:
            stack.pop()
            continue
        yield layer
        if layer.graph is not None and (layer.alias_of is None or into_aliases):
            stack.append(iter(layer.graph.layers))


def flatten(structure: Any) -> list[Tensor]:
    """The tensors of a nested structure in Keras's order: dicts by sorted key."""
    found: list[Tensor] = []
    _collect(structure, found)
    return found


def _collect(structure: Any, found: list[Tensor]) -> None:
    if isinstance(structure, Tensor):
        found.append(structure)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            _collect(item, found)
    elif isinstance(structure, dict) and structure:
        for key in sorted(structure):
            _collect(structure[key], found)


def map_tensors(change: Callable[[Tensor], Any], structure: Any) -> Any:
    """The same structure with each Tensor replaced by `change` of it."""
    if isinstance(structure, Tensor):
        return change(structure)
    if isinstance(structure, Mapping):
        return {key: map_tensors(change, value) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [map_tensors(change, item) for item in structure]
    return structure
