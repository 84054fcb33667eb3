"""Group commit: one flush of the log at a time, in a thread of its own, for all who wait.

Tasks: the event loop writes changes and asks `Commits.durable`; the flusher thread flushes, and keeps the durable
floor. What is shared: the queue of jobs, and nothing else. A flush covers what was written when it began; those who
come while it runs gather for the next, which begins in the same turn of the loop as the first ends. No lock, no await.

A flush that failed is never tried again: what it covered may be lost whatever a second one says (fsync(2) reports an
error once). Everybody who waits is told, and all changes are refused, until the index is opened anew.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from s3d._core.promise import Promise
from s3d.index.errors import IndexError_

log = logging.getLogger(__name__)

FLOOR_INTERVAL_S: Final = 1.0
"""Under load, the floor is written so often."""
FLOOR_IDLE_S: Final = 0.1
"""And once, so long after the last flush."""


class Flusher:
    """The thread that flushes, and writes the floor behind it."""

    def __init__(self, flush: Callable[[], None], floor: Callable[[int], None] | None) -> None:
        """``flush`` makes durable what is written; ``floor`` keeps the sequence number that is durable by now."""
        self._flush = flush
        self._floor = floor
        self._jobs: SimpleQueue[tuple[int, Callable[[IndexError_ | None], None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="s3d-index-flush", daemon=True)
        self._thread.start()

    def submit(self, sequence: int, done: Callable[[IndexError_ | None], None]) -> None:
        """Flush once; ``done`` is called in the thread, with what went wrong."""
        self._jobs.put((sequence, done))

    def stop(self) -> None:
        """Return when what was submitted is done and the thread has ended; idempotent."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        written = durable = 0
        last_s = 0.0
        while True:
            try:
                job = self._jobs.get(timeout=FLOOR_IDLE_S if durable > written else None)
            except Empty:
                written = self._keep(durable)
                last_s = time.monotonic()
                continue
            if job is None:
                return
            sequence, done = job
            try:
                self._flush()
            except IndexError_ as error:
                done(error)
                # Not known to be durable: no floor.
                continue
            done(None)
            durable = sequence if self._floor is not None else 0
            if durable > written and time.monotonic() - last_s >= FLOOR_INTERVAL_S:
                written = self._keep(durable)
                last_s = time.monotonic()

    def _keep(self, durable: int) -> int:
        try:
            if self._floor is not None:
                self._floor(durable)
        except OSError as error:
            # The index itself is sound; only a later loss would be noticed less surely.
            log.warning("cannot write the durable floor of the index: %s", error)
        return durable


class Commits:
    """Who waits for what to be durable."""

    def __init__(
        self,
        flusher: Flusher,
        begin: Callable[[], int],
        publish: Callable[[int], None],
    ) -> None:
        """``begin`` is called when a flush begins and returns the sequence number that it will cover; ``publish`` with
        that number when it has succeeded."""
        self._flusher = flusher
        self._begin = begin
        self._publish = publish
        self._loop: asyncio.AbstractEventLoop | None = None
        self._written = 0
        self._covered = 0
        self._published = 0
        self._flying: list[Promise] | None = None
        self._sequence = 0
        self._waiting: list[Promise] = []
        self._scheduled = False
        self.failure: IndexError_ | None = None

    def wrote(self) -> None:
        """A change was written."""
        self._written += 1

    def durable(self) -> Promise:
        """Settled when all that is written by now is durable and visible."""
        promise = Promise()
        if self.failure is not None:
            promise.reject(self.failure.with_traceback(None))
        elif self._published == self._written:
            promise.resolve(None)
        elif self._flying is not None and self._covered == self._written:
            self._flying.append(promise)
        else:
            self._waiting.append(promise)
            if self._flying is None and not self._scheduled:
                self._scheduled = True
                self._loop = asyncio.get_running_loop()
                # Whoever writes in this turn of the loop is in the same group.
                self._loop.call_soon(self._start)
        return promise

    def _start(self) -> None:
        self._scheduled = False
        if self._flying is not None or self.failure is not None:
            return
        try:
            self._sequence = self._begin()
        except IndexError_ as error:
            self._failed(error)
            return
        self._flying, self._waiting = self._waiting, []
        self._covered = self._written
        self._flusher.submit(self._sequence, self._told)

    def _told(self, error: IndexError_ | None) -> None:
        """In the flusher's thread."""
        loop = self._loop
        assert loop is not None
        try:
            loop.call_soon_threadsafe(self._finished, error)
        except RuntimeError:
            # The loop is closed: nobody waits any more.
            log.debug("the event loop ended before a flush of the index")

    def _finished(self, error: IndexError_ | None) -> None:
        flying, self._flying = self._flying, None
        if flying is None:
            return
        if error is not None:
            self._waiting[:0] = flying
            self._failed(error)
            return
        self._published = self._covered
        try:
            self._publish(self._sequence)
        except Exception as problem:
            # Durable or not, nobody can tell them any more; to be left waiting for ever would be worse.
            self._settle(flying, IndexError_(Path("index"), f"what was flushed cannot be shown ({problem!r})"))
            raise
        if self._waiting:
            # The disk works while those who have waited answer their clients.
            self._start()
        self._settle(flying, None)

    @property
    def is_flushing(self) -> bool:
        """A flush is under way, and somebody waits for it."""
        return self._flying is not None

    def broke(self, error: IndexError_) -> None:
        """A change could not be written: no other is taken. What is being flushed may yet become durable."""
        if self.failure is None:
            self._failed(error)

    def _failed(self, error: IndexError_) -> None:
        self.failure = error
        waiting, self._waiting = self._waiting, []
        self._settle(waiting, error)

    def _settle(self, promises: list[Promise], error: IndexError_ | None) -> None:
        for promise in promises:
            try:
                if error is None:
                    promise.resolve(None)
                else:
                    promise.reject(error)
            except Exception as problem:  # noqa: BLE001 - one who waits must not keep the others waiting
                loop = self._loop
                assert loop is not None
                loop.call_exception_handler({"message": "a commit's observer failed", "exception": problem})

    def end(self, error: IndexError_ | None, closed: IndexError_) -> None:
        """The index closes, the flusher has stopped: those who still wait are told ``error``, or that all is durable.

        From now on, every change raises ``closed``.
        """
        flying, self._flying = self._flying or [], None
        waiting, self._waiting = self._waiting, []
        self.failure = closed
        self._settle(flying + waiting, error)
