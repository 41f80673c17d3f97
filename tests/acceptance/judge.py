"""Keras judges what patchc wrote.

`judge` applies a patch and asserts what must hold of every result; what it
returns is for the assertions of single tests.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import math
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import keras
import numpy as np

import patchc
from patchc.compiler.plan import LedgerEntry, Plan
from patchc.language.patch import Patch
from patchc.results import Report
from tests.acceptance.initial import assert_follows

Array = np.ndarray[Any, Any]
Model = Any


@dataclass(frozen=True)
class Judged:
    """A base and its result, as Keras loads them.

    Args:
        before, after: every weight by layer path and name.
        config: of the result, as in the file.
    """

    plan: Plan
    report: Report
    base: Model
    result: Model
    before: Mapping[str, Array]
    after: Mapping[str, Array]
    config: Mapping[str, Any]

    @property
    def fates(self) -> dict[str, int]:
        """Number of weights by fate, without zeros."""
        return {fate: count for fate, count in self.plan.ledger.counts().items() if count}

    @property
    def warned(self) -> list[str]:
        """Codes of the plan's warnings."""
        return [warning.code for warning in self.plan.warnings]

    def entry(self, path: str) -> LedgerEntry:
        """The ledger's line for a weight of the result."""
        return next(entry for entry in self.plan.ledger.entries if entry.path == path)


def patch_of(edits: str, **top: str) -> Patch:
    """A patch from its edits as YAML, and further top-level keys as YAML."""
    lines = ["patchc: 1", "id: under-test", *(f"{k}: {v}" for k, v in top.items()), "edits:"]
    return patchc.loads("\n".join([*lines, *(f"  {line}" for line in edits.strip().split("\n"))]))


def judge(
    model: Path,
    patch: Patch | Sequence[Patch],
    room: Path,
    names: Mapping[str, str] | None = None,
    **loading: Any,
) -> Judged:
    """Apply a patch, twice, and hold the result against Keras.

    Args:
        room: an empty folder.
        names: paths of weights in the plan, where Keras has other ones for them.
        loading: further arguments of `keras.models.load_model`.
    """
    digest = _digest(model)
    out, again = room / "result.keras", room / "again.keras"
    plan = patchc.plan(model, patch)
    report = patchc.apply(model, patch, out, digest=False)
    patchc.apply(model, patch, again, digest=False)
    assert filecmp.cmp(out, again, shallow=False), "the same patch made two different files"
    again.unlink()
    if plan.is_empty:
        assert filecmp.cmp(out, model, shallow=False), "nothing to do, and another file"
    assert _digest(model) == digest, "the input was changed"
    assert report.ok
    assert patchc.verify(model, out, patch).ok
    judged = _loaded(model, out, plan, report, loading)
    out.unlink()
    _assert_shapes(judged)
    _assert_weights(judged, names or {})
    _assert_flags(judged, names or {})
    return judged


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _loaded(
    base: Path, out: Path, plan: Plan, report: Report, loading: Mapping[str, Any]
) -> Judged:
    one = load(base, **loading) if loading else _base(base)
    two = load(out, **loading)
    with zipfile.ZipFile(out) as archive:
        config = json.loads(archive.read("config.json"))
    return Judged(plan, report, one, two, weights_of(one), weights_of(two), config)


@lru_cache(maxsize=1)
def _base(path: Path) -> Model:
    """A base as Keras loads it; tests that share one stand next to each other."""
    keras.utils.clear_session()
    return load(path)


