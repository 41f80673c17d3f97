import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from patchc.errors import PatchError
from patchc.storage.publish import publishing


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def refused(run: Callable[[], object], code: str = "PC406") -> str:
    with pytest.raises(PatchError) as caught:
        run()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    return f"{diagnostic.message} / {diagnostic.help}"


def publish(
    path: Path | str,
    data: bytes = b"new",
    *,
    force: bool = False,
    in_place_of: tuple[int, int] | None = None,
    inputs: list[tuple[int, int]] | None = None,
) -> None:
    with publishing(path, force=force, in_place_of=in_place_of, inputs=inputs or []) as output:
        output.write_at(0, data)


# ------------------------------------------------------------------------- whole


def test_the_output_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.keras"
    with publishing(target) as output:
        output.write_at(4, b"tail")
        output.write_at(0, b"head")
        (temporary,) = names(tmp_path)
        assert temporary.startswith(".out.keras.patchc-")
        assert temporary.endswith(".tmp")
        assert os.path.samefile(output.temporary, tmp_path / temporary)
        assert os.path.samestat(os.fstat(output.fileno()), os.stat(output.temporary))
        assert stat.S_IMODE((tmp_path / temporary).stat().st_mode) == 0o600
    assert names(tmp_path) == ["out.keras"]
    assert target.read_bytes() == b"headtail"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        publish(tmp_path / "out")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o666 & ~mask


def test_a_name_without_a_folder_stands_in_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    publish("out.keras")
    assert names(tmp_path) == ["out.keras"]


def test_the_longest_possible_name(tmp_path: Path) -> None:
    name = "ü" * 127 + "x"
    publish(tmp_path / name)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    old = tmp_path / "old.keras"
    old.write_bytes(b"old")

    def fail(path: Path, force: bool) -> None:
        with publishing(path, force=force) as output:
            output.write_at(0, b"x" * 100_000)
            raise error

    with pytest.raises(error):
        fail(tmp_path / "new.keras", False)
    with pytest.raises(error):
        fail(old, True)
    assert names(tmp_path) == ["old.keras"]
    assert old.read_bytes() == b"old"


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    publish(tmp_path / "a")
    refused(lambda: publish(tmp_path / "a"))
    refused(lambda: publish(tmp_path / "none" / "a"))
    assert os.listdir("/proc/self/fd") == before


def test_any_thread_may_publish(tmp_path: Path) -> None:
    threads = [threading.Thread(target=publish, args=(tmp_path / str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["0", "1", "2", "3"]


# ---------------------------------------------------------------------- refusals


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    target.chmod(0o640)
    assert refused(lambda: publish(target)) == "the output exists / pass --force to replace it"
    assert target.read_bytes() == b"old"
    publish(target, force=True)
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert names(tmp_path) == ["out"]


def test_a_refusal_comes_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old")
    reached = False

    def work() -> None:
        nonlocal reached
        with publishing(tmp_path / "out"):
            reached = True

    refused(work)
    assert not reached


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))

    def race() -> None:
        with publishing(tmp_path / "out") as output:
            output.write_at(0, b"mine")
            (tmp_path / "out").write_bytes(b"theirs")

    assert "the output exists" in refused(race)
    assert (tmp_path / "out").read_bytes() == b"theirs"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def race() -> None:
        with publishing(tmp_path / "out", force=True):
            (tmp_path / "out").mkdir()

    refused(race)
    assert names(tmp_path) == ["out"]


def test_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EOPNOTSUPP))
    publish(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def _hard_link(model: Path) -> Path:
    other = model.with_name("other.keras")
    other.hardlink_to(model)
    return other


def _symbolic_link(model: Path) -> Path:
    other = model.with_name("other.keras")
    other.symlink_to(model)
    return other


def _other_spelling(model: Path) -> Path:
    (model.parent / "sub").mkdir()
    return model.parent / "sub" / ".." / model.name


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("spell", [lambda m: m, _hard_link, _symbolic_link, _other_spelling])
def test_the_input_is_recognised_by_any_name(
    tmp_path: Path, spell: Callable[[Path], Path], force: bool
) -> None:
    model = tmp_path / "m.keras"
    model.write_bytes(b"old")
    output = spell(model)
    message = refused(lambda: publish(output, force=force, inputs=[identity(model)]))
    assert message.startswith("the output is the input / pass --in-place")
    assert model.read_bytes() == b"old"


def test_in_place(tmp_path: Path) -> None:
    model = tmp_path / "m.keras"
    model.write_bytes(b"old")
    model.chmod(0o604)
    publish(model, in_place_of=identity(model), inputs=[identity(model)])
    assert model.read_bytes() == b"new"
    assert stat.S_IMODE(model.stat().st_mode) == 0o604


def test_in_place_of_an_input_that_changes_meanwhile(tmp_path: Path) -> None:
    model = tmp_path / "m.keras"
    model.write_bytes(b"old")

    def race() -> None:
        with publishing(model, in_place_of=identity(model)) as output:
            output.write_at(0, b"mine")
            model.write_bytes(b"theirs")

    assert "the input changed" in refused(race)
    assert model.read_bytes() == b"theirs"
    assert names(tmp_path) == ["m.keras"]


def test_in_place_of_another_file(tmp_path: Path) -> None:
    model, other = tmp_path / "m", tmp_path / "n"
    model.write_bytes(b"m")
    other.write_bytes(b"n")
    assert "another file" in refused(lambda: publish(other, in_place_of=identity(model)))
    assert "gone" in refused(lambda: publish(tmp_path / "x", in_place_of=identity(model)))
    assert other.read_bytes() == b"n"


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "the output is a folder"),
        (os.mkfifo, "the output is no regular file"),
        (lambda path: path.symlink_to("/nowhere/x"), "the output is a symbolic link"),
        (lambda path: path.symlink_to(path), "the output cannot have this name"),
    ],
)
def test_what_is_no_regular_file_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], object], message: str, force: bool
) -> None:
    make(tmp_path / "out")
    kind = (tmp_path / "out").lstat().st_mode
    assert message in refused(lambda: publish(tmp_path / "out", force=force))
    assert (tmp_path / "out").lstat().st_mode == kind
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/out", "does not exist"),
        ("file/out", "is no folder"),
        ("", "is a folder"),
        ("sub/", "is a folder"),
        ("..", "is a folder"),
        ("x" * 300, "cannot have this name"),
        ("a\0b", "holds a NUL"),
    ],
)
def test_impossible_names(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert message in refused(lambda: publish(f"{tmp_path}/{name}"))
    assert names(tmp_path) == ["file"]


@pytest.fixture
def unprivileged() -> Iterator[None]:
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_folder_that_may_not_be_written_to(request: pytest.FixtureRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        request.getfixturevalue("unprivileged")
        message = refused(lambda: publish(f"{folder}/out"))
        assert f"the folder {folder} does not take the output: permission denied" in message
        if os.getuid() == 0:
            os.seteuid(0)
        assert not os.listdir(folder)


# ----------------------------------------------------------------------- the disk


def failing(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["pwrite", "fsync", "ftruncate"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failing_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def write() -> None:
        with publishing(tmp_path / "out", force=True) as output:
            output.truncate(10)
            output.write_at(0, b"data")

    (tmp_path / "out").write_bytes(b"old")
    monkeypatch.setattr(os, call, failing(number))
    message = refused(write, "PC407")
    assert ("could not be written" if number == errno.EIO else "the disk is full") in message
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out").read_bytes() == b"old"


def test_short_reads_and_writes_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite, preadv = os.pwrite, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:7], at))
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: preadv(fd, [views[0][:5]], at))
    data = bytes(range(100))
    with publishing(tmp_path / "out") as output:
        output.write_at(3, data)
        assert output.size == 103
        assert output.read_at(0, 103) == b"\0\0\0" + data
        buffer = bytearray(10)
        output.read_into(buffer, 13)
        assert bytes(buffer) == data[10:20]


