"""What an HDF5 file of Keras holds: groups, datasets, attributes, datatypes.

`hdf5_reader` makes these from a file, `hdf5_writer` lays a file out from them.
Datatypes and attributes keep the bytes of the file, so that what is not changed
is written again bit for bit.

Format: HDF5 File Format Specification 1.1, section IV.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod

MAX_RANK = 32


class Hdf5Error(ValueError):
    """A file, or part of one, that is not as Keras writes it.

    The message is a clause in lower case that can follow a file name.
    """


class DialectError(Hdf5Error):
    """A sound file, as far as can be told, in another dialect than Keras writes."""


@dataclass(frozen=True, slots=True)
class Datatype:
    """The type of the elements of a dataset or attribute.

    Args:
        message: the datatype message, without padding at its end.
        itemsize: bytes of one element.
        name: as in NumPy: `float32`, `>f4`, `int8`, `bool`, `S7`; `opaque2` for
            raw bytes, `string` for text of variable length.
    """

    message: bytes
    itemsize: int
    name: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """A small value attached to a group or dataset.

    Args:
        datatype: of the elements.
        dataspace: the dataspace message, without padding at its end.
        raw: the elements' bytes; empty for text of variable length.
        strings: the decoded elements in C order, for text of either kind; else None.
    """

    datatype: Datatype
    dataspace: bytes
    raw: bytes
    strings: tuple[str, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value; () for a scalar."""
        return parse_dataspace(self.dataspace)

    @property
    def text(self) -> str:
        """The value as one string; raises Hdf5Error where it is anything else."""
        if self.strings is None or len(self.strings) != 1:
            kind = "several strings" if self.strings else self.datatype.name
            raise Hdf5Error(f"an attribute that should be one string is {kind}")
        return self.strings[0]

    def with_strings(self, strings: Sequence[str]) -> Attribute:
        """The attribute with other text, of the same kind: variable or fixed length.

        A scalar stays a scalar where there is one string; else the new shape is
        one-dimensional.  Raises Hdf5Error where the value is no text.
        """
        if self.strings is None:
            raise Hdf5Error(f"an attribute that should be text is {self.datatype.name}")
        scalar = not self.shape and len(strings) == 1
        space = dataspace(() if scalar else (len(strings),))
        if self.datatype.name == "string":
            return replace(self, dataspace=space, strings=tuple(strings))
        return _fixed_strings(strings, space, flags=self.datatype.message[1])


@dataclass(frozen=True, slots=True)
class Dataset:
    """An array.

    Args:
        shape: () for a scalar.
        datatype: of the elements.
        offset: of the data from the beginning of the HDF5 file; None where
            nothing is stored (size 0), and before a file is laid out.
        attributes: by name, in the file's order.
    """

    shape: tuple[int, ...]
    datatype: Datatype
    offset: int | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of the data."""
        return prod(self.shape) * self.datatype.itemsize

    @property
    def dtype_name(self) -> str:
        """Name of the datatype; `bfloat16` where Keras's attribute `dtype` says so."""
        mark = self.attributes.get("dtype")
        marked = mark is not None and mark.strings == ("bfloat16",)
        return "bfloat16" if marked and self.datatype.name == "opaque2" else self.datatype.name


@dataclass(frozen=True, slots=True)
class Group:
    """A folder of groups and datasets.

    Args:
        members: by name; a file that was read has them sorted by their UTF-8 bytes.
        attributes: by name, in the file's order.
    """

    members: dict[str, Group | Dataset] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)


def group_at(tree: Group, parts: Sequence[str]) -> Group:
    """The group at a path, made where it is missing."""
    current = tree
    for part in parts:
        inner = current.members.setdefault(part, Group())
        assert isinstance(inner, Group)
        current = inner
    return current


