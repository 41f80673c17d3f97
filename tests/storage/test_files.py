"""Opening input files and telling what they are."""

from __future__ import annotations

import os
import pickle
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from patchc.errors import PatchError
from patchc.storage.files import InputFile, open_regular, sniff


def refused(path: str | Path) -> str:
    with pytest.raises(PatchError) as caught:
        open_regular(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "PC401"
    assert diagnostic.file == os.fspath(path)
    return f"{diagnostic.message} | {diagnostic.help}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def test_reads_by_position(data: Path) -> None:
    with open_regular(data) as file:
        assert file.size == 10240
        assert file.read_at(250, 10) == bytes([*range(250, 256), 0, 1, 2, 3])
        assert file.read_at(10240, 0) == b""
        buffer = bytearray(4)
        file.read_into(buffer, 254)
        assert buffer == bytes([254, 255, 0, 1])
        array = np.zeros(2, "<u2")
        file.read_into(array.data, 0)
        assert array.tolist() == [0x0100, 0x0302]


def test_short_reads_are_continued(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread, preadv = os.pread, os.preadv
    with open_regular(data) as file:
        monkeypatch.setattr(os, "pread", lambda fd, n, at: pread(fd, min(n, 7), at))
        monkeypatch.setattr(os, "preadv", lambda fd, views, at: preadv(fd, [views[0][:7]], at))
        assert file.read_at(3, 100) == (bytes(range(256)))[3:103]
        buffer = bytearray(100)
        file.read_into(buffer, 3)
        assert buffer == bytes(range(256))[3:103]


@pytest.mark.parametrize(("offset", "length"), [(10239, 2), (20000, 1), (-1, 1), (0, -1)])
def test_reading_outside_the_file_is_refused(data: Path, offset: int, length: int) -> None:
    with open_regular(data) as file, pytest.raises(PatchError, match="PC403"):
        file.read_at(offset, length)


def test_a_file_cut_while_open_is_refused(data: Path) -> None:
    with open_regular(data) as file:
        os.truncate(data, 100)
        with pytest.raises(PatchError, match="PC403 the file is truncated"):
            file.read_at(90, 20)
        with pytest.raises(PatchError, match="PC403"):
            file.read_into(bytearray(20), 90)
        assert not file.unchanged()


def test_unchanged_notices_a_rewrite_of_the_same_length(data: Path) -> None:
    with open_regular(data) as file:
        assert file.unchanged()
        time.sleep(0.02)
        with data.open("r+b") as other:
            other.write(b"x")
        assert not file.unchanged()


def test_two_names_of_one_file_have_one_identity(data: Path, tmp_path: Path) -> None:
    os.link(data, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(data)
    (tmp_path / "copy").write_bytes(data.read_bytes())
    files = [open_regular(tmp_path / name) for name in ("model.keras", "hard", "soft", "copy")]
    first, hard, soft, copy = [file.identity for file in files]
    assert first == hard == soft != copy
    for file in files:
        file.close()
        file.close()


def test_a_closed_file_gives_its_descriptor_back(data: Path) -> None:
    with open_regular(data) as file:
        descriptor = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_missing_file_names_its_neighbours(data: Path) -> None:
    assert "did you mean" in refused(data.with_name("modell.keras"))
    assert str(data) in refused(data.with_name("modell.keras"))
    assert refused(data.with_name("quite-else")) == "there is no such file | None"
    assert "there is no folder" in refused(data.parent / "absent" / "model.keras")


@pytest.mark.parametrize(
    "address", ["hf://a/b", "http://h/m.keras", "https://h/x", "gs://b/x", "s3://b/x"]
)
def test_remote_addresses_are_refused(address: str) -> None:
    assert "only local files" in refused(address)


def test_what_is_no_regular_file_is_named_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock"))
        assert "a socket" in refused(tmp_path / "sock")
    assert "a named pipe" in refused(tmp_path / "pipe")
    assert "a folder" in refused(tmp_path)
    assert "a character device" in refused("/dev/zero")


def test_model_folders_are_named(tmp_path: Path) -> None:
    saved, unzipped = tmp_path / "saved", tmp_path / "unzipped"
    saved.mkdir()
    unzipped.mkdir()
    (saved / "saved_model.pb").touch()
    (unzipped / "config.json").touch()
    assert "SavedModel" in refused(saved)
    assert "unzipped model folder" in refused(unzipped)


def test_unopenable_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be opened" in refused(tmp_path / "loop")
    assert "cannot be opened" in refused(str(tmp_path / "a\0b"))
    assert "cannot be opened" in refused(tmp_path / ("x" * 300))


def test_no_descriptor_leaks_when_a_file_is_refused(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refused(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"", "an empty file"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a git-lfs pointer"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"<html lang=en>", "a web page"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"PK\x03\x04", "a zip archive"),
        (pickle.dumps([1], protocol=4), "a Python pickle"),
        (b"\x08\x01\x12\xc3", "SavedModel protobuf"),
        (b"\x08\x07\x12\x07pytorch", "a protobuf file (ONNX"),
        (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model"),
        (b'\x40\0\0\0\0\0\0\0{"a":{"dtype"', "a safetensors file"),
        (b'{"class_name": "Sequential"}', "a JSON text"),
        (b"patchc: 1\nid: x\n", "a text file"),
        ("ä".encode() * 400, "a text file"),
        (bytes(257) + b"ustar\x00", "a tar archive"),
        (b"\xfe\x01\x00\x02" * 20, "a file of unknown kind"),
    ],
)
def test_sniff(data: bytes, phrase: str) -> None:
    assert phrase in sniff(data)


def test_a_device_is_never_an_input_file() -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY)
    with InputFile("null", descriptor) as file:
        assert file.size == 0
