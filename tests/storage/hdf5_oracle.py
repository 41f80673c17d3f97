"""Files made by h5py, and h5py's view of a file held against the reader's."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from patchc.storage.hdf5.reader import read_hdf5
from patchc.storage.hdf5.tree import Attribute, Dataset, Group, dataset, text_attribute
from patchc.storage.hdf5.writer import layout

Fill = Callable[[Any], object]


def read(data: bytes) -> Group:
    return read_hdf5(lambda offset, length: data[offset : offset + length], len(data))


def made(fill: Fill, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        fill(file)
    return buffer.getvalue()


def flat(group: Group, path: str = "") -> Iterator[tuple[str, Group | Dataset]]:
    yield path, group
    for name, item in group.members.items():
        place = f"{path}/{name}".lstrip("/")
        if isinstance(item, Group):
            yield from flat(item, place)
        else:
            yield place, item


def values(data: bytes, item: Dataset) -> bytes:
    return b"" if item.offset is None else data[item.offset : item.offset + item.nbytes]


def rewritten(data: bytes, root: Group) -> bytes:
    """The file written again by the project's own writer."""
    plan = layout(root)
    out = bytearray(plan.size)
    out[: len(plan.metadata)] = plan.metadata
    source = dict(flat(root))
    for path, offset in plan.offsets.items():
        item = source[path]
        assert isinstance(item, Dataset)
        out[offset : offset + item.nbytes] = values(data, item)
    return bytes(out)


def without_offsets(root: Group) -> dict[str, object]:
    return {
        path: (item.attributes, None if isinstance(item, Group) else (item.shape, item.datatype))
        for path, item in flat(root)
    }


def assert_same_attribute(mine: Attribute, theirs: Any) -> None:
    if isinstance(theirs, (str, bytes)):
        assert mine.text == (theirs if isinstance(theirs, str) else theirs.decode())
    elif mine.strings is not None:
        found = [x if isinstance(x, str) else x.decode() for x in np.ravel(theirs)]
        assert list(mine.strings) == found
        assert mine.shape == np.shape(theirs)
    else:
        assert mine.raw == np.asarray(theirs).tobytes()
        assert mine.shape == np.shape(theirs)


def assert_same_as_h5py(data: bytes) -> int:
    """Hold the reader's view of a file against h5py's; return the number of datasets."""
    found = dict(flat(read(data)))
    count = 0
    with h5py.File(io.BytesIO(data)) as file:
        names = [""]
        file.visit(names.append)
        assert set(names) == set(found)
        for name in names:
            theirs, mine = file[name or "/"], found[name]
            assert set(theirs.attrs) == set(mine.attributes)
            for key, attribute in mine.attributes.items():
                assert_same_attribute(attribute, theirs.attrs[key])
            assert isinstance(mine, Dataset) == isinstance(theirs, h5py.Dataset)
            if isinstance(mine, Dataset):
                count += 1
                assert mine.shape == theirs.shape
                assert values(data, mine) == theirs[()].tobytes()
                assert datatype_name(theirs) == mine.datatype.name
    return count


def datatype_name(theirs: Any) -> str:
    kind = theirs.dtype
    if kind.kind == "V":
        return f"opaque{kind.itemsize}"
    return str(kind) if kind.kind != "S" else f"S{kind.itemsize}"


def assert_round_trip(data: bytes) -> bytes:
    root = read(data)
    again = rewritten(data, root)
    assert without_offsets(read(again)) == without_offsets(root)
    assert_same_as_h5py(again)
    assert rewritten(again, read(again)) == again
    return again


NUMBERS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]
OTHERS = [">f2", ">f4", ">f8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8", "S7", "V1", "V2"]


def fill_with_everything(file: Any) -> None:
    for dtype in NUMBERS + OTHERS:
        array = np.arange(6).astype(dtype) if dtype[0] != "V" else np.zeros(6, dtype)
        file[f"types/{dtype}"] = array.reshape(2, 3)
    file["bfloat16"] = np.arange(3).astype(ml_dtypes.bfloat16)
    file["bfloat16"].attrs["dtype"] = "bfloat16"
    file["scalar"] = np.float32(3.5)
    file["zero"] = np.zeros((0, 3), "f4")
    file["rank"] = np.zeros((1,) * 32, "i1")
    file["größe".encode()] = np.zeros(1)
    group = file.create_group("a/b/empty")
    group.attrs.update({f"x{index}": index for index in range(40)})
    group.attrs["text"] = "é" * 300
    group.attrs["long"] = "x" * 200_000
    group.attrs["nothing"] = ""
    group.attrs["list"] = ["a", "", "bcd"]
    group.attrs["fixed"] = np.bytes_(b"xy")
    group.attrs["names"] = [b"a/kernel:0", b"b"]
    group.attrs["padded"] = np.array([b"a/kernel:0", b"b"])
    group.attrs["none"] = []
    group.attrs["matrix"] = np.arange(6.0).reshape(2, 3)


def keras_like(file: Any) -> None:
    for index in range(12):
        group = file.create_group(f"layers/dense_{index}/vars")
        group.attrs["name"] = f"dense_{index}"
        group["0"] = np.ones((2, 3), "f4")
    file["layers/dense_0/vars/1"] = np.zeros(2, ml_dtypes.bfloat16)
    file["layers/dense_0/vars/1"].attrs["dtype"] = "bfloat16"
    file.attrs["model_config"] = "{}" * 100
    file.attrs["layer_names"] = [b"a", b"bb"]


def layers(count: int) -> Group:
    def one(index: int) -> Group:
        weights: dict[str, Group | Dataset] = {
            str(slot): dataset((4,), "float32") for slot in range(3)
        }
        return Group({"vars": Group(weights, {"name": text_attribute(f"dense_{index}")})})

    return Group({"layers": Group({f"dense_{index}": one(index) for index in range(count)})})


def rewritten_zeros(root: Group) -> bytes:
    plan = layout(root)
    return plan.metadata.ljust(plan.size, b"\0")


def real_models() -> Path:
    """The folder of published models; skips the test where there is none."""
    default = Path(__file__).parents[3] / "shared" / "models"
    folder = Path(os.environ.get("PATCHC_MODEL_ZOO", default))
    if not folder.is_dir():
        pytest.skip(f"no folder of real models at {folder} (set PATCHC_MODEL_ZOO)")
    return folder


def model_files(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*/*")):
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as zf:
                yield zf.read("model.weights.h5")
        elif path.suffix in {".h5", ".hdf5"}:
            yield path.read_bytes()
