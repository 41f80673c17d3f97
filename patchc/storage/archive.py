"""The zip archives that `.keras` files are: read strictly, written to the byte.

Zip readers differ in what they make of odd archives, so one that is read in two
ways is refused.  Accepted is what Keras and common zip programs write: members
that tile the file from its first byte to the central directory, named once,
stored or deflated, described alike in both headers, nothing behind the end.

Format: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import unicodedata
import zlib
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NoReturn

from patchc.errors import Diagnostic, PatchError
from patchc.storage.files import InputFile, sniff
from patchc.storage.members import (
    CENTRAL,
    DEFLATED,
    END,
    END64,
    FULL16,
    FULL32,
    LOCAL,
    LOCATOR,
    STORED,
    STREAMED,
    UTF8,
    ZIP64_EXTRA,
    ZIP64_VERSION,
    Member,
)

MAX_MEMBERS = 10_000
_MAX_DIRECTORY = 64 << 20

_DESCRIPTOR = struct.Struct("<4s3L")
_DESCRIPTOR64 = struct.Struct("<4sL2Q")

_ENCRYPTED = 0x0001
_DEFLATE_LEVEL = 0x0006
# Times and owners, as zip programs record them (NTFS, Unix): they say nothing about the data.
_HARMLESS_EXTRAS = {0x000A, 0x5455, 0x7875}

_NAME_PART = re.compile(r"[^/\\\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that was read.

    Attributes:
        file: the open file.
        members: in the order in which they lie in the file.
    """

    file: InputFile
    members: tuple[Member, ...]

    def find(self, name: str) -> Member | None:
        """The member called `name`, or None."""
        return next((member for member in self.members if member.name == name), None)

    def read(self, member: Member, limit: int) -> bytes:
        """Return the unpacked bytes of `member`, its CRC checked.

        Args:
            limit: the largest size, packed or unpacked, that is read.

        Raises PatchError PC403 where the member is larger or damaged.
        """
        largest = max(member.size, member.compressed_size)
        if largest > limit:
            _refuse(self.file, f"member {member.name!r} has {largest} bytes, more than {limit}")
        data = self.file.read_at(member.offset, member.compressed_size)
        if not member.stored:
            data = _inflate(self.file, member, data)
        crc = zlib.crc32(data)
        if crc != member.crc:
            _refuse(
                self.file,
                f"member {member.name!r} is damaged: its CRC is {crc:08x},"
                f" the archive records {member.crc:08x}",
            )
        return data


def read_archive(file: InputFile) -> Archive:
    """Read the headers of all members; no data is read.

    Raises PatchError PC402 where the file is no zip archive, PC403 where it is
    one that Keras would not write: the message says what is wrong with it.
    """
    start, size, count = _read_end(file)
    records = _split_directory(file, file.read_at(start, size), count)
    records.sort(key=lambda record: record[1])
    borders = [offset for _, offset in records] + [start]
    if borders[0]:
        _refuse(file, "the archive does not begin with a member that its directory lists")
    members = [
        _read_member(file, member, offset, end)
        for (member, offset), end in zip(records, borders[1:], strict=True)
    ]
    _check_names(file, members)
    return Archive(file, tuple(members))


def _refuse(file: InputFile, message: str, help_: str | None = None) -> NoReturn:
    help_ = help_ or "save the model again with Keras, or get an undamaged copy of the file"
    raise PatchError(Diagnostic("PC403", message, help=help_, file=file.path))


