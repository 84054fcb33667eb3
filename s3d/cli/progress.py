"""The progress bar of what takes long: on stderr, and only when that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(label: str, total_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with each number of bytes moved, from any thread; `total_bytes` None: unknown."""
    if not sys.stderr.isatty():
        yield lambda size_bytes: None
        return
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(escape(label), total=total_bytes)
        yield lambda size_bytes: shown.advance(task, size_bytes)


@contextmanager
def steps(label: str, unit: str = "bytes") -> Iterator[Callable[[int, int], None]]:
    """Yields a function to call with how much is done and how much there is, which may be told late and change.

    Any unit but bytes is shown as a count.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    amount = progress.DownloadColumn(binary_units=True) if unit == "bytes" else progress.MofNCompleteColumn()
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        amount,
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(escape(label), total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
