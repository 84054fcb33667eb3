"""The object engine: what happens to objects, in which order, so that a crash at any point loses nothing acknowledged.

    body ─► Store.spool ─► Store.publish ─► Index transition ─► Index.durable ─► answer ─► Store.remove
             (staged)       (file, name        (one batch,        (flushed and              (files whose last
                             and directory      written)           visible)                  reference went)
                             synced)

The order is the whole point (invariants 1 and 2): a row is written only after its file, its name and its directory are
synced; a caller hears of success only after the row is; a file goes only after the batch that dropped its last
reference is. A crash between any two steps leaves at most a file that nothing refers to, for the sweep.

Concurrency: everything runs on the event loop's thread. Each transition decides and writes in one step without an
await: it reads the *written* state (durable or not), checks the caller's conditions against it, and writes one batch.
Where the index has no room for it, the whole step waits and is taken again (`s3d.objects.stalled`).
What was read before a body arrived is only good for refusing early. Two writers of one key are ordered by their
batches. A caller that goes away stops neither a batch that is written nor what follows from it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Self

import msgspec

from s3d._core.collect import Source, chain
from s3d._core.filebody import FileBody
from s3d._core.incoming import Incoming
from s3d._core.promise import Promise
from s3d._core.spool import Spool
from s3d._core.upload import Upload as BodyUpload
from s3d.index.errors import IndexBusy
from s3d.index.index import Index
from s3d.index.records import Bucket, Checksum, DataFile, Extent, Generation, State, Upload, UploadedPart
from s3d.objects import reread
from s3d.objects.assembly import cut
from s3d.objects.stalled import Stalled
from s3d.s3.errors import S3Error
from s3d.store.store import Store

# As plain numbers: operations on members of an enumeration take 1.5 us each.
_IN_FILES = int(State.RESIDENT)
_IN_INDEX = int(State.RESIDENT | State.INLINE)

NewFiles = Sequence[tuple[int, DataFile]]
"""Published files that no row knows yet."""
TIDY_S = 5.0
"""After that a bucket is looked into all the same: what was deleted meanwhile may come faster than it can be tidied."""
TIDY_AGAIN_S = 0.05
_TIDY_EVERY = 20

Check = Callable[[Generation | None], None]
"""Looks at an object's written state, None if there is no such object, and raises to refuse a change. Extents and parts
of a long one are left out."""


class Draft(msgspec.Struct, frozen=True):
    """What a client says of an object it writes."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    owner: str = ""
    storage_class: str = "STANDARD"


class Trailer(msgspec.Struct, frozen=True, array_like=True):
    """What a data file says of itself, so that it can be adopted when the index is lost (invariant 3)."""

    bucket: str
    key: bytes
    generation: Generation | None = None
    upload: Upload | None = None
    part: UploadedPart | None = None


def unconditional(current: Generation | None) -> None:
    """The `Check` that refuses nothing."""


class SourceReplaced(Exception):
    """What was being copied is not current any more: a reason to begin again."""


class closing:  # noqa: N801 - reads as contextlib's
    """Closes a spool unless somebody else has taken it over."""

    def __init__(self, spool: Spool) -> None:
        self._spool: Spool | None = spool

    def keep(self) -> None:
        """It is somebody else's now."""
        self._spool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._spool is not None:
            self._spool.close()


class Forsaking:
    """Removes new files when the body of its ``with`` raises one of ``errors``.

    Around what precedes a transition that is any error. The transition itself has written nothing when it raises
    ValueError; after any other error their row may be there when the index is opened again. And where the index had no
    room, they are needed for the next attempt.
    """

    __slots__ = ("_engine", "_errors", "_new_files")

    def __init__(self, engine: Engine, new_files: NewFiles, errors: type[BaseException]) -> None:
        self._engine = engine
        self._new_files = new_files
        self._errors = errors

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._errors) and not isinstance(error, IndexBusy):
            self._engine.remove(self._new_files)


def md5_of(spool: Spool) -> bytes:
    """The MD5 of a body that is whole."""
    assert spool.md5 is not None
    return spool.md5


def _left_to_the_sweep(error: BaseException) -> None:
    """The flush failed: whether the last references of some files are gone shows when the index is open again."""


