"""From a spooled body to a durable data file: one call in a thread, which does not need the GIL.

Order: the file with its trailer is synced, then it gets its name, then the directory is synced. Directories are synced
together for all files that got a name in them at about the same time (`s3d._core.spool.Directory`).

Rejected, by measurement on ext4: giving the name first, so that one journal commit may carry both (no faster, and a
crash leaves torn files with names); syncing directories in a step of its own, one turn of the loop later (a second
thread hop, and no fewer syncs); one ``syncfs`` for a group of files (half the CPU, but it waits for whatever else is
being written on the file system).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future

from s3d._core.promise import Promise
from s3d._core.spool import Directory, Spool

STEPS = ("store.staged", "store.synced", "store.linked", "store.directory_synced")


class Publisher:
    """Publishes spooled bodies; loop's thread only.

    ``step`` is told each of `STEPS` in the thread that takes it; None costs nothing. ``forsake(number)`` is told of
    each published file that nobody wants any more: its promise was cancelled.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        forsake: Callable[[int], object],
        *,
        sync: bool,
        step: Callable[[str], object] | None = None,
    ) -> None:
        self.loop = loop
        self.executor = executor
        self.forsake = forsake
        self.sync = sync
        self.step: Callable[[int], object] | None = None
        if step is not None:
            tell = step
            self.step = lambda number: tell(STEPS[number])

    def publish(self, spool: Spool, number: int, directory: Directory, trailer: bytes) -> Promise:
        publication = _Publication(self, spool, number, directory, trailer)
        spool.lease()
        try:
            publication.turn = self.executor.submit(publication.run)
        except BaseException:
            spool.release()
            raise
        return publication.promise


class _Publication:
    """One file on its way."""

    __slots__ = ("cancelled", "directory", "error", "number", "promise", "publisher", "spool", "trailer", "turn")

    def __init__(self, publisher: Publisher, spool: Spool, number: int, directory: Directory, trailer: bytes) -> None:
        self.publisher = publisher
        self.spool = spool
        self.number = number
        self.directory = directory
        self.trailer = trailer
        self.error: BaseException | None = None
        self.cancelled = False
        self.turn: Future[None] | None = None
        self.promise = Promise(self._cancel)

    def _cancel(self) -> None:
        self.cancelled = True
        if self.turn is not None and self.turn.cancel():
            # Its turn had not come: on a disk that hangs it might never, and nobody else lets go of the body.
            self.spool.release()
            self.spool.close()

    def run(self) -> None:
        """In a thread."""
        publisher = self.publisher
        try:
            if not self.cancelled:
                self.spool.publish(self.directory, f"{self.number:016x}", self.trailer, publisher.sync, publisher.step)
        except BaseException as error:  # noqa: BLE001  told to the one who waits
            self.error = error
        try:
            publisher.loop.call_soon_threadsafe(self._ended)
        except RuntimeError:
            # The loop is closed: what was published is an orphan, as after a crash.
            self.spool.release()

    def _ended(self) -> None:
        self.spool.release()
        if self.error is not None:
            self.promise.reject(self.error)
        elif self.cancelled:
            self.publisher.forsake(self.number)
        else:
            self.promise.resolve(None)
