"""What lies in lost+found becomes objects again, and an index that is damaged is opened with what is left of it.

For commands: nobody else has the directory. A data file says itself which object or part it was (`Trailer`); it comes
back unless something newer is under its key. For each: the file gets a name among the data files, durably; one index
transition; its flush; then it leaves lost+found. A crash between any two of these leaves it in lost+found, and the next
run finds it there; the name that it got already is an orphan, for the sweep.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from s3d.index.errors import IndexBusy, IndexError_
from s3d.index.index import Index
from s3d.index.records import Bucket, Checksum, DataFile, Extent, Generation, State, Upload, UploadedPart
from s3d.objects.engine import Engine, Trailer
from s3d.objects.local import LocalDamaged, LocalError, one_line, open_index, open_store
from s3d.objects.multipart import Multipart
from s3d.s3 import uploads
from s3d.s3.errors import S3Error
from s3d.s3.names import check_bucket_name, check_key
from s3d.s3.reading import CompletedPart
from s3d.s3.steps import at_once
from s3d.store.check import Lost, read_trailer
from s3d.store.layout import file_number
from s3d.store.store import Store
from s3d.store.sweep import SweepReport
from s3d.store.trailer import Trailer as FileTrailer
from s3d.store.trailer import TrailerError

GROUP = 64
"""Files whose rows are flushed together."""
MAX_PARTS = 10_000
_BUSY_S = 0.1

_decode = msgspec.msgpack.Decoder(Trailer).decode


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one file."""

    path: str
    adopted: bool
    reason: str = ""
    """Why not, where it was not."""
    bucket: str = ""
    key: bytes = b""
    size_bytes: int = 0
    upload_id: str = ""
    part: int = 0


class Adopted(msgspec.Struct):
    """How many of each."""

    buckets: int = 0
    """Made anew."""
    objects: int = 0
    uploads: int = 0
    """Rebuilt."""
    parts: int = 0
    bytes: int = 0
    completed: int = 0
    """Of the uploads; they count as objects too."""
    left: int = 0
    """Files that stay in lost+found."""


class Repaired(msgspec.Struct):
    """What was found and done."""

    damage: str = ""
    """Why the index could not be opened as it was; empty if it could."""
    behind: bool = False
    """Changes that had been durable are not there any more."""
    set_aside: str = ""
    """Where the old index is, if a new one was begun."""
    kept: str = ""
    """Where the database lies as it was before a part of it was given up."""
    moved_files: int = 0
    moved_bytes: int = 0
    """Data files that the index does not know: they are in lost+found now."""
    lost_files: int = 0
    """In lost+found altogether."""


class _Refused(Exception):
    """A file stays where it is."""


def adopt(
    directory: Path,
    region: str,
    tell: Callable[[Fate], object],
    progress: Callable[[int, int], object],
    *,
    complete: bool = False,
) -> Adopted:
    """Bring back what lies in lost+found; blocking. Raises `LocalError`.

    ``region`` is that of buckets that are made anew. ``tell`` hears of each file, ``progress`` how many of how many are
    done. With ``complete``, uploads that were rebuilt become objects, if they have all parts from 1 to their last and
    nothing is under their keys: nobody knows any more which of them had been completed.
    """
    store = open_store(directory)
    try:
        index = open_index(directory, store)
        try:
            if store.doubtful:
                _sweep(store, index)
            return asyncio.run(_Adoption(store, index, region, tell, progress).run(complete=complete))
        except (IndexError_, OSError) as error:
            raise LocalError(one_line(error)) from error
        finally:
            index.close()
    finally:
        store.close()


def repair(directory: Path, *, new_index: bool = False) -> Repaired:
    """Open the index with what is left of it, and keep all data files that it does not know; blocking.

    Nothing is deleted. Raises `LocalDamaged` when even that does not open it and ``new_index`` does not allow to begin
    a new one, else `LocalError`.
    """
    store = open_store(directory)
    try:
        done = Repaired()
        try:
            index = open_index(directory, store)
        except LocalDamaged as error:
            done.damage = one_line(error.__cause__ or error)
            index = _open_damaged(directory, store, done, new_index=new_index)
        try:
            done.behind = index.behind
            kept = directory / "index" / "rows.kept"
            done.kept = str(kept) if kept.exists() else ""
            if store.doubtful:
                report = _sweep(store, index)
                done.moved_files, done.moved_bytes = report.kept, report.unknown_bytes
            done.lost_files = sum(1 for _ in _numbers(store))
        except (IndexError_, OSError) as error:
            raise LocalError(one_line(error)) from error
        finally:
            index.close()
        return done
    finally:
        store.close()


