"""Weights without an architecture: what can be told of their layers from names and shapes.

Each layer stands on its own, with an input of the width that its weights take.
What reads what is not known, so only edits that need not know it are possible.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from patchc.layers.registry import all_rules
from patchc.model.initializers import snake_case
from patchc.storage.attach import datasets
from patchc.storage.hdf5.tree import Dataset, Group
from patchc.storage.older.matching import parts_of
from patchc.storage.older.recorded import Recorded

Shapes = Mapping[str, tuple[int, ...]]
Config = dict[str, Any]

_NUMBER = re.compile(r"_\d+$")
UNKNOWN = "UnknownLayer"
"""Class of a layer whose weights do not tell which it is."""
_TRANSPOSED = "transpose"
"""In the name of a layer whose kernel's last two axes are those of a convolution, swapped."""


@dataclass(frozen=True, slots=True)
class BareLayer:
    """A layer of a weights file.

    Args:
        name: as the file calls it.
        class_name: as far as it can be told.
        config: what the shapes say.
        input_shape: of what it takes; None where it cannot be told.
        places: path of each dataset in the file, by slot below the layer.
    """

    name: str
    class_name: str
    config: Config
    input_shape: tuple[int | None, ...] | None
    places: Mapping[str, str]


def layers_of_recorded(recorded: Recorded) -> list[BareLayer]:
    """The layers of an older weights file, which names its weights."""
    found = []
    for name, weights in recorded.layers.items():
        if weights:
            named = {_own(weight, recorded): item.shape for weight, item in weights.items()}
            clear = len(named) == len(weights) and _TRANSPOSED not in name
            told = _tell(named) if clear else None
            paths = [f"{recorded.prefix}{name}/{weight}" for weight in weights]
            found.append(_bare(name, told, dict(zip(named, paths, strict=False)), paths))
    return found


def _own(name: str, recorded: Recorded) -> str:
    """What a recorded name calls the weight; `dense_W` means the kernel in Keras 1 alone."""
    own = parts_of(name)[-1]
    plain = name.rpartition("/")[2].partition(":")[0]
    return own if own == plain or recorded.keras_version.startswith("1") else plain


def layers_of_tree(tree: Group) -> list[BareLayer]:
    """The layers of a weights file of Keras 3, which names their classes."""
    found = []
    for path, node in _layer_groups(tree):
        slots = {slot: item for slot, item in datasets(node) if isinstance(item, Dataset)}
        if slots:
            own = path.rpartition("/")[2]
            name = path.removeprefix("layers/").replace("/layers/", ".")
            told, names = _tell_class(_NUMBER.sub("", own), slots)
            paths = {word: f"{path}/{slot}" for word, slot in names.items()}
            found.append(_bare(name, told, paths, [f"{path}/{slot}" for slot in slots]))
    return found


def _layer_groups(tree: Group, path: str = "") -> Iterator[tuple[str, Group]]:
    """Groups of layers, those of models inside entered."""
    held = tree.members.get("layers")
    for name, node in held.members.items() if isinstance(held, Group) else ():
        if isinstance(node, Group):
            place = f"{path}layers/{name}"
            if "layers" in node.members:
                yield from _layer_groups(node, f"{place}/")
            else:
                yield place, node


_Told = tuple[str, Config, tuple[int | None, ...]]


def _bare(name: str, told: _Told | None, named: Mapping[str, str], paths: list[str]) -> BareLayer:
    if told is None:
        numbered = {f"vars/{number}": path for number, path in enumerate(paths)}
        slots = named if len(named) == len(paths) else numbered
        return BareLayer(name, UNKNOWN, {"name": name}, None, slots)
    class_name, config, input_shape = told
    return BareLayer(name, class_name, {"name": name, **config}, input_shape, dict(named))


# --------------------------------------------------------------------- from shapes


def _tell(shapes: Shapes) -> _Told | None:
    """Class, configuration and input of a layer from its weights' names and shapes."""
    names = set(shapes)
    for wanted, others, tell in _KINDS:
        if wanted <= names <= wanted | others:
            return tell(shapes)
    return None


def _tell_class(snake: str, slots: Mapping[str, Dataset]) -> tuple[_Told | None, dict[str, str]]:
    """The same from the class and numbered weights; also the slot of each weight by name."""
    known = next((r.class_name for r in all_rules() if snake_case(r.class_name) == snake), None)
    for words in _WORDS.get(known or "", ()):
        prefix = "cell/vars" if "recurrent_kernel" in words else "vars"
        names = {word: f"{prefix}/{number}" for number, word in enumerate(words)}
        if set(names.values()) == set(slots):
            told = _tell({word: slots[slot].shape for word, slot in names.items()})
            if told is not None and told[0] == known:
                return told, names
    return None, {}


