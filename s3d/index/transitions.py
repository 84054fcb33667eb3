"""Every change of the index. Each is one atomic batch, written and not yet durable.

Files are counted by extents: a file's row holds how many extents of generations and parts lie in it. A change adds up
what it adds and drops, file by file, so that what merely moves (the parts of an upload that become an object) costs
nothing. A file whose count comes to nothing loses its row, and its number is returned: unlink it once the change is
durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

import msgspec
import xxhash
from rocksdict import WriteBatch

from s3d.crash_point import crash_point
from s3d.index.commit import Commits
from s3d.index.errors import IndexBusy, IndexError_
from s3d.index.records import Bucket, DataFile, Extent, Generation, Upload, UploadedPart
from s3d.index.rows import Rows, damaged
from s3d.index.schema import (
    DETAILS_OF,
    INLINE,
    PARTS_OF,
    Dropped,
    Family,
    bucket_end,
    bucket_prefix,
    decode_bucket,
    decode_details,
    decode_file,
    decode_head,
    decode_part,
    decode_upload,
    encode,
    encode_head,
    head_key,
    is_detailed,
    number_key,
    part_key,
    upload_id_bytes,
    upload_key,
    with_details,
)
from s3d.index.view import View

log = logging.getLogger(__name__)

NewFiles = Sequence[tuple[int, DataFile]]
LAST_PART: Final = (1 << 16) - 1
DROPPED_AT_ONCE: Final = 64
"""Files that a change takes its references from itself, 10 us each; what it drops beyond becomes garbage."""
DETAILS_AT_ONCE_BYTES: Final = DROPPED_AT_ONCE * 16
LITTER: Final = 10_000
"""Deleted rows that a look-up may step over with the event loop waiting: 0.2 us each."""
MAX_BUCKETS: Final = 4096
"""So many buckets at most are kept decoded."""


class Counts:
    """What a change adds to and takes from the counts of files."""

    __slots__ = ("_by_file",)

    def __init__(self) -> None:
        self._by_file: dict[int, int] = {}

    def __len__(self) -> int:
        """Of files."""
        return len(self._by_file)

    def add(self, extents: Iterable[Extent], times: int = 1) -> None:
        by_file = self._by_file
        for extent in extents:
            by_file[extent.file] = by_file.get(extent.file, 0) + times

    def write(self, rows: Rows, batch: WriteBatch, new_files: NewFiles) -> list[int]:
        """Put the counts into ``batch``; returns the files that nothing refers to any more."""
        released: list[int] = []
        files = rows.handles[Family.FILES]
        by_file = self._by_file
        for number, file in new_files:
            count = by_file.pop(number, 0)
            if count <= 0:
                raise ValueError(f"nothing refers to the new file {number:016x}")
            batch.put(number_key(number), encode(msgspec.structs.replace(file, references=count)), files)
        for number, change in by_file.items():
            if change == 0:
                continue
            key = number_key(number)
            row = rows.get(Family.FILES, key)
            if row is None:
                if change > 0:
                    raise damaged(rows.directory, f"there is no row of the data file {number:016x}")
                # A delete must go through all the same; the sweep finds the file.
                log.error(
                    "%s: there is no row of the data file %016x, which a dropped object refers to",
                    rows.directory,
                    number,
                )
                continue
            file = decode_file(row)
            count = file.references + change
            if count > 0:
                batch.put(key, encode(msgspec.structs.replace(file, references=count)), files)
            else:
                batch.delete(key, files)
                released.append(number)
        return released


class Transitions:
    """The writers' half of the index: what is written, durable or not, and how it changes.

    All on one thread. A decision and the change that it leads to belong into one synchronous step: an ``await``
    between them lets another change in. Every change raises `IndexFailed` after a failed flush, `IndexBusy` when
    RocksDB takes nothing right now (nothing has changed then), and ValueError for a name that can be no bucket's.
    """

    _rows: Rows
    _view: View
    _commits: Commits
    _written_buckets: dict[str, Bucket]
    _watches: dict[str, list[list[None]]]
    openings: int
    """How often the database was opened: with another, what was written before may be gone."""
    has_garbage: bool
    """There may be rows of garbage."""

    def _checked(self, generation: Generation, body: bytes | None) -> bytes:
        """An inline body, proved to be what was written."""
        if body is None or len(body) != generation.size_bytes or xxhash.xxh3_64_intdigest(body) != generation.xxh3:
            raise damaged(
                self._rows.directory, f"the body of generation {generation.number:016x} is not what was written"
            )
        return body

    # What is written, durable or not.

    def written_head(self, bucket: str, key: bytes, *, details: bool = True) -> Generation | None:
        """The current generation; without ``details``, the extents and parts of a long one are left out (10,000 parts
        take 10 ms to read)."""
        row = self._rows.get(Family.HEADS, head_key(bucket, key))
        return decode_head(row) if row is not None and not details else self._complete(row)

    def written_body(self, generation: Generation) -> bytes:
        """The inline body of what `written_head` has just returned. `IndexDamaged` as `Index.body`."""
        return self._checked(generation, self._rows.get(Family.BODIES, number_key(generation.number)))

    def written_bucket(self, name: str) -> Bucket | None:
        known = self._written_buckets
        bucket = known.get(name)
        if bucket is not None:
            return bucket
        row = self._rows.get(Family.BUCKETS, bucket_prefix(name)[:-1])
        if row is None:
            return None
        bucket = decode_bucket(row)
        if len(known) >= MAX_BUCKETS:
            known.clear()
        known[name] = bucket
        return bucket

    def written_upload(self, bucket: str, key: bytes, upload_id: str) -> Upload | None:
        raw = upload_id_bytes(upload_id)
        row = None if raw is None else self._rows.get(Family.UPLOADS, upload_key(bucket, key, raw))
        return None if row is None else decode_upload(row)

    def written_part(self, upload_id: str, number: int) -> UploadedPart | None:
        raw = upload_id_bytes(upload_id)
        if raw is None or not 0 <= number <= LAST_PART:
            return None
        row = self._rows.get(Family.PARTS, part_key(raw, number))
        return None if row is None else decode_part(row)

    def bucket_is_empty(self, name: str) -> bool:
        """Whether there is no object in it; uploads under way do not count, `delete_bucket` aborts them."""
        for _ in self._rows.items(Family.HEADS, bucket_prefix(name), bucket_end(name)):
            return False
        return True

    def bucket_is_littered(self, name: str) -> bool:
        """Whether deleted rows lie before the first object, so many that `bucket_is_empty` would take long."""
        upper = bucket_end(name)
        rows = self._rows.iterator(Family.HEADS, upper, LITTER)
        rows.seek(bucket_prefix(name))
        problem = None if rows.valid() else self._rows.problem(rows)
        del rows
        if problem is not None and "internal keys skipped" not in str(problem):
            raise problem
        return problem is not None

    def tidy(self) -> None:
        """Any thread: let RocksDB drop deleted rows of objects, by writing them to a table, which it merges then."""
        self._rows.flush_heads()

    @contextmanager
    def watch_parts(self, upload_id: str) -> Iterator[Callable[[], bool]]:
        """Tell whether the parts of an upload are what they were at the beginning of this ``with``."""
        changes: list[None] = []
        watches = self._watches.setdefault(upload_id, [])
        watches.append(changes)
        opening = self.openings
        try:
            yield lambda: not changes and self.openings == opening
        finally:
            # By identity: two that have seen nothing are equal.
            watches[:] = [each for each in watches if each is not changes]
            if not watches:
                self._watches.pop(upload_id, None)

    def file(self, number: int) -> DataFile | None:
        """Any thread: what is known of a data file; None if nothing refers to it."""
        row = self._rows.get(Family.FILES, number_key(number))
        return None if row is None else decode_file(row)

    # Changes.

    def create_bucket(self, bucket: Bucket) -> None:
        """Put its row; the caller has looked whether there is one."""
        self.replace_bucket(bucket)

    def replace_bucket(self, bucket: Bucket) -> None:
        """Other settings, tags and so on."""
        self._check()
        key = bucket_prefix(bucket.name)[:-1]
        before = self._rows.get(Family.BUCKETS, key)
        batch = WriteBatch(raw_mode=True)
        batch.put(key, encode(bucket), self._rows.handles[Family.BUCKETS])
        self._written_buckets.clear()
        self._write(batch)
        self._view.gathering.buckets.setdefault(key, before)

    def delete_bucket(self, name: str) -> list[int]:
        """Drop an empty bucket, and abort the uploads under way in it. ValueError if there are objects."""
        self._check()
        if not self.bucket_is_empty(name):
            raise ValueError(f"the bucket {name} is not empty")
        key = bucket_prefix(name)[:-1]
        before = self._rows.get(Family.BUCKETS, key)
        batch = WriteBatch(raw_mode=True)
        counts = Counts()
        batch.delete(key, self._rows.handles[Family.BUCKETS])
        uploads: dict[bytes, bytes | None] = {}
        parts: dict[bytes, bytes | None] = {}
        for row_key, row in self._rows.items(Family.UPLOADS, bucket_prefix(name), bucket_end(name)):
            uploads[row_key] = row
            batch.delete(row_key, self._rows.handles[Family.UPLOADS])
            parts.update(self._drop_parts(batch, counts, row_key[-16:]) or {})
        released = counts.write(self._rows, batch, ())
        self._written_buckets.clear()
        self._write(batch, released)
        notes = self._view.gathering
        notes.buckets.setdefault(key, before)
        _note(notes.uploads, uploads)
        _note(notes.parts, parts)
        return released

    def put_object(
        self,
        bucket: str,
        key: bytes,
        generation: Generation,
        *,
        body: bytes | None = None,
        new_files: NewFiles = (),
    ) -> list[int]:
        """Make ``generation`` the current one of its key.

        ``body`` goes with ``State.INLINE``, and only with it. ``new_files`` are those that no row knows yet; the
        extents of others are references to what is there (`IndexDamaged` if it is not). Returns the files that the
        replaced generation was the last to use.
        """
        self._check()
        if (body is not None) != bool(generation.state & INLINE):
            raise ValueError("an inline generation has its body in the index, and no other has")
        rows = self._rows
        row_key = head_key(bucket, key)
        before = rows.get(Family.HEADS, row_key)
        batch = WriteBatch(raw_mode=True)
        released = self._replace(batch, row_key, before, generation, body, new_files)
        self._write(batch, released)
        self._view.gathering.heads.setdefault(row_key, before)
        return released

    def alter_object(self, bucket: str, key: bytes, generation: Generation) -> None:
        """Other metadata or tags of the generation that is current. ValueError if another one is."""
        self._check()
        row_key = head_key(bucket, key)
        before = self._rows.get(Family.HEADS, row_key)
        if before is None or decode_head(before).number != generation.number:
            raise ValueError(f"generation {generation.number:016x} is not the current one of its key")
        batch = WriteBatch(raw_mode=True)
        row, details = encode_head(generation)
        if (details is not None) != is_detailed(before):
            raise ValueError("the extents and parts of a generation do not change")
        batch.put(row_key, row, self._rows.handles[Family.HEADS])
        self._write(batch)
        self._view.gathering.heads.setdefault(row_key, before)

    def delete_objects(self, bucket: str, keys: Sequence[bytes]) -> list[int]:
        """Drop the objects of ``keys``, in one batch; keys without one are passed over."""
        self._check()
        rows = self._rows
        prefix = bucket_prefix(bucket)
        heads = rows.handles[Family.HEADS]
        batch = WriteBatch(raw_mode=True)
        counts = Counts()
        dropped: dict[bytes, bytes | None] = {}
        for key in keys:
            row_key = prefix + key
            if row_key in dropped:
                continue
            before = rows.get(Family.HEADS, row_key)
            if before is None:
                continue
            dropped[row_key] = before
            batch.delete(row_key, heads)
            self._drop(batch, counts, before)
        if not dropped:
            return []
        released = counts.write(rows, batch, ())
        self._write(batch, released)
        _note(self._view.gathering.heads, dropped)
        return released

    def create_upload(self, upload: Upload) -> None:
        """Begin a multipart upload. ValueError for an id that is not 32 lower-case hex digits."""
        self._check()
        key = _upload_key(upload)
        before = self._rows.get(Family.UPLOADS, key)
        batch = WriteBatch(raw_mode=True)
        batch.put(key, encode(upload), self._rows.handles[Family.UPLOADS])
        self._write(batch)
        self._view.gathering.uploads.setdefault(key, before)

    def put_part(self, upload_id: str, part: UploadedPart, new_files: NewFiles = ()) -> list[int]:
        """Add or replace a part of an upload that the caller has found to be there."""
        self._check()
        raw = upload_id_bytes(upload_id)
        if raw is None or not 0 <= part.number <= LAST_PART:
            raise ValueError(f"no part {part.number} of an upload {upload_id!r}")
        key = part_key(raw, part.number)
        before = self._rows.get(Family.PARTS, key)
        batch = WriteBatch(raw_mode=True)
        batch.put(key, encode(part), self._rows.handles[Family.PARTS])
        counts = Counts()
        counts.add(part.extents)
        if before is not None:
            counts.add(decode_part(before).extents, -1)
        released = counts.write(self._rows, batch, new_files)
        self._write(batch, released)
        self._view.gathering.parts.setdefault(key, before)
        for changes in self._watches.get(upload_id, ()):
            changes[:] = [None]
        return released

    def abort_upload(self, upload: Upload) -> list[int]:
        """Drop an upload and its parts."""
        self._check()
        batch = WriteBatch(raw_mode=True)
        counts = Counts()
        key, before, parts = self._drop_upload(batch, counts, upload)
        released = counts.write(self._rows, batch, ())
        self._write(batch, released)
        self._view.gathering.uploads.setdefault(key, before)
        _note(self._view.gathering.parts, parts or {})
        return released

    def complete_upload(self, upload: Upload, generation: Generation) -> list[int]:
        """End an upload: ``generation``, whose extents are those of the chosen parts, becomes its key's current one.

        The files of the chosen parts (those that ``generation.parts`` names) become the object's, without a copy; those
        of the others are returned, or are garbage if there are many.
        """
        self._check()
        batch = WriteBatch(raw_mode=True)
        counts = Counts()
        moved = tuple(part.number for part in generation.parts)
        key, upload_before, parts = self._drop_upload(batch, counts, upload, moved)
        if parts is not None:
            counts.add(generation.extents)
        elif sum(part.size_bytes for part in generation.parts) != generation.size_bytes:
            raise ValueError("an object that was uploaded names the parts that it is made of")
        row_key = head_key(upload.bucket, upload.key)
        before = self._rows.get(Family.HEADS, row_key)
        self._put_head(batch, row_key, generation, None)
        if before is not None:
            self._drop(batch, counts, before)
        released = counts.write(self._rows, batch, ())
        self._write(batch, released)
        notes = self._view.gathering
        notes.heads.setdefault(row_key, before)
        notes.uploads.setdefault(key, upload_before)
        _note(notes.parts, parts or {})
        return released

    # Pieces of changes.

    def _replace(
        self,
        batch: WriteBatch,
        row_key: bytes,
        before: bytes | None,
        generation: Generation,
        body: bytes | None,
        new_files: NewFiles,
    ) -> list[int]:
        """Put a head and all that belongs to it in the place of the one before."""
        self._put_head(batch, row_key, generation, body)
        if before is None and not generation.extents and not new_files:
            return []
        counts = Counts()
        counts.add(generation.extents)
        if before is not None:
            self._drop(batch, counts, before)
        return counts.write(self._rows, batch, new_files)

    def _put_head(self, batch: WriteBatch, row_key: bytes, generation: Generation, body: bytes | None) -> None:
        handles = self._rows.handles
        row, details = encode_head(generation)
        batch.put(row_key, row, handles[Family.HEADS])
        if details is not None:
            batch.put(number_key(generation.number), details, handles[Family.DETAILS])
        if body is not None:
            batch.put(number_key(generation.number), body, handles[Family.BODIES])

    def _drop(self, batch: WriteBatch, counts: Counts, head: bytes) -> None:
        """Drop what belongs to the generation of a head, the head itself excepted."""
        generation = decode_head(head)
        key = number_key(generation.number)
        if generation.state & INLINE:
            batch.delete(key, self._rows.handles[Family.BODIES])
        extents = generation.extents
        if is_detailed(head):
            details = self._rows.get(Family.DETAILS, key)
            if details is None:
                log.error(
                    "%s: the details of the dropped generation %016x are missing",
                    self._rows.directory,
                    generation.number,
                )
            elif len(details) > DETAILS_AT_ONCE_BYTES or len(counts) > DROPPED_AT_ONCE:
                self._leave(batch, DETAILS_OF + key, Dropped())
            else:
                extents, _ = decode_details(details)
                batch.delete(key, self._rows.handles[Family.DETAILS])
        counts.add(extents, -1)

    def _drop_upload(
        self, batch: WriteBatch, counts: Counts, upload: Upload, moved: tuple[int, ...] = ()
    ) -> tuple[bytes, bytes | None, dict[bytes, bytes | None] | None]:
        """Drop an upload with its parts; returns its key, its row, and what `_drop_parts` does."""
        key = _upload_key(upload)
        before = self._rows.get(Family.UPLOADS, key)
        if before is None:
            raise ValueError(f"there is no upload {upload.upload_id}")
        batch.delete(key, self._rows.handles[Family.UPLOADS])
        return key, before, self._drop_parts(batch, counts, key[-16:], moved)

    def _drop_parts(
        self, batch: WriteBatch, counts: Counts, upload_id: bytes, moved: tuple[int, ...] = ()
    ) -> dict[bytes, bytes | None] | None:
        """Drop the parts of an upload; returns their rows as they were, None if they are garbage now.

        In garbage, those that ``moved`` names have given their references away.
        """
        most = max(0, DROPPED_AT_ONCE - len(counts))
        rows = list(islice(self._parts(upload_id, 0), most + 1))
        if len(rows) > most:
            self._leave(batch, PARTS_OF + upload_id, Dropped(moved=moved))
            return None
        parts: dict[bytes, bytes | None] = {}
        for key, row in rows:
            parts[key] = row
            batch.delete(key, self._rows.handles[Family.PARTS])
            counts.add(decode_part(row).extents, -1)
        return parts

    def _leave(self, batch: WriteBatch, key: bytes, dropped: Dropped) -> None:
        """Leave garbage, for `s3d.index.garbage`."""
        batch.put(key, encode(dropped), self._rows.handles[Family.GARBAGE])
        # Before the write, as with `_write`: a key too many does no harm.
        self._view.gathering.garbage.add(key)
        self.has_garbage = True

    def _parts(self, upload_id: bytes, first: int) -> Iterator[tuple[bytes, bytes]]:
        return self._rows.items(Family.PARTS, part_key(upload_id, first), part_key(upload_id, LAST_PART) + b"\0")

    def _complete(self, row: bytes | None) -> Generation | None:
        """The generation of a written head."""
        if row is None:
            return None
        generation = decode_head(row)
        if is_detailed(row):
            details = self._rows.get(Family.DETAILS, number_key(generation.number))
            if details is None:
                raise damaged(self._rows.directory, f"the details of generation {generation.number:016x} are missing")
            generation = with_details(generation, details)
        return generation

    def _check(self) -> None:
        if self._commits.failure is not None:
            # Without what the raises before have left on it: that would grow with each of them.
            raise self._commits.failure.with_traceback(None)

    def _write(self, batch: WriteBatch, released: Sequence[int] = ()) -> None:
        if released:
            # Before the write, which the sweep may see at once; too many do no harm, the next start sweeps them.
            self._view.gathering.released.update(released)
        try:
            self._rows.write(batch)
        except IndexBusy:
            raise
        except IndexError_ as error:
            self._commits.broke(error)
            raise
        crash_point("index.written")
        self._commits.wrote()


def _upload_key(upload: Upload) -> bytes:
    raw = upload_id_bytes(upload.upload_id)
    if raw is None:
        raise ValueError(f"{upload.upload_id!r} cannot be the id of an upload")
    return upload_key(upload.bucket, upload.key, raw)


def _note(notes: dict[bytes, bytes | None], before: dict[bytes, bytes | None]) -> None:
    """Note rows as they were; the first note of a group stands."""
    for key, row in before.items():
        notes.setdefault(key, row)