def _open_damaged(directory: Path, store: Store, done: Repaired, *, new_index: bool) -> Index:
    # Written down first: whatever happens from here on, no sweep deletes what this index knew.
    store.doubt()
    try:
        return open_index(directory, store, accept_loss=True)
    except LocalDamaged:
        if not new_index:
            raise
    aside = directory / "index.damaged"
    count = 0
    while os.path.lexists(aside):
        count += 1
        aside = directory / f"index.damaged.{count}"
    try:
        os.rename(directory / "index", aside)
    except OSError as error:
        raise LocalError(f"{aside}: {error.strerror}") from error
    done.set_aside = str(aside)
    return open_index(directory, store)


def _sweep(store: Store, index: Index) -> SweepReport:
    report = store.sweep(index.boot, index.known, True)
    if not report.complete:
        raise LocalError(f"not all files could be moved to {store.layout.lost_and_found}: {report.first_error}")
    return report


def _numbers(store: Store) -> Iterator[tuple[int, str]]:
    """Number and path of what lies in lost+found."""
    with os.scandir(store.layout.lost_and_found) as entries:
        for entry in entries:
            number = file_number(entry.name[:16])
            if number is not None and entry.is_file(follow_symlinks=False):
                yield number, entry.path


class _Adoption:
    """One run over lost+found."""

    def __init__(
        self,
        store: Store,
        index: Index,
        region: str,
        tell: Callable[[Fate], object],
        progress: Callable[[int, int], object],
    ) -> None:
        self._store = store
        self._index = index
        self._region = region
        self._tell = tell
        self._progress = progress
        self._written: list[tuple[str, Fate]] = []
        self._released: list[int] = []
        self._rebuilt: list[Upload] = []
        self.counts = Adopted()

    async def run(self, *, complete: bool) -> Adopted:
        # First of all: an upload that comes back must not meet what is left of its being dropped.
        while self._index.has_garbage:
            self._released += await self._try(self._index.collect)
            await self._settle_released()
        # The newest first, so that an older one of the same key finds it there and stays where it is.
        found = sorted(_numbers(self._store), reverse=True)
        for done, (_, path) in enumerate(found):
            try:
                await self._take(path)
            except (_Refused, TrailerError) as error:
                self._leave(path, str(error))
            except FileNotFoundError:
                continue
            except OSError as error:
                self._leave(path, f"it cannot be read: {error.strerror}")
            if len(self._written) >= GROUP:
                await self._settle()
            self._progress(done + 1, len(found))
        await self._settle()
        if complete:
            multipart = Multipart(Engine(self._index, self._store, inline_size_bytes=0))
            for upload in self._rebuilt:
                await self._complete(multipart, upload)
        return self.counts

    async def _complete(self, multipart: Multipart, upload: Upload) -> None:
        """Make an object of a rebuilt upload, if it has every part that it can be seen to need."""
        parts = self._index.parts(upload.upload_id, limit=MAX_PARTS)
        there = self._index.written_head(upload.bucket, upload.key)
        if there is not None or [part.number for part in parts] != list(range(1, len(parts) + 1)):
            return
        listed = [
            CompletedPart(
                part.number, part.etag, (part.checksum.algorithm, part.checksum.value) if part.checksum else None
            )
            for part in parts
        ]
        try:
            made = uploads.complete(upload, listed, {part.number: part for part in parts})
        except S3Error:
            return
        checksum = Checksum(*made.checksum) if made.checksum is not None else None
        generation = at_once(multipart.made(upload, parts, made.etag, checksum))
        await multipart.complete(upload, generation, lambda: True)
        self.counts.completed += 1
        self.counts.objects += 1

    def _leave(self, path: str, reason: str) -> None:
        self.counts.left += 1
        about = _about(path)
        if about is None:
            self._tell(Fate(path, adopted=False, reason=reason))
        else:
            self._tell(msgspec.structs.replace(about, reason=reason))

    async def _settle(self) -> None:
        """Make durable what was written, and only then take the files out of lost+found."""
        if not self._written:
            return
        await self._settle_released()
        for path, fate in self._written:
            self._store.adopted(_lost(path))
            self._tell(fate)
        self._written = []

    async def _settle_released(self) -> None:
        await self._index.durable()
        self._store.remove(self._released)
        self._released = []

    async def _take(self, path: str) -> None:
        record = _record(read_trailer(path))
        if record.generation is not None:
            await self._take_object(path, record, record.generation)
        elif record.upload is not None and record.part is not None:
            await self._take_part(path, record.upload, record.part)
        else:
            raise _Refused("its trailer describes neither an object nor a part")

    async def _take_object(self, path: str, record: Trailer, generation: Generation) -> None:
        bucket, key = record.bucket, record.key
        current = self._index.written_head(bucket, key)
        if current is not None:
            if current.number == generation.number and self._is_same(current, path):
                # The run before this one ended between the row and the last step.
                self._written.append((path, _fate(path, bucket, key, generation.size_bytes)))
                self.counts.objects += 1
                return
            if current.number >= generation.number:
                raise _Refused("a newer object is under its key")
        number, file = self._name(path)
        await self._make_bucket(bucket, generation.owner, generation.modified_ms)
        taken = msgspec.structs.replace(
            generation,
            state=State.RESIDENT,
            extents=(Extent(number, 0, file.size_bytes),),
            modified_ms=max(generation.modified_ms, current.modified_ms if current is not None else 0),
        )
        self._released += await self._try(
            lambda: self._index.put_object(bucket, key, taken, new_files=((number, file),))
        )
        self._written.append((path, _fate(path, bucket, key, file.size_bytes)))
        self.counts.objects += 1
        self.counts.bytes += file.size_bytes

    async def _take_part(self, path: str, upload: Upload, part: UploadedPart) -> None:
        current = self._index.written_part(upload.upload_id, part.number)
        if current is not None:
            same = len(current.extents) == 1 and self._is_file(current.extents[0].file, path)
            if current.modified_ms >= part.modified_ms and not same:
                raise _Refused("a newer part of that number is in its upload")
            if same:
                self._written.append((path, _fate_of_part(path, upload, part)))
                self.counts.parts += 1
                return
        number, file = self._name(path)
        await self._make_bucket(upload.bucket, upload.owner, upload.created_ms)
        if self._index.written_upload(upload.bucket, upload.key, upload.upload_id) is None:
            await self._try(lambda: self._index.create_upload(upload))
            self._rebuilt.append(upload)
            self.counts.uploads += 1
        taken = msgspec.structs.replace(part, extents=(Extent(number, 0, file.size_bytes),))
        self._released += await self._try(
            lambda: self._index.put_part(upload.upload_id, taken, new_files=((number, file),))
        )
        self._written.append((path, _fate_of_part(path, upload, part)))
        self.counts.parts += 1
        self.counts.bytes += file.size_bytes

    def _name(self, path: str) -> tuple[int, DataFile]:
        """Prove a file's data, and give it a name among the data files."""
        number = self._index.next_file()
        found = self._store.adopt(_lost(path), number)
        return number, DataFile(found.size_bytes, found.xxh3)

    def _is_same(self, generation: Generation, path: str) -> bool:
        return len(generation.extents) == 1 and self._is_file(generation.extents[0].file, path)

    def _is_file(self, number: int, path: str) -> bool:
        try:
            return os.path.samefile(self._store.layout.file(number), path)
        except OSError:
            return False

    async def _make_bucket(self, name: str, owner: str, created_ms: int) -> None:
        if self._index.written_bucket(name) is None:
            created_ms = min(created_ms, time.time_ns() // 1_000_000)
            await self._try(lambda: self._index.create_bucket(Bucket(name, created_ms, owner, self._region)))
            self.counts.buckets += 1

    async def _try(self, change: Callable[[], list[int] | None]) -> list[int]:
        """One transition, again and again while the index has no room for it."""
        while True:
            try:
                return change() or []
            except IndexBusy:
                await self._index.durable()
                await asyncio.sleep(_BUSY_S)


def _lost(path: str) -> Lost:
    return Lost(path=path, trailer=None, problem="")


def _record(found: FileTrailer) -> Trailer:
    """What a data file says of itself, held against what can be."""
    try:
        record = _decode(found.record)
    except msgspec.MsgspecError as error:
        raise _Refused(f"its trailer describes no object ({error})") from None
    described = record.generation or record.part
    if described is not None and described.size_bytes != found.size_bytes:
        raise _Refused("its trailer describes an object of another size")
    try:
        check_bucket_name(record.bucket)
        check_key(record.key)
    except S3Error as error:
        raise _Refused(f"its trailer names an impossible object: {error.message}") from None
    if record.upload is not None and (record.upload.bucket, record.upload.key) != (record.bucket, record.key):
        raise _Refused("its trailer names two objects")
    return record


def _about(path: str) -> Fate | None:
    """Whose a file is that stays, as far as it tells."""
    try:
        found = read_trailer(path)
        record = _decode(found.record)
    except (OSError, TrailerError, msgspec.MsgspecError):
        return None
    if record.upload is not None and record.part is not None:
        return msgspec.structs.replace(_fate_of_part(path, record.upload, record.part), adopted=False)
    return msgspec.structs.replace(_fate(path, record.bucket, record.key, found.size_bytes), adopted=False)


def _fate(path: str, bucket: str, key: bytes, size_bytes: int) -> Fate:
    return Fate(path, adopted=True, bucket=bucket, key=key, size_bytes=size_bytes)


def _fate_of_part(path: str, upload: Upload, part: UploadedPart) -> Fate:
    return Fate(
        path, adopted=True, bucket=upload.bucket, key=upload.key, size_bytes=part.size_bytes,
        upload_id=upload.upload_id, part=part.number,
    )  # fmt: skip
