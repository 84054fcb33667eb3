"""From a spooled body to a durable data file.

Two steps, each in a thread of the store's own pool. First the file itself: trailer, fdatasync, name. Then its
directory's fsync: all files that got their names within one turn of the loop and lie in one directory share one, and
while it runs the next group gathers, so the number of syncs falls as the load rises.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor

from s3d._core.promise import Promise
from s3d._core.spool import Spool


class Publication:
    """One file on its way; lives until the promise is settled."""

    __slots__ = ("cancelled", "directory", "error", "number", "path", "promise", "spool", "trailer")

    def __init__(self, spool: Spool, number: int, path: str, directory: str, trailer: bytes) -> None:
        self.spool = spool
        self.number = number
        self.path = path
        self.directory = directory
        self.trailer = trailer
        self.error: BaseException | None = None
        self.cancelled = False
        self.promise = Promise(self._cancel)

    def _cancel(self) -> None:
        self.cancelled = True


class Publisher:
    """Publishes spooled bodies; loop's thread only.

    ``forsake(number)`` is told of each file that has its name but nobody who wants it: its promise was cancelled, or
    its directory could not be synced.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        executor: Executor,
        forsake: Callable[[int], object],
        *,
        sync: bool,
    ) -> None:
        self._loop = loop
        self._executor = executor
        self._forsake = forsake
        self._sync = sync
        self._named: dict[str, list[Publication]] = {}
        self._syncing: set[str] = set()
        self._scheduled = False

    def publish(self, publication: Publication) -> Promise:
        publication.spool.lease()
        try:
            self._executor.submit(self._name, publication)
        except BaseException:
            publication.spool.release()
            raise
        return publication.promise

    def _name(self, publication: Publication) -> None:
        """In a thread: sync the file and name it."""
        try:
            publication.spool.publish(publication.path, publication.trailer, self._sync)
        except BaseException as error:  # noqa: BLE001  told to the one who waits
            publication.error = error
        self._loop.call_soon_threadsafe(self._on_named, publication)

    def _on_named(self, publication: Publication) -> None:
        publication.spool.release()
        if publication.error is not None:
            publication.promise.reject(publication.error)
        elif publication.cancelled:
            self._forsake(publication.number)
        elif not self._sync:
            publication.promise.resolve(None)
        else:
            self._named.setdefault(publication.directory, []).append(publication)
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._sync_directories)

    def _sync_directories(self) -> None:
        self._scheduled = False
        for directory in [name for name in self._named if name not in self._syncing]:
            self._syncing.add(directory)
            self._executor.submit(self._sync_directory, directory, self._named.pop(directory))

    def _sync_directory(self, directory: str, group: list[Publication]) -> None:
        """In a thread."""
        error: BaseException | None = None
        try:
            fsync_directory(directory)
        except BaseException as raised:  # noqa: BLE001  told to those who wait
            error = raised
        self._loop.call_soon_threadsafe(self._on_synced, directory, group, error)

    def _on_synced(self, directory: str, group: list[Publication], error: BaseException | None) -> None:
        self._syncing.discard(directory)
        if self._named and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._sync_directories)
        for publication in group:
            if error is not None or publication.cancelled:
                self._forsake(publication.number)
            if error is not None:
                publication.promise.reject(error)
            else:
                publication.promise.resolve(None)


def fsync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable; OSError names it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(fd)