def _read_end(file: InputFile) -> tuple[int, int, int]:
    """Return offset and size of the central directory, and its number of records."""
    tail_size = min(file.size, END.size + LOCATOR.size + END64.size)
    tail = file.read_at(file.size - tail_size, tail_size)
    _check_frame(file, tail)
    _, disk, first_disk, here, count, size, start, _ = END.unpack(tail[-END.size :])
    if disk or first_disk or here != count:
        _refuse(file, "the archive is split over several disks, or its member count is wrong")
    end = file.size - END.size
    locator = tail[-END.size - LOCATOR.size : -END.size]
    if locator[:4] == b"PK\x06\x07":
        end -= LOCATOR.size + END64.size
        wide = _read_end64(file, tail[: -END.size], end)
        narrow = (count, size, start)
        limits = (FULL16, FULL32, FULL32)
        if any(n not in {w, f} for n, w, f in zip(narrow, wide, limits, strict=True)):
            _refuse(file, "the two end records of the archive contradict each other")
        count, size, start = wide
    if count > MAX_MEMBERS or size > _MAX_DIRECTORY:
        _refuse(file, f"the archive has more than {MAX_MEMBERS} members or too large a directory")
    if start + size != end:
        _refuse(file, "the central directory does not lie where the archive's end says")
    return start, size, count


def _check_frame(file: InputFile, tail: bytes) -> None:
    """Refuse what is no archive, or does not begin and end as one."""
    first = file.read_at(0, min(file.size, 512))
    ends_well = tail[-END.size : -END.size + 4] == b"PK\x05\x06" and tail[-2:] == b"\0\0"
    if first[:4] not in {b"PK\x03\x04", b"PK\x05\x06"}:
        if ends_well:
            _refuse(file, "there are other data in front of the zip archive")
        message = f"this is {sniff(first)}, not a zip archive as Keras writes it"
        help_ = "name a .keras file, or give the file the ending of its format"
        raise PatchError(Diagnostic("PC402", message, help=help_, file=file.path))
    if not ends_well:
        length = min(file.size, FULL16 + END.size)
        if b"PK\x05\x06" in file.read_at(file.size - length, length):
            _refuse(file, "there is a comment or other data behind the end of the zip archive")
        _refuse(file, "the zip archive is truncated: its end is missing")


def _read_end64(file: InputFile, tail: bytes, at: int) -> tuple[int, int, int]:
    if len(tail) < LOCATOR.size + END64.size:
        _refuse(file, "the zip64 end record is missing")
    _, locator_disk, place, disks = LOCATOR.unpack(tail[-LOCATOR.size :])
    record = END64.unpack(tail[-LOCATOR.size - END64.size : -LOCATOR.size])
    magic, record_size, _, _, disk, first_disk, here, count, size, start = record
    if magic != b"PK\x06\x06" or record_size != 44 or place != at:
        _refuse(file, "the zip64 end record is not where its locator says, or damaged")
    if locator_disk or disks != 1 or disk or first_disk or here != count:
        _refuse(file, "the archive is split over several disks, or its member count is wrong")
    return count, size, start


def _split_directory(file: InputFile, data: bytes, count: int) -> list[tuple[Member, int]]:
    """Return the directory's members, offset and local extra unset, with their header offsets."""
    records = []
    position = 0
    for _ in range(count):
        if len(data) - position < CENTRAL.size:
            _refuse(file, "the central directory is shorter than its member count says")
        fields = CENTRAL.unpack_from(data, position)
        lengths = fields[10:13]
        end = position + CENTRAL.size + sum(lengths)
        if fields[0] != b"PK\x01\x02" or end > len(data):
            _refuse(file, "the central directory is damaged")
        name_end = position + CENTRAL.size + lengths[0]
        raw_name = data[position + CENTRAL.size : name_end]
        if lengths[2] or fields[13]:
            _refuse(file, f"member {raw_name!r} has a comment or lies on another disk")
        extra = data[name_end : name_end + lengths[1]]
        records.append(_central_member(file, fields, raw_name, extra))
        position = end
    if position != len(data):
        _refuse(file, "the central directory is longer than its member count says")
    return records


