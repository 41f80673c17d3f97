"""The progress bar: only where somebody waits for a large file."""

from __future__ import annotations

import subprocess
import sys

import pytest

from patchc.report.progress import progress_bar

LARGE = 400_000_000


@pytest.mark.parametrize(("shown", "total"), [(False, LARGE), (True, 1_000)])
def test_small_files_and_files_have_no_bar(
    shown: bool, total: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(shown=shown) as start:
        start(total)(total)
    assert capfd.readouterr().err == ""


def test_large_ones_have_one_that_goes_away() -> None:
    code = (
        "import io, sys\n"
        "from rich import console\n"
        "made = console.Console\n"
        "console.Console = lambda **k: made(**k, force_terminal=True, width=60)\n"
        "from patchc.report.progress import progress_bar\n"
        "with progress_bar(shown=True) as start:\n"
        f"    told = start({LARGE})\n"
        f"    told({LARGE})\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "400.0/400.0 MB" in run.stderr
    assert run.stderr.endswith("\x1b[2K")  # the line is wiped
    assert run.stdout == ""


def test_rich_is_not_imported_without_a_bar() -> None:
    code = (
        "import sys\n"
        "from patchc.report.progress import progress_bar\n"
        "with progress_bar(shown=True) as start: start(1)(1)\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
