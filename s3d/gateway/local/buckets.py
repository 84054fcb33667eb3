"""ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation."""

from __future__ import annotations

from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import SigningContext
from s3d.gateway.gateway import Answer
from s3d.gateway.local.house import House
from s3d.index.records import Bucket
from s3d.s3 import documents, elements, list_documents, metadata, names, queries, reading, tags
from s3d.s3.bodies import refuse_body_hash
from s3d.s3.errors import S3Error


class BucketOperations:
    """Operations on buckets themselves."""

    def __init__(self, house: House) -> None:
        self._house = house

    def list_buckets(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html"""
        house = self._house
        refuse_body_hash(context)
        query = queries.parse_list_buckets(request.params or ())
        found, token = query.page(house.index.buckets())
        answer = list_documents.list_buckets(
            found, house.owner, regions=query.any_given, prefix=query.prefix if query.prefix_given else None,
            continuation_token=token,
        )  # fmt: skip
        return house.document(request, answer)

    def create_bucket(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html"""
        names.check_bucket_name(request.bucket)
        metadata.check_supported(request.headers, bucket=True)
        return self._house.read_document(request, context, lambda body: self._create(request, body))

    def _create(self, request: Request, body: bytes) -> Promise:
        house = self._house
        configuration = reading.parse_bucket_configuration(body)
        reading.check_location(configuration.location, house.region)
        chosen = tags.check_tags(configuration.tags, bucket=True)
        location = [(b"Location", b"/" + request.bucket.encode())]
        region = reading.region_of(configuration.location) or house.region
        # No await between this look and the transition.
        there = house.index.written_bucket(request.bucket)
        if there is not None:
            # Only where nothing says otherwise is making it again no mistake: us-east-1 is S3's oldest region.
            if there.region == region == "us-east-1" and chosen in ((), there.tags):
                return house.engine.settled((), None).then(lambda _: house.answer(request, 200, location))
            raise S3Error("BucketAlreadyOwnedByYou", extra={"BucketName": request.bucket})
        house.engine.check_writable()
        bucket = Bucket(request.bucket, house.engine.now_ms(), house.owner_id, region, chosen)
        house.index.create_bucket(bucket)
        return house.engine.settled((), None).then(lambda _: house.answer(request, 200, location))

    def head_bucket(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html"""
        refuse_body_hash(context)
        bucket = self._house.check_bucket(request)
        headers = [
            (b"x-amz-bucket-region", bucket.region.encode()), (b"x-amz-access-point-alias", b"false"),
            (b"Content-Type", b"application/xml"),
        ]  # fmt: skip
        return self._house.answer(request, 200, headers)

    async def delete_bucket(self, request: Request, context: SigningContext | None) -> Response:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html"""
        house = self._house
        refuse_body_hash(context)
        house.check_bucket(request)
        await house.engine.tidy(request.bucket)
        house.engine.check_bucket(request.bucket)
        # No await between this look and the transition.
        if not house.index.bucket_is_empty(request.bucket):
            raise S3Error("BucketNotEmpty", extra={"BucketName": request.bucket})
        dropped = house.index.delete_bucket(request.bucket)
        await house.engine.settled(dropped, None)
        return house.answer(request, 204)

    def get_bucket_location(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html"""
        refuse_body_hash(context)
        bucket = self._house.check_bucket(request)
        return self._house.document(request, documents.location_constraint(bucket.region))

    def get_bucket_versioning(self, request: Request, context: SigningContext | None) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html"""
        refuse_body_hash(context)
        self._house.check_bucket(request)
        # A bucket that never had versioning has no Status.
        return self._house.document(request, elements.document("VersioningConfiguration", ""))
