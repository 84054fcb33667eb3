"""What all local operations share: the engine, who owns things, how answers begin, how small documents are read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from s3d._core.collect import Collector, chain
from s3d._core.fault import Fault, FaultCode
from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import SigningContext
from s3d._core.upload import plan_upload
from s3d.index.records import Bucket
from s3d.objects.engine import Engine
from s3d.objects.multipart import Multipart
from s3d.s3.elements import Owner
from s3d.s3.errors import S3Error
from s3d.s3.metadata import Encryption

_log = logging.getLogger("s3d.gateway")

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""The largest, a CompleteMultipartUpload of 10,000 parts with SHA-512, has 2.2 MB, and 3.5 MB indented."""

ACCOUNT_ID = "000000000000"
"""The account that owns everything: what AWS calls so has 12 digits, and no account has none but zeros."""

SOURCE_OWNER = b"x-amz-source-expected-bucket-owner"

Header = tuple[bytes, bytes]


class House:
    """The engine, and what every operation says and asks in the same way.

    ``owner_id`` owns all buckets and objects (a canonical user id, 64 hex digits); ``region`` is where buckets are;
    ``encryption`` says what becomes of objects that are to be encrypted with the store's own keys, which it has not.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        owner_id: str,
        owner_name: str,
        region: str,
        max_object_size_bytes: int,
        encryption: Encryption,
    ) -> None:
        self.engine = engine
        self.index = engine.index
        self.multipart = Multipart(engine)
        self.owner_id = owner_id
        self.owner = Owner(owner_id, owner_name)
        self.region = region
        self.max_object_size_bytes = max_object_size_bytes
        self.encryption: Encryption = encryption
        self._encryption_noted = False

    def note_encryption(self) -> None:
        """Tell whoever runs s3d, once, that objects are stored in clear that a client wanted encrypted."""
        if not self._encryption_noted:
            self._encryption_noted = True
            _log.warning(
                "a client asks for encryption at rest (x-amz-server-side-encryption: AES256), and s3d stores objects "
                "as they are; S3D_STANDALONE_SSE_S3=refuse refuses such writes"
            )

    # Answers.

    def answer(
        self, request: Request, status: int, headers: Sequence[Header] = (), body: bytes | None = None
    ) -> Response:
        """A response with what all of them carry."""
        return Response(status, [*self.common(request), *headers], body)

    def common(self, request: Request) -> list[Header]:
        """The headers of every answer."""
        return [(b"Server", b"s3d"), (b"x-amz-request-id", request.request_id.encode())]

    def document(self, request: Request, body: bytes, headers: Sequence[Header] = ()) -> Response:
        """An XML document."""
        return self.answer(request, 200, [(b"Content-Type", b"application/xml"), *headers], body)

    # Questions.

    def check_bucket(self, request: Request) -> Bucket:
        """The request's bucket; refuses one that does not exist, or that the client thinks is somebody else's."""
        bucket = self.index.bucket(request.bucket)
        if bucket is None:
            raise S3Error("NoSuchBucket", extra={"BucketName": request.bucket})
        self.check_owner(request)
        return bucket

    def check_owner(self, request: Request, header: bytes = b"x-amz-expected-bucket-owner") -> None:
        """Refuse when ``header`` names another owner than ours, by account or by canonical user id."""
        expected = request.header(header)
        if expected is not None and expected.decode("latin-1") not in (ACCOUNT_ID, self.owner_id):
            raise S3Error("AccessDenied")

    def read_document(
        self, request: Request, context: SigningContext | None, read: Callable[[bytes], object]
    ) -> Promise:
        """Gather and verify a request's small body; the promise brings what ``read`` makes of it."""
        try:
            upload = plan_upload(request, MAX_DOCUMENT_BYTES, context, keep=True)
        except Fault as fault:
            if fault.code != FaultCode.ENTITY_TOO_LARGE:
                raise
            raise S3Error(
                "MaxMessageLengthExceeded", extra={"MaxMessageLengthBytes": str(MAX_DOCUMENT_BYTES)}, cause=fault
            ) from fault
        promise = Promise()
        if request.body is None:
            promise.resolve(b"")
            return promise.then(read)

        def done(body: bytes | None, error: BaseException | None) -> None:
            if error is not None:
                promise.reject(error)
            else:
                promise.resolve(body)

        collector = Collector(MAX_DOCUMENT_BYTES, done)
        promise.on_cancel(lambda: collector.abandon(ConnectionAbortedError("nobody waits for the answer")))
        chain(request.body, upload, collector)
        return promise.then(read)
