"""The progress bar of `get` and `put`: on stderr, and only when that is a terminal."""

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