def _central_member(
    file: InputFile, fields: tuple[Any, ...], raw_name: bytes, extra: bytes
) -> tuple[Member, int]:
    """Return the member as the central record describes it, and its header's offset."""
    _, create, extract, flags, method, time, date, crc, packed, size = fields[:10]
    internal, external, offset = fields[14:]
    wide, extra = _split_extra(file, raw_name, extra)
    numbers = [size, packed, offset]
    for index, number in enumerate(numbers):
        if number == FULL32:
            numbers[index], wide = _take_wide(file, raw_name, wide)
    if wide:
        _refuse(file, f"member {raw_name!r} has a zip64 field that it does not need")
    name = _decode(file, raw_name, flags)
    member = Member(
        name=name,
        size=numbers[0],
        crc=crc,
        offset=0,
        compressed_size=numbers[1],
        method=method,
        raw_name=raw_name,
        flags=flags,
        time=time,
        date=date,
        create_version=create,
        extract_version=extract,
        internal_attributes=internal,
        external_attributes=external,
        central_extra=extra,
    )
    _check_member(file, member)
    return member, numbers[2]


def _take_wide(file: InputFile, raw_name: bytes, wide: bytes) -> tuple[int, bytes]:
    if len(wide) < 8:
        _refuse(file, f"member {raw_name!r} lacks the zip64 field that it needs")
    return int.from_bytes(wide[:8], "little"), wide[8:]


def _split_extra(file: InputFile, raw_name: bytes, extra: bytes) -> tuple[bytes, bytes]:
    """Return the contents of the zip64 field, and the other fields as they are."""
    wide, others = b"", b""
    seen = set()
    position = 0
    while position < len(extra):
        header = extra[position : position + 4]
        kind, length = int.from_bytes(header[:2], "little"), int.from_bytes(header[2:], "little")
        end = position + 4 + length
        if len(header) < 4 or end > len(extra) or kind in seen:
            _refuse(file, f"the extra fields of member {raw_name!r} are damaged")
        if kind == ZIP64_EXTRA:
            wide = extra[position + 4 : end]
        elif kind in _HARMLESS_EXTRAS:
            others += extra[position:end]
        else:
            _refuse(file, f"member {raw_name!r} has an unknown extra field {kind:#06x}")
        seen.add(kind)
        position = end
    return wide, others


def _decode(file: InputFile, raw_name: bytes, flags: int) -> str:
    try:
        return raw_name.decode("utf-8" if flags & UTF8 else "cp437")
    except UnicodeDecodeError:
        _refuse(file, f"the member name {raw_name!r} is no valid UTF-8")


def _check_member(file: InputFile, member: Member) -> None:
    """Refuse what no model archive has; positions are checked elsewhere."""
    known = STREAMED | UTF8 | (_DEFLATE_LEVEL if member.method == DEFLATED else 0)
    mode = member.external_attributes >> 16
    if member.flags & _ENCRYPTED:
        _refuse(file, f"member {member.name!r} is encrypted")
    if member.method not in {STORED, DEFLATED}:
        _refuse(file, f"member {member.name!r} is compressed with method {member.method}")
    if member.flags & ~known:
        _refuse(file, f"member {member.name!r} has unknown flags {member.flags:#06x}")
    if member.stored and member.size != member.compressed_size:
        _refuse(file, f"the sizes of member {member.name!r} contradict each other")
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG} or member.external_attributes & 0x10:
        _refuse(file, f"member {member.name!r} is no regular file (a folder or a link)")
    if member.extract_version & 0xFF > ZIP64_VERSION:
        _refuse(file, f"member {member.name!r} needs a newer zip reader")
    parts = member.name.split("/")
    if any(part in {".", ".."} or not _NAME_PART.fullmatch(part) for part in parts):
        _refuse(file, f"the member name {member.name!r} is not a plain relative path")
    if re.match("[A-Za-z]:", member.name):
        _refuse(file, f"the member name {member.name!r} is not a plain relative path")


