"""A progress bar for large files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

_LARGE = 200_000_000
"""Bytes to read and write from which a bar is shown: a model of 100 MB is done in a moment."""

Progress = Callable[[int], None]


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Callable[[int], Progress]]:
    """Gives what `apply_file` wants as `progress`; the bar is gone when the block ends.

    Args:
        shown: whether there may be a bar: stderr is a terminal and not to be quiet.
    """
    with ExitStack() as stack:

        def start(total: int) -> Progress:
            if not shown or total < _LARGE:
                return lambda _: None
            return _bar(stack, total)

        yield start


def _bar(stack: ExitStack, total: int) -> Progress:
    # Rich is slow to import, and only a terminal that waits for a large file needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    stack.enter_context(bar)
    task = bar.add_task("", total=total)
    return lambda done: bar.advance(task, done)
