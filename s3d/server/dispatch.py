"""From a parsed request to its answer: host, route, signature, authorization, operation; errors become S3's XML."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import os
import secrets
from base64 import b64encode
from collections.abc import Callable

from s3d._core.admission import Admission
from s3d._core.failure import RemoteError
from s3d._core.fault import Fault, FaultCode
from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.route import Router
from s3d._core.sigv4 import SigningContext
from s3d.auth.authenticate import Authenticator
from s3d.gateway.gateway import Operations
from s3d.index.errors import IndexBusy, IndexError_, IndexFailed
from s3d.s3.errors import S3Error
from s3d.s3.operations import OperationTable
from s3d.server.hosts import Hosts

_log = logging.getLogger("s3d.server")

RETRY_AFTER_S = b"1"
HOST_ID = b64encode(secrets.token_bytes(48)).decode()
"""Which s3d refused: another one after each start, and opaque, as S3's x-amz-id-2 is."""
_PASSING = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EBUSY, errno.ETIMEDOUT))
"""A full disk, or one that does not keep up: what may be well when the client asks again."""


class Dispatcher(Admission):
    """Answers requests: see `Admission`, which takes the steps."""

    def __init__(
        self,
        gateway: Operations,
        operations: OperationTable,
        router: Router,
        authenticator: Authenticator,
        hosts: Hosts,
        internal: Callable[[Request], Response],
    ) -> None:
        super().__init__(
            router,
            preflight=operations.index("Preflight"),
            internal=self._answer_internal,
            check_host=hosts.check,
            authenticate=authenticator.authenticate,
            from_page=self._from_page,
            handle=gateway.handle,
            verifier=authenticator.verifier,
        )
        self._gateway = gateway
        self._hosts = hosts
        self._internal = internal

    def _answer_internal(self, request: Request) -> Response | None:
        """The answer to a request for s3d itself; None when what looks like it is an object's key."""
        if self._hosts.names_bucket(request):
            return None
        self._hosts.check(request)
        return self._internal(request)

    async def _from_page(self, request: Request, context: SigningContext | None, origin: bytes) -> Response:
        if sum(name == b"origin" for name, _ in request.headers) > 1:
            raise Fault(FaultCode.BAD_REQUEST, "A request must not have more than one Origin header.")
        await self._gateway.allow_origin(request, origin)
        answer = self._gateway.handle(request, context)
        if isinstance(answer, Promise) or inspect.isawaitable(answer):
            response: Response = await answer
            return response
        return answer


def refuse(request: Request | None, error: BaseException) -> Response:
    """The error response for ``error``, whatever it is. Never raises; unexpected errors are logged with traceback."""
    refusal = _refusal(request, error)
    if request is not None:
        refusal.tell(
            method=request.method.decode("latin-1"), bucket=request.bucket, key=request.key, target=request.path
        )
    request_id = request.request_id if request is not None else secrets.token_hex(8).upper()
    headers = [(b"Server", b"s3d"), (b"x-amz-request-id", request_id.encode()), (b"x-amz-id-2", HOST_ID.encode())]
    if refusal.status == 503:
        headers.append((b"Retry-After", RETRY_AFTER_S))
    if refusal.status == 304:
        return Response(304, headers)
    headers.append((b"Content-Type", b"application/xml"))
    # Whoever sent it here may send more of the kind: a proxy that takes us for somebody else.
    return Response(refusal.status, headers, refusal.to_xml(request_id, HOST_ID), close=refusal.status == 421)


def _refusal(request: Request | None, error: BaseException) -> S3Error:
    resource = request.path if request is not None else b""
    if isinstance(error, S3Error):
        error.resource = error.resource or resource
        return error
    if isinstance(error, Fault):
        return S3Error.from_fault(error, resource)
    if isinstance(error, RemoteError):
        return S3Error("ServiceUnavailable", f"s3d got no answer from the remote: {error}", resource=resource)
    if isinstance(error, (asyncio.CancelledError, ConnectionError)):
        return S3Error("ServiceUnavailable", "The request was interrupted. Please try again.", resource=resource)
    if isinstance(error, IndexBusy):
        return S3Error("SlowDown", resource=resource)
    if isinstance(error, (IndexError_, OSError)):
        # The disk's doing, not the client's; who runs s3d needs the path, and `s3d status` says it as well.
        words = " ".join(str(error).split())
        if isinstance(error, OSError) and error.filename is not None:
            words = f"{os.fsdecode(error.filename)}: {error.strerror}"
        _log.error("a request failed on the disk: %s", words)
        # An index that failed is about to be opened anew.
        again = isinstance(error, IndexFailed) or getattr(error, "errno", None) in _PASSING
        code = "ServiceUnavailable" if again else "InternalError"
        return S3Error(code, f"s3d's own storage failed: {words}", resource=resource, cause=error)
    _log.error(
        "%s failed unexpectedly", "a connection" if request is None else f"request {request.request_id}", exc_info=error
    )
    return S3Error("InternalError", resource=resource)
