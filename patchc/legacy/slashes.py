"""Layer names with a slash: Keras 2 took them (`conv1/bn`), Keras 3 does not. JSON to JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from patchc.legacy.notes import Repair

_BY_OUTPUT = ("loss", "loss_weights", "metrics", "weighted_metrics")
_NO_LAYERS = {"compile_config", "build_config", "inbound_nodes"}
_REASON = "Keras 3 takes no name with a slash"


@dataclass(frozen=True, slots=True)
class Slashless:
    """A configuration without such names.

    Args:
        config: the model's entry.
        names: old name -> new one.
        repairs: a note for each layer that has another name.
    """

    config: Any
    names: Mapping[str, str]
    repairs: tuple[Repair, ...]

    def end(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """What is told of an input or output, by its new name."""
        return {**told, "name": self.names.get(told["name"], told["name"])}


def without_slashes(config: Any) -> Slashless:
    """A model's configuration with `_` for `/` in names; a name that is taken gets a number.

    Connections follow, and so do losses and metrics that are kept by the name
    of the layer that makes an output.

    Args:
        config: the model's entry, as `config.json` holds it.
    """
    places = list(_named(config, "", is_root=True))
    names = _new_names(name for _, name in places)
    if not names:
        return Slashless(config, {}, ())
    repairs = [Repair(path, _what(name, names), _REASON) for path, name in places if name in names]
    result = _renamed(config, names)
    training = config.get("compile_config")
    if isinstance(training, Mapping) and not _has_keys(config):
        result["compile_config"] = {k: _rekeyed(k, v, names) for k, v in training.items()}
    return Slashless(result, names, tuple(repairs))


def _has_keys(config: Mapping[str, Any]) -> bool:
    """Whether outputs have keys of their own, which are no names of layers."""
    return isinstance(config["config"].get("output_layers"), Mapping)


def _new_names(names: Iterable[str]) -> dict[str, str]:
    """The new name of each that has a slash; equal ones, in two models, stay equal."""
    held = dict.fromkeys(names)
    taken = set(held)
    found: dict[str, str] = {}
    for name in held:
        if "/" in name:
            plain = free = name.replace("/", "_")
            number = 0
            while free in taken:
                number += 1
                free = f"{plain}_{number}"
            found[name] = free
            taken.add(free)
    return found


def _what(name: str, names: Mapping[str, str]) -> str:
    plain = name.replace("/", "_")
    told = "wrote `_` for `/` in the name"
    return told if names[name] == plain else f"renamed to `{names[name]}`: `{plain}` is taken"


def _named(entry: Any, path: str, *, is_root: bool = False) -> Iterator[tuple[str, str]]:
    """Path and name of a layer, and of all layers inside it; the model's own path is ""."""
    if isinstance(entry, list):
        for item in entry:
            yield from _named(item, path)
    elif isinstance(entry, Mapping):
        config = entry.get("config")
        name = config.get("name") if isinstance(config, Mapping) else None
        if "class_name" in entry and isinstance(name, str):
            path = "" if is_root else f"{path}/{name}" if path else name
            yield path, name
        for key, item in entry.items():
            if key not in _NO_LAYERS:
                yield from _named(item, path)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        items = [_renamed(item, names) for item in node]
        return [names[node[0]], *items[1:]] if _is_place(node, names) else items
    if not isinstance(node, Mapping):
        return node
    return {key: _below(key, item, names) for key, item in node.items()}


def _below(key: str, item: Any, names: Mapping[str, str]) -> Any:
    if key == "name" and isinstance(item, str):
        return names.get(item, item)
    return item if key == "compile_config" else _renamed(item, names)


def _is_place(node: list[Any], names: Mapping[str, str]) -> bool:
    """Whether a list says where a tensor comes from: layer, call, index."""
    return (
        len(node) >= 3
        and isinstance(node[0], str)
        and node[0] in names
        and all(isinstance(number, int) for number in node[1:3])
    )


def _rekeyed(part: str, value: Any, names: Mapping[str, str]) -> Any:
    if part not in _BY_OUTPUT or not isinstance(value, Mapping) or "class_name" in value:
        return value
    return {names.get(key, key): item for key, item in value.items()}
