"""Data files are proved to be what was written before their bytes are served for the first time after a start.

A disk may give back other bytes than it was given, and say nothing. Each file's XXH3 is in its row. Files of this start
need no proof: their bytes were hashed on the way in. Any other one is read whole, in a thread, when it is first asked
for; then that is known until the process ends. What is that large that the client would notice (`WAITED_BYTES`) is
served at once and proved beside, where all of it is read anyway; it is refused from the moment it fails.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Iterable

from s3d.index.index import Index
from s3d.index.records import Extent
from s3d.store.layout import BOOT_SHIFT
from s3d.store.store import Store

_log = logging.getLogger("s3d.objects")

WAITED_BYTES = 64 << 20
"""Read from a cold disk of 500 MB/s in 0.13 s."""
_REMEMBERED = 1 << 20
"""Proofs; about 100 MB. When there are more, all are forgotten."""
_REMEMBERED_DAMAGED = 10_000


class Proofs:
    """What is known of the data files since the start. Loop's thread only.

    A file is being proved by one task, whoever waits for it; a caller that goes away leaves it running.
    """

    def __init__(self, index: Index, store: Store) -> None:
        self._index = index
        self._store = store
        self._passed: set[int] = set()
        self.damaged: dict[int, str] = {}
        """What is wrong with which files, as far as it is known and remembered."""
        self._running: dict[int, asyncio.Task[None]] = {}
        self._beside = asyncio.Semaphore(1)

    def wanting(self, extents: Iterable[Extent]) -> list[int]:
        """The files among those of ``extents`` that must be proved before they are served."""
        boot, passed = self._index.boot, self._passed
        return [extent.file for extent in extents if extent.file >> BOOT_SHIFT != boot and extent.file not in passed]

    async def prove(self, numbers: Iterable[int], *, wait: bool = False, whole: bool = False) -> None:
        """Return when ``numbers`` may be served; OSError with the path of one that must not.

        Large files are waited for only with ``wait``, and proved beside only if ``whole``: all of them will be read.
        """
        for number in dict.fromkeys(numbers):
            if number in self._passed:
                continue
            row = self._index.file(number)
            if row is None:
                # Its last row has gone meanwhile; who asks again finds that out, or that the file is not there.
                self._pass(number)
                continue
            if row.size_bytes <= WAITED_BYTES or wait:
                # Damaged or not: whoever puts the right file back need not start s3d again.
                await asyncio.shield(self._task(number, row.size_bytes, row.xxh3))
            elif number in self.damaged:
                raise self._refusal(number, self.damaged[number])
            else:
                self._pass(number)
                if whole:
                    self._task(number, row.size_bytes, row.xxh3, beside=True)

    def _task(self, number: int, size_bytes: int, xxh3: int, *, beside: bool = False) -> asyncio.Task[None]:
        task = self._running.get(number)
        if task is None:
            task = asyncio.ensure_future(self._prove(number, size_bytes, xxh3, beside=beside))
            self._running[number] = task

            def ended(done: asyncio.Task[None]) -> None:
                self._running.pop(number, None)
                if not done.cancelled():
                    # Whoever waits is told as well; beside a response nobody does.
                    done.exception()

            task.add_done_callback(ended)
        return task

    async def _prove(self, number: int, size_bytes: int, xxh3: int, *, beside: bool) -> None:
        # The file may go while it is read; its bytes stay for who has opened it.
        if not beside:
            what = await asyncio.to_thread(self._look, number, size_bytes, xxh3)
        else:
            async with self._beside:
                what = await asyncio.to_thread(self._look, number, size_bytes, xxh3)
        if what and self._index.file(number) is not None:
            if beside:
                _log.error("%s: a data file is not what was written: %s", self._store.layout.file(number), what)
                self._passed.discard(number)
            if len(self.damaged) < _REMEMBERED_DAMAGED:
                self.damaged[number] = what
            raise self._refusal(number, what)
        self.damaged.pop(number, None)
        self._pass(number)

    def _pass(self, number: int) -> None:
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed.add(number)

    def _look(self, number: int, size_bytes: int, xxh3: int) -> str:
        """In a thread: what is wrong with a file, empty if nothing is."""
        found: list[str] = []
        self._store.verify([(number, size_bytes, xxh3)], lambda _number, _path, what: found.append(what))
        return found[0] if found else ""

    def _refusal(self, number: int, what: str) -> OSError:
        return OSError(errno.EIO, f"a data file is not what was written: {what}", self._store.layout.file(number))

    async def close(self) -> None:
        """Wait for what is being read; nobody asks any more."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
