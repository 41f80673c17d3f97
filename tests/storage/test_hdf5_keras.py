"""Models saved by Keras: read, written again, and loaded by Keras."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from patchc.storage.archive import Archive, read_archive
from patchc.storage.files import open_regular
from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.tree import Dataset, text_attribute
from patchc.storage.members import central_directory, local_header
from patchc.storage.members import rewritten as rewritten_member
from tests.storage.hdf5_oracle import assert_round_trip, flat, read, rewritten

keras = pytest.importorskip("keras")


def sequence() -> Any:
    inputs = keras.Input((5, 8))
    x = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True))(inputs)
    x = keras.layers.MultiHeadAttention(2, 3)(x, x)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(inputs, keras.layers.GRU(3)(x))


def nested() -> Any:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization()(inner(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("adam", keras.losses.MeanSquaredError())
    model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
    return model


def in_dtype(policy: str) -> Callable[[], Any]:
    def model() -> Any:
        layers = [keras.Input((4,)), keras.layers.Dense(3, dtype=policy)]
        return keras.Sequential([*layers, keras.layers.Dense(2, dtype=policy)])

    return model


def quantised() -> Any:
    model = in_dtype("float32")()
    model.quantize("int8")
    return model


MODELS = {
    "sequence": sequence,
    "nested and trained": nested,
    "bfloat16": in_dtype("bfloat16"),
    "float16": in_dtype("float16"),
    "mixed": in_dtype("mixed_bfloat16"),
    "quantised": quantised,
}


def all_values(model: Any) -> list[np.ndarray[Any, Any]]:
    variables = list(model.weights)
    if getattr(model, "optimizer", None) is not None:
        variables += model.optimizer.variables
    return [np.asarray(keras.ops.convert_to_numpy(value)) for value in variables]


def assert_equal_values(first: Any, second: Any) -> None:
    pairs = zip(all_values(first), all_values(second), strict=True)
    assert all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def written_again(archive: Archive) -> bytes:
    """The archive with its weights member laid out anew, other members carried over."""
    out, members = b"", []
    for member in archive.members:
        data = archive.read(member, 1 << 30)
        if member.name == "model.weights.h5":
            data = assert_round_trip(data)
            member = rewritten_member(member, len(data), zlib.crc32(data))  # noqa: PLW2901 replaced
        placed = member.placed(len(out))
        out += local_header(placed) + data
        members.append(placed)
    return out + central_directory(members)


@pytest.mark.parametrize("name", MODELS)
def test_keras_loads_what_was_written_again(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    path, again = tmp_path / "model.keras", tmp_path / "again.keras"
    model.save(path)
    with open_regular(path) as file:
        again.write_bytes(written_again(read_archive(file)))
    assert_equal_values(keras.models.load_model(path), keras.models.load_model(again))


def test_weights_are_found_inside_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = in_dtype("bfloat16")()
    model.save(path)
    with open_regular(path) as file:
        member = read_archive(file).find("model.weights.h5")
        assert member is not None
        assert member.stored
        root = read_hdf5(lambda at, n: file.read_at(member.offset + at, n), member.size)
        found = dict(flat(root))
        kernel = found["layers/dense/vars/0"]
        assert isinstance(kernel, Dataset)
        assert kernel.offset is not None
        assert kernel.dtype_name == "bfloat16"
        assert found["layers/dense/vars"].attributes["name"].text == model.layers[0].name
        data = file.read_at(member.offset + kernel.offset, kernel.nbytes)
        assert data == keras.ops.convert_to_numpy(model.layers[0].kernel).tobytes()


def test_the_older_format_is_written_again(tmp_path: Path) -> None:
    path, again = tmp_path / "model.h5", tmp_path / "again.h5"
    nested().save(path)
    data = path.read_bytes()
    root = read(data)
    assert root.attributes["keras_version"].text == keras.__version__
    again.write_bytes(assert_round_trip(data))
    assert_equal_values(keras.models.load_model(path), keras.models.load_model(again))


def test_a_longer_configuration_fits_in(tmp_path: Path) -> None:
    path, again = tmp_path / "model.h5", tmp_path / "again.h5"
    nested().save(path)
    data = path.read_bytes()
    root = read(data)
    config = root.attributes["model_config"].text
    longer = config.replace("{", "{" + " " * 500)
    root.attributes["model_config"] = root.attributes["model_config"].with_strings([longer])
    root.attributes["patchc_history"] = text_attribute("x" * 100_000)
    again.write_bytes(rewritten(data, root))
    keras.models.load_model(again)
    with h5py.File(again) as file:
        assert file.attrs["model_config"] == longer
        assert file.attrs["patchc_history"] == "x" * 100_000


def test_an_archive_zipped_by_other_means_is_read(tmp_path: Path) -> None:
    path, other = tmp_path / "model.keras", tmp_path / "other.keras"
    in_dtype("float32")().save(path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w", 8) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with open_regular(other) as file, zipfile.ZipFile(path) as source:
        archive = read_archive(file)
        assert {m.name: archive.read(m, 1 << 20) for m in archive.members} == {
            name: source.read(name) for name in source.namelist()
        }
        assert not any(member.stored for member in archive.members)
