"""Archives as Keras writes them, and as nobody should."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

from patchc.storage.members import central_directory, local_header, new_member

CONFIG = b'{"class_name": "Sequential"}' * 20
WEIGHTS = bytes(range(256)) * 8
Edit = Callable[[bytes], bytes]


def keras_like(extra: dict[str, bytes] | None = None) -> bytes:
    """An archive made with the calls that Keras makes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zf:
        with zf.open("metadata.json", "w") as member:
            member.write(b"{}")
        with zf.open("config.json", "w") as member:
            member.write(CONFIG)
        zf.writestr("model.weights.h5", WEIGHTS)
        for name, data in (extra or {}).items():
            zf.writestr(name, data)
    return buffer.getvalue()


BASE = keras_like()
START = BASE.index(b"PK\x01\x02")


class Unseekable(io.RawIOBase):
    """A stream such as a pipe or a cloud upload."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # zipfile gives bytes
        self.data += data
        return len(data)


def central_at(name: bytes, data: bytes) -> int:
    """Where the central record of `name` begins."""
    at = data.index(b"PK\x01\x02")
    while data[at + 46 : at + 46 + len(name)] != name:
        at = data.index(b"PK\x01\x02", at + 1)
    return at


def local_at(name: bytes, data: bytes) -> int:
    return data.index(name) - 30


def put(form: str, local: int | None, central: int | None, value: int) -> Edit:
    """Overwrite a field of config.json's headers, by its place in each of them."""

    def edit(data: bytes) -> bytes:
        out = bytearray(data)
        if local is not None:
            struct.pack_into(form, out, local_at(b"config.json", data) + local, value)
        if central is not None:
            struct.pack_into(form, out, central_at(b"config.json", data) + central, value)
        return bytes(out)

    return edit


def end(form: str, at: int, value: int) -> Edit:
    """Overwrite a field of the end record."""

    def edit(data: bytes) -> bytes:
        out = bytearray(data)
        struct.pack_into(form, out, len(out) - 22 + at, value)
        return bytes(out)

    return edit


def named(*names: str, mode: int = 0o600, data: bytes = b"x") -> Edit:
    """An archive with members of these names, written with the project's own writer."""

    def edit(_: bytes) -> bytes:
        out, members = b"", []
        for name in names:
            member = new_member(name, len(data), zlib.crc32(data))
            member = replace(member, external_attributes=mode << 16).placed(len(out))
            out += local_header(member) + data
            members.append(member)
        return out + central_directory(members)

    return edit


def extra_field(kind: int, payload: bytes, *, both: bool = True) -> Edit:
    def edit(_: bytes) -> bytes:
        field = struct.pack("<2H", kind, len(payload)) + payload
        member = new_member("config.json", 1, zlib.crc32(b"x"))
        member = replace(member, central_extra=field, local_extra=field if both else b"").placed(0)
        return local_header(member) + b"x" + central_directory([member])

    return edit


def without_record(data: bytes) -> bytes:
    """config.json is in the file, but not in the directory."""
    at = central_at(b"config.json", data)
    following = central_at(b"model.weights.h5", data)
    out = data[:at] + data[following:]
    return end("<L", 12, len(out) - 22 - START)(end("<L", 8, 2 | 2 << 16)(out))


def deflated(raw: bytes, size: int, crc: int = 0) -> bytes:
    member = new_member("config.json", size, crc)
    member = replace(member, method=8, compressed_size=len(raw)).placed(0)
    return local_header(member) + raw + central_directory([member])


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def overlapped(data: bytes) -> bytes:
    """Two directory records for one local header, sizes and CRC alike."""
    first = new_member("a", 3, zlib.crc32(b"abc")).placed(0)
    return local_header(first) + b"abc" + central_directory([first, replace(first, raw_name=b"b")])


def quoted(data: bytes) -> bytes:
    """One member whose data contain the next member: the kernel of an overlap bomb."""
    inner = new_member("b", 3, zlib.crc32(b"abc"))
    body = local_header(inner) + b"abc"
    outer = new_member("a", len(body), zlib.crc32(body)).placed(0)
    return local_header(outer) + body + central_directory([outer, inner.placed(outer.offset)])


def descriptor(change: Edit) -> Edit:
    def edit(_: bytes) -> bytes:
        sink = Unseekable()
        with zipfile.ZipFile(sink, "w") as zf:
            zf.writestr("config.json", CONFIG)
        data = bytes(sink.data)
        at = data.index(b"PK\x07\x08")
        return data[:at] + change(data[at : at + 16]) + data[at + 16 :]

    return edit


def zip64_end(at: int, value: int) -> Edit:
    """An archive with zip64 end records, one field of them (from the locator back) changed."""

    def edit(data: bytes) -> bytes:
        count, size, start = struct.unpack_from("<H2L", data, len(data) - 12)
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(data) - 22, 1)
        out = bytearray(data[:-22] + record + locator + data[-22:])
        struct.pack_into("<L", out, len(data) - 22 + at, value)
        return bytes(out)

    return edit


