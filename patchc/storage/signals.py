"""Signals that end the process, as exceptions, so that cleaning up happens."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(BaseException):
    """The process was asked to end.

    Attributes:
        signum: SIGTERM or SIGHUP; by custom the exit code is 128 more.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(signal.Signals(signum).name)


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, and SIGINT KeyboardInterrupt.

    Only the first counts: whatever comes later would hit the cleaning up.
    Signals that the process was started to ignore stay ignored.  For the main
    thread, which alone may set handlers: elsewhere it raises ValueError.
    """
    ending = False

    def end(signum: int, _frame: FrameType | None) -> None:
        nonlocal ending
        if not ending:
            ending = True
            _raise(signum)

    with _handlers(end):
        yield


def _raise(signum: int) -> NoReturn:
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(signum)


@contextmanager
def signals_held() -> Iterator[None]:
    """Let signals wait until the block is done; they are for the main thread alone anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    try:
        with _handlers(lambda signum, _: arrived.append(signum)):
            yield
    finally:
        for signum in arrived[:1]:
            signal.raise_signal(signum)


@contextmanager
def _handlers(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Set the handler of all signals that end the process and are not ignored."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    changed = {n: old for n, old in before.items() if old not in (None, signal.SIG_IGN)}
    try:
        for number in changed:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in changed.items():
            signal.signal(number, old)
