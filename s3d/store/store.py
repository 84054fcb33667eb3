"""Data files: bodies too large for the index, each in a file of its own that never changes once it has a name."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from s3d._core.filebody import FileBody, open_to_read
from s3d._core.promise import Promise
from s3d._core.spool import Directory, Pace, Spool
from s3d.store import check
from s3d.store.check import Lost, VerifyReport
from s3d.store.errors import StoreTooNew
from s3d.store.lane import Lane
from s3d.store.layout import MAX_NUMBER, SHARDS, Layout
from s3d.store.lock import Lock
from s3d.store.publishing import Publisher
from s3d.store.room import Room
from s3d.store.sweep import Sweep, SweepReport
from s3d.store.touch import Touch
from s3d.store.trailer import Trailer, encode
from s3d.store.trust import Trust

FORMAT = 1
"""Of the directory's layout; the trailer of each file has a version of its own."""
HASH_THREADS = 4
"""MD5 keeps a core busy: more threads than cores would only take turns."""
SYNC_THREADS = 16
"""Durable files a second at 64 waiting rise up to about 8 of them and fall from 64 on (ext4, files of 64 KiB)."""
READ_THREADS = 8
REREAD_THREADS = 4
PIECE_BYTES = 1 << 20
"""What `Store.read` yields at a time."""

log = logging.getLogger(__name__)


def _no_step(_name: str) -> None:
    """No test wants to end the process at a step."""


