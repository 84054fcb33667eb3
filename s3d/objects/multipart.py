"""Multipart uploads: parts are files of their own, and completing one only writes rows.

The parts' extents become the object's, in order: no byte is copied, whatever the size (Amazon S3 user guide, "Uploading
and copying objects using multipart upload"). Parts that the client left out lose their files once that is durable.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import msgspec

from s3d._core.promise import Promise
from s3d._core.spool import Spool
from s3d.index.records import Checksum, DataFile, Extent, Generation, Part, State, Upload, UploadedPart
from s3d.objects.assembly import cut
from s3d.objects.engine import Check, Draft, Engine, SourceReplaced, Trailer, closing, md5_of, unconditional
from s3d.objects.reread import digest
from s3d.s3 import checksums
from s3d.s3.errors import S3Error
from s3d.s3.steps import Steps
from s3d.s3.uploads import make_upload_id, no_such_upload

_STEP_PARTS = 32


class PartsChanged(Exception):
    """The parts are not what they were when they were read: a reason to begin again."""


class Multipart:
    """Multipart uploads over an `Engine`; its methods change and promise as the engine's do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._index = engine.index

    def create(
        self, bucket: str, key: bytes, draft: Draft, *, checksum_algorithm: str = "", checksum_kind: str = ""
    ) -> Promise:
        """Begin an upload; the promise brings its `Upload`."""
        engine = self._engine
        engine.check_bucket(bucket)
        engine.check_writable()
        created_ms = engine.now_ms()
        upload = Upload(
            bucket,
            key,
            make_upload_id(created_ms, secrets.token_bytes(10)),
            created_ms,
            draft.headers,
            draft.tags,
            draft.owner,
            draft.storage_class,
            checksum_algorithm,
            checksum_kind,
        )
        self._index.create_upload(upload)
        return engine.settled((), upload)

    def find(self, bucket: str, key: bytes, upload_id: str) -> Upload:
        """The upload as written; `S3Error` NoSuchBucket or NoSuchUpload."""
        self._engine.check_bucket(bucket)
        upload = self._index.written_upload(bucket, key, upload_id)
        if upload is None:
            raise no_such_upload(upload_id)
        return upload

    def put_part(self, upload: Upload, number: int, spool: Spool, checksum: Checksum | None) -> Promise:
        """Make what ``spool`` holds part ``number``; the promise brings its `UploadedPart`.

        The spool must not be inline: parts lie in files, whatever their size.
        """
        engine = self._engine
        with closing(spool) as held:
            file = self._index.next_file()
            extent = Extent(file, 0, spool.size_bytes)
            part = UploadedPart(number, spool.size_bytes, md5_of(spool).hex(), engine.now_ms(), (extent,), checksum)
            row = (file, DataFile(spool.size_bytes, spool.xxh3 or 0))
            held.keep()

        def change() -> Promise:
            with engine.forsaking([row]):
                self.find(upload.bucket, upload.key, upload.upload_id)
                engine.check_writable()
            with engine.forsaking([row], ValueError):
                dropped = self._index.put_part(upload.upload_id, part, new_files=[row])
            return engine.settled(dropped, part)

        trailer = Trailer(upload.bucket, upload.key, upload=upload, part=part)
        published = engine.publish(spool, file, trailer)
        return published.then(lambda _: engine.stalled.attempt(change, lambda: engine.remove([row])))

    async def copy_part(
        self, upload: Upload, number: int, source: tuple[str, bytes], choose: Callable[[Generation], tuple[int, int]]
    ) -> UploadedPart:
        """Make a range of an object part ``number``, by reference: its bytes are read for their digests alone.

        ``choose`` gives first byte and last byte + 1 from the source, or raises to refuse it. The source may be
        replaced while it is read: then the new one is taken, which is as good, since the copy happens when it is
        committed.
        """
        engine = self._engine
        # The bytes are read for the ETag anyway.
        algorithm = upload.checksum_algorithm or checksums.DEFAULT
        for _ in range(5):
            original = engine.written(*source)
            start, end = choose(original)
            extents = cut(original.extents, start, end)
            if not extents:
                # Inline, or empty: few bytes, and they go to a file as any part's do.
                body = self._index.written_body(original)[start:end] if original.state & State.INLINE else b""
                _, checksum = digest([body], algorithm)
                spool = await engine.stage_bytes(body)
                stored: UploadedPart = await self.put_part(upload, number, spool, checksum)
                return stored
            md5, checksum = await engine.reread(original, start, end, algorithm)
            part = UploadedPart(number, end - start, md5.hex(), engine.now_ms(), tuple(extents), checksum)
            try:
                copied: UploadedPart = await engine.stalled.attempt(
                    partial(self._put_copied, upload, part, source, original.number)
                )
            except SourceReplaced:
                continue
            return copied
        raise S3Error("OperationAborted", "The source was replaced again and again while it was being copied.")

    def _put_copied(self, upload: Upload, part: UploadedPart, source: tuple[str, bytes], generation: int) -> Promise:
        """One step: the extents are the source's as long as it is unchanged."""
        engine = self._engine
        self.find(upload.bucket, upload.key, upload.upload_id)
        if engine.written(*source).number != generation:
            raise SourceReplaced
        engine.check_writable()
        return engine.settled(self._index.put_part(upload.upload_id, part), part)

    def completed(self, bucket: str, key: bytes, upload_id: str) -> Generation | None:
        """The object that this upload has become, if it still is that, without extents and parts."""
        current = self._index.written_head(bucket, key, details=False)
        return current if current is not None and current.upload_id == upload_id else None

    def abort(self, upload: Upload) -> Promise:
        """Give up an upload and its parts."""
        return self._engine.settled(self._index.abort_upload(upload), None)

    def watch(self, upload_id: str) -> AbstractContextManager[Callable[[], bool]]:
        """Tell whether the parts are what they were at the beginning of the ``with``."""
        return self._index.watch_parts(upload_id)

    def parts(self, upload_id: str, numbers: Iterable[int]) -> Steps[dict[int, UploadedPart]]:
        """Those of the parts ``numbers`` that there are, as written."""
        found: dict[int, UploadedPart] = {}
        for count, number in enumerate(numbers):
            if count % _STEP_PARTS == 0:
                yield
            part = self._index.written_part(upload_id, number)
            if part is not None:
                found[number] = part
        return found

    def made(
        self, upload: Upload, chosen: Sequence[UploadedPart], etag: str, checksum: Checksum | None
    ) -> Steps[Generation]:
        """The object that ``chosen`` parts make, in this order; `complete` gives it number and date."""
        extents: list[Extent] = []
        parts: list[Part] = []
        for count, part in enumerate(chosen):
            if count % _STEP_PARTS == 0:
                yield
            extents += part.extents
            parts.append(Part(part.number, part.size_bytes, part.checksum))
        return Generation(
            number=0,
            size_bytes=sum(part.size_bytes for part in chosen),
            etag=etag,
            modified_ms=0,
            state=State.RESIDENT,
            headers=upload.headers,
            tags=upload.tags,
            checksum=checksum,
            owner=upload.owner,
            storage_class=upload.storage_class,
            extents=tuple(extents),
            parts=tuple(parts),
            upload_id=upload.upload_id,
        )

    def complete(
        self, upload: Upload, made: Generation, is_current: Callable[[], bool], check: Check = unconditional
    ) -> Promise:
        """Make what the parts make the object; the promise brings its `Generation`.

        ``is_current()`` says whether the parts are still those that ``made`` came of; `PartsChanged` if not, or if the
        upload is there no more. Where the index has no room, the step is taken again later.
        """
        return self._engine.stalled.attempt(partial(self._complete, upload, made, is_current, check))

    def _complete(self, upload: Upload, made: Generation, is_current: Callable[[], bool], check: Check) -> Promise:
        engine, index = self._engine, self._index
        engine.check_bucket(upload.bucket)
        # The row itself: one that was made anew is not there, and nothing else of it changes.
        if index.written_upload(upload.bucket, upload.key, upload.upload_id) is None or not is_current():
            raise PartsChanged
        current = index.written_head(upload.bucket, upload.key, details=False)
        check(current)
        engine.check_writable()
        generation = msgspec.structs.replace(
            made,
            number=index.next_generation(),
            modified_ms=max(engine.now_ms(), current.modified_ms if current is not None else 0),
        )
        return engine.settled(index.complete_upload(upload, generation), generation)
