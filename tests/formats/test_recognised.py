"""Files are told by their content, and what is no Keras model is named with a way out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

import patchc
from patchc.inspect import inspect_file
from tests.formats.handmade import MLP, mlp_config, write


def refusal(path: Path) -> tuple[str, str, str]:
    with pytest.raises(patchc.PatchError) as caught:
        inspect_file(path)
    found = caught.value.diagnostics[0]
    return found.code, found.message, found.help or ""


@pytest.mark.parametrize(
    ("data", "kind", "way_out"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git-lfs", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>404", "web page", "fetch the file itself"),
        (b"\x80\x02\x8a\nl\xfc" + bytes(64), "pickle", "PyTorch"),
        (b"\x08\x07\x12\x07pytorch" + bytes(64), "protobuf", "save"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite", "cannot be patched"),
        (b"\x1f\x8b" + bytes(64), "gzip", "unpack"),
        (b"", "empty", "complete file"),
        (b"hello world, this is text\n", "text file", "name a .keras"),
    ],
)
def test_foreign_files(tmp_path: Path, data: bytes, kind: str, way_out: str) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(data)
    code, message, help_ = refusal(path)
    assert code == "PC402"
    assert kind in message
    assert way_out in help_ or way_out in message


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ("archive/data.pkl", "PyTorch"),
        ("model/saved_model.pb", "SavedModel"),
        ("weights.npy", "NumPy"),
        ("folder/config.json", "folder `folder`"),
    ],
)
def test_foreign_archives(tmp_path: Path, member: str, kind: str) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"{}")
    code, message, _ = refusal(path)
    assert code == "PC402"
    assert kind in message


def test_a_saved_model_folder(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12")
    code, message, help_ = refusal(tmp_path)
    assert code == "PC401"
    assert "SavedModel" in message
    assert "keras" in help_


def test_an_architecture_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(mlp_config()))
    code, message, help_ = refusal(path)
    assert code == "PC402"
    assert "architecture" in message
    assert "weights" in help_


def test_an_hdf5_file_of_another_program(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["measurements"] = [1.0, 2.0]
    code, message, _ = refusal(path)
    assert code == "PC402"
    assert "not of Keras" in message


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.hdf5", "model.bin"])
def test_the_name_does_not_matter(tmp_path: Path, name: str) -> None:
    facts = inspect_file(write(tmp_path / name, MLP, mlp_config())).model
    assert [layer.class_name for layer in facts.layers] == ["InputLayer", "Dense", "Dense"]
    assert facts.keras_version == "2.4.0"