def _number(name: str) -> bytes:
    """Datatype message of a NumPy number type such as `<f4` or `>i8`."""
    order = int(name[0] == ">")
    kind, size = name[1], int(name[2:])
    if kind == "f":
        exponent, mantissa, bias = {2: (5, 10, 15), 4: (8, 23, 127), 8: (11, 52, 1023)}[size]
        head = struct.pack("<4BL2H", 0x11, 0x20 | order, 8 * size - 1, 0, size, 0, 8 * size)
        return head + struct.pack("<4BL", mantissa, exponent, 0, mantissa, bias)
    signed = 8 if kind == "i" else 0
    return struct.pack("<4BL2H", 0x10, signed | order, 0, 0, size, 0, 8 * size)


# What h5py writes for NumPy's bool: an enumeration of FALSE and TRUE over int8.
_BOOL = (
    struct.pack("<4BL", 0x18, 2, 0, 0, 1)
    + _number("<i1")
    + b"FALSE\0\0\0TRUE\0\0\0\0"
    + bytes((0, 1))
)
_WORDS = {"f": "float", "i": "int", "u": "uint"}
_LITTLE = ("<f2", "<f4", "<f8", *(f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)))
_BIG = tuple(name.replace("<", ">") for name in _LITTLE if name[-1] != "1")
_NAMES = {
    **{_number(name): f"{_WORDS[name[1]]}{8 * int(name[2:])}" for name in _LITTLE},
    **{_number(name): name for name in _BIG},
    _BOOL: "bool",
}
_MESSAGES = {name: message for message, name in _NAMES.items()}
_LENGTHS = {0: 12, 1: 20, 8: len(_BOOL)}
_CLASSES = {
    0: "an integer type of unusual layout",
    1: "a float type of unusual layout",
    2: "a time",
    4: "a bit field",
    5: "a tagged opaque type",
    6: "a compound type",
    7: "a reference",
    8: "an enumeration",
    9: "a sequence of variable length",
    10: "an array type",
}
# Text of variable length, after the byte that names the character set, 0 or 1.
_STRING = struct.pack("<BL", 0, 16) + _number("<u1")


def parse_datatype(body: bytes) -> Datatype:
    """The datatype whose message begins `body`; Hdf5Error where Keras writes no such type."""
    return _parse_datatype(body[: len(_BOOL)])


@lru_cache(maxsize=1024)
def _parse_datatype(body: bytes) -> Datatype:
    if len(body) < 8:
        raise Hdf5Error("has a damaged datatype")
    kind = body[0] & 15
    size = int.from_bytes(body[4:8], "little")
    message = body[: _LENGTHS.get(kind, 8)]
    if message in _NAMES:
        return Datatype(message, size, _NAMES[message])
    if kind == 3 and body[0] == 0x13 and size and body[1] & 15 <= 2 and body[1] >> 4 <= 1:
        return Datatype(message, size, f"S{size}")
    if body[:4] == b"\x15\0\0\0" and size:
        return Datatype(message, size, f"opaque{size}")
    if body[0] == 0x19 and body[1] & 15 == 1 and body[2] <= 1 and body[3:20] == _STRING:
        return Datatype(body[:20], size, "string")
    raise Hdf5Error(
        f"holds {_CLASSES.get(kind, 'an unknown datatype')}, which Keras does not write"
    )


def datatype(name: str) -> Datatype:
    """The datatype that h5py writes for a dtype: `float32`, `bool`, `bfloat16`, `opaque2`, ...

    bfloat16 is stored as raw bytes; Keras marks such a dataset with an
    attribute `dtype`, see `dataset`.  Raises Hdf5Error for an unknown name.
    """
    if name in _MESSAGES:
        return parse_datatype(_MESSAGES[name])
    size = "2" if name == "bfloat16" else name.removeprefix("opaque")
    if not (name.startswith("opaque") or name == "bfloat16") or not size.isdecimal():
        raise Hdf5Error(f"cannot hold values of type {name}")
    return parse_datatype(struct.pack("<4BL", 0x15, 0, 0, 0, int(size)))


