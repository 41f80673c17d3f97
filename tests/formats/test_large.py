"""A weight of more than 4 GiB: most of it is a hole in the file, in the base and in the result."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

import patchc
from patchc.storage.checksum import crc32_combine
from patchc.storage.digest import Digest
from patchc.storage.hdf5.tree import Group, dataset, names_attribute, text_attribute
from patchc.storage.hdf5.writer import Layout, layout
from patchc.storage.members import central_directory, local_header, new_member, rewritten
from patchc.storage.stream import SLAB, Comparison, Piece, Sink

ROWS, FEATURES = (1 << 20) + 1, 1024
LAST = struct.pack("<f", 1.5)
"""The last entry of the table; all others are zero."""
TABLES = {"keras": "layers/embedding/vars/0", "h5": "model_weights/table/table/embeddings"}
PATCH = "patchc: 1\nid: x\nedits: [{select: head, expand: {by: 1}}]"
LARGE = 1 << 30
ZEROS = bytes(SLAB)


def config_of() -> dict[str, Any]:
    def entry(class_name: str, **config: Any) -> dict[str, Any]:
        return {
            "module": "keras.layers",
            "class_name": class_name,
            "config": config,
            "registered_name": None,
        }

    layers = [
        entry("InputLayer", name="ids", batch_shape=[None, 4], dtype="int32"),
        entry("Embedding", name="table", input_dim=ROWS, output_dim=FEATURES),
        entry("GlobalAveragePooling1D", name="mean"),
        entry("Dense", name="head", units=2),
    ]
    model = {"module": "keras", "class_name": "Sequential", "registered_name": None}
    return {**model, "config": {"name": "large", "layers": layers}}


def keras_tree() -> Group:
    def stored(*shapes: tuple[int, ...]) -> Group:
        weights = {str(number): dataset(shape, "float32") for number, shape in enumerate(shapes)}
        return Group({"vars": Group({**weights})})

    groups = {
        "dense": stored((FEATURES, 2), (2,)),
        "embedding": stored((ROWS, FEATURES)),
        "global_average_pooling1d": stored(),
    }
    return Group({"layers": Group({**groups})})


def recorded_tree() -> Group:
    def layer(name: str, **shapes: tuple[int, ...]) -> Group:
        names = names_attribute([f"{name}/{weight}" for weight in shapes])
        held = {weight: dataset(shape, "float32") for weight, shape in shapes.items()}
        return Group({name: Group({**held})} if held else {}, {"weight_names": names})

    weights = {
        "table": layer("table", embeddings=(ROWS, FEATURES)),
        "mean": layer("mean"),
        "head": layer("head", kernel=(FEATURES, 2), bias=(2,)),
    }
    held = Group({**weights}, {"layer_names": names_attribute(list(weights))})
    told = {"model_config": text_attribute(json.dumps(config_of()))}
    version = {"keras_version": text_attribute("3.10.0"), "backend": text_attribute("tensorflow")}
    return Group({"model_weights": held}, told | version)


def sparse(path: Path, place: Layout, start: int, table: str) -> None:
    """Write what is laid out from `start` on, as a hole but for metadata and one entry."""
    with path.open("r+b") as file:
        file.truncate(start + place.size)
        file.seek(start)
        file.write(place.metadata)
        file.seek(start + place.offsets[table] + 4 * ROWS * FEATURES - 4)
        file.write(LAST)


def crc_of_sparse(place: Layout, table: str) -> int:
    crc = position = 0
    at = place.offsets[table] + 4 * ROWS * FEATURES - 4
    for data, start in ((place.metadata, 0), (LAST, at), (b"", place.size)):
        gap = start - position
        crc = crc32_combine(crc, crc32_of_zeros(gap), gap)
        crc = crc32_combine(crc, zlib.crc32(data), len(data))
        position = start + len(data)
    return crc


def crc32_of_zeros(count: int) -> int:
    """Of so many zero bytes, from that of half as many."""
    if count < len(ZEROS):
        return zlib.crc32(ZEROS[:count])
    half = crc32_of_zeros(count // 2)
    crc = crc32_combine(half, half, count // 2)
    return zlib.crc32(b"\0", crc) if count % 2 else crc


def archive(path: Path) -> Path:
    place, table = layout(keras_tree()), TABLES["keras"]
    texts = {
        "metadata.json": json.dumps({"keras_version": "3.10.0", "date_saved": ""}).encode(),
        "config.json": json.dumps(config_of()).encode(),
    }
    members, at = [], 0
    path.touch()
    with path.open("r+b") as file:
        for name, text in texts.items():
            member = rewritten(new_member(name, 0), len(text), zlib.crc32(text)).placed(at)
            file.write(local_header(member) + text)
            at = file.tell()
            members.append(member)
        crc = crc_of_sparse(place, table)
        last = rewritten(new_member("model.weights.h5", 0), place.size, crc).placed(at)
        file.write(local_header(last))
        start = file.tell()
    sparse(path, place, start, table)
    with path.open("ab") as file:
        file.write(central_directory([*members, last]))
    return path


def hdf5(path: Path) -> Path:
    path.touch()
    sparse(path, layout(recorded_tree()), 0, TABLES["h5"])
    return path


@pytest.fixture
def _holes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is a hole in the base is not read through: that would take half a minute."""
    copy, same, digest = Sink.copy, Comparison.same, Digest._run

    def copied(sink: Sink, source: Any, offset: int, length: int) -> None:
        hole = length - SLAB
        if length < LARGE:
            copy(sink, source, offset, length)
            return
        piece = Piece(source, offset, length, crc32_of_zeros(hole))
        sink.pieces.append(piece)
        sink.position += hole
        buffer = sink._free.get()
        source.read_into(buffer[:SLAB], offset + hole)
        sink._append(buffer, SLAB, piece)

    def compared(self: Comparison, one: Any, start: int, two: Any, at: int, length: int) -> bool:
        hole = length - SLAB if length > LARGE else 0
        return same(self, one, start + hole, two, at + hole, length - hole)

    def hashed(self: Digest) -> str:
        self._size = min(self._size, SLAB)
        return digest(self)

    monkeypatch.setattr(Sink, "copy", copied)
    monkeypatch.setattr(Comparison, "same", compared)
    monkeypatch.setattr(Digest, "_run", hashed)


