"""Whole processes, timed side by side, and figures held against bars.

This process imports nothing large: Linux counts the memory of the process that
starts another one into that one's peak.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PYTHON = sys.executable
PATCHC = str(Path(sysconfig.get_path("scripts")) / "patchc")
ROUNDS = 5

Command = Sequence[str]

# Installed packages come compiled, and so they have to be here from the second run on.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took: wall clock in seconds, peak resident memory in MB."""

    seconds: float
    megabytes: float


def run(command: Command) -> Run:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the message holds what it wrote to stderr.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command} failed with {child.returncode}:\n{said.decode()}")
    return Run(seconds, usage.ru_maxrss / 1024)


@dataclass(frozen=True, slots=True)
class Results:
    """The runs of several commands, one of each per round."""

    runs: Mapping[str, Sequence[Run]]

    def seconds(self, name: str) -> float:
        """Median time of a command."""
        return median(r.seconds for r in self.runs[name])

    def megabytes(self, name: str) -> float:
        """Largest memory of a command."""
        return max(r.megabytes for r in self.runs[name])

    def ratio(self, name: str, to: str) -> float:
        """Median over the rounds of one command's time to that of another."""
        pairs = zip(self.runs[name], self.runs[to], strict=True)
        return median(one.seconds / other.seconds for one, other in pairs)

    def show(self) -> None:
        """Print time and memory of each command."""
        for name in self.runs:
            print(f"  {name:<28}{self.seconds(name):8.2f} s {self.megabytes(name):8.0f} MB")


def side_by_side(
    commands: Mapping[str, Command],
    clean: Callable[[], None] = lambda: None,
    rounds: int = ROUNDS,
) -> Results:
    """Run every command once per round, after one round that does not count.

    Args:
        clean: called before each command.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            clean()
            taken = run(command)
            if number:
                runs[name].append(taken)
    clean()
    return Results(runs)


class Bars:
    """Figures with the bar that each has to meet; prints them as they come."""

    def __init__(self) -> None:
        self._missed = 0

    def at_most(self, what: str, figure: float, bar: float) -> None:
        """A figure that has to be small."""
        self._show(what, figure, f"at most {bar:g}", met=figure <= bar)

    def at_least(self, what: str, figure: float, bar: float) -> None:
        """A figure that has to be large."""
        self._show(what, figure, f"at least {bar:g}", met=figure >= bar)

    def _show(self, what: str, figure: float, bar: str, *, met: bool) -> None:
        self._missed += not met
        print(f"  {'met' if met else 'MISSED':<8}{what:<46}{figure:8.2f}   {bar}")

    @property
    def exit_code(self) -> int:
        """0 where every bar is met."""
        return 1 if self._missed else 0
