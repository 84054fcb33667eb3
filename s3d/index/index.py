"""The object index: what there is, durable and visible; and the one way to change it.

Concurrency protocol. One process owns it (RocksDB's lock, and that of the data directory). Everything runs on the
thread of the event loop unless its docstring says otherwise; there is no lock and no await inside. A read sees the
durable view (`s3d.index.view`), a writer's read what is written; a change is written at once and visible when its
group is flushed (`s3d.index.commit`). ``durable`` is the only thing to wait for.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rocksdict import WriteBatch

from s3d._core.hot import Entry
from s3d._core.promise import Promise
from s3d.crash_point import crash_point
from s3d.index.commit import Commits, Flusher
from s3d.index.errors import IndexBusy, IndexError_, IndexFailed, IndexInUse, IndexTooNew, IndexTooOld
from s3d.index.garbage import Collecting
from s3d.index.memory import Memory
from s3d.index.records import Bucket, Generation, Upload, UploadedPart
from s3d.index.recovery import Floor, floor_of, lost, sync_directory
from s3d.index.rows import CACHE_BYTES, LOG_BYTES, WRITE_BUFFERS_BYTES, Rows, damaged
from s3d.index.scan import HeadScan, RowScan, UploadScan
from s3d.index.schema import (
    BOOT_SHIFT,
    FORMAT,
    INLINE,
    MAX_BOOT,
    Family,
    Name,
    bucket_prefix,
    decode_bucket,
    decode_head,
    decode_part,
    decode_upload,
    head_key,
    is_detailed,
    number_key,
    number_of,
    part_key,
    upload_id_bytes,
    upload_key,
    with_details,
)
from s3d.index.transitions import LAST_PART, MAX_BUCKETS
from s3d.index.view import Notes, View

log = logging.getLogger(__name__)

MEMORY_BYTES: Final = 64 << 20
REOPEN_BYTES: Final = LOG_BYTES + WRITE_BUFFERS_BYTES
"""What opening a database may write: the changes in its log, as tables."""
LOCK_WAIT_S: Final = 5.0
"""`Index.reopen` waits so long for reads in other threads to let the old database go."""


class Index(Collecting):
    """An open index. Make one with `open`; call `close` at the end."""

    def __init__(
        self,
        directory: Path,
        *,
        sync: bool,
        memory_bytes: int,
        cache_bytes: int,
        accept_loss: bool,
        boot_above: int,
        on_loss: Callable[[], None] | None,
    ) -> None:
        """Open; see `open`."""
        self._boot_above = boot_above
        self._on_loss = on_loss
        self.directory = directory
        self.sync = sync
        self._accept_loss = accept_loss
        self._cache_bytes = cache_bytes
        self.fresh = False
        """Nothing was there before."""
        self.behind = False
        """Changes that had been durable are not there any more."""
        self._memory_bytes = memory_bytes
        self._scans: weakref.WeakSet[RowScan] = weakref.WeakSet()
        self._watches = {}
        self.openings = 0
        self.boot = 0
        """Number of this start; it has never been used before."""
        self._counter = 0
        self._open()

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        sync: bool = True,
        memory_bytes: int = MEMORY_BYTES,
        cache_bytes: int = CACHE_BYTES,
        accept_loss: bool = False,
        boot_above: int = 0,
        on_loss: Callable[[], None] | None = None,
    ) -> Index:
        """Open the index in ``directory``, or make a new one there. Blocks; any thread, but then only the loop's.

        Without ``sync``, a flush hands rows to the kernel only: a power cut may take what was acknowledged.
        ``memory_bytes`` bounds the objects that are kept decoded, ``cache_bytes`` RocksDB's blocks. ``accept_loss``
        opens a log that is damaged below what had been durable, without what follows the damage; `behind` is true
        then, and the files as they were are kept. The number of this start will be greater than ``boot_above``,
        whatever the index says. ``on_loss`` is called, before anything is written, when changes that had been durable
        are not there any more, or when the index knows of no start as late as ``boot_above``.

        Raises `IndexInUse`, `IndexDamaged`, `IndexTooNew`, `IndexTooOld` or `IndexFailed`.
        """
        return cls(
            directory,
            sync=sync,
            memory_bytes=memory_bytes,
            cache_bytes=cache_bytes,
            accept_loss=accept_loss,
            boot_above=boot_above,
            on_loss=on_loss,
        )

    def _open(self) -> None:
        self.openings += 1
        directory = self.directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            floor = Floor(floor_of(directory))
            database = directory / "rows"
            self.fresh = not (database / "CURRENT").exists()
            # A first start that was cut short leaves no more than an empty database.
            if self.fresh and (floor.exists or any(database.glob("*.sst"))) and any(database.glob("MANIFEST-*")):
                raise damaged(database / "CURRENT", "the file is missing beside others of RocksDB")
            database.mkdir(mode=0o700, exist_ok=True)
            # Nothing was there, and yet something had been durable: all is lost.
            self.behind = floor.exists if self.fresh else lost(database, floor, self._accept_loss)
        except FileNotFoundError as error:
            raise damaged(Path(error.filename or directory), "the file is missing") from error
        except OSError as error:
            raise IndexFailed(Path(error.filename or directory), f"cannot be opened ({error.strerror})") from error
        rows = Rows(database, cache_bytes=self._cache_bytes)
        try:
            if not self.behind and rows.sequence() < floor.sequence:
                raise damaged(database, "RocksDB opened it with fewer changes than had been durable")
            if self.behind and self._on_loss is not None:
                self._on_loss()
            if self.fresh:
                # Before the floor, which must not outlive what it tells of. RocksDB sees to its own directory.
                sync_directory(directory)
                sync_directory(directory.parent)
            self._start(rows, floor)
        except OSError as error:
            rows.close()
            raise IndexFailed(directory, f"cannot be written ({error.strerror})") from error
        except BaseException:
            rows.close()
            raise
        self._rows = rows
        self._floor = floor
        self._durable_sequence = rows.sequence()
        # Reads may run while another thread opens it anew: what was read from the old view is not kept beside the new.
        self._view = View(rows)
        self._memory = Memory(self._memory_bytes)
        self._durable_buckets: dict[str, Bucket] = {}
        self._written_buckets = {}
        self._look_for_garbage()
        self.entries: dict[bytes, Entry] = self._memory.entries
        """What `cached` has in memory, by bucket name, NUL and key, for look-ups from C; they set an entry's ``seen``.
        Another dictionary when the index was opened anew."""
        self._flusher = Flusher(self._flush, floor.write if self.sync else None)
        # Last, because it lets changes in.
        self._commits = Commits(self._flusher, self._begin, self._publish)
        self._warn()

    def _warn(self) -> None:
        """Say so when a look-up will read more than the one block with its row, while the event loop waits."""
        needed_bytes = self._rows.directory_bytes()
        if needed_bytes * 2 > self._cache_bytes:
            log.warning(
                "%s: the index and filter blocks take %d MB, and half of the block cache is %d MB: look-ups will read"
                " them from the disk again and again, and everything waits meanwhile",
                self.directory,
                needed_bytes // 10**6,
                self._cache_bytes // (2 * 10**6),
            )

    def _start(self, rows: Rows, floor: Floor) -> None:
        """Check the format, and take the next boot number."""
        form = rows.get(Family.DEFAULT, Name.FORMAT)
        row = rows.get(Family.DEFAULT, Name.BOOT)
        if form is not None:
            found = number_of(form)
            if found > FORMAT:
                raise IndexTooNew(
                    rows.directory, f"its format is {found} and this s3d reads up to {FORMAT}: install a newer s3d"
                )
            if found < FORMAT:
                raise IndexTooOld(rows.directory, f"its format is {found} and this s3d reads {FORMAT} only")
        elif rows.sequence() > 0:
            raise damaged(rows.directory, "the row with its format is missing")
        else:
            self.fresh = True
        # Opened again in the same process, the boot and its counters go on: the files that it wrote bear it.
        stored = number_of(row) if row is not None else 0
        first = self.boot == 0
        if first and stored < self._boot_above and self._on_loss is not None:
            # Files know of a later start than the index does: it is new, or an older one, put back.
            self._on_loss()
        boot = max(self.boot, self._boot_above + first, stored + first)
        if boot > MAX_BOOT:
            raise IndexFailed(rows.directory, f"it has been started {MAX_BOOT} times and can number no more")
        crash_point("index.opened")
        batch = WriteBatch(raw_mode=True)
        batch.put(Name.FORMAT, number_key(FORMAT))
        batch.put(Name.BOOT, number_key(boot))
        rows.write(batch)
        rows.flush_log(True)
        self.boot = boot
        crash_point("index.boot_written")
        floor.write(rows.sequence())
        if self.behind:
            # The loss is told once: both slots, or the higher number would stand.
            floor.write(rows.sequence())

    def next_generation(self) -> int:
        """A number that no generation has had; each is greater than all before, over restarts too."""
        self._counter += 1
        return self.boot << BOOT_SHIFT | self._counter

    def next_file(self) -> int:
        """A number that no data file has had."""
        self._counter += 1
        return self.boot << BOOT_SHIFT | self._counter

    @property
    def failure(self) -> IndexError_ | None:
        """Why nothing can be changed, None while all is well."""
        return self._commits.failure

    @property
    def is_flushing(self) -> bool:
        """A flush is under way: it may yet succeed after a failure, and `reopen` has to wait for it."""
        return self._commits.is_flushing

    # Reads of the durable view.

    def bucket(self, name: str) -> Bucket | None:
        """None too for what can be no bucket's name."""
        # This dictionary to the end: another thread may open the index anew meanwhile.
        known = self._durable_buckets
        bucket = known.get(name)
        if bucket is not None:
            return bucket
        try:
            key = bucket_prefix(name)[:-1]
        except ValueError:
            return None
        row = self._view.get(Family.BUCKETS, key)
        if row is None:
            return None
        bucket = decode_bucket(row)
        if len(known) >= MAX_BUCKETS:
            known.clear()
        known[name] = bucket
        return bucket

    def buckets(self) -> list[Bucket]:
        """All, by name."""
        scan = RowScan(self._view, Family.BUCKETS, b"", b"\xff")
        return [decode_bucket(row) for _, row in scan.read(1 << 62)]

    def head(self, bucket: str, key: bytes) -> Generation | None:
        """The current generation, with all its extents and parts. ValueError for what can be no bucket's name."""
        row = self._view.get(Family.HEADS, head_key(bucket, key))
        return None if row is None else self._decoded(row)

    def body(self, generation: Generation) -> bytes:
        """The body of an inline generation that was read in the same synchronous step.

        It is checked against its XXH3. `IndexDamaged` if it is not what was written, or missing.
        """
        return self._checked(generation, self._view.body(number_key(generation.number)))

    def cached(self, bucket: str, key: bytes) -> Entry | None:
        """What a GET needs, from memory if it can be; None if there is no such object.

        An entry goes exactly when a change of its key becomes visible. ``entry.memo`` is the caller's.
        """
        if "\0" in bucket:
            # It would name an object of another bucket.
            return None
        row_key = bucket.encode() + b"\0" + key
        entry = self._memory.get(row_key)
        if entry is not None:
            entry.seen = True
            return entry
        row = self._view.get(Family.HEADS, row_key)
        if row is None:
            return None
        generation = self._decoded(row)
        body = self.body(generation) if generation.state & INLINE else None
        return self._memory.add(
            row_key, generation, body, len(row) + 40 * (len(generation.extents) + len(generation.parts))
        )

    def scan(self, bucket: str) -> HeadScan:
        """A cursor over the objects of a bucket."""
        scan = HeadScan(self._view, bucket)
        self._scans.add(scan.rows)
        return scan

    def scan_uploads(self, bucket: str) -> UploadScan:
        """A cursor over the uploads under way in a bucket."""
        scan = UploadScan(self._view, bucket)
        self._scans.add(scan.rows)
        return scan

    def upload(self, bucket: str, key: bytes, upload_id: str) -> Upload | None:
        """None too for what can be no upload's id."""
        raw = upload_id_bytes(upload_id)
        row = None if raw is None else self._view.get(Family.UPLOADS, upload_key(bucket, key, raw))
        return None if row is None else decode_upload(row)

    def parts(self, upload_id: str, after: int = 0, limit: int = 1000) -> list[UploadedPart]:
        """At most ``limit`` parts with numbers above ``after``, in order."""
        raw = upload_id_bytes(upload_id)
        if raw is None or after >= LAST_PART:
            return []
        lower, upper = part_key(raw, max(after + 1, 0)), part_key(raw, LAST_PART) + b"\0"
        return [decode_part(row) for _, row in RowScan(self._view, Family.PARTS, lower, upper).read(limit)]

    def known(self, files: Sequence[int]) -> list[bool]:
        """Any thread: for each data file, whether something durable refers to it, or something that will be."""
        view = self._view  # of these rows, whatever is opened meanwhile
        found = [view.rows.get(Family.FILES, number_key(number)) is not None for number in files]
        return [known or view.is_leaving(number) for known, number in zip(found, files, strict=True)]

    def files(self) -> Iterator[int]:
        """Numbers of all data files that something refers to, as they are at the first; any thread."""
        for key, _ in self._rows.items(Family.FILES, b"", b"\xff" * 9):
            yield number_of(key)

    def _decoded(self, row: bytes) -> Generation:
        generation = decode_head(row)
        if is_detailed(row):
            generation = with_details(generation, self._view.details(number_key(generation.number)))
        return generation

    # Durability.

    def durable(self) -> Promise:
        """Settled on the loop when all that is written by now is flushed and visible.

        It rejects with `IndexFailed` when the flush failed: whether those changes are there is unknown until `reopen`,
        and the files that they refer to must not be unlinked before. Cancelling it changes nothing but who is told.
        """
        return self._commits.durable()

    def renew(self) -> Promise:
        """Write what is there already, and make it durable: RocksDB keeps deleted rows for the snapshots of readers,
        which a flush renews."""
        self._check()
        batch = WriteBatch(raw_mode=True)
        batch.put(Name.FORMAT, number_key(FORMAT))
        self._write(batch)
        return self.durable()

    def _flush(self) -> None:
        """In the flusher's thread."""
        self._rows.flush_log(self.sync)
        crash_point("index.flushed")

    def _begin(self) -> int:
        if self.sync:
            batch = WriteBatch(raw_mode=True)
            batch.put(Name.DURABLE, number_key(self._durable_sequence))
            try:
                self._rows.write(batch)
            except IndexBusy:
                # Of what this flush covers, the next mark or the floor will tell.
                log.debug("no mark in the log of the index: RocksDB is busy")
        self._view.begin()
        return self._rows.sequence()

    def _publish(self, sequence: int) -> None:
        self._durable_sequence = sequence
        notes: Notes = self._view.publish()
        if notes.buckets:
            self._durable_buckets.clear()
        drop = self._memory.drop
        for key in notes.heads:
            drop(key)
        crash_point("index.visible")

    def reopen(self) -> None:
        """Open anew after a failure, with what the disk has. Blocks, in a thread; reads meanwhile raise `IndexFailed`.

        Raises as `open` does; it may be tried again then. `IndexFailed` of a disk that refuses a trial leaves
        everything as it is: reads go on.
        """
        self._try_disk()
        self._let_go()
        try:
            self._rows.close()
        except IndexError_ as error:
            # A database that failed may fail to close; whether it has let go its lock shows at once.
            log.warning("%s", error)
        deadline_s = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                self._open()
                return
            except IndexInUse:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)

    def _try_disk(self) -> None:
        """A database that is closed on a full disk does not open again, and nobody could read."""
        trial = self.directory / "trial"
        try:
            room = os.statvfs(self.directory)
            if room.f_bavail * room.f_frsize < REOPEN_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            with trial.open("wb") as file:
                file.write(bytes(1 << 20))
                file.flush()
                os.fsync(file.fileno())
            trial.unlink()
        except OSError as error:
            with contextlib.suppress(OSError):
                trial.unlink()
            raise IndexFailed(self.directory, f"the disk refuses to be written to ({error.strerror})") from error

    def close(self) -> None:
        """Make all that is written durable, tell those who wait, and let the directory go. Blocks; idempotent."""
        if self._rows.is_closed:
            return
        self._flusher.stop()
        failure: IndexError_ | None = self._commits.failure
        if failure is None:
            try:
                sequence = self._rows.sequence()
                self._rows.flush_log(True)
                self._floor.write(sequence)
                # The next start reads no log.
                self._rows.flush_tables()
            except IndexError_ as error:
                failure = error
            except OSError as error:
                failure = IndexFailed(self._floor.path, f"cannot be written ({error.strerror})")
        self._let_go()
        try:
            self._rows.close()
        except IndexError_ as error:
            # All that counts is in the log, or was told to be lost.
            log.warning("%s", error)
        self._commits.end(failure, self._rows.closed())

    def _let_go(self) -> None:
        """Of all that keeps the database open."""
        self._flusher.stop()
        for scan in list(self._scans):
            scan.close()
        self._view.close()
