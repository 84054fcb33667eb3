"""GetObject, HeadObject, PutObject, CopyObject, DeleteObject, DeleteObjects, GetObjectAttributes."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

import msgspec

from s3d._core.hot import WholeObjects
from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response, head_block
from s3d._core.sigv4 import SigningContext
from s3d._core.spool import Spool
from s3d._core.upload import Upload as BodyUpload
from s3d.gateway.gateway import Answer
from s3d.gateway.local.drafts import checksum_headers, checksum_of, copy_source, draft_of, plan_body
from s3d.gateway.local.house import SOURCE_OWNER, Header, House
from s3d.index.records import Checksum, Generation
from s3d.objects.copying import copy_object
from s3d.objects.engine import Check, Draft, unconditional
from s3d.s3 import checksums, conditions, documents, listing, metadata, names, queries, ranges, reading
from s3d.s3.bodies import refuse_body_hash
from s3d.s3.dates import http_date
from s3d.s3.errors import S3Error

# What a 304 repeats of the 200 (RFC 9110 §15.4.5), and Last-Modified as S3 does.
_UNMODIFIED = frozenset((b"last-modified", b"etag", b"cache-control", b"expires"))


class ObjectOperations:
    """Operations on single objects."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._engine = house.engine
        self._index = house.engine.index
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        self.get_object = WholeObjects(
            self._index,
            cached=self._index.cached,
            heads=self._heads,
            body=self._engine.body,
            read=self._read,
            check=refuse_body_hash,
        )

    # Reading.

    def _heads(self, generation: Generation) -> tuple[bytes, bytes]:
        """The header lines of a whole object, without its checksum and with it."""
        plain = [(b"Server", b"s3d"), *self._headers(generation)]
        checksum = generation.checksum
        return head_block(plain), head_block([*plain, *(checksum_headers(checksum) if checksum is not None else ())])

    def head_object(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html"""
        return self._read(request, context)

    def _read(self, request: Request, context: SigningContext | None) -> Response:
        """GET or HEAD with everything that may be asked along with it."""
        refuse_body_hash(context)
        part_number = request.param(b"partNumber")
        range_header = request.header(b"range")
        ranges.check_part_read(range_header, part_number)
        # Without an identity everybody is trusted as one that has one.
        overrides = metadata.response_overrides(request.params, signed=True)
        generation = self._find(request)
        metadata.check_supported(request.headers)
        etag, modified_ms = generation.etag, generation.modified_ms
        try:
            conditions.check_read(request.headers, etag, modified_ms)
        except S3Error as error:
            if error.status != 304:
                raise
            kept = [header for header in self._headers(generation, overrides) if header[0].lower() in _UNMODIFIED]
            return Response(304, [*self._house.common(request), *kept])
        size = generation.size_bytes
        start, end, status = 0, size, 200
        part_checksum: Checksum | None = None
        extra: list[Header] = []
        if part_number is not None:
            number = ranges.parse_part_number(part_number)
            start, end = ranges.part_range(number, [part.size_bytes for part in generation.parts], size)
            # No Content-Range can name the bytes of an empty part, and a 206 must have one (RFC 9110 §15.3.7).
            status = 206 if size else 200
            if generation.parts:
                extra.append((b"x-amz-mp-parts-count", b"%d" % len(generation.parts)))
                part_checksum = generation.parts[number - 1].checksum
        elif range_header is not None and conditions.range_applies(request.headers, etag, modified_ms):
            chosen = ranges.parse_range(range_header, size)
            if chosen is not None:
                start, end = chosen
                status = 206
        if status == 206:
            extra.append((b"Content-Range", ranges.content_range(start, end, size)))
        mode = request.header(b"x-amz-checksum-mode")
        checksum = None
        if mode is not None and mode.upper() == b"ENABLED":
            if part_checksum is not None and generation.checksum is not None:
                checksum = msgspec.structs.replace(part_checksum, kind=generation.checksum.kind)
            elif end - start == size:
                # S3 gives the checksum of a whole object only with the whole object.
                checksum = generation.checksum
        headers = self._headers(generation, overrides, checksum)
        headers = [*self._house.common(request), *headers, *extra]
        if request.method == b"HEAD":
            return Response(status, headers, None, end - start)
        return Response(status, headers, self._engine.body(generation, start, end), end - start)

    def _find(self, request: Request) -> Generation:
        """The object that a request for reading names."""
        house = self._house
        house.check_owner(request)
        generation = self._index.head(request.bucket, request.key)
        version = request.param(b"versionId")
        if generation is None:
            house.check_bucket(request)
        names.check_version(version, request.key)
        if generation is None:
            raise S3Error("NoSuchKey", extra={"Key": request.key})
        return generation

    def _headers(
        self, generation: Generation, overrides: list[Header] | None = None, checksum: Checksum | None = None
    ) -> list[Header]:
        """What S3 says of an object beside its bytes."""
        headers = [
            (b"Last-Modified", http_date(generation.modified_ms)),
            (b"ETag", b'"%b"' % generation.etag.encode()),
            (b"Accept-Ranges", b"bytes"),
        ]
        if overrides:
            replaced = {name.lower() for name, _ in overrides}
            headers += [header for header in generation.headers if header[0] not in replaced]
            headers += overrides
        else:
            headers += generation.headers
        if generation.storage_class != "STANDARD":
            headers.append((b"x-amz-storage-class", generation.storage_class.encode()))
        if generation.tags:
            headers.append((b"x-amz-tagging-count", b"%d" % len(generation.tags)))
        if checksum is not None:
            headers += checksum_headers(checksum)
        return headers

    def get_object_attributes(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html"""
        refuse_body_hash(context)
        generation = self._find(request)
        metadata.check_supported(request.headers)
        conditions.check_read(request.headers, generation.etag, generation.modified_ms)
        asked = queries.parse_attributes(request.headers)
        parts = None
        if generation.parts:
            marker, limit = queries.parse_attribute_parts(request.headers)
            after = [part for part in generation.parts if part.number > marker]
            page, truncated = listing.page_of_parts(after, limit)
            parts = documents.ObjectParts(len(generation.parts), page, marker, limit, truncated=truncated)
        body = documents.object_attributes(asked, generation, parts)
        return self._house.document(request, body, self._headers(generation)[:1])

    # Writing.

    def put_object(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html"""
        house = self._house
        house.check_bucket(request)
        names.check_key(request.key)
        names.refuse_version(request.param(b"versionId"))
        draft = draft_of(request, house)
        upload = plan_body(request, context, house.max_object_size_bytes)
        check = unconditional
        if conditions.conditional_write(request.headers):
            check = partial(conditions.check_write, request.headers)
            # Refused before the body is taken; what counts is asked again when the object is written.
            check(self._index.written_head(request.bucket, request.key, details=False))
        staged = self._engine.stage(request.body, upload)
        return staged.then(partial(self._put, request, draft, upload, check))

    def _put(self, request: Request, draft: Draft, upload: BodyUpload, check: Check, spool: Spool) -> Promise:
        promise = self._engine.put_object(
            request.bucket, request.key, spool, draft, checksum=checksum_of(upload), check=check
        )
        return promise.then(partial(self._put_answer, request))

    def _put_answer(self, request: Request, generation: Generation) -> Response:
        headers = [(b"ETag", b'"%b"' % generation.etag.encode())]
        if generation.checksum is not None:
            headers += checksum_headers(generation.checksum)
        return self._house.answer(request, 200, headers)

    def copy_object(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        house.check_owner(request, SOURCE_OWNER)
        names.refuse_version(request.param(b"versionId"))
        source = copy_source(request)
        replace_headers = metadata.directive(request.headers, b"x-amz-metadata-directive")
        replace_tags = metadata.directive(request.headers, b"x-amz-tagging-directive")
        given = draft_of(request, house)
        has_class = request.header(b"x-amz-storage-class") is not None
        redirect = request.header(b"x-amz-website-redirect-location") is not None
        asked = request.header(b"x-amz-checksum-algorithm")
        algorithm = checksums.parse_algorithm(asked) if asked is not None else ""
        changes = replace_headers or has_class or redirect or algorithm or metadata.asks_encryption(request.headers)
        if source == (request.bucket, request.key) and not changes:
            raise S3Error(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes.",
            )

        def make(original: Generation) -> Draft:
            kept = [header for header in original.headers if header[0] != b"x-amz-website-redirect-location"]
            kept += [header for header in given.headers if header[0] == b"x-amz-website-redirect-location"]
            return Draft(
                given.headers if replace_headers else tuple(kept),
                given.tags if replace_tags else original.tags,
                house.owner_id,
                given.storage_class,
            )

        def check_source(original: Generation) -> None:
            conditions.check_copy_source(request.headers, original.etag, original.modified_ms)
            ranges.check_copy_size(original.size_bytes)

        return self._copied(request, copy_object(
            self._engine, source, (request.bucket, request.key), make, check_source=check_source,
            check=partial(conditions.check_write, request.headers), algorithm=algorithm,
        ))  # fmt: skip

    async def _copied(self, request: Request, copying: Awaitable[Generation]) -> Response:
        generation = await copying
        return self._house.document(
            request, documents.copy_object(generation.etag, generation.modified_ms, generation.checksum)
        )

    # Deleting.

    def delete_object(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        version = request.param(b"versionId")
        if version is not None and not names.is_current(version):
            # Nothing here has that version, so it is as gone as the client wants it.
            return house.answer(request, 204, [(b"x-amz-version-id", version)])
        check = partial(conditions.check_delete, request.headers)
        promise = self._engine.delete_object(request.bucket, request.key, check)
        return promise.then(lambda _: house.answer(request, 204))

    def delete_objects(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""
        self._house.check_bucket(request)
        return self._house.read_document(request, context, partial(self._delete_many, request))

    def _delete_many(self, request: Request, body: bytes) -> Promise:
        house = self._house
        deletion = reading.parse_delete(body)
        results: list[tuple[bytes, str | None, S3Error | None]] = []
        keys = []
        # No await from the conditions to the transition.
        for entry in deletion.entries:
            refusal = None
            try:
                names.check_key(entry.key)
                if not names.is_current(entry.version.encode() if entry.version else None):
                    results.append((entry.key, entry.version, None))
                    continue
                if entry.etag is not None or entry.modified_ms is not None or entry.size_bytes is not None:
                    current = self._index.written_head(request.bucket, entry.key, details=False)
                    conditions.check_delete_entry(current, entry.etag, entry.modified_ms, entry.size_bytes)
                keys.append(entry.key)
            except S3Error as error:
                refusal = error
            results.append((entry.key, entry.version, refusal))
        promise = self._engine.delete_objects(request.bucket, keys)
        answer = documents.delete_result(results, quiet=deletion.quiet)
        return promise.then(lambda _: house.document(request, answer))
