"""The command line: one file per command, entered in `COMMANDS`.

A command parses, calls the Python interface, and hands the result to a
reporter.  What is slow to import is imported by the command that needs it.
"""

from __future__ import annotations

import sys
from importlib import import_module

from patchc.cli.app import app
from patchc.cli.session import INTERRUPTED
from patchc.storage.signals import Terminated, signals_as_exceptions

COMMANDS = (
    "validate",
    "inspect",
    "plan",
    "apply",
    "verify",
    "explain",
    "schema",
)
"""Modules with commands, in the order in which the help lists them."""

for _name in COMMANDS:
    import_module(f"{__name__}.{_name}")

__all__ = ["COMMANDS", "app", "main"]


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    try:
        with signals_as_exceptions():
            app(prog_name="patchc")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Terminated as signal:
        sys.exit(128 + signal.signum)
