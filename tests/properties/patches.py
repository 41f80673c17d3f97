"""Random patches for a model: most fit it, some do not, and some are broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import patchc
from patchc.language.patch import Patch
from tests.properties.graphs import NAMES, Draw, by_path, keras, layer_spec

Edit = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a patch's author knows of a model.

    Args:
        layers: by path, nested models, inputs and operations included.
        outputs: number of outputs.
    """

    layers: Mapping[str, Any]
    outputs: int

    @classmethod
    def of(cls, model: Any) -> Facts:
        """Look at a Keras model."""
        return cls(by_path(model), len(model.outputs))

    def paths(self, *, weighted: bool = False) -> list[str]:
        """Paths of layers that are no inputs, those with weights alone if asked."""
        found = [p for p, layer in self.layers.items() if not _is_input(layer)]
        return [p for p in found if self.layers[p].weights] if weighted else found


_GROWABLE = frozenset(
    {"Dense", "Conv1D", "Conv2D", "Conv2DTranspose", "SeparableConv2D", "DepthwiseConv2D"}
    | {"LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed", "EinsumDense"}
    | {"MultiHeadAttention"}
)


def growable(facts: Facts) -> list[str]:
    """Paths of the layers that have an axis of their own; all where there are none."""
    found = [p for p in facts.paths() if type(facts.layers[p]).__name__ in _GROWABLE]
    return found or list(facts.layers)


def _is_input(layer: Any) -> bool:
    return isinstance(layer, keras.layers.InputLayer)


def patch_of(edits: Sequence[Edit], **keys: Any) -> Patch:
    """Load a patch given as data."""
    return patchc.loads(json.dumps({"patchc": 1, "id": "random", "edits": list(edits), **keys}))


# --------------------------------------------------------------------- selectors


def one_layer(draw: Draw[Any], facts: Facts, *, weighted: bool = False) -> tuple[str, Any]:
    """A path, and a selector that picks just that."""
    paths = facts.paths(weighted=weighted) or list(facts.layers)
    path = draw(st.sampled_from(paths))
    return path, path if "/" in path else {"all": [path, {"not": {"inside": "*"}}]}


def exact(draw: Draw[Any], facts: Facts, *, weighted: bool = False) -> tuple[str, Any]:
    """A path, and the plainest selector for it."""
    path, _ = one_layer(draw, facts, weighted=weighted)
    return path, path


def selector(draw: Draw[Any], facts: Facts, depth: int = 2) -> Any:
    """Any selector that can be written for the model."""
    kinds = ["path", "glob", "class", "flags", "head", "output", "where"]
    kinds += ["list", "not", "after", "before", "any", "cut", "block", "inside"] if depth else []
    kind = draw(st.sampled_from(kinds))
    path, _ = exact(draw, facts)
    if kind in _SIMPLE:
        return _SIMPLE[kind](draw, facts, path)

    def inner() -> Any:
        return selector(draw, facts, depth - 1)

    if kind == "list":
        return [inner(), inner()]
    if kind == "any":
        return {draw(st.sampled_from(["any", "all"])): [inner(), inner()]}
    if kind == "cut":
        cut = draw(st.sampled_from(["first", "last", "nth"]))
        return {"name": "*", cut: draw(st.integers(1, 3))}
    if kind == "block":
        return {"block": {"from": path, "to": exact(draw, facts)[0]}}
    return {kind: inner()}


_SIMPLE: Mapping[str, Callable[[Draw[Any], Facts, str], Any]] = {
    "path": lambda draw, facts, path: path,
    "glob": lambda draw, facts, path: draw(st.sampled_from(["*", "**", f"{path[:2]}*", "*/*"])),
    "class": lambda draw, facts, path: {"class": type(facts.layers[path]).__name__},
    "flags": lambda draw, facts, path: {
        draw(st.sampled_from(["weighted", "trainable"])): draw(st.booleans())
    },
    "head": lambda draw, facts, path: {"head": draw(st.integers(0, facts.outputs - 1))},
    "output": lambda draw, facts, path: {"output": draw(st.integers(0, facts.outputs - 1))},
    "where": lambda draw, facts, path: {"where": draw(_WHERE)},
}
_WHERE: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"use_bias": True}, {"units": 2}, {"activation": "relu"}, {"rate": 0.5}]
)

