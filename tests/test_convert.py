"""Older models become loadable; Keras judges what came out."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import patchc
from patchc.conversion import Conversion
from tests.real_models import FILES, real_model

Array = np.ndarray[Any, Any]

MISSING = {"car-v2": {"Lambda"}, "mm-mtsplice0": {"SplineWeight1D"}}
"""What Keras cannot load without code that is not in the file."""
OPEN_AS_THEY_ARE = ("bt-keras", "cvae-encoder", "fc-emotion-102", "kz-point", "tiny-resnet")
"""Files that Keras 3.15 opens without help."""
DECIDED = (*sorted(set(FILES) - set(MISSING)),)
DOCS = Path(__file__).parents[1] / "docs" / "old-models.md"


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Conversion]]:
    """A real model's conversion, made once."""
    folder = tmp_path_factory.mktemp("converted")

    @cache
    def convert(name: str) -> tuple[Path, Conversion]:
        out = folder / f"{name}.keras"
        return out, patchc.convert(real_model(name), out)

    return convert


Converted = Callable[[str], tuple[Path, Conversion]]


def load(path: Path) -> Any:
    """A model as Keras loads it, with its optimizer where the file has one."""
    import keras

    return keras.models.load_model(path)


def probes(model: Any) -> list[Array]:
    """Seeded inputs; sizes that are open become 64."""
    rng = np.random.default_rng(3)
    shapes = [[size or 64 for size in tensor.shape[1:]] for tensor in model.inputs]
    return [rng.uniform(-1, 1, (4, *shape)).astype("float32") for shape in shapes]


def outputs(model: Any) -> list[Array]:
    """What a model makes of the probes."""
    inputs = probes(model)
    found = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    return found if isinstance(found, list) else [found]


# ------------------------------------------------------------------ real models


@pytest.mark.parametrize("name", DECIDED)
def test_keras_opens_it_and_finds_every_weight_by_name(converted: Converted, name: str) -> None:
    """With its optimizer's state: `load_model` warns where it leaves a variable out."""
    import keras

    path, found = converted(name)
    assert not found.missing
    assert found.report.ok
    model = load(path)
    for layer, recorded in weights_of(real_model(name)):
        weights = {weight.name: weight for weight in model.get_layer(layer).weights}
        assert len(weights) == len(recorded)
        for label, value in recorded.items():
            np.testing.assert_array_equal(weights[label], value, strict=True)
    assert isinstance(model, keras.Model)
    assert len(found.report.plan.ledger.entries) == len(model.weights)


def weights_of(path: Path) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """Layers of a file with the weights that it records, read by h5py."""
    if path.suffix == ".keras":
        yield from _weights_of_archive(path)
        return
    with h5py.File(path) as file:
        group = file["model_weights"]
        for name in group.attrs["layer_names"]:
            labels = group[name].attrs["weight_names"]
            if len(labels):
                yield name.decode(), {_own(str(n)): group[name][n][()] for n in labels.astype(str)}


def _own(name: str) -> str:
    """A weight's own name in Keras 3: `dense_1/kernel:0` is the kernel, and so is `dense_1_W:0`."""
    own = name.rpartition("/")[2].removesuffix(":0")
    if own == "depthwise_kernel" and "separable" not in name:
        return "kernel"
    return {"W": "kernel", "b": "bias"}.get(own.rpartition("_")[2], own)