def _check_names(file: InputFile, members: list[Member]) -> None:
    """Refuse two names that are one to some file system, or one inside the other."""
    names = sorted(unicodedata.normalize("NFC", member.name.casefold()) for member in members)
    for first, second in pairwise(names):
        if first == second:
            _refuse(file, f"two members are called {first!r}")
    known = set(names)
    for name in names:
        folder = os.path.dirname(name)
        if folder in known:
            _refuse(file, f"member {folder!r} is a file and a folder")


def _read_member(file: InputFile, central: Member, at: int, end: int) -> Member:
    """Read the local header at `at` and hold it against the central record."""
    if end - at < LOCAL.size:
        _refuse(file, f"members overlap at byte {at} of the archive")
    fields = LOCAL.unpack(file.read_at(at, LOCAL.size))
    magic, version, flags, method, time, date, crc, packed, size = fields[:9]
    name_length, extra_length = fields[9:]
    data = at + LOCAL.size + name_length + extra_length
    if magic != b"PK\x03\x04" or data > end:
        _refuse(file, f"there is no member header at byte {at} of the archive")
    rest = file.read_at(at + LOCAL.size, name_length + extra_length)
    wide, extra = _split_extra(file, central.raw_name, rest[name_length:])
    if wide:
        size, packed = _wide_sizes(file, central, wide, (size, packed))
    expected = (0, 0, 0) if flags & STREAMED else _sums(central)
    if (
        rest[:name_length] != central.raw_name
        or (flags, method, time, date)
        != (central.flags, central.method, central.time, central.date)
        or (crc, packed, size) not in {expected, _sums(central)}
        or version & 0xFF > ZIP64_VERSION
    ):
        _refuse(file, f"the two headers of member {central.name!r} contradict each other")
    behind = data + central.compressed_size
    if flags & STREAMED:
        behind = _skip_descriptor(file, central, behind, end)
    if behind != end:
        _refuse(file, f"member {central.name!r} does not end where the next one begins")
    return replace(central, offset=data, local_extra=extra)


def _sums(member: Member) -> tuple[int, int, int]:
    return (member.crc, member.compressed_size, member.size)


def _wide_sizes(
    file: InputFile, member: Member, wide: bytes, narrow: tuple[int, int]
) -> tuple[int, int]:
    """Return size and packed size from a local zip64 field, which always holds both."""
    if len(wide) != 16:
        _refuse(file, f"the local zip64 field of member {member.name!r} has a wrong length")
    size, packed = struct.unpack("<2Q", wide)
    if any(n not in {w, FULL32} for n, w in zip(narrow, (size, packed), strict=True)):
        _refuse(file, f"the sizes of member {member.name!r} contradict each other")
    return size, packed


def _skip_descriptor(file: InputFile, member: Member, at: int, end: int) -> int:
    """Check the sizes and CRC that a streaming writer puts behind the data; return their end."""
    narrow = member.compressed_size <= FULL32 and member.size <= FULL32
    forms = {_DESCRIPTOR64.size: _DESCRIPTOR64} | (
        {_DESCRIPTOR.size: _DESCRIPTOR} if narrow else {}
    )
    form = forms.get(end - at)
    if form is None or form.unpack(file.read_at(at, form.size)) != (
        b"PK\x07\x08",
        *_sums(member),
    ):
        _refuse(file, f"the sizes behind the data of member {member.name!r} are missing or wrong")
    return end


def _inflate(file: InputFile, member: Member, data: bytes) -> bytes:
    """Unpack raw deflate data to exactly the recorded size, never more."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # zlib takes 0 for "no limit", so the limit is one more than is allowed.
        result = unpacker.decompress(data, member.size + 1)
    except zlib.error:
        _refuse(file, f"the compressed data of member {member.name!r} are damaged")
    if len(result) != member.size or not unpacker.eof or unpacker.unused_data:
        _refuse(file, f"member {member.name!r} does not unpack to the {member.size} bytes recorded")
    return result