# ------------------------------------------------------------------------- layers


def new_layer(draw: Draw[Any], shape: Sequence[int | None]) -> dict[str, Any] | str:
    """A layer in the language of patches, most likely one that takes a shape."""
    while True:
        name, arguments = layer_spec(draw, shape)
        if "layer" not in arguments:
            break
    config = json.loads(json.dumps(arguments))
    given = draw(st.integers(0, 5))
    if given == 0:
        config["name"] = draw(NAMES)
    return {name: config} if config or given == 1 else name


def chain(draw: Draw[Any], layer: Any) -> Any:
    """One to three new layers behind a layer."""
    shape = _output_shape(layer)
    if draw(st.integers(0, 7)) == 0:
        inner = {"Dense": {"units": shape[-1] or 1}}
        return {"residual": [inner]}
    made = [new_layer(draw, shape) for _ in range(draw(st.integers(1, 2)))]
    return made[0] if len(made) == 1 else made


def _output_shape(layer: Any) -> tuple[int | None, ...]:
    output = layer.output if not isinstance(layer, keras.Model) else layer.outputs[0]
    output = output[0] if isinstance(output, (list, tuple)) else output
    output = next(iter(output.values())) if isinstance(output, dict) else output
    shape = tuple(output.shape)
    return shape if len(shape) in {2, 3, 4} else (None, 4)


def same_shape_layer(draw: Draw[Any], layer: Any) -> Any:
    """A new layer that can stand where a layer stood."""
    config = layer.get_config()
    if type(layer).__name__ in {"Dense", "Conv2D", "LSTM", "GRU"}:
        size = "filters" if "filters" in config else "units"
        keys = (size, "kernel_size", "padding", "return_sequences")
        return {type(layer).__name__: {k: _plain(config[k]) for k in keys if k in config}}
    return new_layer(draw, _output_shape(layer))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# -------------------------------------------------------------------------- verbs


def _init(draw: Draw[Any], *own: str) -> Any:
    names = ["zeros", "he_normal", "glorot_uniform", "ones", "default", *own]
    bare = draw(st.sampled_from(names))
    return draw(st.sampled_from([bare, {"kernel": bare}, {"*": bare}, {"bias": "zeros"}]))


def _maybe_init(draw: Draw[Any], edit: Edit, *own: str) -> Edit:
    return edit | ({"init": _init(draw, *own)} if draw(st.integers(0, 2)) == 0 else {})


def _replace(draw: Draw[Any], facts: Facts) -> Edit:
    path, _ = exact(draw, facts)
    layer = facts.layers[path]
    new = same_shape_layer(draw, layer) if draw(st.booleans()) else chain(draw, layer)
    return _maybe_init(draw, {"select": path, "replace": new}, "keep")


def _expand(draw: Draw[Any], facts: Facts) -> Edit:
    path = draw(st.sampled_from(growable(facts)))
    verb: dict[str, Any] = {"by": draw(st.integers(1, 3))}
    if draw(st.integers(0, 3)) == 0:
        verb["at"] = draw(st.integers(0, 2))
    if draw(st.integers(0, 3)) == 0:
        verb["preserve"] = draw(st.booleans())
    return _maybe_init(draw, {"select": path, "expand": verb}, "mean", "sample")


def _shrink(draw: Draw[Any], facts: Facts) -> Edit:
    path = draw(st.sampled_from(growable(facts)))
    which = draw(st.sampled_from(["drop", "keep"]))
    entries = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True))
    return {"select": path, "shrink": {which: entries}}


def _freeze(draw: Draw[Any], facts: Facts) -> Edit:
    return {"select": selector(draw, facts), "freeze": draw(st.booleans())}


