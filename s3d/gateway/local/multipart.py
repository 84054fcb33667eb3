"""Multipart uploads."""

from __future__ import annotations

from functools import partial

from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import SigningContext
from s3d._core.spool import Spool
from s3d._core.upload import Upload as BodyUpload
from s3d.gateway.gateway import Answer
from s3d.gateway.local.drafts import checksum_headers, checksum_of, copy_source, draft_of, plan_body
from s3d.gateway.local.house import SOURCE_OWNER, Header, House
from s3d.gateway.location import address
from s3d.index.records import Checksum, Generation, Upload, UploadedPart
from s3d.objects.multipart import PartsChanged
from s3d.objects.turns import in_turns
from s3d.s3 import (
    checksums,
    conditions,
    documents,
    list_documents,
    listing,
    metadata,
    names,
    queries,
    ranges,
    reading,
    uploads,
)
from s3d.s3.bodies import refuse_body_hash
from s3d.s3.errors import S3Error
from s3d.s3.steps import Steps, at_once

_ATTEMPTS = 3


class MultipartOperations:
    """Operations on multipart uploads."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._multipart = house.multipart

    def create_multipart_upload(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        names.check_key(request.key)
        names.refuse_version(request.param(b"versionId"))
        draft = draft_of(request, house)
        algorithm, kind = checksums.upload_checksum(request.headers)
        promise = self._multipart.create(
            request.bucket, request.key, draft, checksum_algorithm=algorithm, checksum_kind=kind
        )
        headers: list[Header] = []
        if algorithm:
            headers += [
                (b"x-amz-checksum-algorithm", algorithm.encode()), (b"x-amz-checksum-type", kind.encode()),
            ]  # fmt: skip

        def created(upload: Upload) -> Response:
            body = documents.initiate_multipart_upload(request.bucket, request.key, upload.upload_id)
            return house.document(request, body, headers)

        return promise.then(created)

    def upload_part(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html"""
        house = self._house
        house.check_bucket(request)
        metadata.check_supported(request.headers)
        number = ranges.parse_part_number(request.param(b"partNumber") or b"")
        upload = self._find(request)
        wanted = uploads.check_part_checksum(upload, checksums.claimed_algorithm(request.headers))
        body = plan_body(request, context, house.max_object_size_bytes, wanted)
        staged = house.engine.stage(request.body, body, inline=False)
        return staged.then(partial(self._put, request, upload, number, body))

    def _put(self, request: Request, upload: Upload, number: int, body: BodyUpload, spool: Spool) -> Promise:
        promise = self._multipart.put_part(upload, number, spool, checksum_of(body))

        def done(part: UploadedPart) -> Response:
            headers = [(b"ETag", b'"%b"' % part.etag.encode())]
            if part.checksum is not None:
                headers += checksum_headers(part.checksum)[:1]
            return self._house.answer(request, 200, headers)

        return promise.then(done)

    async def upload_part_copy(self, request: Request, context: SigningContext | None) -> Response:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        house.check_owner(request, SOURCE_OWNER)
        metadata.check_supported(request.headers)
        number = ranges.parse_part_number(request.param(b"partNumber") or b"")
        upload = self._find(request)
        source = copy_source(request)
        wanted_range = request.header(b"x-amz-copy-source-range")

        def choose(original: Generation) -> tuple[int, int]:
            conditions.check_copy_source(request.headers, original.etag, original.modified_ms)
            return ranges.parse_copy_range(wanted_range, original.size_bytes)

        part = await self._multipart.copy_part(upload, number, source, choose)
        return house.document(request, documents.copy_part(part.etag, part.modified_ms, part.checksum))

    async def complete_multipart_upload(self, request: Request, context: SigningContext | None) -> Response:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
        house = self._house
        house.check_bucket(request)
        metadata.check_supported(request.headers)
        names.refuse_version(request.param(b"versionId"))
        body = await house.read_document(request, context, lambda body: body)
        listed = await in_turns(reading.parse_complete_in_steps(body))
        upload_id = uploads.parse_upload_id(request.param(b"uploadId") or b"")
        generation = await self._complete(request, upload_id, listed)
        answer = documents.complete_multipart_upload(
            address(request, keep_slash=False), request.bucket, request.key, generation.etag, generation.checksum
        )
        return house.document(request, answer)

    async def _complete(self, request: Request, upload_id: str, listed: list[reading.CompletedPart]) -> Generation:
        """Read the parts, hold them against the list, and write: again, if a part came or went in between."""
        multipart = self._multipart
        for attempt in range(_ATTEMPTS + 1):
            finished = multipart.completed(request.bucket, request.key, upload_id)
            if finished is not None and uploads.makes(listed, finished.etag):
                # The client did not hear of it, and asks again.
                again: Generation = await self._house.engine.settled((), finished)
                return again
            upload = multipart.find(request.bucket, request.key, upload_id)
            with multipart.watch(upload_id) as is_current:
                making = self._made(upload, listed, request)
                # The last time in one step, with which nobody can interfere.
                made = await in_turns(making) if attempt < _ATTEMPTS else at_once(making)
                try:
                    generation: Generation = await multipart.complete(
                        upload, made, is_current, partial(conditions.check_write, request.headers)
                    )
                except PartsChanged:
                    continue
                return generation
        raise S3Error("OperationAborted", "The upload was changed again and again while it was being completed.")

    def _made(self, upload: Upload, listed: list[reading.CompletedPart], request: Request) -> Steps[Generation]:
        """The object that the listed parts make; refuses what S3 does."""
        uploaded = yield from self._multipart.parts(upload.upload_id, [part.number for part in listed])
        completion = yield from uploads.complete_in_steps(upload, listed, uploaded, request.headers)
        checksum = Checksum(*completion.checksum) if completion.checksum is not None else None
        chosen = [uploaded[number] for number in completion.numbers]
        return (yield from self._multipart.made(upload, chosen, completion.etag, checksum))

    def abort_multipart_upload(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        promise = self._multipart.abort(self._find(request))
        return promise.then(lambda _: house.answer(request, 204))

    def list_parts(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        marker, limit = queries.parse_list_parts(request.params or ())
        upload_id = uploads.parse_upload_id(request.param(b"uploadId") or b"")
        upload = house.index.upload(request.bucket, request.key, upload_id)
        if upload is None:
            raise uploads.no_such_upload(upload_id)
        # One more than asked for tells whether there are more.
        page, truncated = listing.page_of_parts(house.index.parts(upload_id, marker, limit + 1), limit)
        answer = list_documents.list_parts(
            request.bucket, upload, page, owner=house.owner, part_number_marker=marker, max_parts=limit,
            truncated=truncated,
        )  # fmt: skip
        return house.document(request, answer)

    def _find(self, request: Request) -> Upload:
        upload_id = uploads.parse_upload_id(request.param(b"uploadId") or b"")
        return self._multipart.find(request.bucket, request.key, upload_id)