def _weights_of_archive(path: Path) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """The same for the `.keras` files at hand: chains of dense layers and convolutions."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        data = io.BytesIO(archive.read("model.weights.h5"))
    seen: dict[str, int] = {}
    with h5py.File(data) as file:
        top = file["_layer_checkpoint_dependencies" if "layers" not in file else "layers"]
        for entry in config["config"]["layers"]:
            kind = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\d)(?=[A-Z][a-z])", "_", entry["class_name"])
            kind = kind.lower()
            number = seen[kind] = seen.get(kind, -1) + 1
            if kind in {"dense", "conv2d"}:
                stored = top[f"{kind}_{number}" if number else kind]["vars"]
                yield entry["config"]["name"], {"kernel": stored["0"][()], "bias": stored["1"][()]}


@pytest.mark.parametrize("name", OPEN_AS_THEY_ARE)
def test_outputs_are_those_of_the_original(converted: Converted, name: str) -> None:
    import keras

    original = keras.models.load_model(real_model(name), compile=False)
    for before, after in zip(outputs(original), outputs(load(converted(name)[0])), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", ["fc-emotion-102", "kz-point", "pm-binary", "tr-rnn"])
def test_the_optimizer_goes_on_where_it_stopped(converted: Converted, name: str) -> None:
    """Keras 2 wrote all first moments, then all second ones.

    It did so in the order of its weights; until 2.0, of their names.
    """
    model = load(converted(name)[0])
    with h5py.File(real_model(name)) as file:
        group = file["optimizer_weights"]
        step, *slots = [group[n][()] for n in group.attrs["weight_names"]]
        recorded = [
            (str(own), str(layer))
            for layer in file["model_weights"].attrs["layer_names"].astype(str)
            for own in file["model_weights"][layer].attrs["weight_names"].astype(str)
        ]
    assert int(model.optimizer.iterations.numpy()) == int(step)
    trained = [(own, layer) for own, layer in recorded if "/moving_" not in own]
    if name in {"fc-emotion-102", "pm-binary"}:
        trained.sort()
    kept = {
        id(variable): moments
        for variable, *moments in zip(
            model.trainable_variables,
            model.optimizer._momentums,
            model.optimizer._velocities,
            strict=True,
        )
    }
    assert len(slots) == 2 * len(trained) == 2 * len(kept)
    for number, (own, layer) in enumerate(trained):
        [variable] = [w for w in model.get_layer(layer).weights if w.name == _own(own)]
        first, second = kept[id(variable)]
        np.testing.assert_array_equal(first, slots[number])
        np.testing.assert_array_equal(second, slots[number + len(trained)])


@pytest.mark.parametrize("name", sorted(MISSING))
def test_what_needs_code_is_named_and_carried_through(converted: Converted, name: str) -> None:
    path, found = converted(name)
    assert {missing.name for missing in found.missing} == MISSING[name]
    assert {d.code for d in found.diagnostics} == {"PC909"}
    with zipfile.ZipFile(path) as archive:
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    values: list[bytes] = []
    stored["layers"].visititems(
        lambda _, item: (
            values.append(item[()].tobytes()) if isinstance(item, h5py.Dataset) else None
        )
    )
    stored.close()
    for _, recorded in weights_of(real_model(name)):
        for value in recorded.values():
            values.remove(value.tobytes())
    assert values == []


def test_the_custom_class_is_all_that_keras_asks_for(converted: Converted) -> None:
    """A stand-in for the class that the file does not hold: everything else loads."""
    import keras

    class SplineWeight1D(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
        def __init__(self, **kwargs: Any) -> None:
            own = ("n_bases", "spline_degree", "share_splines", "l2_smooth", "l2", "use_bias")
            self.own = {key: kwargs.pop(key) for key in own}
            kwargs.pop("bias_initializer")
            super().__init__(**kwargs)

        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(self.own["n_bases"], shape[-1]), name="kernel")

        def call(self, inputs: Any) -> Any:
            return inputs

    path, _ = converted("mm-mtsplice0")
    model = keras.models.load_model(path, custom_objects={"SplineWeight1D": SplineWeight1D})
    recorded = dict(weights_of(real_model("mm-mtsplice0")))
    for layer in ("splinel", "spliner"):
        [value] = recorded[layer].values()
        np.testing.assert_array_equal(model.get_layer(layer).kernel, value)


# ------------------------------------------------------------------- the command


def test_a_model_of_today_comes_out_as_it_went_in(
    zoo: Callable[[str], Path], tmp_path: Path
) -> None:
    found = patchc.convert(zoo("mlp"), tmp_path / "out.keras")
    assert found.repairs == ()
    assert (tmp_path / "out.keras").read_bytes() == zoo("mlp").read_bytes()


def test_the_output_is_a_keras_file(zoo: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(patchc.PatchError) as caught:
        patchc.convert(zoo("mlp"), tmp_path / "out.h5")
    assert caught.value.diagnostics[0].code == "PC406"
    assert list(tmp_path.iterdir()) == []


def test_repairs_in_text_and_json(tmp_path: Path) -> None:
    import jsonschema

    from patchc.language.schema import read_schema
    from patchc.report.convert_text import conversion_text, repair_lines

    found = patchc.convert(real_model("car-v2"), tmp_path / "out.keras")
    told = found.to_dict()
    jsonschema.validate(told, json.loads(read_schema("report")))
    assert told["command"] == "convert"
    assert {"layer", "what", "reason"} == set(told["repairs"][0])
    text = conversion_text(found)
    assert "class `Convolution2D` became `Conv2D`: Keras 2 renamed it" in text
    assert "5 layers: convolution2d_1" in text
    assert "PC909" in text
    assert any(
        line.startswith("dense_4: `output_dim` became") for line in repair_lines(found.repairs)
    )


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        patchc.convert(real_model("kz-point"), tmp_path / f"{name}.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_table_in_the_documentation(converted: Converted, name: str) -> None:
    _, found = converted(name)
    kept = found.report.plan.ledger.counts()["kept"], found.report.plan.optimizer.counts()["kept"]
    missing = ", ".join(f"`{missing}`" for missing in sorted({m.name for m in found.missing}))
    told = [str(len(found.repairs)), *map(str, kept), missing or "-"]
    [row] = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| {name} |")]
    assert [cell.strip() for cell in row.split("|")][4:8] == told
