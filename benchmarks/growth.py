"""How far every axis of every architecture of `keras.applications` can grow.

`python -m benchmarks.growth [NAME ...] [--each N]` builds each model with
untrained weights and batch statistics of random images, finds its free axes,
and grows all of them together by 15 % (or to twice their size, where a
normalisation takes nothing but multiples), once in float32 and once in
float64, there with random offsets and scales too.  The result is loaded with
Keras and its logits are held against those of the model before ("float32",
"float64"); beside it stands how far the float32 model itself is from the same
model in float64 ("own").  What grew by 15 % is shrunk again, and the weights
are held against the original's ("back": how many, and how far off in units of
the last place).  With `--each N` it also grows N axes of each model one at a time.
A child process works on one model, so that memory is given back.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Bars

_ALL = (
    "ConvNeXtBase ConvNeXtLarge ConvNeXtSmall ConvNeXtTiny ConvNeXtXLarge DenseNet121 DenseNet169"
    " DenseNet201 EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4"
    " EfficientNetB5 EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1"
    " EfficientNetV2B2 EfficientNetV2B3 EfficientNetV2L EfficientNetV2M EfficientNetV2S"
    " InceptionResNetV2 InceptionV3 MobileNet MobileNetV2 MobileNetV3Large MobileNetV3Small"
    " NASNetLarge NASNetMobile ResNet101 ResNet101V2 ResNet152 ResNet152V2 ResNet50 ResNet50V2"
    " VGG16 VGG19 Xception"
)
NAMES = _ALL.split()
_SIZES = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71, "VGG16": 64, "VGG19": 64}
_SMALL = 32
_BYTES = ("ConvNeXt", "EfficientNet", "MobileNetV3")
"""Architectures that take pixels from 0 to 255."""
_SHARE = 0.15
_IMAGES = 32
"""How many the batch statistics are taken of: few would leave channels with next to no variance."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis that is free to grow, with all that grow with it.

    Args:
        layer: path of one of its layers.
        key: as `expand` names it.
        size: before.
        to: after.
    """

    layer: str
    key: str
    size: int
    to: int

    @property
    def is_doubled(self) -> bool:
        """Whether it takes nothing but multiples."""
        return self.to == 2 * self.size > 2

    def edit(self) -> str:
        """The edit that grows it."""
        name = json.dumps(self.layer)
        return f"  - select: {name}\n    expand: {{to: {self.to}, axis: {self.key}}}\n"

    def edit_back(self) -> str:
        """The edit that takes the new entries away again."""
        name = json.dumps(self.layer)
        new = list(range(self.size, self.to))
        return f"  - select: {name}\n    shrink: {{drop: {new}, axis: {self.key}}}\n"


def patch_text(axes: Sequence[Axis]) -> str:
    """The patch that grows some axes."""
    return "patchc: 1\nid: all-axes\nedits:\n" + "".join(axis.edit() for axis in axes)


def patch_back(axes: Sequence[Axis]) -> str:
    """The patch that takes the new entries of some axes away again."""
    return "patchc: 1\nid: back\nedits:\n" + "".join(axis.edit_back() for axis in axes)


# ------------------------------------------------------------------------------- axes


def free_axes(path: Path, share: float = _SHARE) -> tuple[list[Axis], list[str]]:
    """The free axes of a saved model, and why others are not."""
    import patchc
    from patchc.compiler.context import Context
    from patchc.layers.infer import infer, rule_of
    from patchc.model.graph import walk
    from patchc.storage.open_model import open_model

    patch = patchc.loads(patch_text([Axis("any", "units", 1, 2)]))
    with open_model(path) as source:
        document = source.document(None)
    assert document.root.graph is not None
    infer(document.root.graph)
    context = Context(document)
    context.patch, context.edit = patch, patch.edits[0]
    seen: set[tuple[Any, str]] = set()
    found: list[Axis] = []
    refused: list[str] = []
    for layer in walk(document.root):
        rule = rule_of(layer)
        if rule is None or layer.is_input or layer.graph is not None:
            continue
        for key in rule.dimensions(layer.config):
            if key == "depth_multiplier":
                continue  # twice as many is the least, and no share of 15 %
            axis = _axis(context, layer, key, share, seen)
            if isinstance(axis, Axis):
                found.append(axis)
            elif axis:
                refused.append(axis)
    return found, refused


def _axis(context: Any, layer: Any, name: str, share: float, seen: set[Any]) -> Axis | str:
    """An axis, or why it is not free; "" where it belongs to one that was found before."""
    from patchc.compiler.contracts import UnmetError
    from patchc.compiler.resize import plan_resize, standing_for
    from patchc.errors import PatchError
    from patchc.layers.base import complete
    from patchc.layers.infer import rule_of
    from patchc.model.axis import AxisMap

    rule = rule_of(layer)
    assert rule is not None
    config = complete(rule, layer.config)
    size = rule.size_of(config, name)
    key = standing_for(layer, rule, config, name)
    if (layer, key) in seen:
        return ""
    seen.add((layer, key))
    grown = size + max(1, round(share * size))
    ways = [AxisMap.grown(size, grown - size), AxisMap.of(list(range(size)) * 2)]
    for change in ways:
        try:
            plan = plan_resize(context, layer, key, change, size, preserve=True)
        except UnmetError as error:
            reason = str(error)
            continue
        except PatchError as error:
            return str(error)
        seen.update((m, label) for m, labels in plan.spread.dimensions.items() for label in labels)
        if plan.spread.heads:
            return f"{layer.path} makes an output"
        return Axis(layer.path, name, size, change.size)
    return reason


# ------------------------------------------------------------------------------ models


def build(name: str, dtype: str) -> Any:
    """A model as Keras makes it, without trained weights."""
    import keras

    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(7)
    make = getattr(keras.applications, name)
    shape = (*_sides(name), 3)
    return make(weights=None, input_shape=shape, classes=10, classifier_activation=None)


def images_for(name: str, dtype: str) -> Any:
    """Random images."""
    import numpy as np

    low, high = (0.0, 255.0) if name.startswith(_BYTES) else (-1.0, 1.0)
    return np.random.default_rng(7).uniform(low, high, (_IMAGES, *_sides(name), 3)).astype(dtype)


def _sides(name: str) -> tuple[int, int]:
    side = _SIZES.get(name, _SMALL)
    return side, side


def offset_and_scale(model: Any) -> None:
    """Random offsets and scales in the place of zeros and ones, which would hide mistakes.

    Small ones: with offsets of 0.1 and scales from 0.5 to 1.5, the last place of the input
    moves the logits of EfficientNetB7 by 3e-9 in float64.
    """
    import numpy as np

    rng = np.random.default_rng(7)
    for variable in model.weights:
        if variable.path.endswith(("bias", "beta")):
            variable.assign(rng.normal(scale=0.01, size=variable.shape))
        elif variable.path.endswith("gamma"):
            variable.assign(rng.uniform(0.9, 1.1, variable.shape))


def calibrate(model: Any, images: Any) -> None:
    """Let every batch normalisation take over the statistics of these images."""
    import keras

    norms = [
        layer
        for layer in model._flatten_layers()  # noqa: SLF001 (Keras has no public walk into nested models)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    before = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(norms, before, strict=True):
        layer.momentum = momentum


def outputs(model: Any, images: Any) -> Any:
    """What a model makes of images, as an array."""
    import keras

    return keras.ops.convert_to_numpy(model(images, training=False))


def own_error(name: str, model: Any, images: Any, found: Any) -> float:
    """How far the outputs of a float32 model are from those of the same model in float64."""
    import keras

    exact = build(name, "float64")
    exact.set_weights(model.get_weights())
    wanted = outputs(exact, images.astype("float64"))
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return difference(wanted, found)


def difference(before: Any, after: Any) -> float:
    """Largest difference of two outputs, relative to the largest entry."""
    import numpy as np

    return float(np.abs(before - after).max() / np.abs(before).max())


def distance(one: Path, two: Path) -> tuple[int, float]:
    """How many weights of two files are not the same bits, and the largest distance in ulp."""
    import numpy as np

    from patchc.storage.attach import datasets
    from patchc.storage.open_model import open_model
    from patchc.storage.values import stored_values

    changed, furthest = 0, 0.0
    with open_model(one) as before, open_model(two) as after:
        addresses = [address for address, _ in datasets(before.tree)]
        assert addresses == [address for address, _ in datasets(after.tree)]
        for address in addresses:
            old, new = stored_values(before, address), stored_values(after, address)
            if old.tobytes() != new.tobytes():
                changed += 1
                off = np.abs(old.astype(np.float64) - new) / np.spacing(np.abs(old))
                furthest = max(furthest, float(off.max()))
    return changed, furthest


def work(name: str, each: int) -> dict[str, Any]:
    """All figures of one architecture."""
    row: dict[str, Any] = {"name": name}
    for dtype in ("float32", "float64"):
        with tempfile.TemporaryDirectory() as folder:
            row |= _work(name, dtype, Path(folder), each if dtype == "float32" else 0)
    return row


def _work(name: str, dtype: str, folder: Path, each: int) -> dict[str, Any]:
    import keras

    import patchc

    model = build(name, dtype)
    images = images_for(name, dtype)
    if dtype == "float64":
        offset_and_scale(model)
    calibrate(model, images)
    images = images[:4]
    model.save(folder / "before.keras")
    params = model.count_params()
    del model
    loaded = keras.models.load_model(folder / "before.keras")
    expected = outputs(loaded, images)
    own = own_error(name, loaded, images, expected) if dtype == "float32" else 0.0
    del loaded
    axes, refused = free_axes(folder / "before.keras")
    patch = patchc.loads(patch_text(axes))
    start = time.perf_counter()
    plan = patchc.plan(folder / "before.keras", patch)
    planned = time.perf_counter() - start

    def grown(some: Sequence[Axis]) -> float:
        keras.utils.clear_session()
        out = folder / "after.keras"
        patchc.apply(folder / "before.keras", patchc.loads(patch_text(some)), out, digest=False)
        after = keras.models.load_model(out)
        out.unlink()
        return difference(expected, outputs(after, images))

    figure = grown(axes)
    if dtype == "float64":
        return {"float64": figure}
    widened = [axis for axis in axes if not axis.is_doubled]
    wide, back = folder / "wide.keras", folder / "back.keras"
    patchc.apply(folder / "before.keras", patchc.loads(patch_text(widened)), wide, digest=False)
    patchc.apply(wide, patchc.loads(patch_back(widened)), back, digest=False)
    picked = random.Random(name).sample(axes, min(each, len(axes)))
    return {
        "float32": figure,
        "own": own,
        "axes": len(axes),
        "doubled": sum(axis.is_doubled for axis in axes),
        "back": distance(folder / "before.keras", back),
        "refused": refused,
        "params": [params, plan.params["after"]],
        "plan": planned,
        "each": [grown([axis]) for axis in picked],
    }


# ------------------------------------------------------------------------------- table


def _rows(names: Sequence[str], each: int) -> Iterator[dict[str, Any]]:
    """One row for each name; a child that fails gives its last words."""
    environment = {"CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow", **os.environ}
    for name in names:
        command = [sys.executable, "-m", "benchmarks.growth", "--child", name, str(each)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        if done.returncode or not lines:
            yield {"name": name, "failed": (done.stderr.splitlines() or ["no output"])[-1]}
        else:
            yield json.loads(lines[-1])


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    words = list(arguments)
    if words[:1] == ["--child"]:
        print(json.dumps(work(words[1], int(words[2]))))
        return 0
    each = 0
    if "--each" in words:
        place = words.index("--each")
        each = int(words[place + 1])
        del words[place : place + 2]
    print(
        "architecture         axes  doubled  params                float32   float64   plan   back"
    )
    rows = []
    for row in _rows(words or NAMES, each):
        rows.append(row)
        _show(row)
    return _bars(rows)


def _show(row: dict[str, Any]) -> None:
    if "failed" in row:
        print(f"{row['name']:<20} failed: {row['failed']}", flush=True)
        return
    before, after = (f"{count / 1e6:.1f} M" for count in row["params"])
    changed, off = row["back"]
    back = f"{changed}, {off:.0f} ulp" if changed else "the same bits"
    print(
        f"{row['name']:<20}{row['axes']:>5}{row['doubled']:>9}  {before:>8} -> {after:>8}"
        f"  {row['float32']:>8.1e}  {row['own']:>7.1e}  {row['float64']:>8.1e}"
        f"  {row['plan']:5.1f} s  {back}",
        flush=True,
    )
    if row["each"]:
        print(f"    one at a time: {', '.join(f'{figure:.1e}' for figure in row['each'])}")
    for reason in row["refused"]:
        if "makes an output" not in reason:
            print(f"    not free: {reason}", flush=True)


def _bars(rows: Sequence[dict[str, Any]]) -> int:
    done = [row for row in rows if "failed" not in row]
    bars = Bars()
    single = [figure for row in done for figure in row["each"]]
    exact = [row for row in done if row["float32"] <= 3e-5 and row["float64"] <= 1e-10]
    bars.at_least("architectures, all free axes together", len(exact), len(rows))
    if done:
        figures = [row["float32"] for row in done]
        bars.at_most("largest difference, float32, in 1e-6", 1e6 * max(figures), 30)
        bars.at_most("median difference, float32, in 1e-6", 1e6 * median(figures), 1)
        largest = max(row["float64"] for row in done)
        bars.at_most("largest difference, float64, in 1e-12", 1e12 * largest, 100)
        furthest = max(row["back"][1] for row in done)
        bars.at_most("weights grown and shrunk again, ulp", furthest, 1)
    if single:
        wrong = sum(figure > 3e-5 for figure in single)
        bars.at_most(f"axes that differ, of {len(single)} one at a time", wrong, 0)
    print(f"  {sum(row['axes'] for row in done)} free axes in {len(done)} architectures")
    return bars.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
