"""Data files: bodies too large for the index, each in a file of its own that never changes once it has a name."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from s3d._core.filebody import FileBody
from s3d._core.promise import Promise
from s3d._core.spool import Directory, Pace, Spool
from s3d.store.errors import StoreTooNew
from s3d.store.layout import Layout
from s3d.store.lock import Lock
from s3d.store.publishing import Publisher
from s3d.store.trailer import Trailer, encode

FORMAT = 1
"""Of the directory's layout; the trailer of each file has a version of its own."""
SYNC_THREADS = 16
HASH_THREADS = 4

log = logging.getLogger(__name__)


class Store:
    """The data files below one local directory. Made by `open`; loop's thread only unless said.

    Threads: one pool hashes and writes bodies, the other syncs, names and unlinks files, so that uploads go on while
    the disk syncs. Both are bounded; what waits for them is bounded by the server's connections.
    """

    def __init__(self, layout: Layout, lock: Lock, *, sync: bool) -> None:
        self.layout = layout
        self.sync = sync
        self._lock = lock
        self._staging = os.fspath(layout.data)
        self._pace = Pace()
        self._directories = [Directory(path) for path in layout.shards()]
        self._hashing = ThreadPoolExecutor(HASH_THREADS, thread_name_prefix="s3d-spool")
        self._syncing = ThreadPoolExecutor(SYNC_THREADS, thread_name_prefix="s3d-sync")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._publisher: Publisher | None = None
        self._pins: dict[int, int] = {}
        self._removable: set[int] = set()

    @classmethod
    def open(cls, local_dir: Path, *, sync: bool) -> Self:
        """Lock the directory and make what is missing of it; blocking.

        ``sync`` false: nothing is synced, so that a power loss may take what was acknowledged. Raises StoreLocked,
        StoreTooNew, or OSError with the path.
        """
        layout = Layout(local_dir)
        local_dir.mkdir(parents=True, exist_ok=True)
        lock = Lock(layout.lock)
        try:
            _prepare(layout, sync=sync)
        except BaseException:
            lock.release()
            raise
        return cls(layout, lock, sync=sync)

    def close(self) -> None:
        """Wait for what is under way, then let go of the directory; blocking, idempotent."""
        self._hashing.shutdown()
        self._syncing.shutdown()
        self._lock.release()

    def _started(self) -> Publisher:
        """The publisher of the running loop."""
        if self._publisher is None:
            self._loop = asyncio.get_running_loop()
            self._publisher = Publisher(self._loop, self._syncing, self._forsake, sync=self.sync)
        return self._publisher

    def spool(self, done: Callable[[Spool, BaseException | None], object], inline_limit: int) -> Spool:
        """A sink for one body; see `Spool`."""
        if self._loop is None:
            self._started()
        assert self._loop is not None
        return Spool(self._staging, inline_limit, done, self._loop, self._hashing, self._pace)

    def publish(self, spool: Spool, number: int, record: bytes) -> Promise:
        """Make a whole body durable as data file ``number``, with ``record`` in its trailer.

        Resolves to None once file and name survive a power loss. Rejects with OSError; the file is then gone, or an
        orphan of this boot. Cancelling the promise gives the file up. The spool stays the caller's to close, at any
        time.
        """
        publisher = self._started()
        xxh3 = spool.xxh3
        if xxh3 is None:
            raise RuntimeError("only a whole body can be published")
        trailer = encode(Trailer(number=number, size_bytes=spool.size_bytes, xxh3=xxh3, record=record))
        return publisher.publish(spool, number, self._directories[number >> 8 & 0xFF], trailer)

    def _forsake(self, number: int) -> None:
        self.remove((number,))

    # Reading.

    def open_file(self, number: int) -> int:
        """A descriptor for reading data file ``number``, the caller's to close; any thread. OSError with the path."""
        return os.open(self.layout.file(number), os.O_RDONLY | os.O_CLOEXEC)

    def pin(self, numbers: Iterable[int]) -> None:
        """Keep these files until `unpin`, also if they are removed in between; counted."""
        for number in numbers:
            self._pins[number] = self._pins.get(number, 0) + 1

    def unpin(self, numbers: Iterable[int]) -> None:
        free = []
        for number in numbers:
            left = self._pins[number] - 1
            if left:
                self._pins[number] = left
                continue
            del self._pins[number]
            if number in self._removable:
                self._removable.discard(number)
                free.append(number)
        if free:
            self.remove(free)

    def body(self, extents):
        numbers = [e[0] for e in extents]
        self.pin(numbers)
        self._started()
        return FileBody(list(extents), self.open_file, lambda: self.unpin(numbers), self._loop, self._hashing)

    # Removing.

    def remove(self, numbers: Sequence[int]) -> None:
        """Unlink these files in a thread, a pinned one when its last pin goes.

        For the caller to have made sure first that no durable row refers to them. A file that cannot be unlinked is
        an orphan, which a later start sweeps.
        """
        free = []
        for number in numbers:
            if number in self._pins:
                self._removable.add(number)
            else:
                free.append(number)
        if free:
            self._syncing.submit(self._unlink, free)

    def _unlink(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            try:
                os.unlink(self.layout.file(number))
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("cannot remove a data file that nothing refers to: %s", error)


def _prepare(layout: Layout, *, sync: bool) -> None:
    """Make the directories, durable before the first file is."""
    try:
        written = layout.format.read_text()
    except FileNotFoundError:
        written = ""
    if written and not (written.strip().isdecimal() and int(written) <= FORMAT):
        raise StoreTooNew(
            f"{layout.format} says that {layout.local_dir} has format {written.strip()[:40]!r}; this s3d knows formats "
            f"up to {FORMAT}: run the newer s3d that wrote it, or give this one a directory of its own by S3D_LOCAL_DIR"
        )
    for directory in (layout.data, layout.staging, layout.lost_and_found):
        directory.mkdir(exist_ok=True)
    for shard in layout.shards():
        os.makedirs(shard, exist_ok=True)
    if not written:
        layout.format.write_text(f"{FORMAT}\n")
    if sync:
        for directory in (layout.data, layout.local_dir):
            Directory(os.fspath(directory)).sync()
