"""Models in memory that are no graph: subclasses of `keras.Model` with a `call` of their own.

What such a model computes is not known.  Its layers are: each of them stands in
the outline beside the others, with an input and an output of its own, so that
edits inside of one of them can be compiled.  What would change the tensors
between them is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
from keras.src.models import Functional

from patchc.compiler.plan import Plan
from patchc.language.patch import AnySelector, KeySelector, Patch, Selector
from patchc.model.addresses import addresses
from patchc.model.graph import Layer, walk
from patchc.storage.live.objects import Objects, build, refusal
from patchc.storage.live.state import Parts

_FLOW_KEYS = ("head", "output", "input", "before", "after")
"""Selector keys that need to know how the tensors run."""


def is_graph(model: Any) -> bool:
    """Whether the configuration of a model says what it computes."""
    return isinstance(model, (Functional, keras.Sequential))


def check_built(model: Any) -> None:
    """Refuse what is no model, or has no weights yet."""
    if not isinstance(model, keras.Model):
        message = f"a {type(model).__name__} is neither a path nor a keras.Model"
        raise refusal(message, "give the path of a model file, or a model")
    if not model.built:
        message = f"the {type(model).__name__} has no weights yet: it was never built"
        raise refusal(message, "call it once on data, or build it")


def layers_by_node(root: Layer, model: Any) -> dict[Layer, Any]:
    """The Keras layer behind each layer of the graph."""
    found: dict[Layer, Any] = {root: model}
    if not is_graph(model):
        found |= dict(zip(_own_nodes(root), model.layers, strict=True))
    by_name: dict[Layer, dict[str, Any]] = {}
    for node in walk(root):
        owner = node.home.owner if node.home else root
        if node in found or node.is_operation or owner not in found:
            continue
        if owner is root and not is_graph(model):
            continue
        if owner not in by_name:
            by_name[owner] = {layer.name: layer for layer in found[owner].layers}
        if node.name in by_name[owner]:
            found[node] = by_name[owner][node.name]
    return found


def saving_parts(model: Any, root: Layer) -> Parts:
    """What of a model saves itself, at the addresses that the compiler reckons with."""
    if is_graph(model):
        return [(model, "")]
    groups = addresses(root)
    nodes = zip(_own_nodes(root), model.layers, strict=True)
    return [(model, None), *((layer, groups[node.alias_of or node]) for node, layer in nodes)]


def _own_nodes(root: Layer) -> list[Layer]:
    assert root.graph is not None
    return [node for node in root.graph.layers if not node.is_input]


# --------------------------------------------------------------------- outline


def outline_of(model: Any, objects: Objects) -> dict[str, Any]:
    """A configuration in which the layers of a model stand side by side."""
    layers = list(model.layers)
    names = [layer.name for layer in layers]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        message = f"the {type(model).__name__} has several layers called `{twice[0]}`"
        raise refusal(message, "give each layer a name of its own")
    whole = objects.config(model)
    entries: list[dict[str, Any]] = []
    inputs: list[list[Any]] = []
    for layer, entry in zip(layers, objects.entries(layers), strict=True):
        made = [*_inputs(layer)]
        entries += [source for source, _ in made]
        inputs += [[source["name"], 0, 0] for source, _ in made]
        nodes = [{"args": [tensor for _, tensor in made], "kwargs": {}}]
        entries.append({**entry, "name": layer.name, "inbound_nodes": nodes})
    outputs = [[layer.name, int(isinstance(layer, Functional)), 0] for layer in layers]
    config = {"name": model.name, "trainable": model.trainable, "layers": entries}
    ends = {"input_layers": inputs, "output_layers": outputs}
    return whole | {"config": config | ends, "build_config": None}


def _inputs(layer: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """An input of the outline and the tensor it makes, for each input of a layer."""
    for number, (shape, dtype) in enumerate(_input_specs(layer)):
        name = f"<input {number} of {layer.name}>"
        item: dict[str, Any] = {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": shape, "dtype": dtype, "name": name},
            "registered_name": None,
            "name": name,
            "inbound_nodes": [],
        }
        spec = {"shape": shape, "dtype": dtype, "keras_history": [name, 0, 0]}
        yield item, {"class_name": "__keras_tensor__", "config": spec}


def _input_specs(layer: Any) -> list[tuple[list[int | None], str]]:
    """Shapes and dtypes of what a layer reads, as far as it tells."""
    if is_graph(layer):
        return [(list(tensor.shape), tensor.dtype) for tensor in layer.inputs]
    built = layer.get_build_config() or {}
    shapes = list(built.get("shapes_dict", {}).values()) or [built.get("input_shape")]
    dtype = layer.compute_dtype or "float32"
    plain = [[None, *shape[1:]] for shape in shapes if _is_shape(shape)]
    return [(shape, dtype) for shape in plain] if len(plain) == len(shapes) else []


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, (list, tuple))
        and bool(shape)
        and all(size is None or isinstance(size, int) for size in shape)
    )


# ---------------------------------------------------------------------- limits


def check_patches(model: Any, patches: Sequence[Patch]) -> None:
    """Refuse what needs to know how the tensors run through the model."""
    for patch in patches:
        wanted = patch.expect.values if patch.expect is not None else {}
        asked = [key for key in ("input_shape", "output_shape") if key in wanted]
        asked += [key for edit in patch.edits for key in _flow_keys(edit.select)]
        if asked:
            raise refusal(
                f"`{asked[0]}` cannot be looked up: what {type(model).__name__}.call"
                " does with its layers is not known",
                "name the layers, or write the model as a Functional one",
            )


def _flow_keys(selector: Selector) -> list[str]:
    if isinstance(selector, AnySelector):
        return [key for item in selector.items for key in _flow_keys(item)]
    if not isinstance(selector, KeySelector):
        return []
    found = [key for key in _FLOW_KEYS if key in selector.keys]
    for value in selector.keys.values():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, (AnySelector, KeySelector)):
                found += _flow_keys(item)
    return found


def check_plan(model: Any, outline: Mapping[str, Any], plan: Plan) -> None:
    """Refuse a plan that changes the tensors between the layers of a model."""
    before, after = _surface(outline), _surface(plan.config)
    wrong = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    old = {end["name"]: end["shape"] for end in plan.before.outputs}
    new = {end["name"]: end["shape"] for end in plan.outputs}
    wrong += [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if wrong:
        raise refusal(
            f"`{wrong[0]}` cannot be changed so: what {type(model).__name__}.call"
            " does with it is not known",
            "edit inside its Functional parts, keeping what goes in and out of them",
        )


def _surface(config: Mapping[str, Any]) -> dict[str, Any]:
    """The layers that stand side by side, and the configuration of their inputs."""
    return {
        entry["name"]: (entry["inbound_nodes"], entry["config"])
        if entry["class_name"] == "InputLayer"
        else [argument["args"] for argument in entry["inbound_nodes"]]
        for entry in config["config"]["layers"]
    }


# ---------------------------------------------------------------------- result


def build_parts(
    model: Any, outline: Mapping[str, Any], config: Mapping[str, Any], objects: Objects
) -> Any:
    """A new model of the same class, with the parts that a plan changed in their places.

    Raises:
        PatchError: PC308 where a part cannot be put in place.
    """
    whole = objects.config(model)
    new = build(
        {k: whole[k] for k in whole if not k.endswith(("build_config", "compile_config"))}, objects
    )
    before, after = _entries(outline), _entries(config)
    changed = {
        id(layer): build(_bare(after[layer.name]), objects)
        for layer in model.layers
        if _bare(before[layer.name]) != _bare(after[layer.name])
    }
    if changed:
        _put(model, new, changed)
    new.build_from_config(whole.get("build_config"))
    new.built = True  # as Keras does on loading
    _check_places(model, new, changed)
    return new


def _entries(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in config["config"]["layers"]}


def _bare(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in {"name", "inbound_nodes"}}


def _put(model: Any, new: Any, changed: Mapping[int, Any]) -> None:
    """Set attributes anew, all that hold layers, so that these are tracked in the old order."""
    for name, value in _holders(model):
        held = getattr(new, name, None)
        if not _layers_in(held):
            continue
        for layer in _layers_in(held):
            new._tracker.untrack(layer)
        delattr(new, name)
        setattr(new, name, _replaced(value, held, changed))


def _holders(model: Any) -> list[tuple[str, Any]]:
    """The attributes that hold layers, in the order in which the model tracks these.

    On PyTorch a model is a module, which keeps single layers apart from the rest.
    """
    order = {id(layer): number for number, layer in enumerate(model.layers)}
    held = {**vars(model), **vars(model).get("_modules", {})}
    found = [item for item in held.items() if item[0][0] != "_" and _layers_in(item[1])]
    return sorted(found, key=lambda item: order.get(id(_layers_in(item[1])[0]), len(order)))


def _layers_in(value: Any) -> list[Any]:
    if isinstance(value, keras.Layer):
        return [value]
    items = value.values() if isinstance(value, Mapping) else value
    if not isinstance(value, (list, tuple, Mapping)):
        return []
    return [layer for item in items for layer in _layers_in(item)]


def _replaced(old: Any, held: Any, changed: Mapping[int, Any]) -> Any:
    """What an attribute of the new model holds, changed parts in the places of the old ones."""
    if isinstance(old, keras.Layer):
        return changed.get(id(old), held)
    if isinstance(old, Mapping):
        return {key: _replaced(item, held[key], changed) for key, item in old.items()}
    if isinstance(old, (list, tuple)):
        items = [_replaced(one, two, changed) for one, two in zip(old, held, strict=True)]
        return tuple(items) if isinstance(old, tuple) else items
    return held


def _check_places(model: Any, new: Any, changed: Mapping[int, Any]) -> None:
    pairs = zip(model.layers, new.layers, strict=False)
    same = all(
        layer is changed[id(old)] if id(old) in changed else type(layer) is type(old)
        for old, layer in pairs
    )
    built = all(layer.built for layer in new.layers)
    if not built or len(model.layers) != len(new.layers) or not same:
        raise refusal(
            f"the {type(model).__name__} does not come out the same from `from_config`",
            "keep its layers in attributes that the constructor sets",
        )
