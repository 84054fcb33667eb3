"""Threads for one kind of work on the disk, with a bound on what waits for them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

MAX_WAITING: Final = 20_000
"""Tasks, of 1 to 2 KB each. One that was cancelled keeps its place until a thread comes to it: on a disk that hangs,
clients that give up and try again would fill the memory with them."""


class Lane(ThreadPoolExecutor):
    """A pool whose queue has a bound."""

    def __init__(self, threads: int, name: str, max_waiting: int = MAX_WAITING) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._name = name
        self._max_waiting = max_waiting

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """As the base's; OSError (EBUSY) when too much waits already."""
        if self._work_queue.qsize() >= self._max_waiting:
            raise OSError(errno.EBUSY, f"the disk does not keep up: {self._max_waiting} tasks wait for {self._name}")
        return super().submit(work, *arguments, **named)
