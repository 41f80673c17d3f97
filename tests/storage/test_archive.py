"""The strict zip reader and writer, with Python's zipfile as oracle."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from patchc.errors import PatchError
from patchc.storage.archive import Archive, read_archive
from patchc.storage.files import open_regular
from patchc.storage.members import (
    Member,
    central_directory,
    local_header,
    new_member,
    rewritten,
)
from tests.storage.hdf5_oracle import real_models
from tests.storage.hostile_archives import (
    BASE,
    CONFIG,
    HOSTILE,
    WEIGHTS,
    Edit,
    Unseekable,
    deflated,
    extra_field,
    keras_like,
    named,
    raw_deflate,
    zip64_end,
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write_file(data: bytes) -> Path:
        path = tmp_path / "m.keras"
        path.write_bytes(data)
        return path

    return write_file


def contents(path: Path, limit: int = 1 << 24) -> dict[str, bytes]:
    with open_regular(path) as file:
        archive = read_archive(file)
        return {member.name: archive.read(member, limit) for member in archive.members}


def refused(path: Path, code: str = "PC403") -> str:
    with pytest.raises(PatchError) as caught:
        contents(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.file == str(path)
    return diagnostic.message


def test_reads_what_keras_writes(write: Callable[[bytes], Path]) -> None:
    data = keras_like({"assets/layers/lookup/vocabulary.txt": b"a\nb\n", "nötiz.txt": b""})
    path = write(data)
    with zipfile.ZipFile(path) as zf, open_regular(path) as file:
        archive = read_archive(file)
        infos = zf.infolist()
        assert [m.name for m in archive.members] == [i.filename for i in infos]
        for member, info in zip(archive.members, infos, strict=True):
            assert archive.read(member, 1 << 20) == zf.read(info)
            assert (member.size, member.crc, member.stored) == (info.file_size, info.CRC, True)
            assert member.header_offset == info.header_offset
            assert file.read_at(member.offset, member.size) == zf.read(info)
        weights = archive.find("model.weights.h5")
        assert weights is not None
        assert weights.size == len(WEIGHTS)
        assert archive.find("absent") is None


@pytest.mark.parametrize("force_zip64", [False, True])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("seekable", [False, True])
def test_reads_all_forms_of_zipfile(
    write: Callable[[bytes], Path], *, force_zip64: bool, method: int, seekable: bool
) -> None:
    sink: Unseekable | io.BytesIO = io.BytesIO() if seekable else Unseekable()
    with zipfile.ZipFile(sink, "w", method) as zf:
        for name in ("metadata.json", "config.json"):
            with zf.open(name, "w", force_zip64=force_zip64) as member:
                member.write(CONFIG)
    path = write(sink.getvalue() if isinstance(sink, io.BytesIO) else bytes(sink.data))
    assert contents(path) == {"metadata.json": CONFIG, "config.json": CONFIG}
    assert copied(path) == contents(path)


@pytest.mark.skipif(not shutil.which("zip"), reason="the zip program is not installed")
@pytest.mark.parametrize("options", [[], ["-0"], ["-9"], ["-X"]])
def test_reads_what_info_zip_writes(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "config.json").write_bytes(CONFIG)
    (tmp_path / "model.weights.h5").write_bytes(WEIGHTS)
    command = ["zip", "-q", *options, "m.keras", "config.json", "model.weights.h5"]
    subprocess.run(command, cwd=tmp_path, check=True)
    path = tmp_path / "m.keras"
    assert contents(path) == {"config.json": CONFIG, "model.weights.h5": WEIGHTS}
    assert copied(path) == contents(path)


def rebuilt(archive: Archive) -> bytes:
    """The archive written again, members carried over as they are."""
    out, members = b"", []
    for member in archive.members:
        placed = member.placed(len(out))
        out += local_header(placed) + archive.file.read_at(member.offset, member.compressed_size)
        members.append(placed)
    return out + central_directory(members)


def copied(path: Path) -> dict[str, bytes]:
    """What zipfile and the strict reader agree to find in the archive written again."""
    with open_regular(path) as file:
        data = rebuilt(read_archive(file))
    again = path.with_name("again.keras")
    again.write_bytes(data)
    with zipfile.ZipFile(again) as zf:
        assert zf.testzip() is None
        found = {info.filename: zf.read(info) for info in zf.infolist()}
    assert contents(again) == found
    return found


def test_members_carried_over_give_the_same_bytes(write: Callable[[bytes], Path]) -> None:
    data = keras_like({"assets/nötiz.txt": b"abc"})
    with open_regular(write(data)) as file:
        assert rebuilt(read_archive(file)) == data


def test_a_real_archive_written_again_is_the_same() -> None:
    paths = sorted(real_models().glob("*/*.keras"))
    assert paths
    for path in paths:
        with open_regular(path) as file:
            assert rebuilt(read_archive(file)) == path.read_bytes()


def test_rewritten_members_have_fixed_time_and_mode(write: Callable[[bytes], Path]) -> None:
    with open_regular(write(BASE)) as file:
        old = read_archive(file).members[2]
    new = rewritten(old, 3, zlib.crc32(b"abc")).placed(0)
    path = write(local_header(new) + b"abc" + central_directory([new]))
    with zipfile.ZipFile(path) as zf:
        (info,) = zf.infolist()
        assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert info.external_attr == 0o600 << 16
        assert zf.read("model.weights.h5") == b"abc"


def test_the_header_may_be_written_before_the_crc_is_known() -> None:
    first = new_member("model.weights.h5", 100)
    assert len(local_header(first)) == len(local_header(replace(first, crc=0xFFFFFFFF)))
    assert first.placed(7).header_offset == 7


def test_large_members_use_zip64(tmp_path: Path) -> None:
    """Sizes and offsets beyond 4 GiB, in a file of holes."""
    path = tmp_path / "large.keras"
    size = (1 << 32) + 10
    large = new_member("model.weights.h5", size).placed(0)
    small = new_member("assets/a", 3, zlib.crc32(b"abc")).placed(large.offset + size)
    with path.open("wb") as file:
        file.write(local_header(large))
        file.seek(small.header_offset)
        file.write(local_header(small) + b"abc" + central_directory([large, small]))
    with zipfile.ZipFile(path) as zf:
        assert [i.file_size for i in zf.infolist()] == [size, 3]
        assert zf.infolist()[1].header_offset == small.header_offset
        assert zf.read("assets/a") == b"abc"
    with open_regular(path) as opened:
        archive = read_archive(opened)
        places = [(member.offset, member.size) for member in archive.members]
        assert places == [(large.offset, size), (small.offset, 3)]
        assert archive.read(archive.members[1], 3) == b"abc"


def test_reads_zipfiles_own_zip64_end_records(
    write: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zf:
        zf.writestr("a", b"x" * 200)
        zf.writestr("b", b"y")
    assert b"PK\x06\x06" in buffer.getvalue()
    assert contents(write(buffer.getvalue())) == {"a": b"x" * 200, "b": b"y"}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(case: str, write: Callable[[bytes], Path]) -> None:
    edit, message = HOSTILE[case]
    path = write(edit(BASE))
    with pytest.raises(PatchError, match=message) as caught:
        contents(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "PC403"
    assert diagnostic.help


def test_the_unchanged_archive_of_the_table_is_read(write: Callable[[bytes], Path]) -> None:
    assert contents(write(BASE))["config.json"] == CONFIG
    assert contents(write(zip64_end(56, 0x07064B50)(BASE)))["config.json"] == CONFIG
    assert contents(write(named("a", "b/c", "assets/x y")(b""))) == dict.fromkeys(
        ("a", "b/c", "assets/x y"), b"x"
    )


@pytest.mark.parametrize("unix", [extra_field(0x5455, b"\1abcd"), extra_field(0x000A, bytes(32))])
def test_recorded_times_are_harmless(unix: Edit, write: Callable[[bytes], Path]) -> None:
    path = write(unix(b""))
    assert contents(path) == {"config.json": b"x"}
    with open_regular(path) as file:
        assert rebuilt(read_archive(file)) == path.read_bytes()


@pytest.mark.parametrize("extra", [b"\x55\x54\x09\x00ab", b"\x55", b"\x55\x54\0\0\x55\x54\0\0"])
def test_broken_extra_fields_are_refused(extra: bytes, write: Callable[[bytes], Path]) -> None:
    member = replace(new_member("a", 0), central_extra=extra).placed(0)
    path = write(local_header(member) + central_directory([member]))
    assert "extra fields" in refused(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = named("metadata.json", "config.json")(b"")
    path = tmp_path / "cut.keras"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(PatchError) as caught:
            contents(path)
        expected = "PC402" if length < 4 else "PC403"
        assert caught.value.diagnostics[0].code == expected, length


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"", "an empty file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
    ],
)
def test_what_is_no_archive_is_named(
    data: bytes, phrase: str, write: Callable[[bytes], Path]
) -> None:
    assert phrase in refused(write(data), "PC402")


def test_a_deflate_bomb_is_stopped(write: Callable[[bytes], Path]) -> None:
    bomb = raw_deflate(bytes(64 << 20))
    began = time.perf_counter()
    assert "unpack to the 1000" in refused(write(deflated(bomb, 1000)))
    assert "more than 16777216" in refused(write(deflated(bomb, 64 << 20)))
    assert time.perf_counter() - began < 0.5


def test_reading_is_limited(write: Callable[[bytes], Path]) -> None:
    with open_regular(write(BASE)) as file:
        archive = read_archive(file)
        assert archive.read(archive.members[1], len(CONFIG)) == CONFIG
        with pytest.raises(PatchError, match="more than 3"):
            archive.read(archive.members[1], 3)


def test_too_many_members_are_refused(write: Callable[[bytes], Path]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zf:
        for index in range(10_001):
            zf.writestr(str(index), b"")
    assert "more than 10000 members" in refused(write(buffer.getvalue()))


def test_mutants_raise_nothing_else_and_agree_with_zipfile(tmp_path: Path) -> None:
    """Whatever the strict reader takes, zipfile reads with the same contents."""
    chance = random.Random(20)
    base = keras_like({"assets/a": b"abc"})
    path = tmp_path / "mutant.keras"
    headers = [i for i in range(len(base)) if i < 1200 or i > len(base) - 500]
    accepted = 0
    for _ in range(3000):
        data = bytearray(base)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            data[chance.choice(headers)] = chance.randrange(256)
        path.write_bytes(data)
        try:
            found = contents(path)
        except PatchError:
            continue
        accepted += 1
        with zipfile.ZipFile(path) as zf:
            assert {info.filename: zf.read(info) for info in zf.infolist()} == found
    assert 0 < accepted < 1500


def test_a_member_knows_its_header() -> None:
    member: Member = new_member("é", 1)
    assert member.flags == 0x800
    assert local_header(member).endswith("é".encode())
