"""Changes that RocksDB had no room for, until it has.

While RocksDB writes its memory to tables, or merges tables, more slowly than changes come, it refuses them (a write
stall; `IndexBusy`). The body of such a change has been received, hashed and synced by then. So the change waits, and is
tried again: its whole step, which reads what is written by then and judges the caller's conditions by that.

One queue for all, tried from its head: each attempt costs the event loop a look-up and an encoding, so a thousand who
try for themselves would take what time there is. Loop's thread only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from s3d._core.promise import Promise
from s3d.index.errors import IndexBusy

LIMIT_S: Final = 20.0
"""A flush of 48 MiB of changes takes that long at 2.4 MB/s. A client must hear of it before it gives up: SDKs wait for
an answer for 60 s (botocore's ``read_timeout``)."""
AGAIN_S: Final = 0.05
TURN_S: Final = 0.005
"""What those who wait may take of one turn of the loop when there is room again."""


def _nothing() -> None:
    """There is nothing to give up."""


class _Waiting:
    __slots__ = ("change", "deadline_s", "forsake", "promise")

    def __init__(self, change: Callable[[], Promise], forsake: Callable[[], object], deadline_s: float) -> None:
        self.change = change
        self.forsake = forsake
        self.deadline_s = deadline_s
        self.promise = Promise()


class Stalled:
    """Those who wait, in their order."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._waiting: deque[_Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def attempt(self, change: Callable[[], Promise], forsake: Callable[[], object] = _nothing) -> Promise:
        """``change()``, now or as soon as the index has room for it; the promise is settled as that of ``change``.

        ``change`` decides and writes in one synchronous step, from nothing that an earlier attempt has read. What it
        raises is raised here at the first attempt and rejects the promise at a later one. ``forsake()`` is called, and
        ``change`` not again, when there was no room for `LIMIT_S` (the promise is rejected with `IndexBusy`) or when
        the promise was cancelled while the change waited.
        """
        if not self._waiting:
            try:
                return change()
            except IndexBusy:
                pass
        waiting = _Waiting(change, forsake, time.monotonic() + self._limit_s)
        # `resolve` with a promise makes this one follow it.
        promise = waiting.promise.then(lambda made: made)
        promise.on_cancel(lambda: self._cancelled(waiting))
        if not self._waiting:
            asyncio.get_running_loop().call_later(AGAIN_S, self._try)
        self._waiting.append(waiting)
        return promise

    def _cancelled(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        waiting.forsake()

    def _try(self) -> None:
        began_s = now_s = time.monotonic()
        while self._waiting and now_s - began_s < TURN_S:
            waiting = self._waiting[0]
            try:
                made = waiting.change()
            except IndexBusy as error:
                if now_s < waiting.deadline_s:
                    break
                self._waiting.popleft()
                waiting.forsake()
                waiting.promise.reject(error)
            except BaseException as error:  # noqa: BLE001 - told to the one who waits
                self._waiting.popleft()
                waiting.promise.reject(error)
            else:
                self._waiting.popleft()
                waiting.promise.resolve(made)
            now_s = time.monotonic()
        if self._waiting:
            # With room, in the next turn of the loop but one: others are due as well.
            delay_s = AGAIN_S if now_s - began_s < TURN_S else 0.0
            asyncio.get_running_loop().call_later(delay_s, self._try)
