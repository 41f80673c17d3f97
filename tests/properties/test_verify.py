"""`verify` notices whatever is changed in a result."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

import patchc
from patchc.language.patch import Patch
from patchc.storage.attach import datasets
from patchc.storage.keras_file import open_keras
from tests.properties import oracle
from tests.properties.bench import examples, planned, saved
from tests.properties.graphs import random_model
from tests.properties.patches import Facts, patch_of, random_edits

Region = tuple[int, int]
"""Where the bytes of a stored weight lie in the file, and how many they are."""


def _regions(path: Path) -> list[Region]:
    with open_keras(path) as file:
        start = file.weights.offset if file.weights else 0
        found = [(start + (d.offset or 0), d.nbytes) for _, d in datasets(file.tree)]
    return [(start, size) for start, size in found if size]


def _with_a_byte_changed(draw: Any, path: Path) -> bytes:
    raw = bytearray(path.read_bytes())
    start, size = draw(st.sampled_from(_regions(path)))
    raw[start + draw(st.integers(0, size - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(raw)


def _with_weights_swapped(draw: Any, path: Path) -> bytes:
    raw = bytearray(path.read_bytes())
    regions = _regions(path)
    pairs = [
        (one, other, size)
        for i, (one, size) in enumerate(regions)
        for other, second in regions[i + 1 :]
        if size == second and raw[one : one + size] != raw[other : other + size]
    ]
    assume(pairs)
    one, other, size = draw(st.sampled_from(pairs))
    held = raw[one : one + size]
    raw[one : one + size] = raw[other : other + size]
    raw[other : other + size] = held
    return bytes(raw)


def _with_config_changed(draw: Any, path: Path) -> bytes:
    config = copy.deepcopy(oracle.config_of(path))
    *way, last = draw(st.sampled_from(list(_leaves(config))))
    node = config
    for key in way:
        node = node[key]
    node[last] = "changed" if node[last] != "changed" else 1
    changed = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
        for member in source.infolist():
            data = source.read(member)
            target.writestr(member, json.dumps(config) if "config" in member.filename else data)
    return changed.read_bytes()


def _leaves(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, (dict, list)):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, (*way, key))
    else:
        yield way


def _is_noticed(base: Path, changed: Path, patch: Patch) -> bool:
    try:
        return not patchc.verify(base, changed, patch).ok
    except patchc.PatchError:
        return True


@given(st.data())
@examples(40)
def test_every_change_of_a_result_is_noticed(data: Any) -> None:
    model = random_model(data.draw)
    patch = patch_of(random_edits(data.draw, Facts.of(model)))
    with saved(model) as base:
        out = base.with_name("out.keras")
        assume(planned(base, patch, out) is not None)
        patchc.apply(base, patch, out)
        assert patchc.verify(base, out, patch).ok
        assume(_regions(out))
        damage = [_with_a_byte_changed, _with_weights_swapped, _with_config_changed]
        changed = base.with_name("changed.keras")
        changed.write_bytes(data.draw(st.sampled_from(damage))(data.draw, out))
        assert _is_noticed(base, changed, patch)