@pytest.mark.usefixtures("_holes")
@pytest.mark.parametrize("make", [archive, hdf5])
def test_a_weight_of_more_than_4_gib(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    ending = "keras" if make is archive else "h5"
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1 << 24)
    if os.stat(tmp_path / "hole").st_blocks * 512 >= 1 << 24:
        pytest.skip("the file system makes no holes")
    base, out = make(tmp_path / f"base.{ending}"), tmp_path / f"out.{ending}"
    report = patchc.apply(base, patchc.loads(PATCH), out)
    assert report.ok
    assert report.to_dict()["ledger"]["kept"] == 1
    for path in (base, out):
        assert path.stat().st_size > 1 << 32
        assert os.stat(path).st_blocks * 512 < 1 << 24
    with h5py.File(weights_of(out), "r") as file:
        table = file[TABLES[ending]]
        assert (table[-1, -1], table[0, 0]) == (1.5, 0.0)


class Member(io.FileIO):
    """A stored member of an archive as a file; `zipfile` reads all on the way to a place."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path)
        with zipfile.ZipFile(path) as opened:
            info = opened.getinfo(name)
            opened.open(info).close()  # the headers agree
        super().seek(info.header_offset)
        lengths = struct.unpack("<2H", super().read(30)[26:])
        self.start: int = info.header_offset + 30 + sum(lengths)
        self.size = info.file_size
        self.seek(0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self.size}[whence]
        place: int = super().seek(self.start + base + offset)
        return place - self.start

    def tell(self) -> int:
        place: int = super().tell()
        return place - self.start


def weights_of(path: Path) -> Any:
    """What h5py opens."""
    return path if path.suffix == ".h5" else Member(path, "model.weights.h5")
