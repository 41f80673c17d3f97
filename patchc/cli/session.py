"""One run of a command: where its words go, and how it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TextIO

from patchc.errors import Diagnostic, PatchError
from patchc.report.paint import Paint
from patchc.report.reporter import Reporter, reporter
from patchc.storage.signals import Terminated

FAILED = 1
"""Exit code where something was refused, failed, or did not hold."""

INTERRUPTED = 130
"""Exit code after SIGINT; after another signal it is 128 and its number too."""


class Ended(Exception):  # noqa: N818 (no error: the command has said all there is to say)
    """The command is over.

    Attributes:
        code: exit code of the process.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command.

    Args:
        command: its name.
        format: `text`, `concise`, `json`, `github` or `sarif`.
        quiet: whether to say nothing but warnings and errors.
        color: `auto`, `always` or `never`.
    """

    command: str
    format: str
    quiet: bool
    color: str

    @property
    def is_watched(self) -> bool:
        """Whether somebody looks on who may be shown progress."""
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()

    def result(self, told: Callable[[Reporter], str], warnings: Sequence[Diagnostic] = ()) -> None:
        """Print the result on stdout; when quiet, the warnings alone on stderr.

        Args:
            told: what a reporter says of the result.
            warnings: those that the result holds.
        """
        out = reporter(self.format, self._paint(sys.stdout))
        if out.is_data or not self.quiet:
            _print(told(out))
        else:
            self.complain(warnings)

    def data(self, text: str) -> None:
        """Print a text that is the same in every format."""
        _print(text)

    def tell(self, text: str) -> None:
        """Say something beside the result, on stderr, to whoever reads words."""
        if not (self.quiet or reporter(self.format, Paint()).is_data):
            _complain(text)

    def refuse(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Say why the command is refused: data on stdout, words on stderr."""
        out = reporter(self.format, Paint())
        if out.is_data:
            _print(out.refused(self.command, diagnostics))
        else:
            self.complain(diagnostics)

    def complain(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Say what was found on stderr, in words; data holds it already."""
        words = reporter(self.format, self._paint(sys.stderr))
        if diagnostics and not words.is_data:
            _complain(words.refused(self.command, diagnostics))

    def _paint(self, stream: TextIO | None) -> Paint:
        if self.color != "auto":
            return Paint(on=self.color == "always")
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return Paint(on=stream is not None and stream.isatty() and not plain)


@contextmanager
def running(session: Session) -> Iterator[Session]:
    """Run a command: tell what it refuses, and end with the exit code that goes with it.

    Raises:
        Ended: after a refusal or a signal, which have been told.
    """
    try:
        yield session
    except PatchError as error:
        session.refuse(error.diagnostics)
        raise Ended(FAILED) from None
    except KeyboardInterrupt:
        _complain("interrupted")
        raise Ended(INTERRUPTED) from None
    except Terminated as signal:
        _complain("terminated")
        raise Ended(128 + signal.signum) from None


def _print(text: str) -> None:
    """Write on stdout, all of it now.

    Raises:
        Ended: nobody reads it any more, or there is no room for it.
    """
    stream = sys.stdout
    if stream is None:  # closed by the caller, who wants none of it
        return
    try:
        _lenient(stream).write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        _give_up(stream)
        raise Ended(FAILED) from None
    except OSError as error:
        _give_up(stream)
        reason = (error.strerror or str(error)).lower()
        _complain(f"the result could not be printed: {reason}")
        raise Ended(FAILED) from None


def _complain(text: str) -> None:
    """Write on stderr; where that fails, there is nobody left to tell."""
    stream = sys.stderr
    if stream is None:
        return
    with suppress(OSError):
        _lenient(stream).write(f"{text}\n")
        stream.flush()


def _lenient(stream: TextIO) -> TextIO:
    """The stream, made to escape what its encoding does not have."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def _give_up(stream: TextIO) -> None:
    """Send what is left in the buffer to nowhere: the interpreter would try again at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
