import os
import signal
import threading

import pytest

from patchc.storage.signals import Terminated, signals_as_exceptions, signals_held


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_is_an_exception(signum: int) -> None:
    with pytest.raises(Terminated) as caught, signals_as_exceptions():
        signal.raise_signal(signum)
    assert caught.value.signum == signum


def test_ctrl_c_is_a_keyboard_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), signals_as_exceptions():
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with signals_as_exceptions():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert after == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_as_exceptions():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_held_signal_comes_when_the_block_is_done() -> None:
    done = []

    def work() -> None:
        with signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("block")
        done.append("never")

    with pytest.raises(Terminated), signals_as_exceptions():
        work()
    assert done == ["block"]


def test_holding_outside_the_main_thread_changes_nothing() -> None:
    seen = []
    before = signal.getsignal(signal.SIGTERM)

    def hold() -> None:
        with signals_held():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert seen == [before]
