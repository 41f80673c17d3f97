"""The architecture that belongs to a weights file: `model.to_json()`, in a file beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from patchc.storage.files import open_regular
from patchc.storage.formats import read_json_file

_ENDINGS = (".weights.json", ".weights.h5", ".hdf5", ".h5", ".keras")
_WORD = re.compile(r"[._-]?weights?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model without weights.

    Args:
        path: of its file.
        config: the model's configuration.
        keras_version: of the Keras that wrote it; "" where it does not say.
    """

    path: str
    config: Mapping[str, Any]
    keras_version: str


def architecture(weights: str, beside: str | os.PathLike[str] | None = None) -> Architecture | None:
    """The architecture beside a weights file, or beside another one; None where there is none."""
    found = _beside(weights)
    return found if found is not None or beside is None else _beside(os.fspath(beside))


def _beside(weights: str) -> Architecture | None:
    """The architecture beside a weights file: of the same name, with or without `weights` in it.

    `net.weights.h5` and `net_weights.h5` belong to `net.json`.  None where
    there is none.

    Raises:
        PatchError: a file of that name is no JSON.
    """
    for path in beside_names(weights):
        if os.path.isfile(path):
            with open_regular(path) as file:
                found = as_architecture(read_json_file(file), path)
            if found is not None:
                return found
    return None


def beside_names(weights: str) -> list[str]:
    """Names under which the architecture of a weights file is looked for."""
    base = next((weights.removesuffix(end) for end in _ENDINGS if weights.endswith(end)), weights)
    stems = dict.fromkeys((base, _WORD.sub("", base)))
    return [f"{stem}.json" for stem in stems if os.path.basename(stem)]


def as_architecture(data: Any, path: str) -> Architecture | None:
    """What `model.to_json()` wrote, as an architecture; None for any other JSON."""
    if not isinstance(data, dict) or "class_name" not in data or "config" not in data:
        return None
    config = {k: v for k, v in data.items() if k not in {"keras_version", "backend"}}
    version = str(data.get("keras_version") or ("3" if "module" in data else "1"))
    return Architecture(path, config, version)
