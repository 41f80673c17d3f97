"""Datatypes and attributes, with h5py as oracle."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest

from patchc.storage.hdf5.tree import (
    Dataset,
    Group,
    Hdf5Error,
    dataset,
    datatype,
    names_attribute,
    parse_datatype,
    text_attribute,
)
from tests.storage.hdf5_oracle import (
    Fill,
    fill_with_everything,
    made,
    read,
    rewritten,
)


def test_bfloat16_is_told_by_its_attribute() -> None:
    root = read(made(fill_with_everything))
    item = root.members["bfloat16"]
    assert isinstance(item, Dataset)
    assert item.dtype_name == "bfloat16"
    assert item.datatype.name == "opaque2"
    new = dataset((3,), "bfloat16")
    assert (new.shape, new.datatype, new.attributes) == (
        item.shape,
        item.datatype,
        item.attributes,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool"])
def test_new_datatypes_are_those_of_h5py(dtype: str) -> None:
    item = read(made(lambda file: file.create_dataset("x", data=np.ones(2, dtype)))).members["x"]
    assert isinstance(item, Dataset)
    assert dataset((2,), dtype).datatype == item.datatype
    assert item.dtype_name == dtype


@pytest.mark.parametrize("name", ["complex64", "float8", "", "opaque", "string", "S3"])
def test_unknown_datatypes_are_refused(name: str) -> None:
    with pytest.raises(Hdf5Error, match="cannot hold values"):
        datatype(name)


def test_new_attributes_are_those_of_h5py() -> None:
    def fill(file: Any) -> None:
        file.attrs["text"] = "a ü"
        file.attrs["names"] = np.array([b"dense", b"conv_1"])
        file.attrs["none"] = []

    found = read(made(fill)).attributes
    assert found["text"] == text_attribute("a ü")
    assert found["names"] == names_attribute(["dense", "conv_1"])
    assert found["none"] == names_attribute([])


def test_text_is_replaced_in_kind() -> None:
    def fill(file: Any) -> None:
        file.attrs["variable"] = "abc"
        file.attrs["ascii"] = b"abc"
        file.attrs["fixed"] = np.bytes_(b"abc")
        file.attrs["names"] = np.array([b"a", b"b"])
        file.attrs["number"] = 3

    root = read(made(fill))
    old = dict(root.attributes)
    for name in ("variable", "ascii", "fixed"):
        root.attributes[name] = old[name].with_strings(["longer text"])
        assert root.attributes[name].shape == ()
    root.attributes["names"] = old["names"].with_strings(["x", "yy", "zzz"])
    assert root.attributes["ascii"].datatype == old["ascii"].datatype
    with h5py.File(io.BytesIO(rewritten(b"", root))) as file:
        assert file.attrs["variable"] == "longer text"
        assert file.attrs["ascii"] == "longer text"
        assert file.attrs["fixed"] == b"longer text"
        assert file.attrs["names"].tolist() == [b"x", b"yy", b"zzz"]
    with pytest.raises(Hdf5Error, match="should be text is int64"):
        old["number"].with_strings(["x"])
    with pytest.raises(Hdf5Error, match="one string is several strings"):
        _ = old["names"].text


def padded_text(padding: int) -> Fill:
    def fill(file: Any) -> None:
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(5)
        kind.set_strpad(padding)
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        attribute = h5py.h5a.create(file.id, b"x", kind, space)
        attribute.write(np.array(b"ab   " if padding == 2 else b"ab\0\0\0", "S5"))

    return fill


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_padding_of_fixed_text(padding: int) -> None:
    data = made(padded_text(padding))
    attribute = read(data).attributes["x"]
    assert attribute.text == "ab"
    new = attribute.with_strings(["abc"])
    with h5py.File(io.BytesIO(rewritten(b"", Group({}, {"x": new})))) as file:
        assert file.attrs["x"] == b"abc"


@pytest.mark.parametrize(
    "body",
    [b"", b"\x10" * 7, b"\x19\x01\x02\0" + bytes(16), b"\x13\0\0\0" + bytes(4), b"\xff" * 40],
)
def test_broken_datatypes_are_refused(body: bytes) -> None:
    with pytest.raises(Hdf5Error):
        parse_datatype(body)