def test_reading_past_the_end(tmp_path: Path) -> None:
    def read() -> None:
        with publishing(tmp_path / "out") as output:
            output.write_at(0, b"12345")
            output.read_at(3, 3)

    assert "it ends at 5" in refused(read, "PC407")


def test_data_of_any_shape_and_none(tmp_path: Path) -> None:
    with publishing(tmp_path / "out") as output:
        output.write_at(0, memoryview(b"abcdefgh").cast("I"))
        output.write_at(8, bytearray(b"ij"))
        output.write_at(100, b"")
        assert output.read_at(10, 0) == b""
    assert (tmp_path / "out").read_bytes() == b"abcdefghij"


def test_room_is_looked_for_before_the_work(tmp_path: Path) -> None:
    def reserve(size: int) -> None:
        with publishing(tmp_path / "out") as output:
            output.reserve(size)

    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    message = refused(lambda: reserve(free + (1 << 40)), "PC407")
    assert message.startswith(f"the disk is full: the output needs {free + (1 << 40):,} bytes")
    assert names(tmp_path) == []
    reserve(4096)
    assert names(tmp_path) == ["out"]


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        (disk / "old").write_bytes(b"old")

        def fill() -> None:
            with publishing(disk / "old", force=True) as output:
                for i in range(20):
                    output.write_at(i * 100_000, b"x" * 100_000)

        assert "the disk is full" in refused(fill, "PC407")
        assert names(disk) == ["old"]
        assert (disk / "old").read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        message = refused(lambda: publish(tmp_path / "out", b"x" * 100_000), "PC407")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert message.startswith("the output needs 100,000 bytes, more than a file may have here")
    assert names(tmp_path) == []


# ------------------------------------------------------------------------ signals

WRITER = """
import sys
from patchc.storage.publish import publishing
from patchc.storage.signals import Terminated, signals_as_exceptions
try:
    with signals_as_exceptions(), publishing(sys.argv[1]) as output:
        for i in range(int(sys.argv[2])):
            output.write_at(i * 65536, bytes(65536))
            if i == 5:
                print("writing", flush=True)
except KeyboardInterrupt:
    sys.exit(130)
except Terminated as error:
    sys.exit(128 + error.signum)
"""


def start_writer(target: Path, blocks: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(target), str(blocks)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert writer.stdout
    assert writer.stdout.readline() == b"writing\n"
    return writer


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path, signum: int, code: int) -> None:
    with start_writer(tmp_path / "out", 10_000) as writer:
        assert names(tmp_path)[0].endswith(".tmp")
        writer.send_signal(signum)
        assert writer.wait(20) == code
    assert names(tmp_path) == []


def test_many_signals_at_any_moment(tmp_path: Path) -> None:
    random, size = Random(7), 400 * 65536
    for _ in range(12):
        with start_writer(tmp_path / "out", 400) as writer:
            time.sleep(random.random() * 0.06)
            for _ in range(10):
                writer.send_signal(random.choice([signal.SIGINT, signal.SIGTERM]))
                time.sleep(random.random() * 0.001)
            writer.wait(20)
        assert names(tmp_path) in ([], ["out"])
        if names(tmp_path):
            assert (tmp_path / "out").stat().st_size == size
            (tmp_path / "out").unlink()


def test_kill_leaves_at_most_the_temporary_file(tmp_path: Path) -> None:
    with start_writer(tmp_path / "out", 10_000) as writer:
        writer.kill()
        writer.wait(20)
    (name,) = names(tmp_path)
    assert name.endswith(".tmp")
