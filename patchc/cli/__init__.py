"""The command line: one file per command, entered in `COMMANDS`.

A command parses, calls the Python interface, and hands the result to a
reporter.  What is slow to import is imported by the command that needs it, and
nothing before signals are taken care of.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from patchc.storage.signals import Terminated, signals_as_exceptions

if TYPE_CHECKING:
    import typer

COMMANDS = (
    "validate",
    "inspect",
    "plan",
    "apply",
    "verify",
    "diff",
    "report",
    "log",
    "adopt",
    "revert",
    "convert",
    "explain",
    "schema",
)
"""Modules with commands, in the order in which the help lists them."""

_SWITCH = 0.0005
"""Seconds after which a thread that copies gets its turn while another one imports."""

__all__ = ["COMMANDS", "main", "program"]


def program(arguments: Sequence[str] = ()) -> typer.Typer:
    """The program with the command that its arguments begin with, else with all commands.

    Typer spends a while on each command that it knows.
    """
    named = arguments[:1] if set(arguments[:1]) <= set(COMMANDS) else ()
    for name in named or COMMANDS:
        import_module(f"{__name__}.{name}")
    found: typer.Typer = import_module(f"{__name__}.app").app
    return found


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    gc.disable()  # a command is over before a search for cycles would pay
    sys.setswitchinterval(_SWITCH)
    try:
        with signals_as_exceptions():
            program(sys.argv[1:])(prog_name="patchc")
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except Terminated as signal:
        _end("terminated", 128 + signal.signum)


def _end(word: str, code: int) -> NoReturn:
    """End a command that a signal has hit before it began."""
    if sys.stderr is not None:
        sys.stderr.write(f"{word}\n")
    sys.exit(code)
