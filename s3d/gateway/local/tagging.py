"""Tags of objects and buckets."""

from __future__ import annotations

import msgspec

from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.sigv4 import SigningContext
from s3d.gateway.gateway import Answer
from s3d.gateway.local.house import House
from s3d.s3 import documents, names, tags
from s3d.s3.bodies import refuse_body_hash
from s3d.s3.errors import S3Error


class TaggingOperations:
    """Operations on tag sets."""

    def __init__(self, house: House) -> None:
        self._house = house

    def get_object_tagging(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectTagging.html"""
        refuse_body_hash(context)
        self._check_object(request)
        generation = self._house.index.head(request.bucket, request.key)
        if generation is None:
            raise S3Error("NoSuchKey", extra={"Key": request.key})
        return self._house.document(request, documents.tagging(generation.tags))

    def put_object_tagging(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html"""
        self._check_object(request)
        return self._house.read_document(request, context, lambda body: self._tag(request, tags.parse_tagging(body)))

    def delete_object_tagging(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjectTagging.html"""
        refuse_body_hash(context)
        self._check_object(request)
        house = self._house
        promise = house.engine.tag_object(request.bucket, request.key, ())
        return promise.then(lambda _: house.answer(request, 204))

    def _tag(self, request: Request, chosen: tuple[tuple[str, str], ...]) -> Promise:
        house = self._house
        promise = house.engine.tag_object(request.bucket, request.key, chosen)
        return promise.then(lambda _: house.answer(request, 200))

    def _check_object(self, request: Request) -> None:
        self._house.check_bucket(request)
        names.check_version(request.param(b"versionId"), request.key)

    def get_bucket_tagging(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketTagging.html"""
        refuse_body_hash(context)
        house = self._house
        house.check_bucket(request)
        bucket = house.index.bucket(request.bucket)
        if bucket is None or not bucket.tags:
            raise S3Error("NoSuchTagSet", extra={"BucketName": request.bucket})
        return house.document(request, documents.tagging(bucket.tags))

    def put_bucket_tagging(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketTagging.html"""
        self._house.check_bucket(request)
        return self._house.read_document(
            request, context, lambda body: self._tag_bucket(request, tags.parse_tagging(body, bucket=True))
        )

    def delete_bucket_tagging(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucketTagging.html"""
        refuse_body_hash(context)
        self._house.check_bucket(request)
        return self._tag_bucket(request, ())

    def _tag_bucket(self, request: Request, chosen: tuple[tuple[str, str], ...]) -> Promise:
        house = self._house
        bucket = house.engine.check_bucket(request.bucket)
        house.index.replace_bucket(msgspec.structs.replace(bucket, tags=chosen))
        return house.engine.settled((), None).then(lambda _: house.answer(request, 204))