class Engine:
    """The objects of one index and one store. Owns neither; whoever built them closes them.

    Every method that changes something returns a `Promise` of what it made, which comes once the change is durable and
    visible; it fails with `S3Error` for what the caller asked wrongly, with OSError or the index's errors for what the
    disk did. ``now_ms`` is the wall clock in milliseconds since 1970; a key's Last-Modified never goes back, whatever
    the clock does.
    """

    def __init__(
        self, index: Index, store: Store, *, inline_size_bytes: int, now_ms: Callable[[], int] | None = None
    ) -> None:
        self.index = index
        self.store = store
        self._inline_size_bytes = inline_size_bytes
        self.now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._encode = msgspec.msgpack.Encoder().encode
        self.stalled = Stalled()
        """Those whose body is here, and for whose change the index has no room yet."""
        self._rereads = reread.Rereads(store.rereading, store.read, lambda: store.closing)
        store.touch.expected = self._expected

    # Reading.

    def body(self, generation: Generation, start: int = 0, end: int | None = None) -> bytes | FileBody:
        """The bytes of ``generation`` from ``start`` up to ``end``; they stay whole whatever happens to the object."""
        end = generation.size_bytes if end is None else end
        if generation.state & State.INLINE:
            return self.index.body(generation)[start:end]
        return self.store.body(
            [(extent.file, extent.offset_bytes, extent.size_bytes) for extent in cut(generation.extents, start, end)]
        )

    def _expected(self, number: int) -> tuple[int, int] | None:
        """Size and XXH3 of a data file by its row; any thread. The index's errors."""
        row = self.index.file(number)
        return None if row is None else (row.size_bytes, row.xxh3)

    # Receiving.

    def stage(self, body: Incoming | None, upload: BodyUpload, *, inline: bool = True) -> Promise:
        """Receive a request's body through ``upload``; the promise brings the `Spool` that holds it.

        The spool is the caller's, to hand to a ``put_`` method (which takes it over) or to close. Cancelling the
        promise stops the reception. Without ``inline`` the body goes to a file however small it is.
        """
        # Before the body is taken: it may be large.
        self.check_writable(upload.decoded_length)
        promise, spool = self._spool(self._inline_size_bytes if inline else -1, upload.decoded_length)
        if body is None:
            source = Source()
            chain(source, upload, spool)
            source.end()
        else:
            chain(body, upload, spool)
        return promise

    def stage_bytes(self, body: bytes) -> Promise:
        """Put bytes that are here already into a file, as `stage` does with a request's."""
        self.check_writable(len(body))
        promise, spool = self._spool(-1, len(body))
        source = Source()
        chain(source, spool)
        source.feed(body)
        source.end()
        return promise

    def _spool(self, inline_limit: int, size_bytes: int) -> tuple[Promise, Spool]:
        promise = Promise()
        room = self.store.room

        def done(spool: Spool, error: BaseException | None) -> None:
            room.promise(-size_bytes)
            if error is not None or promise.done:
                spool.close()
            if error is not None:
                promise.reject(error)
            else:
                promise.resolve(spool)

        spool = self.store.spool(done, inline_limit)
        room.promise(size_bytes)

        def cancelled() -> None:
            # A spool that is closed before its end does not call `done`.
            room.promise(-size_bytes)
            spool.close()

        promise.on_cancel(cancelled)
        return promise, spool

    async def reread(
        self, generation: Generation, start: int, end: int, algorithm: str
    ) -> tuple[bytes, Checksum | None]:
        """The MD5 of a range of an object, and its checksum by ``algorithm`` (None for ""), read in a thread."""
        if generation.state & State.INLINE:
            return reread.digest([self.index.written_body(generation)[start:end]], algorithm)
        extents = cut(generation.extents, start, end)
        files = [extent.file for extent in extents]
        self.store.pin(files)
        try:
            return await self._rereads.digest(extents, algorithm)
        finally:
            # A cancelled wait leaves the thread at its last piece; the file stays open there: to unlink it is no harm.
            self.store.unpin(files)

    # Objects.

    def put_object(
        self,
        bucket: str,
        key: bytes,
        spool: Spool,
        draft: Draft,
        *,
        checksum: Checksum | None = None,
        check: Check = unconditional,
    ) -> Promise:
        """Make what ``spool`` holds the object; the promise brings its `Generation`."""
        with closing(spool) as held:
            number = self.index.next_generation()
            inline = spool.body
            generation = Generation(
                number=number,
                size_bytes=spool.size_bytes,
                etag=md5_of(spool).hex(),
                modified_ms=self.now_ms(),
                state=_IN_INDEX if inline is not None else _IN_FILES,
                headers=draft.headers,
                tags=draft.tags,
                checksum=checksum,
                owner=draft.owner,
                storage_class=draft.storage_class,
                xxh3=spool.xxh3 or 0,
            )
            if inline is not None:
                return self.replace(bucket, key, generation, check, body=inline)
            file = self.index.next_file()
            row = (file, DataFile(spool.size_bytes, generation.xxh3))
            generation = msgspec.structs.replace(generation, xxh3=0, extents=(Extent(file, 0, spool.size_bytes),))
            held.keep()
            published = self.publish(spool, file, Trailer(bucket, key, generation))
            return published.then(lambda _: self.replace(bucket, key, generation, check, new_files=(row,)))

    def publish(self, spool: Spool, file: int, trailer: Trailer) -> Promise:
        """Make a spool's file durable under its number, and close the spool however that ends."""

        def failed(error: BaseException) -> object:
            spool.close()
            raise error

        try:
            publishing = self.store.publish(spool, file, self._encode(trailer))
        except BaseException:
            spool.close()
            raise
        return publishing.then(lambda _: spool.close(), failed)

    def replace(
        self,
        bucket: str,
        key: bytes,
        generation: Generation,
        check: Check,
        *,
        body: bytes | None = None,
        new_files: NewFiles = (),
    ) -> Promise:
        """Decide and write, in one step: ``generation`` becomes the head unless ``check`` refuses.

        ``new_files`` are removed when it does not. Where the index has no room, the step is taken again later.
        """
        return self.stalled.attempt(
            lambda: self.replace_now(bucket, key, generation, check, body, new_files), lambda: self.remove(new_files)
        )

    def replace_now(
        self,
        bucket: str,
        key: bytes,
        generation: Generation,
        check: Check,
        body: bytes | None,
        new_files: NewFiles,
    ) -> Promise:
        """As `replace`, but for an index without room: `IndexBusy`, and nothing has changed."""
        index = self.index
        with self.forsaking(new_files):
            self.check_bucket(bucket)
            current = index.written_head(bucket, key, details=False)
            check(current)
            if current is not None:
                if current.number > generation.number:
                    # A rival that began later was through sooner: the order is that of the batches.
                    generation = msgspec.structs.replace(generation, number=index.next_generation())
                if current.modified_ms > generation.modified_ms:
                    generation = msgspec.structs.replace(generation, modified_ms=current.modified_ms)
            self.check_writable()
        with self.forsaking(new_files, ValueError):
            dropped = index.put_object(bucket, key, generation, body=body, new_files=new_files)
        return self.settled(dropped, generation)

    def check_writable(self, size_bytes: int = 0) -> None:
        """Refuse what makes things grow: the index's error while it has failed, OSError (ENOSPC) when the disk is full.

        ``size_bytes`` is what is about to come. What makes things smaller does not ask: it lives on the reserve.
        """
        failure = self.index.failure
        if failure is not None:
            raise failure.with_traceback(None)
        self.store.room.check(size_bytes)

    def forsaking(self, new_files: NewFiles, errors: type[BaseException] = BaseException) -> Forsaking:
        """Remove new files when ``errors`` show that nothing refers to them, nor will."""
        return Forsaking(self, new_files, errors)

    def remove(self, new_files: NewFiles) -> None:
        """Files that were published and that no row refers to."""
        self.store.remove([number for number, _ in new_files])

    async def tidy(self, bucket: str) -> None:
        """Wait until a look whether ``bucket`` is empty takes no time, at most `TIDY_S`.

        Where many objects were just deleted it would step over each of them, with the event loop waiting.
        """
        for attempt in range(int(TIDY_S / TIDY_AGAIN_S)):
            if not self.index.bucket_is_littered(bucket):
                return
            if attempt % _TIDY_EVERY == 0:
                await asyncio.to_thread(self.index.tidy)
            await self.index.renew()
            await asyncio.sleep(TIDY_AGAIN_S)

    def settled(self, dropped: Sequence[int], value: object) -> Promise:
        """Bring ``value`` once all that was written is durable, and let ``dropped`` files go then."""
        if dropped:
            # A promise of its own: whoever waits for the other may go away, and cancel it.
            self.index.durable().then(lambda _: self.store.remove(dropped), _left_to_the_sweep)
        return self.index.durable().then(lambda _: value)

    def collect(self) -> bool:
        """Release a little of what was dropped at once (`s3d.index.garbage`); False when there is nothing to do."""
        if self.index.failure is not None or not self.index.has_garbage:
            return False
        try:
            released = self.index.collect()
        except IndexBusy:
            return False
        if released:
            self.settled(released, None)
        return self.index.has_garbage

    def delete_objects(self, bucket: str, keys: Sequence[bytes]) -> Promise:
        """Delete ``keys``; those that do not exist count as deleted."""
        self.check_bucket(bucket)
        return self.settled(self.index.delete_objects(bucket, keys), None)

    def delete_object(self, bucket: str, key: bytes, check: Check = unconditional) -> Promise:
        """Delete an object that need not exist."""
        self.check_bucket(bucket)
        check(self.index.written_head(bucket, key, details=False))
        return self.delete_objects(bucket, [key])

    def tag_object(self, bucket: str, key: bytes, tags: tuple[tuple[str, str], ...]) -> Promise:
        """Replace an object's tags."""
        current = self.written(bucket, key)
        if tags:
            self.check_writable()
        self.index.alter_object(bucket, key, msgspec.structs.replace(current, tags=tags))
        return self.settled((), None)

    def written(self, bucket: str, key: bytes) -> Generation:
        """The object as written, durable or not; `S3Error` NoSuchBucket or NoSuchKey."""
        self.check_bucket(bucket)
        current = self.index.written_head(bucket, key)
        if current is None:
            raise S3Error("NoSuchKey", extra={"Key": key})
        return current

    def check_bucket(self, bucket: str) -> Bucket:
        """The bucket as written; `S3Error` NoSuchBucket."""
        found = self.index.written_bucket(bucket)
        if found is None:
            raise S3Error("NoSuchBucket", extra={"BucketName": bucket})
        return found
