"""The S3 operations without a remote: everything is answered from the object engine.

One method for each operation, found by the operation's index. What S3 has and s3d does not answers NotImplemented, by
name; nothing is ever half done.
"""

from __future__ import annotations

from collections.abc import Callable

from s3d._core.request import Request
from s3d._core.sigv4 import SigningContext
from s3d.gateway.gateway import Answer
from s3d.gateway.local.buckets import BucketOperations
from s3d.gateway.local.house import House
from s3d.gateway.local.listings import ListOperations
from s3d.gateway.local.multipart import MultipartOperations
from s3d.gateway.local.objects import ObjectOperations
from s3d.gateway.local.tagging import TaggingOperations
from s3d.s3 import presigned
from s3d.s3.errors import S3Error
from s3d.s3.operations import OperationTable

Operation = Callable[[Request, SigningContext | None], Answer]


class Standalone:
    """Carries out S3 requests on local objects alone."""

    def __init__(self, house: House, operations: OperationTable) -> None:
        self._house = house
        self._names = {operation.index: operation.name for operation in operations}
        objects = ObjectOperations(house)
        buckets = BucketOperations(house)
        lists = ListOperations(house)
        multipart = MultipartOperations(house)
        tagging = TaggingOperations(house)
        named: dict[str, Operation] = {
            "GetObject": objects.get_object,
            "HeadObject": objects.head_object,
            "PutObject": objects.put_object,
            "CopyObject": objects.copy_object,
            "DeleteObject": objects.delete_object,
            "DeleteObjects": objects.delete_objects,
            "GetObjectAttributes": objects.get_object_attributes,
            "ListBuckets": buckets.list_buckets,
            "CreateBucket": buckets.create_bucket,
            "HeadBucket": buckets.head_bucket,
            "DeleteBucket": buckets.delete_bucket,
            "GetBucketLocation": buckets.get_bucket_location,
            "GetBucketVersioning": buckets.get_bucket_versioning,
            "ListObjects": lists.list_objects,
            "ListObjectsV2": lists.list_objects_v2,
            "ListObjectVersions": lists.list_object_versions,
            "ListMultipartUploads": lists.list_multipart_uploads,
            "CreateMultipartUpload": multipart.create_multipart_upload,
            "UploadPart": multipart.upload_part,
            "UploadPartCopy": multipart.upload_part_copy,
            "CompleteMultipartUpload": multipart.complete_multipart_upload,
            "AbortMultipartUpload": multipart.abort_multipart_upload,
            "ListParts": multipart.list_parts,
            "GetObjectTagging": tagging.get_object_tagging,
            "PutObjectTagging": tagging.put_object_tagging,
            "DeleteObjectTagging": tagging.delete_object_tagging,
            "GetBucketTagging": tagging.get_bucket_tagging,
            "PutBucketTagging": tagging.put_bucket_tagging,
            "DeleteBucketTagging": tagging.delete_bucket_tagging,
            "Preflight": _preflight,
        }
        self._operations: list[Operation | None] = [None] * len(operations)
        for name, operation in named.items():
            self._operations[operations.index(name)] = operation

    def handle(self, request: Request, context: SigningContext | None) -> Answer:
        """Carry out ``request``, which is routed, authenticated and authorized.

        ``context`` is its signature, to check the chunks of its body against. Returns a finished response or something
        to wait for. Errors are raised or come out of the wait: `Fault`, `S3Error`, OSError.
        """
        if request.params and request.param(presigned.SIGNATURE) is not None:
            # They were signed as part of the query, and nothing is signed again here.
            request.headers.extend(presigned.hoisted_headers(request.params, request.headers))
        operation = self._operations[request.operation]
        if operation is None:
            name = self._names[request.operation]
            raise S3Error("NotImplemented", f"s3d in standalone mode does not implement {name} yet.")
        return operation(request, context)

    async def allow_origin(self, request: Request, origin: bytes) -> None:
        """Refuse a web page: no bucket has CORS rules here."""
        raise S3Error(
            "AccessDenied",
            f"No CORS rule of this bucket allows requests from the origin {origin.decode('latin-1')}. "
            "Programs other than web browsers should not send an Origin header.",
        )


def _preflight(request: Request, context: SigningContext | None) -> Answer:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html, of a bucket without CORS rules."""
    if request.header(b"origin") is None:
        raise S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    raise S3Error("AccessForbidden", "CORSResponse: CORS is not enabled for this bucket.")
