"""The command line as a process: streams, exit codes, signals, imports."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "patchc"]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "env": ENVIRONMENT, **more}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [*COMMAND, *args], check=False, **options
    )
    return done


def test_results_go_to_stdout_and_refusals_to_stderr(desk: Path) -> None:
    done = run("plan", "small.keras", "grow.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Plan: 3 to resize." in done.stdout
    wrong = run("plan", "small.keras", "wrong.yaml")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "Found 2 errors." in wrong.stderr
    assert run("plan").returncode == 2


@pytest.mark.parametrize(
    "args",
    [
        ["validate", "grow.yaml"],
        ["plan", "small.keras", "grow.yaml"],
        ["apply", "small.keras", "grow.yaml", "-o", "out.keras"],
        ["inspect", "small.keras"],
    ],
)
def test_nothing_heavy_is_imported(desk: Path, args: list[str]) -> None:
    code = (
        "import sys\n"
        "from patchc.cli import program\n"
        "try: program(sys.argv[1:])(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    imported = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    heavy = {"keras", "tensorflow", "torch", "jax", "h5py", "rich"}
    if args[0] == "validate":
        heavy |= {"numpy"}
        assert "patchc.compiler" not in done.stdout
    assert not heavy & imported


def test_a_full_stdout_is_a_failure_with_a_message(desk: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run(
            "apply",
            "small.keras",
            "grow.yaml",
            "-o",
            "out.keras",
            capture_output=False,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 1
    assert done.stderr == "the result could not be printed: no space left on device\n"
    assert Path("out.keras").exists()


def test_a_reader_that_leaves_is_no_trouble(desk: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run("explain", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_stdout_is_no_trouble(desk: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m patchc plan small.keras grow.yaml >&-"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_encoding_lacks_is_escaped(desk: Path) -> None:
    Path("größe.yaml").write_text("patchc: 1\nid: x\n", encoding="utf-8")
    done = run("validate", "größe.yaml", env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 1
    assert r"gr\xf6\xdfe.yaml" in done.stderr


def test_file_names_may_be_any_bytes(desk: Path) -> None:
    name = os.fsdecode(b"\xff\x1b.keras")
    os.rename("small.keras", name)
    done = run("plan", name, "wrong.yaml")
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    assert run("plan", name, "grow.yaml", "--format", "json").returncode == 0


def test_a_full_disk_leaves_nothing_behind(desk: Path) -> None:
    before = {path.name: path.read_bytes() for path in desk.iterdir()}
    size = Path("small.keras").stat().st_size

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    done = run("apply", "small.keras", "grow.yaml", "-o", "out.keras", preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.startswith("PC407 ")
    assert {path.name: path.read_bytes() for path in desk.iterdir()} == before


# --------------------------------------------------------------------------- signals


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 200 MB, and a patch for it."""
    import keras

    folder = tmp_path_factory.mktemp("large")
    layers = [
        keras.Input((5_000,)),
        keras.layers.Dense(10_000, kernel_initializer="zeros", name="wide"),
        keras.layers.Dense(2, name="head"),
    ]
    keras.Sequential(layers).save(folder / "large.keras")
    text = "patchc: 1\nid: grow\nedits: [{select: head, expand: {by: 1}}]\n"
    (folder / "patch.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_a_signal_in_the_middle_leaves_nothing_behind(
    large: Path, number: signal.Signals, code: int, word: str, delay: float
) -> None:
    model = large / "large.keras"
    before = (model.stat().st_mtime_ns, model.stat().st_size)
    process = subprocess.Popen(
        [*COMMAND, "apply", "large.keras", "patch.yaml", "-o", "out.keras"],
        cwd=large,
        env=ENVIRONMENT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (one thread)
    )
    deadline = time.monotonic() + 30
    while not list(large.glob(".out.keras.patchc-*")) and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (code, "", f"{word}\n")
    assert sorted(path.name for path in large.iterdir()) == ["large.keras", "patch.yaml"]
    assert (model.stat().st_mtime_ns, model.stat().st_size) == before