class Store:
    """The data files below one local directory. Made by `open`; loop's thread only unless said.

    Threads: one pool hashes and writes bodies, one syncs, names and unlinks files, one reads what is not in the page
    cache, one reads bytes again for their digests, so that none of them waits for another. All are bounded, and so is
    what waits for them (`Lane`).
    """

    def __init__(
        self,
        layout: Layout,
        lock: Lock,
        trust: Trust,
        *,
        sync: bool,
        step: Callable[[str], object] | None,
        reserve_bytes: int,
    ) -> None:
        self.layout = layout
        self.room = Room(layout.local_dir, reserve_bytes)
        """For whoever makes things grow to ask first; the store itself does not."""
        self.sync = sync
        self.closing = False
        self.touch = Touch(layout, stopped=lambda: self.closing)
        """What is known of the bytes of earlier boots."""
        self._lock = lock
        self._trust = trust
        self._steps = step
        self._step = step or _no_step
        self._staging = os.fsencode(layout.data)
        self._pace = Pace(sync)
        self._directories = [Directory(path) for path in layout.shards()]
        self._hashing = Lane(HASH_THREADS, "s3d-spool")
        self._syncing = Lane(SYNC_THREADS, "s3d-sync")
        self._reading = Lane(READ_THREADS, "s3d-read")
        self.rereading = Lane(REREAD_THREADS, "s3d-reread")
        """For those who `read` much, and for long."""
        self._publisher: Publisher | None = None
        self._loop_thread = 0
        self._pins: dict[int, int] = {}
        self._removable: set[int] = set()

    @classmethod
    def open(
        cls, local_dir: Path, *, sync: bool, step: Callable[[str], object] | None = None, reserve_bytes: int = 0
    ) -> Self:
        """Lock the directory and make what is missing of it; blocking.

        ``sync`` false: nothing is synced, so that a power loss may take what was acknowledged. ``step``: told the name
        of each durable step when it has been taken, from any thread, for tests that end the process there; None
        otherwise. ``reserve_bytes`` of the volume are kept back (`room`). Raises StoreLocked, StoreTooNew, or OSError
        with the path.
        """
        layout = Layout(local_dir)
        made = _make(local_dir)
        lock = Lock(layout.lock)
        try:
            _prepare(layout, made, sync=sync)
            trust = Trust(layout, sync=sync)
        except BaseException:
            lock.release()
            raise
        return cls(layout, lock, trust, sync=sync, step=step, reserve_bytes=reserve_bytes)

    def close(self) -> None:
        """Wait for what is under way, then let go of the directory; blocking, idempotent. Ends a sweep early."""
        self.closing = True
        for executor in (self._hashing, self._syncing, self._reading, self.rereading):
            executor.shutdown()
        self._lock.release()

    # Trust in the index.

    @property
    def highest_boot(self) -> int:
        """The highest boot that ran here before this process; numbers of a lower or equal one may be taken already."""
        return self._trust.highest_boot

    @property
    def doubtful(self) -> bool:
        """Files that no row knows have to be kept: the index was lost or damaged, and no sweep has gone through since.

        Reads the disk.
        """
        return self._trust.doubtful

    def doubt(self) -> None:
        """The index may have lost rows: no sweep deletes anything until one has kept what it does not know.

        To be called before anything is written that makes the index look sound again. Blocking, durable when it
        returns; any thread.
        """
        self._trust.doubt()

    def begin(self, boot: int) -> None:
        """Say which boot runs, before its first file is published. Blocking, durable when it returns; any thread.

        A boot that is not above `highest_boot` shows that the index was lost: as `doubt`.
        """
        self._trust.begin(boot)
        self.touch.boot = boot

    # Writing.

    def _running(self) -> Publisher:
        """The publisher of the running loop."""
        loop = asyncio.get_running_loop()
        publisher = self._publisher
        if publisher is None or publisher.loop is not loop:
            publisher = Publisher(loop, self._syncing, self._forsake, sync=self.sync, step=self._steps)
            self._publisher = publisher
            self._loop_thread = threading.get_ident()
        return publisher

    def spool(self, done: Callable[[Spool, BaseException | None], object], inline_limit: int) -> Spool:
        """A sink for one body; see `Spool`."""
        return Spool(self._staging, inline_limit, done, self._running().loop, self._hashing, self._pace)

    def publish(self, spool: Spool, number: int, record: bytes) -> Promise:
        """Make a whole body durable as data file ``number``, with ``record`` in its trailer.

        Resolves to None once file and name survive a power loss. Rejects with OSError; the file is then gone, or an
        orphan of this boot. Cancelling the promise gives the file up. The spool stays the caller's to close, at any
        time. ValueError for a record above `trailer.MAX_RECORD_BYTES`.
        """
        publisher = self._running()
        xxh3 = spool.xxh3
        if xxh3 is None:
            raise RuntimeError("only a whole body can be published")
        if not 0 <= number <= MAX_NUMBER:
            raise ValueError(f"{number} is no number of a file")
        trailer = encode(
            Trailer(number=number, size_bytes=spool.size_bytes, xxh3=xxh3, record=record, hashes=spool.block_hashes)
        )
        return publisher.publish(spool, number, self._directories[number >> 8 & SHARDS - 1], trailer)

    def _forsake(self, number: int) -> None:
        if not self.closing:
            self.remove((number,))

    # Reading.

    def body(self, extents: Sequence[tuple[int, int, int]]) -> FileBody:
        """The bytes of ``extents``, (file number, offset, size) each, as the source of an answer.

        Files are opened when their turn comes and pinned until the body has ended, however it ends; in a thread where a
        directory or an inode has to be read from the disk. Bytes of an earlier boot are proved before they go out; see
        `Touch`.
        """
        loop = self._running().loop
        numbers = [extent[0] for extent in extents]
        verifier = None if all(map(self.touch.known, numbers)) else self.touch
        self.pin(numbers)
        try:
            return FileBody(
                list(extents), self._open_in_turn, lambda: self.unpin(numbers), loop, self._reading, verifier
            )
        except BaseException:
            self.unpin(numbers)
            raise

    def _open_in_turn(self, number: int) -> int:
        """As `open_file`; on the loop's thread `BlockingIOError` rather than wait for the disk."""
        return open_to_read(self.layout.file(number), threading.get_ident() != self._loop_thread)

    def open_file(self, number: int) -> int:
        """A descriptor for reading data file ``number``, the caller's to close; any thread. OSError with the path."""
        return os.open(self.layout.file(number), os.O_RDONLY | os.O_CLOEXEC)

    def read(self, number: int, offset: int, size: int) -> Iterator[memoryview]:
        """``size`` bytes of data file ``number`` from ``offset`` on, in pieces, each good until the next is asked for.

        Bytes of an earlier boot are proved first, as for `body`. Blocking, any thread; OSError with the path. The
        caller has the file pinned.
        """
        fd = self.open_file(number)
        try:
            view = memoryview(bytearray(min(size, PIECE_BYTES)))
            end = offset + size
            proved = 0
            while offset < end:
                if offset >= proved:
                    proved = self.touch.verified(number, offset)
                if offset >= proved:
                    proved = self.touch.verify(number, fd, offset, min(end - offset, PIECE_BYTES))
                count = os.preadv(fd, [view[: min(end, proved, offset + PIECE_BYTES) - offset]], offset)
                if not count:
                    path = self.layout.file(number)
                    raise OSError(errno.EIO, f"a data file ends {end - offset} bytes too early", path)
                yield view[:count]
                offset += count
        finally:
            os.close(fd)

    def pin(self, numbers: Iterable[int]) -> None:
        """Keep these files until `unpin`, also if they are removed in between; counted."""
        for number in numbers:
            self._pins[number] = self._pins.get(number, 0) + 1

    def unpin(self, numbers: Iterable[int]) -> None:
        """Undo one `pin`; KeyError for a file that is not pinned."""
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

    # Removing.

    def remove(self, numbers: Sequence[int]) -> None:
        """Unlink these files in a thread, a pinned one when its last pin goes.

        The caller has made sure that no durable row refers to them. A file that cannot be unlinked, or whose turn does
        not come before `close`, is an orphan, which a later start sweeps.
        """
        free = []
        for number in numbers:
            if number in self._pins:
                self._removable.add(number)
            else:
                free.append(number)
        if free and not self.closing:
            try:
                self._syncing.submit(self._unlink, free)
            except OSError as error:
                log.warning("cannot remove %d data files that nothing refers to: %s", len(free), error.strerror)

    def _unlink(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._step("store.unlinking")
            self.touch.forget((number,))
            try:
                os.unlink(self.layout.file(number))
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("cannot remove a data file that nothing refers to: %s", error)
            self._step("store.unlinked")

    # Looking after what is there.

    def sweep(
        self, boot: int, known: Callable[[Sequence[int]], Sequence[bool]], keep_unknown: bool = False
    ) -> SweepReport:
        """Clear away files of boots before ``boot`` that no row refers to; blocking, in a thread of the caller's.

        ``known(numbers)``, called in that thread with up to `sweep.BATCH` of them, says for each whether a durable row
        refers to it. ``keep_unknown``, or doubt from before: they move to lost+found; nothing is deleted. Raises what
        ``known`` raises, and OSError when the doubt cannot be written down.
        """
        if keep_unknown:
            self._trust.doubt()
        doubts = self._trust.doubts
        sweep = Sweep(
            self.layout,
            boot,
            known,
            keep_unknown=lambda: self._trust.doubtful,
            spared=lambda number: number in self._pins or number in self._removable,
            stopped=lambda: self.closing,
            step=self._step,
        )
        report = sweep.run()
        # A doubt that came up meanwhile is about files that this sweep has passed.
        if report.complete and self._trust.doubts == doubts:
            self._trust.settle()
        return report

    def verify(
        self,
        expected: Iterable[tuple[int, int, int]],
        problem: Callable[[int, str, str], object],
        progress: Callable[[VerifyReport], object] | None = None,
    ) -> VerifyReport:
        """Compare every file of ``expected`` with its size and XXH3; see `check.verify`. Blocking, any thread."""
        return check.verify(self.layout, expected, problem, progress)

    def lost(self) -> Iterator[Lost]:
        """What lies in lost+found, with its trailer or the reason why it has none. Blocking, any thread."""
        return check.lost_files(self.layout)

    def adopt(self, lost: Lost, number: int) -> Trailer:
        """Give a file of lost+found a name among the data files again, as ``number``, a new one of this boot.

        Its data is read and proved to be what its trailer says: TrailerError otherwise. It keeps its name in
        lost+found as well until `adopted`, so that a crash before the row that will refer to it is durable loses
        nothing. Durable when it returns; blocking, any thread.
        """
        found = check.check_data(lost.path)
        os.link(lost.path, self.layout.file(number))
        if self.sync:
            self._directories[number >> 8 & SHARDS - 1].sync()
        return found

    def adopted(self, lost: Lost) -> None:
        """The row that refers to an adopted file is durable: take it out of lost+found. Blocking, any thread."""
        os.unlink(lost.path)


def _make(local_dir: Path) -> set[Path]:
    """Make a directory with all that is missing above it; returns those that were made."""
    local_dir = local_dir.absolute()
    made = {path for path in (local_dir, *local_dir.parents) if not path.exists()}
    local_dir.mkdir(parents=True, exist_ok=True)
    return made


def _sync_names(local_dir: Path, made: set[Path]) -> None:
    """Make the names of a directory and of all above it durable, up to the root of its volume.

    Not of those in ``made`` alone: a start that was killed between making some and syncing them left the others to us.
    """
    local_dir = local_dir.absolute()
    for path in (local_dir, *local_dir.parents):
        if os.path.ismount(path):
            return
        try:
            Directory(os.fspath(path.parent)).sync()
        except OSError as error:
            # A directory of somebody else's that we may pass through and not read, or whose file system syncs none.
            if path in made or error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL):
                raise


def _prepare(layout: Layout, made: set[Path], *, sync: bool) -> None:
    """Make the directories, durable before the first file is; ``made`` are those that `_make` had to make."""
    try:
        written = layout.format.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        written = ""
    if written and not (written.isdecimal() and int(written) <= FORMAT):
        raise StoreTooNew(
            f"{layout.format} says that {layout.local_dir} has format {written[:40]!r}; this s3d knows formats up to "
            f"{FORMAT}: run the newer s3d that wrote it, or give this one a directory of its own by S3D_LOCAL_DIR"
        )
    if sync and not written:
        # Before the format is: where it stands, the way to it is durable.
        _sync_names(layout.local_dir, made)
    for directory in (layout.data, layout.lost_and_found):
        directory.mkdir(exist_ok=True)
    for shard in layout.shards():
        os.makedirs(shard, exist_ok=True)
    if not written:
        layout.format.write_text(f"{FORMAT}\n")
    if sync:
        for synced in (layout.data, layout.local_dir):
            Directory(os.fspath(synced)).sync()