def load(path: Path, **loading: Any) -> Model:
    """Load with Keras; what it could not restore is an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Skipping variable loading")
        return keras.models.load_model(path, **loading)


# ------------------------------------------------------------------------ weights


def leaves(model: Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer that is no model, at any depth, with its path."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


def variables(model: Model) -> dict[str, Any]:
    """Every variable of a model by layer path and name."""
    return {
        f"{path}/{variable.path.removeprefix(f'{layer.path}/')}": variable
        for path, layer in leaves(model)
        for variable in layer.weights
    }


def weights_of(model: Model) -> dict[str, Array]:
    """Every weight of a model by layer path and name."""
    return {path: variable.numpy() for path, variable in variables(model).items()}


def _assert_shapes(judged: Judged) -> None:
    for ends, planned in (
        (judged.result.inputs, judged.plan.inputs),
        (judged.result.outputs, judged.plan.outputs),
    ):
        assert [list(end.shape) for end in ends] == [end["shape"] for end in planned]


def _assert_weights(judged: Judged, names: Mapping[str, str]) -> None:
    """Each weight that Keras finds is the one that the ledger says."""
    weights = judged.plan.base.weights
    base = {address: names.get(w.path, w.path) for address, w in weights.items()}
    assert set(base.values()) == set(judged.before)
    entries = {names.get(entry.path, entry.path): entry for entry in judged.plan.ledger.entries}
    assert entries.keys() == judged.after.keys()
    for path, entry in entries.items():
        values = judged.after[path]
        assert (values.shape, values.dtype.name) == (entry.shape, entry.dtype), entry.path
        if entry.value.base is None:
            assert not entry.value.growths or entry.value.init is not None
            if entry.value.init is not None and not entry.value.growths:
                assert_follows(entry.value.init, values, entry.path)
            continue
        old = judged.before[base[entry.value.base]]
        now, before = _carried(entry, old.shape)
        kept, wanted = values[np.ix_(*now)], old[np.ix_(*before)]
        factor = math.prod(growth.scale for growth in entry.value.growths)
        if factor == 1:
            assert same_bits(kept, wanted), entry.path
        else:
            assert entry.fate == "rescaled", entry.path
            scaled = (wanted.astype("float64") * factor).astype(wanted.dtype)
            np.testing.assert_array_max_ulp(kept, scaled, 1)
        _assert_new_part(entry, values)


def _carried(entry: LedgerEntry, shape: tuple[int, ...]) -> tuple[list[Array], list[Array]]:
    """Where the carried entries of a weight are along each axis: now, and in its base."""
    sources = [np.arange(size) for size in shape]
    for growth in entry.value.growths:
        indices = np.array(growth.map.indices())
        sources[growth.axis] = np.where(indices < 0, -1, sources[growth.axis][indices])
    now = [np.flatnonzero(axis >= 0) for axis in sources]
    return now, [axis[axis >= 0] for axis in sources]


def _assert_new_part(entry: LedgerEntry, values: Array) -> None:
    growths = entry.value.growths
    for growth in growths if len(growths) == 1 else ():
        new = np.flatnonzero(np.array(growth.map.indices()) < 0)
        if growth.fill.name in {"Zeros", "Ones", "Constant"}:
            assert_follows(growth.fill, values.take(new, growth.axis), entry.path)


def same_bits(one: Array, two: Array) -> bool:
    """Whether two arrays are equal in shape, dtype and every bit."""
    return (one.shape, one.dtype) == (two.shape, two.dtype) and one.tobytes() == two.tobytes()


def _assert_flags(judged: Judged, names: Mapping[str, str]) -> None:
    """What trains in Keras is what the plan says trains."""
    training = {id(variable) for variable in judged.result.trainable_weights}
    found = {path: id(variable) in training for path, variable in variables(judged.result).items()}
    entries = judged.plan.ledger.entries
    assert found == {names.get(entry.path, entry.path): entry.trainable for entry in entries}
    params = judged.plan.params
    for model, total, trainable in (
        (judged.base, params["before"], params["trainable_before"]),
        (judged.result, params["after"], params["trainable_after"]),
    ):
        assert model.count_params() == total
        assert sum(int(np.prod(v.shape)) for v in model.trainable_weights) == trainable


# ----------------------------------------------------------------------- outputs


def sample(model: Model, size: int = 6) -> Any:
    """Inputs for a model, in its own structure; unknown dimensions get `size`."""
    rng = np.random.default_rng(11)

    def one(tensor: Any) -> Any:
        shape = [2, *(size if n is None else n for n in tensor.shape[1:])]
        if tensor.dtype == "string":
            words = ["a", "b", "t0001", "b0002", "never seen"]
            return keras.ops.convert_to_tensor(rng.choice(words, shape).tolist())
        if tensor.dtype.startswith("int"):
            return rng.integers(0, 20, shape).astype(tensor.dtype)
        return rng.normal(size=shape).astype("float32")

    sequential = isinstance(model, keras.Sequential)
    return keras.tree.map_structure(one, model.inputs[0] if sequential else model.input)


def outputs(model: Model, given: Any = None) -> list[Array]:
    """What a model computes from `given`, or from a sample, as flat list."""
    made = model(sample(model) if given is None else given, training=False)
    return [keras.ops.cast(output, "float32").numpy() for output in keras.tree.flatten(made)]


def assert_same_function(judged: Judged, relative: float = 1e-5, given: Any = None) -> None:
    """Base and result compute the same; `relative` is to the largest value of an output."""
    given = sample(judged.base) if given is None else given
    before, after = outputs(judged.base, given), outputs(judged.result, given)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert_close(new, old, relative)


def assert_close(new: Array, old: Array, relative: float = 1e-5) -> None:
    """Equal up to `relative` of the largest value; bit for bit where that is 0."""
    assert new.shape == old.shape
    assert np.isfinite(new).all()
    if relative == 0:
        assert new.tobytes() == old.tobytes()
    else:
        np.testing.assert_allclose(new, old, rtol=relative, atol=relative * np.abs(old).max())


def logits(model: Model, head: str, given: Any) -> list[Array]:
    """What a model computes with its head's activation left out.

    Args:
        head: path of the layer, or of a Softmax behind it.
    """
    layer = dict(leaves(model))[head]
    if isinstance(layer, keras.layers.Softmax):
        return outputs(keras.Model(model.input, layer.input), given)
    layer = getattr(layer, "layer", layer)
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        return outputs(model, given)
    finally:
        layer.activation = activation