def _init_alone(draw: Draw[Any], facts: Facts) -> Edit:
    path, _ = exact(draw, facts, weighted=True)
    return {"select": path, "init": _init(draw)}


def _insert(draw: Draw[Any], facts: Facts) -> Edit:
    path, _ = exact(draw, facts)
    verb = draw(st.sampled_from(["insert_before", "insert_after"]))
    edit = {"select": path, verb: chain(draw, facts.layers[path])}
    return _maybe_init(draw, edit, "identity", "identity")


def _add_output(draw: Draw[Any], facts: Facts) -> Edit:
    path, _ = exact(draw, facts)
    branch = True if draw(st.booleans()) else chain(draw, facts.layers[path])
    edit: Edit = {"select": path, "add_output": branch}
    return edit | ({"call": draw(st.integers(0, 1))} if draw(st.integers(0, 3)) == 0 else {})


def _remove(draw: Draw[Any], facts: Facts) -> Edit:
    chosen = selector(draw, facts) if draw(st.booleans()) else exact(draw, facts)[0]
    return {"select": chosen, "remove": True}


def _truncate(draw: Draw[Any], facts: Facts) -> Edit:
    paths = [exact(draw, facts)[0] for _ in range(draw(st.integers(1, 2)))]
    return {"select": paths[0] if len(paths) == 1 else paths, "truncate": True}


def _set(draw: Draw[Any], facts: Facts) -> Edit:
    path, _ = exact(draw, facts)
    values = draw(
        st.sampled_from(
            [
                {"activation": "relu"},
                {"rate": 0.1},
                {"epsilon": 0.01},
                {"momentum": 0.5},
                {"use_bias": False},
                {"padding": "same"},
                {"dtype": "mixed_float16"},
            ]
        )
    )
    return {"select": path, "set": values}


def _rename(draw: Draw[Any], facts: Facts) -> Edit:
    return {"select": exact(draw, facts)[0], "rename": draw(NAMES | st.just("renamed"))}


VERBS: Mapping[str, Callable[[Draw[Any], Facts], Edit]] = {
    "replace": _replace,
    "expand": _expand,
    "shrink": _shrink,
    "freeze": _freeze,
    "init": _init_alone,
    "insert": _insert,
    "add_output": _add_output,
    "remove": _remove,
    "truncate": _truncate,
    "set": _set,
    "rename": _rename,
}


def random_edit(draw: Draw[Any], facts: Facts, verbs: Sequence[str] = tuple(VERBS)) -> Edit:
    """An edit that makes sense for the model as it was at first."""
    return VERBS[draw(st.sampled_from(sorted(verbs)))](draw, facts)


def random_edits(draw: Draw[Any], facts: Facts) -> list[Edit]:
    """One to three edits in a row."""
    return [random_edit(draw, facts) for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3])))]


# ------------------------------------------------------------------------- broken

_VALUES: list[Any] = [None, True, -1, 0, 10**30, 0.5, "", "*", "no_such", "\x00", "$x"]
_JUNK: st.SearchStrategy[Any] = st.sampled_from([*_VALUES, [], {}, [[]], [None], {"x": 1}])


def damaged(draw: Draw[Any], node: Any) -> Any:
    """The same data with something in it changed, doubled or taken out."""
    if isinstance(node, dict) and node and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(node)))
        action = draw(st.sampled_from(["inside", "inside", "inside", "drop", "rename"]))
        rest = {k: v for k, v in node.items() if k != key}
        if action == "drop":
            return rest
        if action == "rename":
            return rest | {draw(_KEYS): node[key]}
        return node | {key: damaged(draw, node[key])}
    if isinstance(node, list) and node and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(node) - 1))
        return [*node[:place], damaged(draw, node[place]), *node[place + 1 :]]
    return draw(_JUNK)


_KEYS = st.sampled_from(["selekt", "expand", "freeze", "name", "units", "", "by", "init", "count"])
