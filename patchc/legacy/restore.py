"""Restore: an edited configuration in the words of the file that it came from. JSON to JSON.

The file of an older Keras keeps its dialect: what no edit touches stays as it
was written, and a changed value goes to the key that said it before.  What
cannot be said that way is refused; the caller repairs the result once more and
holds it against what was wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchc.legacy.containers import GRAPH, is_functional
from patchc.legacy.dialect import Dialect, RestoreError

Config = dict[str, Any]
Entry = Mapping[str, Any]
_TENSOR = "__keras_tensor__"
_KERAS_2, _KERAS_3 = 2, 3


@dataclass(frozen=True, slots=True)
class Restorer:
    """What restoring needs to know besides the configurations.

    Args:
        dialect: of the Keras that wrote the file.
        origins: path of each layer of the result -> its path in the base; what
            is missing is new.
        rebuilt: paths of layers of the result that no longer take what they
            were built for.
    """

    dialect: Dialect
    origins: Mapping[str, str]
    rebuilt: Collection[str] = ()

    @property
    def era(self) -> int:
        """Major version of the Keras that wrote the file."""
        return self.dialect.era

    def model(self, raw: Entry, seen: Entry, new: Entry) -> Config:
        """A whole model's configuration.

        Args:
            raw: as the file has it.
            seen: the same, repaired.
            new: the wanted one, in the form of `seen`.

        Raises:
            RestoreError: the format cannot say it.
        """
        return self._model(raw, seen, new, "", "")

    def _model(self, raw: Entry, seen: Entry, new: Entry, old_path: str, path: str) -> Config:
        if path in self.rebuilt:
            raw = {key: value for key, value in raw.items() if key != "build_config"}
        held = {name_of(e): e for e in _layers(raw)}
        known = {name_of(e): e for e in _layers(seen)}
        entries, wanted = [], []
        for entry in new["config"]["layers"]:
            name = name_of(entry)
            origin = self.origins.get(_join(path, name), "")
            prefix = f"{old_path}/" if old_path else ""
            old = origin.removeprefix(prefix) if origin.startswith(prefix) else ""
            if old in held and old in known:
                entries.append(self._layer(held[old], known[old], entry, origin, _join(path, name)))
            elif old in known:
                continue  # what the file leaves to another layer
            else:
                entries.append(self._new(entry))
            wanted.append(entry)
        if not is_functional(new["config"]):
            return self._sequential(raw, seen, new, entries)
        shifts = self._shifts(raw, new)
        for entry, now in zip(entries, wanted, strict=True):
            nodes = self._nodes(entry, known.get(name_of(now)), now, shifts)
            entry |= {"name": name_of(now), "inbound_nodes": nodes}
        return self._functional(raw, seen, new, entries, shifts)

    def _functional(
        self,
        raw: Entry,
        seen: Entry,
        new: Entry,
        entries: Sequence[Config],
        shifts: Mapping[str, int],
    ) -> Config:
        graph = is_functional(raw["config"])
        config = self._own(raw, seen, new) if graph else {"name": new["config"]["name"]}
        config["layers"] = list(entries)
        models = {name_of(e): e for e in new["config"]["layers"] if _is_model(e)}
        for key in ("input_layers", "output_layers"):
            same = graph and seen["config"].get(key) == new["config"][key]
            ends = raw["config"][key] if same else self._ends(new["config"][key], models, shifts)
            config[key] = ends
        return {**raw, **({} if graph else self._class_of_models()), "config": config}

    def _class_of_models(self) -> Config:
        """How an entry says that it is a model with connections."""
        if self.dialect.archived:
            # the class itself stands in a module of its own in each Keras 2
            return {"module": "keras", "class_name": "Model", "registered_name": None}
        return {"class_name": self.dialect.model}

    def training(self, raw: Entry, seen: Entry, new: Entry) -> Config:
        """`training_config`, from what the model is compiled with before and after."""
        result = dict(raw)
        key = "optimizer_config" if "optimizer_config" in raw else "optimizer"
        if seen.get("optimizer") != new.get("optimizer"):
            optimizers = (raw.get(key), seen.get("optimizer"), new.get("optimizer"))
            result[key] = self._value(*optimizers)
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if seen.get(name) != new.get(name):
                self._check_names(new.get(name))
                result[name] = self._lowered(new.get(name))
        return result

    def _check_names(self, told: Any) -> None:
        """Refuse losses and metrics that are named and not known."""
        if isinstance(told, str):
            self.dialect.check_class(told)
        elif isinstance(told, (list, Mapping)) and not _is_object(told):
            for item in told.values() if isinstance(told, Mapping) else told:
                self._check_names(item)

    def _sequential(self, raw: Entry, seen: Entry, new: Entry, entries: Sequence[Config]) -> Config:
        if isinstance(raw["config"], list):
            return {**raw, "config": list(entries)}
        return {**raw, "config": {**self._own(raw, seen, new), "layers": list(entries)}}

    def _own(self, raw: Entry, seen: Entry, new: Entry) -> Config:
        """What a model's configuration says besides layers and connections."""
        raw, seen, new = (
            {k: v for k, v in e["config"].items() if k not in GRAPH} for e in (raw, seen, new)
        )
        return self.values(raw, seen, new)

    # ------------------------------------------------------------------ one layer

    def _layer(self, raw: Entry, seen: Entry, new: Entry, origin: str, path: str) -> Config:
        if _is_model(new):
            return self._model(raw, seen, new, origin, path)
        if path in self.rebuilt:
            raw = _unbuilt(raw)
        name = new["class_name"]
        return {**raw, "config": self.values(raw["config"], seen["config"], new["config"], name)}

    def _new(self, entry: Entry) -> Config:
        if self.era < _KERAS_2:
            raise RestoreError(f"Keras 1 has other arguments for the new layer `{name_of(entry)}`")
        if _is_model(entry):
            raise RestoreError(f"the new layer `{name_of(entry)}` is a model")
        if str(entry.get("module", "")).startswith(("keras.src.ops", "keras.ops")):
            raise RestoreError(f"the new layer `{name_of(entry)}` is an operation")
        return self._object(entry)

    def values(self, raw: Entry, seen: Entry, new: Entry, class_name: str = "") -> Config:
        """A configuration whose changed values stand under the keys that the file has for them."""
        result = dict(raw)
        for key in {**seen, **new}:
            if key in seen and key in new and seen[key] == new[key]:
                continue
            place = self._place(key, raw, seen)
            if key not in new:
                result.pop(place, None)
            elif place in raw and key in seen and not isinstance(new[key], str):
                result[place] = self._value(raw[place], seen[key], new[key])
            else:
                result[self.dialect.argument(class_name, place)] = self._said(key, new[key])
        return result

    def _place(self, key: str, raw: Entry, seen: Entry) -> str:
        """The key under which the file says what the repaired configuration says under `key`."""
        if key in raw or key not in seen:
            return key
        same = [k for k, v in raw.items() if k not in seen and _is_same(v, seen[key])]
        if len(same) == 1:
            return same[0]
        if self.era < _KERAS_2:
            raise RestoreError(f"Keras 1 says `{key}` in another way")
        return key

    def _value(self, raw: Any, seen: Any, new: Any) -> Any:
        lists = all(isinstance(side, list) for side in (raw, seen, new))
        if lists and len(raw) == len(seen) == len(new):
            return [self._value(*sides) for sides in zip(raw, seen, new, strict=True)]
        if seen == new:
            return raw
        objects = _is_object(raw) and _is_object(seen) and _is_object(new)
        if objects and seen["class_name"] == new["class_name"]:
            name = new["class_name"]
            config = self.values(raw["config"], seen["config"], new["config"], name)
            return {**raw, "config": config}
        return self._lowered(new)

    def _lowered(self, value: Any) -> Any:
        """A value as an older Keras writes it: objects without the module of their class."""
        if isinstance(value, list):
            return [self._lowered(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        if self.era >= _KERAS_3 or not _is_object(value):
            return {key: self._lowered(item) for key, item in value.items()}
        if value["class_name"] == "DTypePolicy":
            return value["config"]["name"]
        return self._object(value)

    def _object(self, value: Entry) -> Config:
        """A layer or another object that the file does not hold yet."""
        name = value["class_name"]
        self.dialect.check_class(name)
        config = {
            self.dialect.argument(name, key): self._said(key, item)
            for key, item in value["config"].items()
        }
        registered = value.get("registered_name")
        if self.dialect.archived:
            module = value.get("module")
            told = {"module": module, "class_name": name, "config": config}
            return {**told, "registered_name": registered}
        return {"class_name": registered or name, "config": config}

    def _said(self, key: str, value: Any) -> Any:
        """The value of an argument.  Raises RestoreError where it means another thing there."""
        if isinstance(value, str) and key.endswith("activation"):
            self.dialect.check_activation(value)
        return self._lowered(value)

    # ---------------------------------------------------------------- connections

    def _shifts(self, raw: Entry, new: Entry) -> dict[str, int]:
        """From which number on the file counts the calls of each model inside."""
        models = [name_of(entry) for entry in new["config"]["layers"] if _is_model(entry)]
        if self.era >= _KERAS_3:
            return dict.fromkeys(models, 0)
        read = [h for e in _layers(raw) for h in _histories(e.get("inbound_nodes"))]
        from_zero = {name for name, number in read if number == 0}
        return {name: int(name not in from_zero) for name in models}

    def _nodes(
        self, raw: Entry, seen: Entry | None, new: Entry, shifts: Mapping[str, int]
    ) -> list[Any]:
        """A layer's calls: as the file has them, with other tensors where those have changed."""
        nodes = new["inbound_nodes"]
        if self.era >= _KERAS_3:
            return list(nodes)
        if seen is not None and name_of(raw) == name_of(new) and "inbound_nodes" in raw:
            moved = _moved(seen["inbound_nodes"], nodes, shifts)
            if moved is not None:
                return [_rewired(node, moved) for node in raw["inbound_nodes"]]
        return [self._node(name_of(new), node, shifts) for node in nodes]

    def _node(self, name: str, node: Any, shifts: Mapping[str, int]) -> list[Any]:
        if isinstance(node, list):
            return [[e[0], e[1] + shifts.get(e[0], 0), *e[2:]] for e in node]
        args = node["args"]
        kwargs = {k: _argument(v, shifts) for k, v in node["kwargs"].items() if v is not None}
        tensors = args[0] if len(args) == 1 and isinstance(args[0], list) else args
        if (len(args) != 1 and args) or not all(_is_tensor(tensor) for tensor in tensors):
            raise RestoreError(
                f"the call of `{name}` has arguments that an older Keras cannot name"
            )
        return [[*_history(tensor, shifts), dict(kwargs)] for tensor in tensors]

    def _ends(self, ends: Any, models: Mapping[str, Entry], shifts: Mapping[str, int]) -> list[Any]:
        """Inputs or outputs, always in a list."""
        if isinstance(ends, Mapping):
            raise RestoreError("its inputs or outputs are named, which an older Keras cannot say")
        flat = [ends] if ends and isinstance(ends[0], str) else list(ends)
        if self.era >= _KERAS_3:
            return flat
        found = []
        for end in flat:
            if not isinstance(end, list) or not isinstance(end[0], str):
                raise RestoreError("its inputs or outputs are nested")
            name, call, index = end
            counted = name in models and is_functional(models[name]["config"])
            found.append([name, call - int(counted) + shifts.get(name, 0), index])
        return found


def _unbuilt(value: Any) -> Any:
    """An entry, and what is inside it, without the shapes that it was built for."""
    if isinstance(value, Mapping):
        return {key: _unbuilt(item) for key, item in value.items() if key != "build_config"}
    return [_unbuilt(item) for item in value] if isinstance(value, list) else value


def _is_same(one: Any, two: Any) -> bool:
    """Equal, and not as `True` equals 1."""
    return type(one) is type(two) and bool(one == two)


_Place = tuple[str, int, int]


def _moved(
    seen: Any, new: Any, shifts: Mapping[str, int], found: dict[_Place, _Place] | None = None
) -> dict[_Place, _Place] | None:
    """Which tensor stands for which in calls that are the same otherwise; None where not so."""
    moved = {} if found is None else found
    if _is_tensor(seen) and _is_tensor(new):
        old, now = (tuple(_history(side, shifts)) for side in (seen, new))
        return moved if moved.setdefault(old, now) == now else None
    if isinstance(seen, Mapping) and isinstance(new, Mapping) and seen.keys() == new.keys():
        pairs = [(seen[key], new[key]) for key in seen]
    elif isinstance(seen, list) and isinstance(new, list) and len(seen) == len(new):
        pairs = list(zip(seen, new, strict=True))
    else:
        return moved if seen == new else None
    whole = all(_moved(one, two, shifts, moved) is not None for one, two in pairs)
    return moved if whole else None


def _rewired(node: Any, moved: Mapping[_Place, _Place]) -> Any:
    """Connections of the older form with other tensors."""
    if isinstance(node, Mapping):
        return {key: _rewired(item, moved) for key, item in node.items()}
    if not isinstance(node, list):
        return node
    if len(node) in {3, 4} and isinstance(node[0], str):
        place = moved.get((node[0], node[1], node[2])) if _is_place(node) else None
        head = list(place) if place is not None else node[:3]
        return [*head, *(_rewired(item, moved) for item in node[3:])]
    return [_rewired(item, moved) for item in node]


def _is_place(node: Sequence[Any]) -> bool:
    return isinstance(node[1], int) and isinstance(node[2], int)


def _layers(entry: Entry) -> list[Entry]:
    config = entry["config"]
    return list(config if isinstance(config, list) else config["layers"])


def name_of(entry: Entry) -> str:
    """A layer's name: of its entry, or of its configuration."""
    config = entry.get("config")
    inner = config.get("name") if isinstance(config, Mapping) else None
    return str(entry.get("name") or inner or entry.get("class_name"))


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _is_model(entry: Entry) -> bool:
    return is_functional(entry.get("config")) or entry.get("class_name") == "Sequential"


def _is_object(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("class_name"), str)
        and isinstance(value.get("config"), Mapping)
    )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == _TENSOR


def _history(tensor: Entry, shifts: Mapping[str, int]) -> list[Any]:
    name, call, index = tensor["config"]["keras_history"]
    return [name, call + shifts.get(name, 0), index]


def _argument(value: Any, shifts: Mapping[str, int]) -> Any:
    if _is_tensor(value):
        return _history(value, shifts)
    if isinstance(value, list):
        return [_argument(item, shifts) for item in value]
    return value


def _histories(node: Any) -> list[tuple[str, int]]:
    """Layer and call of every tensor in connections of the older form."""
    if isinstance(node, Mapping):
        return [found for item in node.values() for found in _histories(item)]
    if not isinstance(node, list):
        return []
    if len(node) in {3, 4} and isinstance(node[0], str) and isinstance(node[1], int):
        return [(node[0], node[1]), *(f for item in node[3:] for f in _histories(item))]
    return [found for item in node for found in _histories(item)]