def dataset(shape: Sequence[int], dtype: str) -> Dataset:
    """A new dataset as Keras would write it: with the attribute `dtype` for bfloat16."""
    marks = {"dtype": text_attribute("bfloat16")} if dtype == "bfloat16" else {}
    return Dataset(tuple(shape), datatype(dtype), None, marks)


def dataspace(shape: Sequence[int]) -> bytes:
    """The dataspace message for `shape`, as h5py writes it."""
    head = struct.pack("<3B5x", 1, len(shape), 1 if shape else 0)
    return head + struct.pack(f"<{2 * len(shape)}Q", *shape, *shape)


def parse_dataspace(body: bytes) -> tuple[int, ...]:
    """The shape that a dataspace message at the beginning of `body` gives."""
    if len(body) < 8 or body[0] != 1:
        raise DialectError("has no shape, or one of another format version")
    rank, flags = body[1], body[2]
    if rank > MAX_RANK or flags > 1 or (1 + flags) * rank * 8 > len(body) - 8:
        raise Hdf5Error("has a damaged shape")
    shape = struct.unpack_from(f"<{rank}Q", body, 8)
    if flags and struct.unpack_from(f"<{rank}Q", body, 8 + 8 * rank) != shape:
        raise DialectError("can be extended, which nothing that Keras writes can")
    return shape


def text_attribute(text: str) -> Attribute:
    """A string attribute as h5py writes a `str`: UTF-8 of variable length."""
    kind = parse_datatype(b"\x19\x01\x01" + _STRING)
    return Attribute(kind, dataspace(()), b"", (text,))


def names_attribute(names: Sequence[str]) -> Attribute:
    """A list of names as Keras's older format writes it: an array of padded strings.

    An empty list is an array of floats of size 0, as NumPy makes it.
    """
    space = dataspace((len(names),))
    if not names:
        return Attribute(datatype("float64"), space, b"")
    return _fixed_strings(names, space, flags=1)


def _fixed_strings(strings: Sequence[str], space: bytes, flags: int) -> Attribute:
    """Padded strings; the low bits of `flags` say how they are padded."""
    coded = [encode(text) for text in strings]
    terminated = int(flags & 15 == 0)
    size = max([len(text) for text in coded] + [1 - terminated]) + terminated
    padding = b" " if flags & 15 == 2 else b"\0"
    kind = parse_datatype(struct.pack("<4BL", 0x13, flags, 0, 0, size))
    raw = b"".join(text.ljust(size, padding) for text in coded)
    return Attribute(kind, space, raw, tuple(strings))


def decode_strings(kind: Datatype, raw: bytes) -> tuple[str, ...]:
    """The texts of fixed length in `raw`, without their padding."""
    size, padding = kind.itemsize, kind.message[1] & 15
    return tuple(decode(_unpadded(raw[at : at + size], padding)) for at in range(0, len(raw), size))


def _unpadded(text: bytes, padding: int) -> bytes:
    if padding == 0:
        return text.partition(b"\0")[0]
    return text.rstrip(b"\0" if padding == 1 else b" ")


def decode(text: bytes) -> str:
    """Text from the file; raises Hdf5Error where it is no UTF-8, or holds a NUL.

    HDF5's own library ends a text at the first NUL.
    """
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise Hdf5Error(f"holds text that is no valid UTF-8: {text[:40]!r}") from error
    if "\0" in decoded:
        raise Hdf5Error(f"holds text with a NUL in it: {text[:40]!r}")
    return decoded


def encode(text: str) -> bytes:
    """UTF-8 of a text for the file; raises Hdf5Error for what `decode` would refuse."""
    try:
        coded = text.encode()
    except UnicodeEncodeError as error:
        raise Hdf5Error(f"cannot hold the text {text[:40]!r}: it is no valid Unicode") from error
    if b"\0" in coded:
        raise Hdf5Error(f"cannot hold the text {text[:40]!r}: it has a NUL in it")
    return coded