def _dense(shapes: Shapes) -> _Told | None:
    kernel, bias = shapes["kernel"], shapes.get("bias")
    rank = len(kernel) - 2
    if not 0 <= rank <= 3 or bias not in {None, kernel[-1:]}:
        return None
    use_bias = {"use_bias": bias is not None}
    if not rank:
        return "Dense", {"units": kernel[1], **use_bias}, (None, kernel[0])
    config = {"filters": kernel[-1], "kernel_size": list(kernel[:rank]), "padding": "same"}
    return f"Conv{rank}D", config | use_bias, (None, *[None] * rank, kernel[-2])


def _embedding(shapes: Shapes) -> _Told | None:
    table = shapes["embeddings"]
    if len(table) != 2:
        return None
    return "Embedding", {"input_dim": table[0], "output_dim": table[1]}, (None, None)


def _normalised(shapes: Shapes) -> _Told | None:
    sizes = set(shapes.values())
    if len(sizes) != 1 or len(next(iter(sizes))) != 1:
        return None
    (size,) = next(iter(sizes))
    flags = {"center": "beta" in shapes, "scale": "gamma" in shapes}
    name = "BatchNormalization" if "moving_mean" in shapes else "LayerNormalization"
    return name, flags, (None, size)


def _recurrent(shapes: Shapes) -> _Told | None:
    kernel, inner, bias = shapes["kernel"], shapes["recurrent_kernel"], shapes.get("bias")
    if len(kernel) != 2 or len(inner) != 2 or kernel[1] != inner[1]:
        return None
    units, gates = inner[0], inner[1]
    name = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}.get(gates // units)
    fits = {None, (gates,)} | ({(2, gates)} if name == "GRU" else set())
    if name is None or gates % units or bias not in fits:
        return None
    config: Config = {"units": units, "use_bias": bias is not None}
    if name == "GRU":
        config["reset_after"] = bias is not None and len(bias) == 2
    return name, config, (None, None, kernel[0])


_KINDS: tuple[tuple[set[str], set[str], Callable[[Shapes], _Told | None]], ...] = (
    ({"kernel", "recurrent_kernel"}, {"bias"}, _recurrent),
    ({"kernel"}, {"bias"}, _dense),
    ({"embeddings"}, set(), _embedding),
    ({"moving_mean", "moving_variance"}, {"gamma", "beta"}, _normalised),
    ({"gamma", "beta"}, set(), _normalised),
)
_WITH_BIAS = (("kernel", "bias"), ("kernel",))
_RECURRENT = (("kernel", "recurrent_kernel", "bias"), ("kernel", "recurrent_kernel"))
_NORMAL = ("moving_mean", "moving_variance")
_WORDS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("Dense", "Conv1D", "Conv2D", "Conv3D"), _WITH_BIAS),
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), _RECURRENT),
    "Embedding": (("embeddings",),),
    "BatchNormalization": (("gamma", "beta", *_NORMAL), _NORMAL),
    "LayerNormalization": (("gamma", "beta"),),
}
"""Weights of a class in the order in which Keras 3 numbers them, for each form it has."""


# ------------------------------------------------------------------------ the model


def bare_config(layers: list[BareLayer]) -> Config:
    """A configuration in which every layer has an input and an output of its own."""
    entries: list[Config] = []
    inputs: list[list[Any]] = []
    outputs: list[list[Any]] = []
    for layer in layers:
        name = layer.name
        shape = layer.input_shape or (None,)
        entry = {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": list(shape), "dtype": "float32", "name": f"{name}:input"},
            "registered_name": None,
        }
        entries.append({**entry, "name": f"{name}:input", "inbound_nodes": []})
        history = [f"{name}:input", 0, 0]
        tensor = {
            "class_name": "__keras_tensor__",
            "config": {"shape": list(shape), "dtype": "float32", "keras_history": history},
        }
        known = layer.class_name != UNKNOWN
        entries.append(
            {
                "module": "keras.layers" if known else None,
                "class_name": layer.class_name,
                "config": layer.config,
                "registered_name": None,
                "name": name,
                "inbound_nodes": [{"args": [tensor], "kwargs": {}}],
            }
        )
        inputs.append(history)
        outputs.append([name, 0, 0])
    config = {
        "name": "weights",
        "trainable": True,
        "layers": entries,
        "input_layers": inputs,
        "output_layers": outputs,
    }
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }
