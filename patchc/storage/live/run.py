"""Running two models side by side, to see whether the result computes what the base computed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.src.saving.serialization_lib import ObjectSharingScope

from patchc.checks import Check
from patchc.compiler.entries import way_back
from patchc.compiler.movement import Change
from patchc.compiler.plan import Plan
from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Patch
from patchc.model.axis import NEW, AxisMap
from patchc.model.config import write_config
from patchc.model.graph import Call, Layer, Tensor, flatten
from patchc.storage.live.model import read_root, undrawn
from patchc.storage.live.objects import FAILURES, Objects, build, first_line, refusal
from patchc.storage.live.parts import is_graph, layers_by_node, saving_parts
from patchc.storage.live.probes import Array, Input, draw, fitted, inputs_of, read_probes
from patchc.storage.live.state import CapturingStore, capture, carried, restore

Source = str | os.PathLike[str] | Any
"""A model file, or a model in memory."""

_FINAL = frozenset({"softmax", "sigmoid", "log_softmax"})
_FINAL_CLASSES = frozenset({"Softmax", "Sigmoid", "LogSoftmax"})
_DEFAULTS: Mapping[str, Any] = {"outputs": "extends", "atol": 1e-6, "rtol": 1e-5, "probes": 8}


def run_check(
    before: Source, after: Source, wanted: Mapping[str, Any] | None = None, plan: Plan | None = None
) -> Check:
    """Run two models on the same inputs and compare what they give.

    Args:
        before, after: model files, or models in memory.
        wanted: what a patch says under `verify`; left-out keys have the
            format's defaults, and `outputs` is `extends`.
        plan: how `after` was made: says where the old entries of an output
            are.  Without it they are the first ones of its last axis.

    Raises:
        PatchError: PC308 where a model cannot be opened or run, PC401 where
            the probes cannot be read.
        TypeError: `wanted` has a key that `verify` does not have.
    """
    options = {**_DEFAULTS, **(wanted or {})}
    if unknown := sorted(options.keys() - _DEFAULTS.keys()):
        raise TypeError(f"{unknown[0]!r} is none of {', '.join(_DEFAULTS)}")
    base, result = _opened(before), _opened(after)
    if options["outputs"] == "extends":
        base, result = _pre_activation(base), _pre_activation(result)
    given, expected = _run_base(base, options["probes"])
    found = _run(result, _for_result(result, given))
    changes = None if plan is None else way_back(plan)
    return _compare(options, expected, found, changes, count=_count(given))


def run_patches(before: Source, after: Source, patches: Sequence[Patch], plan: Plan) -> list[Check]:
    """What the patches say under `verify`, checked.

    Raises:
        PatchError: PC501, at the patch, for everything that does not hold.
    """
    checks, failed = [], []
    for patch in patches:
        if patch.verify is None:
            continue
        check = run_check(before, after, wanted_by(patch), plan)
        checks.append(check)
        if not check.ok:
            failed.append(replace(check.diagnostic(""), span=patch.spans.get("verify"), file=None))
    if failed:
        raise PatchError(*failed)
    return checks


def wanted_by(patch: Patch) -> Mapping[str, Any]:
    """What a patch says under `verify`; a file with probes is looked for beside the patch."""
    wanted = dict(patch.verify or {})
    if isinstance(wanted.get("probes"), str):
        wanted["probes"] = os.path.join(os.path.dirname(patch.source.name), wanted["probes"])
    return wanted


# --------------------------------------------------------------------- opening


def _opened(source: Source) -> Any:
    model = source
    if isinstance(source, (str, os.PathLike)):
        with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
            link = Path(folder, "model.keras")  # Keras goes by the name's end
            link.symlink_to(Path(source).resolve())
            model = _load(link, os.fspath(source))
    if not is_graph(model):
        message = f"the inputs of a {type(model).__name__} cannot be told"
        raise refusal(message, "take `verify` out, and compare the models in Python")
    return model


def _load(link: Path, path: str) -> Any:
    try:
        return keras.saving.load_model(link, compile=False)
    except (*FAILURES, OSError) as error:
        message = f"Keras cannot open the model to run it: {first_line(error)}"
        help_text = "name the module of its own classes with `--import`, or take `verify` out"
        raise PatchError(Diagnostic("PC308", message, file=path, help=help_text)) from None


def _look(model: Any) -> tuple[Objects, Layer]:
    objects = Objects(model)
    return objects, read_root(objects.config(model))


# --------------------------------------------------------------------- cutting


def _pre_activation(model: Any) -> Any:
    """The model without the softmax or sigmoid at its end; itself where there is none."""
    objects, root = _look(model)
    assert root.graph is not None
    cut = [_make_linear(tensor) for tensor in flatten(root.graph.outputs)]
    if not any(cut):
        return model
    config = write_config(root)
    config.pop("compile_config", None)
    store = CapturingStore()
    with tempfile.TemporaryDirectory(prefix="patchc-") as folder:
        assets = str(Path(folder, "assets"))
        capture(model, saving_parts(model, root), store, assets)
        with ObjectSharingScope(), undrawn():
            new = build(config, objects)
        values = {
            address: partial(carried, value)
            for address, value in store.values.items()
            if not address.startswith("optimizer/")
        }
        restore(new, saving_parts(new, root), values, assets)
    return new


def _make_linear(tensor: Tensor) -> bool:
    """Take the activation off the layer that makes an output, where nothing else reads it."""
    layer = tensor.layer
    if layer.home is None or len(layer.calls) > 1 or _is_read(tensor):
        return False
    if layer.graph is not None:
        return _make_linear(flatten(layer.graph.outputs)[tensor.index])
    if layer.class_name in _FINAL_CLASSES:
        _make_activation(layer, tensor.call)
        return True
    config = _linear(layer.config)
    changed = config != layer.config
    layer.config = config
    return changed


def _is_read(tensor: Tensor) -> bool:
    graph = tensor.layer.home
    assert graph is not None
    return any(tensor in call.tensors() for call in graph.calls())


def _make_activation(layer: Layer, call: Call) -> None:
    """Put a linear Activation in the place of a softmax layer or operation."""
    layer.class_name, layer.module, layer.registered_name = "Activation", "keras.layers", None
    layer.config = {"name": layer.name, "activation": "linear"}
    call.args, call.kwargs = [call.tensors()[0]], {}


def _linear(config: Mapping[str, Any]) -> Mapping[str, Any]:
    if config.get("activation") in _FINAL:
        return {**config, "activation": "linear"}
    inner = config.get("layer")
    if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):
        return {**config, "layer": {**inner, "config": _linear(inner["config"])}}
    return config


# --------------------------------------------------------------------- running


def _inputs(model: Any) -> list[Input]:
    _, root = _look(model)
    return inputs_of(root, layers_by_node(root, model))


def _run_base(model: Any, probes: int | str) -> tuple[dict[str, Array], dict[str, Array]]:
    inputs = _inputs(model)
    if isinstance(probes, str):
        given = read_probes(probes, inputs)
    else:
        given = {wanted.name: draw(wanted, probes) for wanted in inputs}
    return given, _run(model, [given[wanted.name] for wanted in inputs])


def _for_result(model: Any, given: Mapping[str, Array]) -> list[Array]:
    """The probes for the inputs of the result: by name, else by place."""
    inputs = _inputs(model)
    by_place = list(given.values())
    values = []
    for number, wanted in enumerate(inputs):
        probes = given.get(wanted.name)
        if probes is None and len(by_place) == len(inputs):
            probes = by_place[number]
        values.append(draw(wanted, _count(given)) if probes is None else fitted(probes, wanted))
    return values


def _count(given: Mapping[str, Array]) -> int:
    return len(next(iter(given.values())))


def _run(model: Any, values: Sequence[Array]) -> dict[str, Array]:
    """The outputs of a model, by key where they are a dict, else by place."""
    if isinstance(model, keras.Sequential):
        structured: Any = values[0]
    else:
        structured = keras.tree.pack_sequence_as(model._inputs_struct, list(values))
    try:
        outputs = model(structured, training=False)
    except Exception as error:  # each backend has errors of its own
        raise refusal(
            f"the model does not run on the probes: {first_line(error)}",
            "name an .npz file with fitting inputs: `verify: {probes: inputs.npz}`",
        ) from error
    if isinstance(outputs, Mapping):
        flat = {key: outputs[key] for key in sorted(outputs)}
    else:
        flat = {str(number): item for number, item in enumerate(keras.tree.flatten(outputs))}
    return {key: keras.ops.convert_to_numpy(item) for key, item in flat.items()}


# ------------------------------------------------------------------- comparing


def _compare(
    options: Mapping[str, Any],
    expected: Mapping[str, Array],
    found: Mapping[str, Array],
    changes: Sequence[Change | None] | None,
    *,
    count: int,
) -> Check:
    same = options["outputs"] == "same"
    name = "outputs-same" if same else "outputs-extend"
    if not expected.keys() <= found.keys() or (same and len(expected) != len(found)):
        detail = f"{len(expected)} outputs became {len(found)}"
        return Check(name, ok=False, detail=detail, way_out=_WAY_OUT)
    worst, problems = 0.0, []
    numbers = {key: number for number, key in enumerate(found)}
    for key, before in expected.items():
        change = _first_entries(before) if changes is None else changes[numbers[key]]
        pair = (before, found[key]) if same else _old_part(before, found[key], change)
        if pair[0].shape != pair[1].shape:
            problems.append(f"output {key} has shape {pair[1].shape}, was {pair[0].shape}")
            continue
        difference, ok = _difference(*pair, options)
        worst = max(worst, difference)
        problems += [] if ok else [f"output {key} differs by up to {difference:.3g}"]
    allowed = f"{options['atol']:g} + {options['rtol']:g} relative"
    measured = "; ".join(problems) or f"largest difference {worst:.3g}"
    detail = f"{measured} on {count} probes, allowed {allowed}"
    return Check(name, not problems, detail, way_out=_WAY_OUT)


_WAY_OUT = "look at what the plan changes; weaken `verify` only if the change is meant"


def _first_entries(before: Array) -> Change | None:
    """New entries at the end of the last axis: what there is where no plan tells."""
    axis = before.ndim - 1
    return None if axis < 1 else (axis, AxisMap.identity(before.shape[axis]))


def _old_part(before: Array, after: Array, change: Change | None) -> tuple[Array, Array]:
    """The entries that both have."""
    if change is None or change[0] >= after.ndim:
        return before, after
    axis, back = change
    pairs = [(old, new) for old, new in enumerate(back.indices()) if new != NEW]
    if back.size != before.shape[axis] or any(new >= after.shape[axis] for _, new in pairs):
        return before, after
    olds, news = ([pair[side] for pair in pairs] for side in (0, 1))
    return before.take(olds, axis=axis), after.take(news, axis=axis)


def _difference(before: Array, after: Array, options: Mapping[str, Any]) -> tuple[float, bool]:
    if before.dtype == object or before.dtype.kind in "SUb":
        same = bool(np.array_equal(before, after))
        return (0.0 if same else 1.0), same
    one, other = before.astype(np.float64), after.astype(np.float64)
    with np.errstate(invalid="ignore"):
        close = np.isclose(other, one, options["rtol"], options["atol"], equal_nan=True)
        apart = np.abs(other - one)[np.isfinite(one) & np.isfinite(other)]
    return float(apart.max(initial=0.0)), bool(close.all())
