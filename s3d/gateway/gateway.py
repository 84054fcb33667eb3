"""The S3 operations as server, FUSE and sync call them.

Everything is forwarded so far: same method, bucket, key, query, headers and body, signature replaced by s3d's own,
answer streamed back. Only addresses in answers are rewritten to the one that the client used.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Protocol

from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import SigningContext
from s3d._core.upload import plan_upload
from s3d.gateway.cors import CorsRules
from s3d.gateway.location import relocate_body, relocate_header
from s3d.remote.client import Remote
from s3d.s3.bodies import need_length, refuse_body_hash
from s3d.s3.errors import S3Error
from s3d.s3.operations import OperationTable

Answer = Response | Promise | Awaitable[Response]


class Operations(Protocol):
    """What answers requests, behind the server: with a remote or without one."""

    def handle(self, request: Request, context: SigningContext | None) -> Answer:
        """Carry out ``request``, which is routed, authenticated and authorized; see `Gateway.handle`."""

    async def allow_origin(self, request: Request, origin: bytes) -> None:
        """Raise `S3Error` (AccessDenied) unless web pages from ``origin`` may send ``request``."""


class Gateway:
    """Carries out S3 requests. ``max_object_size_bytes`` bounds a request's body."""

    def __init__(self, remote: Remote, operations: OperationTable, *, max_object_size_bytes: int) -> None:
        self._remote = remote
        self._max_object_size_bytes = max_object_size_bytes
        self._uploads = frozenset(operations.index(name) for name in ("PutObject", "UploadPart"))
        self._post_object = operations.index("PostObject")
        self._relocated = frozenset(operations.index(name) for name in ("CompleteMultipartUpload", "CreateBucket"))
        self._cors = CorsRules(remote)

    def handle(self, request: Request, context: SigningContext | None) -> Answer:
        """Carry out ``request``, which is routed, authenticated and authorized.

        ``context`` is its signature, to check the chunks of its body against. Returns a finished response or something
        to wait for. Errors are raised or come out of the wait: `Fault`, `S3Error`, `RemoteError`. Cancelling the wait
        cuts the exchange with the remote.
        """
        if request.operation == self._post_object:
            raise S3Error("NotImplemented", "s3d does not take form uploads (POST Object) yet; use PUT.")
        upload = None
        if request.operation in self._uploads:
            need_length(request)
        if request.content_length != 0 or request.method in (b"PUT", b"POST"):
            upload = plan_upload(request, self._max_object_size_bytes, context)
        else:
            refuse_body_hash(context)
        promise = self._remote.forward(request, upload)
        if request.operation in self._relocated:
            return promise.then(partial(self._relocate, request))
        return promise

    async def allow_origin(self, request: Request, origin: bytes) -> None:
        """Refuse a web page from ``origin`` that no CORS rule of the request's bucket allows."""
        await self._cors.check(request, origin)

    @staticmethod
    def _relocate(request: Request, response: Response) -> Response:
        """Make the remote's address in an answer the address that the client asked."""
        relocate_header(request, response)
        if response.status == 200 and request.method == b"POST":
            relocate_body(request, response)
        return response
