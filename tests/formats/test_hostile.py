"""Configurations that no Keras wrote: read, or refused with a code, never a traceback."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import patchc
from patchc.inspect import inspect_file
from tests.formats.handmade import write
from tests.formats.test_hdf5_models import ADAM, nested

PLACES: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    -1,
    1e9,
    True,
    [1, 2],
    {"class_name": "Dense"},
    [["a", 0, 0]],
)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def mutant(data: Any, chance: random.Random) -> Any:
    """A copy with one place removed, or given another value."""
    data = copy.deepcopy(data)
    *parents, last = chance.choice([path for path in places(data) if path])
    node = data
    for key in parents:
        node = node[key]
    if chance.random() < 0.3:
        del node[last]
    else:
        node[last] = chance.choice(PLACES)
    return data


@pytest.mark.parametrize("seed", range(3))
def test_mutated_configurations(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    config, layers = nested(frozen="d1")
    training = {"loss": "mse", "metrics": ["accuracy"], **ADAM}
    for number in range(80):
        changed = mutant({"model": config, "training": training}, chance)
        path = tmp_path / f"{number}.h5"
        try:
            write(path, layers, changed["model"], training=changed["training"])
            inspect_file(path)
        except patchc.PatchError as error:
            assert error.diagnostics[0].code.startswith("PC4")
        except KeyError as error:  # the mutant has no model, which is not what is tested
            assert error.args[0] in {"model", "training"}
