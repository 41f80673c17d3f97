"""The members of a zip archive, and the bytes that describe them in the file.

A writer streams: `local_header`, data, the next `local_header`, ..., and
`central_directory` at the end.

Format: PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

STORED = 0
DEFLATED = 8

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")

FULL16 = 0xFFFF
FULL32 = 0xFFFFFFFF
ZIP64_EXTRA = 0x0001
ZIP64_VERSION = 45
STREAMED = 0x0008
UTF8 = 0x0800

# Python's zipfile, and so Keras, turns to 64-bit fields from here on.
_ZIP64_FROM = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Args:
        name: decoded name.
        size: bytes when unpacked.
        crc: CRC-32 of the unpacked bytes.
        offset: of the (packed) data in the archive file.
        compressed_size: bytes in the archive.
        method: STORED or DEFLATED.
        raw_name: the name's bytes.
        flags: general purpose flags.
        time, date: of the last change, in DOS form.
        create_version: version and system that made it, as in the central header.
        extract_version: needed to read it.
        internal_attributes, external_attributes: as in the central header.
        local_extra, central_extra: extra fields without the zip64 one.
    """

    name: str
    size: int
    crc: int
    offset: int
    compressed_size: int
    method: int
    raw_name: bytes
    flags: int = 0
    time: int = 0
    date: int = (1 << 5) | 1
    create_version: int = (3 << 8) | 20
    extract_version: int = 20
    internal_attributes: int = 0
    external_attributes: int = 0o600 << 16
    local_extra: bytes = b""
    central_extra: bytes = b""

    @property
    def stored(self) -> bool:
        """Whether the data lie in the archive as they are, not compressed."""
        return self.method == STORED

    @property
    def header_offset(self) -> int:
        """Where `local_header` of this member has to be written."""
        return self.offset - len(local_header(self))

    def placed(self, header_offset: int) -> Member:
        """The member with its local header, as `local_header` writes it, at `header_offset`."""
        return replace(self, offset=header_offset + len(local_header(self)))


def new_member(name: str, size: int, crc: int = 0) -> Member:
    """A stored member that patchc writes: time 1980-01-01, mode 0600, offset still 0."""
    raw = name.encode()
    flags = 0 if name.isascii() else UTF8
    return Member(name, size, crc, 0, size, STORED, raw, flags)


def rewritten(member: Member, size: int, crc: int = 0) -> Member:
    """The member that takes the place of `member` with other contents: as `new_member`."""
    return replace(
        new_member(member.name, size, crc), raw_name=member.raw_name, flags=member.flags & UTF8
    )


def local_header(member: Member) -> bytes:
    """The bytes that stand before the member's data.

    Their number depends on name, extra fields and sizes, not on CRC or offset:
    a header may be written with CRC 0 first and again when the CRC is known.
    Sizes stand in the header itself, also where the input had them behind the
    data.
    """
    large = _is_large(member)
    extra = member.local_extra
    if large:
        extra += struct.pack("<2H2Q", ZIP64_EXTRA, 16, member.size, member.compressed_size)
    fields = (
        _version(member.extract_version, large=large),
        member.flags & ~STREAMED,
        member.method,
        member.time,
        member.date,
        member.crc,
        FULL32 if large else member.compressed_size,
        FULL32 if large else member.size,
        len(member.raw_name),
        len(extra),
    )
    return LOCAL.pack(b"PK\x03\x04", *fields) + member.raw_name + extra


def central_directory(members: Iterable[Member]) -> bytes:
    """The bytes that stand behind the last member's data: directory and end records.

    Args:
        members: in the order in which they were written, one behind the other
            from offset 0, with their final offset and CRC.
    """
    records = []
    start = 0
    for member in members:
        records.append(_central_record(member))
        start = member.offset + member.compressed_size
    directory = b"".join(records)
    return directory + _end_records(len(records), len(directory), start)


def _central_record(member: Member) -> bytes:
    large, far = _is_large(member), member.header_offset > _ZIP64_FROM
    numbers = [member.size, member.compressed_size] if large else []
    numbers += [member.header_offset] if far else []
    extra = member.central_extra
    if numbers:
        count = len(numbers)
        extra = struct.pack(f"<2H{count}Q", ZIP64_EXTRA, 8 * count, *numbers) + extra
    fields = (
        _version(member.create_version, large=large or far),
        _version(member.extract_version, large=large or far),
        member.flags & ~STREAMED,
        member.method,
        member.time,
        member.date,
        member.crc,
        FULL32 if large else member.compressed_size,
        FULL32 if large else member.size,
        len(member.raw_name),
        len(extra),
        0,
        0,
        member.internal_attributes,
        member.external_attributes,
        FULL32 if far else member.header_offset,
    )
    return CENTRAL.pack(b"PK\x01\x02", *fields) + member.raw_name + extra


def _end_records(count: int, size: int, start: int) -> bytes:
    records = b""
    if count >= FULL16 or size > _ZIP64_FROM or start > _ZIP64_FROM:
        version = ZIP64_VERSION
        records += END64.pack(b"PK\x06\x06", 44, version, version, 0, 0, count, count, size, start)
        records += LOCATOR.pack(b"PK\x06\x07", 0, start + size, 1)
    count, size, start = min(count, FULL16), min(size, FULL32), min(start, FULL32)
    return records + END.pack(b"PK\x05\x06", 0, 0, count, count, size, start, 0)


def _is_large(member: Member) -> bool:
    return max(member.size, member.compressed_size) > _ZIP64_FROM


def _version(version: int, *, large: bool) -> int:
    system, number = version & 0xFF00, version & 0xFF
    return system | (max(number, ZIP64_VERSION) if large else number)
