"""The strict HDF5 reader, with h5py as oracle."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.tree import (
    Dataset,
    Hdf5Error,
)
from patchc.storage.hdf5.writer import layout
from tests.storage.hdf5_oracle import (
    NUMBERS,
    OTHERS,
    Fill,
    assert_round_trip,
    assert_same_as_h5py,
    fill_with_everything,
    flat,
    keras_like,
    layers,
    made,
    model_files,
    read,
    real_models,
    rewritten,
    rewritten_zeros,
)


def test_reads_every_type_and_attribute_as_h5py_does() -> None:
    assert assert_same_as_h5py(made(fill_with_everything)) == len(NUMBERS) + len(OTHERS) + 5


def test_real_files_are_read_as_h5py_does_and_written_again() -> None:
    count = 0
    for data in model_files(real_models()):
        count += assert_same_as_h5py(data)
        assert_round_trip(data)
    assert count > 500


def chunked(**options: Any) -> Fill:
    return lambda file: file.create_dataset("g/d", data=np.zeros((64, 64)), **options)


def linked(target: object) -> Fill:
    return lambda file: file.__setitem__("g", target)


def hard_link(file: Any) -> None:
    file["a"] = np.zeros(3)
    file["b"] = file["a"]


def group_cycle(file: Any) -> None:
    group = file.create_group("g")
    group["self"] = group


def virtual(file: Any) -> None:
    source = h5py.VirtualLayout(shape=(4,), dtype="f4")
    source[:] = h5py.VirtualSource("/other.h5", "x", shape=(4,))
    file.create_virtual_dataset("g", source)


def committed(file: Any) -> None:
    file["t"] = np.dtype("f4")
    file.create_dataset("g", shape=(3,), dtype=file["t"], data=np.zeros(3))


def compact(file: Any) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3,))
    kind = h5py.h5t.NATIVE_FLOAT
    h5py.h5d.create(file.id, b"g", kind, space, plist).write(
        h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(3, "f4")
    )


def deep(file: Any) -> None:
    for _ in range(70):
        file = file.create_group("a")


REFUSED: dict[str, tuple[Fill, str]] = {
    "external storage": (
        lambda f: f.create_dataset("g", shape=(16,), dtype="u1", external=[("/etc/x", 0, 16)]),
        "another file",
    ),
    "external link": (linked(h5py.ExternalLink("/etc/x.h5", "/y")), "newer format"),
    "soft link": (linked(h5py.SoftLink("/b")), "soft link"),
    "virtual": (virtual, "virtual dataset"),
    "hard link": (hard_link, "linked 2 times"),
    "cycle": (group_cycle, "linked 2 times"),
    "shape bomb": (lambda f: f.create_dataset("g", shape=(1 << 40,), dtype="f4"), "never written"),
    "never written": (lambda f: f.create_dataset("g", shape=(4,), dtype="f4"), "never written"),
    "name outside ASCII": (lambda f: f.create_group("größe"), "names outside ASCII"),
    "chunked": (chunked(chunks=(8, 8)), "/g/d is stored in chunks"),
    "compressed": (chunked(compression="gzip"), "compressed|chunks"),
    "checksums": (chunked(fletcher32=True), "filtered|chunks"),
    "compact": (compact, "inside its header"),
    "committed type": (committed, "named datatype|neither a group"),
    "deep": (deep, "deeper than 64"),
    "compound": (lambda f: f.create_dataset("g", data=np.zeros(2, "c8")), "compound"),
    "reference": (lambda f: f.create_dataset("g", data=f.ref, dtype=h5py.ref_dtype), "reference"),
    "text": (lambda f: f.create_dataset("g", data="abc"), "variable length"),
    "sequence": (
        lambda f: f.create_dataset("g", shape=(2,), dtype=h5py.vlen_dtype("i4")),
        "variable length",
    ),
    "enumeration": (
        lambda f: f.create_dataset("g", data=[1], dtype=h5py.enum_dtype({"A": 1})),
        "enumeration",
    ),
    "empty dataset": (lambda f: f.create_dataset("g", data=h5py.Empty("f4")), "shape|layout"),
    "empty attribute": (lambda f: f.attrs.create("x", h5py.Empty("f4")), "'x' that has no shape"),
    "reference attribute": (lambda f: f.attrs.create("x", f.ref, dtype=h5py.ref_dtype), "'x'"),
    "bad text": (lambda f: f.attrs.create("x", b"\xff\xfe"), "'x' that holds text"),
    "text with a NUL": (lambda f: f.attrs.create("x", np.array([b"a\0b"])), "a NUL in it"),
    "bad name": (lambda f: f.create_group(b"\xff\xfe"), "no valid UTF-8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_keras_does_not_write_is_refused(case: str) -> None:
    fill, message = REFUSED[case]
    with pytest.raises(Hdf5Error, match=message):
        read(made(fill))


@pytest.mark.parametrize(
    "options",
    [{"libver": "latest"}, {"libver": "v108"}, {"track_order": True}, {"userblock_size": 512}],
)
def test_other_dialects_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", **options) as file:
        file.create_group("g", track_order=options.get("track_order"))["x"] = np.zeros(3)
    with pytest.raises(Hdf5Error, match=r"newer|user block"):
        read(path.read_bytes())


SMALL = made(lambda file: file.create_dataset("g/x", data=np.arange(3.0)))


def test_files_of_wrong_length_are_refused() -> None:
    for length in range(len(SMALL)):
        with pytest.raises(Hdf5Error):
            read(SMALL[:length])
    with pytest.raises(Hdf5Error, match="followed by other data"):
        read(SMALL + b"x")
    with pytest.raises(Hdf5Error, match="is truncated: it should have"):
        read(SMALL[:-1])


def test_a_source_that_gives_too_little_is_refused() -> None:
    with pytest.raises(Hdf5Error, match="is truncated"):
        read_hdf5(lambda offset, length: SMALL[offset : offset + length - 1], len(SMALL))


@pytest.mark.parametrize("size", [0, 2, 4, 1 << 40, 1 << 63])
def test_a_shape_that_its_data_do_not_fill_is_refused(size: int) -> None:
    data = SMALL.replace(struct.pack("<2Q", 3, 3), struct.pack("<2Q", size, size))
    with pytest.raises(Hdf5Error, match=r"/g/x has shape \[\d+\] but 24 bytes of data"):
        read(data)


def test_data_that_overlap_are_refused() -> None:
    data = bytearray(made(lambda f: f.update({"a": np.zeros(4), "b": np.ones(4)})))
    offsets = [item.offset for _, item in flat(read(bytes(data))) if isinstance(item, Dataset)]
    assert offsets[0] is not None
    assert offsets[1] is not None
    at = data.index(struct.pack("<2Q", offsets[1], 32))
    for place in (offsets[0], offsets[0] + 8, 0, 96):
        struct.pack_into("<Q", data, at, place)
        with pytest.raises(Hdf5Error, match=r"overlap|linked twice"):
            read(bytes(data))


def mutant(chance: random.Random, base: bytes, places: list[int]) -> bytes:
    data = bytearray(base)
    kind = chance.random()
    if kind < 0.05:
        del data[chance.randrange(len(data)) :]
    elif kind < 0.25:
        number = chance.choice((0, 1, 8, 2**31, 2**32 - 1, 2**63, 2**64 - 1, len(base)))
        at = chance.choice(places)
        data[at : at + 8] = struct.pack("<Q", number)
    elif kind < 0.4:
        source, target = chance.choice(places), chance.choice(places)
        data[target : target + 8] = base[source : source + 8]
    else:
        for _ in range(chance.choice((1, 1, 2, 4))):
            data[chance.choice(places)] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("by_h5py", [True, False])
def test_mutants_raise_nothing_else_and_take_no_time(*, by_h5py: bool) -> None:
    base = made(keras_like)
    base = base if by_h5py else rewritten(base, read(base))
    places = [index for index, byte in enumerate(base) if byte]
    chance = random.Random(7)
    slowest = 0.0
    refused = 0
    for _ in range(3000):
        data = mutant(chance, base, places)
        began = time.perf_counter()
        try:
            root = read(data)
        except Hdf5Error:
            refused += 1
        else:
            for _, item in flat(root):
                if isinstance(item, Dataset) and item.offset is not None:
                    assert item.offset + item.nbytes <= len(data)
            layout(root)
        slowest = max(slowest, time.perf_counter() - began)
    assert refused > 1000
    assert slowest < 0.5


def test_hostile_numbers_take_no_memory() -> None:
    chance = random.Random(3)
    base = made(keras_like)
    places = [index for index, byte in enumerate(base) if byte]
    tracemalloc.start()
    for _ in range(300):
        at = chance.choice(places)
        huge = struct.pack("<Q", chance.choice((2**28, 2**40, 2**62)))
        data = base[:at] + huge + base[at + 8 :]
        try:
            read(data)
        except Hdf5Error:
            continue
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_few_reads_are_needed() -> None:
    data = rewritten_zeros(layers(1000))
    calls = []

    def read_at(offset: int, length: int) -> bytes:
        calls.append(length)
        return data[offset : offset + length]

    read_hdf5(read_at, len(data))
    assert len(calls) < len(data) / 1024
    assert sum(calls) < 2 * len(data)