HOSTILE: dict[str, tuple[Edit, str]] = {
    "Z1 path upwards": (named("../../evil"), "not a plain relative path"),
    "Z1 inner path upwards": (named("assets/../../evil"), "not a plain relative path"),
    "Z2 absolute": (named("/abs"), "not a plain relative path"),
    "Z2 drive": (named("C:x"), "not a plain relative path"),
    "Z2 backslash": (named("assets\\..\\e"), "not a plain relative path"),
    "Z2 empty part": (named("assets//e"), "not a plain relative path"),
    "Z2 empty name": (named(""), "not a plain relative path"),
    "Z3 duplicate": (named("config.json", "config.json"), "two members"),
    "Z4 case": (named("config.json", "Config.json"), "two members"),
    "Z4 normal form": (named("caf\u00e9", "cafe\u0301"), "two members"),
    "Z4 file and folder": (named("assets", "assets/x"), "a file and a folder"),
    "Z5 NUL": (named("assets/a\0.sh"), "not a plain relative path"),
    "Z6 symlink": (named("x", mode=0o120777), "no regular file"),
    "Z6 device": (named("x", mode=0o020666), "no regular file"),
    "Z6 folder": (named("x/", mode=0o040755), "no regular file"),
    "Z7 encrypted": (put("<H", 6, 8, 1), "encrypted"),
    "Z7 strongly encrypted": (put("<H", 6, 8, 0x40), "unknown flags"),
    "Z8 method 99": (put("<H", 8, 10, 99), "method 99"),
    "Z8 zstandard": (put("<H", 8, 10, 93), "method 93"),
    "Z8 bzip2": (put("<H", 8, 10, 12), "method 12"),
    "Z9 data changed": (lambda d: d.replace(b"Seq", b"Sek", 1), "damaged: its CRC"),
    "Z9 CRC changed": (put("<L", 14, 16, 5), "damaged: its CRC"),
    "Z11 data in front": (lambda d: b"MZ....." + d, "in front"),
    "Z12 data behind": (lambda d: d + b"TRAILER", "behind the end"),
    "Z13 two archives": (lambda d: d + d, "does not lie where"),
    "Z14 comment": (lambda d: end("<H", 20, 5)(d) + b"abcde", "behind the end"),
    "Z14 end record in the comment": (
        lambda d: end("<H", 20, 22)(d) + b"PK\5\6" + bytes(18),
        "does not lie where",
    ),
    "Z15 local method": (put("<H", 8, None, 8), "contradict"),
    "Z15 local CRC": (put("<L", 14, None, 8), "contradict"),
    "Z15 local size": (put("<L", 22, None, 8), "contradict"),
    "Z15 local flags": (put("<H", 6, None, 0x800), "contradict"),
    "Z15 local time": (put("<H", 10, None, 9), "contradict"),
    "Z16 local name": (lambda d: d.replace(b"config.json", b"konfig.json", 1), "contradict"),
    "Z16 Unicode path": (extra_field(0x7075, b"\1abcdx"), "extra field 0x7075"),
    "Z17 none present": (put("<H", 6, 8, 8), "behind the data"),
    "Z17 without signature": (descriptor(lambda d: d[4:]), "lie where"),
    "Z17 wrong CRC": (descriptor(lambda d: d[:4] + b"abcd" + d[8:]), "behind the data"),
    "Z17 wrong size": (descriptor(lambda d: d[:8] + bytes(4) + d[12:]), "behind the data"),
    "Z18 field missing": (put("<L", None, 24, 0xFFFFFFFF), "lacks the zip64 field"),
    "Z18 field not needed": (extra_field(1, bytes(8)), "does not need|wrong length"),
    "Z18 locator points elsewhere": (zip64_end(56 + 8, 3), "not where its locator says"),
    "Z18 count contradicts": (zip64_end(32, 2), "wrong|contradict"),
    "Z18 disks": (zip64_end(56 + 16, 2), "several disks"),
    "Z19 one header twice": (overlapped, "overlap"),
    "Z19 quoted overlap": (quoted, "does not end where"),
    "Z21 size too small": (put("<L", 22, 24, 5), "contradict"),
    "Z21 both sizes too small": (
        lambda d: put("<L", 22, 24, 5)(put("<L", 18, 20, 5)(d)),
        "does not end where",
    ),
    "Z21 both sizes too large": (
        lambda d: put("<L", 22, 24, 1 << 30)(put("<L", 18, 20, 1 << 30)(d)),
        "does not end where",
    ),
    "Z23 disk": (end("<H", 4, 1), "several disks"),
    "Z23 record on another disk": (put("<H", None, 34, 1), "another disk"),
    "Z23 count": (end("<L", 8, 5 | 5 << 16), "shorter than its member count"),
    "Z23 counts differ": (end("<H", 8, 5), "member count is wrong"),
    "Z23 small count": (end("<L", 8, 2 | 2 << 16), "longer than its member count"),
    "Z24 member not listed": (without_record, "does not end where"),
    "newer reader": (put("<H", 4, 6, 63), "newer zip reader"),
    "bad UTF-8 name": (
        lambda d: put("<H", 6, 8, 0x800)(d).replace(b"config.json", b"conf\xffg.json"),
        "UTF-8",
    ),
    "deflate longer than recorded": (lambda _: deflated(raw_deflate(CONFIG), 5), "unpack to the 5"),
    "deflate shorter": (lambda _: deflated(raw_deflate(b"abc"), 5), "unpack to the 5"),
    "deflate breaks off": (lambda _: deflated(raw_deflate(CONFIG)[:-3], len(CONFIG)), "unpack"),
    "deflate with a rest": (
        lambda _: deflated(raw_deflate(b"abc") + b"rest", 3, zlib.crc32(b"abc")),
        "unpack",
    ),
    "deflate is noise": (lambda _: deflated(b"\xff\xff\xff", 3), "compressed data"),
}
