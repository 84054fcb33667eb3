"""The remote as the rest of s3d sees it: a request goes in, a promise of its answer comes out.

On the hot path (target known, an idle connection at hand) `Remote.forward` signs and sends within the call. Everything
else is a coroutine behind the same promise: resolving an address, opening a connection, waiting for one, following a
bucket to its region, sending again what can be sent again.

A request is sent again when no connection could be made for it, or when it only reads and its connection broke before
the first byte of an answer; anything else may have been carried out. Error answers of the remote are the client's to
retry: two layers of retries multiply.

Tasks: one sweeper (time limits of all connections, four times a second), one probe while the remote is offline, and
one task for each request off the hot path. All state is touched on the event loop's thread only.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Coroutine
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal
from weakref import WeakValueDictionary

import botocore.session
import msgspec

from s3d._core.collect import Beginning, Collector, chain
from s3d._core.exchange import Exchange
from s3d._core.failure import RemoteError, RemoteFailure
from s3d._core.fault import Fault
from s3d._core.forward import Target
from s3d._core.promise import Promise
from s3d._core.relay import relay, send
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import Credentials
from s3d._core.upload import Upload
from s3d.remote.credentials import CredentialSource
from s3d.remote.endpoint import EndpointError, Endpoints, Origin
from s3d.remote.health import Health
from s3d.remote.pool import Pool
from s3d.s3.errors import MAX_ERROR_BYTES, ErrorBody, S3Error, parse_error

_log = logging.getLogger("s3d.remote")

_SWEEP_INTERVAL_S = 0.25
_PROBE_INTERVAL_S = 1.0
_ABOUT_US = frozenset(
    ("SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
     "RequestTimeTooSkewed")
)  # fmt: skip
"""What the remote says of the signature, which is ours."""
_REQUEST_IDS = (b"x-amz-request-id", b"x-amz-id-2", b"x-amzn-requestid")
"""Headers that an S3, or what stands in for one, sends with every answer."""
_MAX_HOPS = 2
"""Regions that one request is sent on to: a remote that names another one each time is not to be followed for ever."""


class RemoteLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the traffic with the remote; times in seconds, None for no limit."""

    connections: int
    retries: int
    connect_timeout_s: float
    first_byte_timeout_s: float
    stall_timeout_s: float
    total_timeout_s: float | None


class Remote:
    """The upstream S3. `start` before use, `close` at the end."""

    def __init__(
        self,
        session: botocore.session.Session,
        *,
        url: str | None,
        region: str,
        addressing: Literal["auto", "path", "virtual"],
        tls: ssl.SSLContext,
        limits: RemoteLimits,
    ) -> None:
        self.endpoints = Endpoints(session, url, region, addressing)
        self.credentials = CredentialSource(session, self._credentials_changed)
        self.health = Health()
        self._clock_offset_s = 0.0
        self._tls = tls
        self._limits = limits
        # A pool lives as long as a bucket's target or a connection refers to it: in virtual-host style each bucket has
        # its own, and the targets are bounded.
        self._pools: WeakValueDictionary[Origin, Pool] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Resolve credentials, ask the remote for a first sign of life in the background, enforce time limits."""
        await self.credentials.start()
        self._background = [
            asyncio.create_task(self._sweep(), name="remote sweeper"),
            asyncio.create_task(self._probe(), name="remote probe"),
        ]

    async def close(self) -> None:
        """Cut every connection and end every task."""
        for task in (*self._background, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._background, *self._tasks, return_exceptions=True)
        await self.credentials.stop()
        for pool in list(self._pools.values()):
            pool.close()
        await asyncio.sleep(0)  # connection_lost of what was just cut

    @property
    def open_connections(self) -> int:
        """Connections to the remote, idle ones included."""
        return sum(pool.open for pool in list(self._pools.values()))

    def forward(self, request: Request, upload: Upload | None) -> Promise:
        """Send ``request`` to the remote, its body through ``upload``; the promise brings the remote's `Response`.

        The request must be routed (bucket and key are read from it). ``upload`` is None for a request without body.
        Errors: `Fault` (the client's body is not what it announced), `RemoteError` (no whole answer), `S3Error`.
        Cancelling the promise cuts the connection that carries the request.
        """
        target = self.endpoints.known(request.bucket)
        if target is not None:
            pool = target.pool or self._pool(target)
            promise = relay(self, self.health, pool, target, request, upload, self._clock_offset_s)
            if promise is not None:
                return promise
        return self._spawn(self._send(request, upload))

    # What exchanges on the hot path ask.

    def answered(self, exchange: Exchange, response: Response) -> Response | Promise:
        """An answer that may be more than an answer; see `Exchange`."""
        return self._answered(exchange.request, exchange.upload, response, exchange.target, 0)

    def failed(self, exchange: Exchange, error: BaseException) -> Promise:
        """No answer. A reused connection may have been closing just as the request was sent on it: try another."""
        if isinstance(error, RemoteError):
            if exchange.connection.exchanges > 1 and self._limits.retries > 0 and resendable(exchange.request, error):
                return self._spawn(self._send(exchange.request, exchange.upload, attempt=1))
            self._note(error, exchange.target)
        raise error

    # Off the hot path.

    def _spawn(self, work: Coroutine[Any, Any, Response]) -> Promise:
        task = asyncio.create_task(work)
        promise = Promise(task.cancel)
        self._tasks.add(task)
        task.add_done_callback(partial(self._settle, promise))
        return promise

    def _settle(self, promise: Promise, task: asyncio.Task[Response]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            promise.reject(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            promise.reject(error)
        elif promise.done:
            task.result().discard()
        else:
            promise.resolve(task.result())

    async def _send(self, request: Request, upload: Upload | None, attempt: int = 0, hops: int = 0) -> Response:
        """Send ``request`` with all patience that the limits allow.

        ``attempt`` counts how often it was sent before, ``hops`` the regions and clocks that it was adjusted to.
        """
        if request.body is not None and not upload_flows(upload):
            await verified(request, upload)
        deadline_s = time.monotonic() + self._limits.connect_timeout_s
        while True:
            target = self._target(request.bucket)
            try:
                connection = await self._pool(target).acquire(
                    not repeatable(request), attempt > 0, deadline_s - time.monotonic()
                )
                # No await between here and the start: the connection is ours only by not letting others run.
                try:
                    promise = send(connection, target, request, upload, int(time.time() + self._clock_offset_s))
                except BaseException:
                    connection.abandon()
                    raise
                response = await promise
            except RemoteError as error:
                attempt += 1
                delay_s = random.uniform(0.5, 1.0) * 0.05 * 2**attempt
                if (
                    attempt > self._limits.retries
                    or not resendable(request, error)
                    or time.monotonic() + delay_s >= deadline_s
                ):
                    self._note(error, target)
                    raise
                await asyncio.sleep(delay_s)
                continue
            answer = self._answered(request, upload, response, target, hops)
            return await answer if isinstance(answer, Promise) else answer

    def _note(self, error: RemoteError, target: Target) -> None:
        self.health.failed(error, target.origin == self.endpoints.service()[0])

    def _answered(
        self, request: Request, upload: Upload | None, response: Response, target: Target, hops: int
    ) -> Response | Promise:
        self.health.succeeded()
        status = response.status
        if status < 300:
            self.credentials.accepted()
            if status == 204 and request.method == b"DELETE" and not request.key and not request.query:
                self.endpoints.forget(request.bucket)
            return response
        if status not in (301, 302, 307, 400, 403, 404) or (status == 404 and response.header(b"x-amz-request-id")):
            return response
        return self._spawn(self._judged(request, upload, response, target, hops))

    async def _judged(
        self, request: Request, upload: Upload | None, response: Response, target: Target, hops: int
    ) -> Response:
        """An answer that may be about us, or not be S3's: send again where that helps, refuse, or relay it."""
        beginning, whole = await read_beginning(response, MAX_ERROR_BYTES)
        if whole and request.method != b"HEAD":
            response.body, response.content_length = beginning, len(beginning)
        error = parse_error(beginning, whole=whole)
        code = error.code if error is not None else ""
        if code in _ABOUT_US:
            return await self._rejected(request, upload, response, code, hops)
        if not _is_s3(response, error, request.method == b"HEAD"):
            # A captive portal, a proxy's error page: whatever it says of an object, it does not know.
            failure = RemoteError(
                RemoteFailure.PROTOCOL, f"the remote's answer, status {response.status}, is not that of an S3", True
            )
            self._note(failure, target)
            response.discard()
            raise failure
        if not request.bucket or hops >= _MAX_HOPS or response.status not in (301, 307, 400):
            return response
        header = response.header(b"x-amz-bucket-region")
        region = header.decode("ascii", "replace") if header else error.region if error is not None else ""
        moved = response.status in (301, 307) or code == "AuthorizationHeaderMalformed"
        if request.method == b"HEAD" and response.status == 400 and header:
            moved = True  # the error's code would stand in a body that HEAD does not have
        # Requests that were under way when another one learnt the region follow it as well: what counts is the region
        # that this one was signed for.
        signed_for = target.signer.region.decode() if target.signer is not None else ""
        if not moved or region in ("", signed_for) or not self.endpoints.learn_region(request.bucket, region):
            return response
        response.discard()
        if request.body is not None and request.body.connected:
            raise S3Error(
                "ServiceUnavailable",
                f"The bucket is in the region {region}, which s3d has only learnt now. Please send the request again.",
            )
        return await self._send(request, upload, hops=hops + 1)

    async def _rejected(
        self, request: Request, upload: Upload | None, response: Response, code: str, hops: int
    ) -> Response:
        """The remote does not accept our signature. The client's was taken off, so it is none of the client's doing."""
        response.discard()
        if code == "RequestTimeTooSkewed" and hops < _MAX_HOPS and self._set_clock(response):
            if request.body is None or not request.body.connected:
                return await self._send(request, upload, hops=hops + 1)
        else:
            self.credentials.rejected(code)
            self.health.well = False  # so that the next success is noticed
        raise S3Error(
            "ServiceUnavailable", f"The remote does not accept the credentials or the clock of s3d itself ({code})."
        )

    def _set_clock(self, response: Response) -> bool:
        """Sign by the remote's clock from now on, if its answer tells it: clocks of edge nodes lie."""
        try:
            date = parsedate_to_datetime((response.header(b"date") or b"").decode("latin-1"))
        except (TypeError, ValueError):
            return False
        self._clock_offset_s = date.timestamp() - time.time()
        _log.warning(
            "this machine's clock is %.0f s behind the remote's; signing by the remote's", self._clock_offset_s
        )
        return True

    def _target(self, bucket: str) -> Target:
        try:
            return self.endpoints.target(bucket)
        except EndpointError as error:
            if self.credentials.current is None:
                raise S3Error(
                    "ServiceUnavailable", f"s3d has no credentials for the remote: {self.credentials.error}"
                ) from error
            raise S3Error("InvalidBucketName", str(error), cause=error) from error

    def _pool(self, target: Target) -> Pool:
        pool = target.pool = self._pool_of(target.origin)
        return pool

    def _pool_of(self, origin: Origin) -> Pool:
        pool = self._pools.get(origin)
        if pool is None:
            limits = self._limits
            pool = self._pools[origin] = Pool(
                origin, self._tls, limit=limits.connections, connect_timeout_s=limits.connect_timeout_s,
                first_byte_timeout_s=limits.first_byte_timeout_s, stall_timeout_s=limits.stall_timeout_s,
                total_timeout_s=limits.total_timeout_s,
            )  # fmt: skip
        return pool

    def _credentials_changed(self, credentials: Credentials | None) -> None:
        self.endpoints.use(credentials)

    # Background.

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            now_s = time.monotonic()
            for pool in list(self._pools.values()):
                pool.sweep(now_s)

    async def _probe(self) -> None:
        """Ask for a first sign of life, then again and again while its state is in doubt."""
        while True:
            if self.health.doubtful:
                try:
                    await self._probe_once()
                except S3Error:
                    pass  # every connection is in use: whoever uses them will find out
                except Exception:  # noqa: BLE001 - whatever it was, the next probe may tell
                    _log.exception("probing the remote failed")
            await asyncio.sleep(random.uniform(0.8, 1.2) * _PROBE_INTERVAL_S)

    async def _probe_once(self) -> None:
        try:
            origin, host = self.endpoints.service()
        except EndpointError as error:
            _log.error("the remote has no address: %s", error)
            return
        began_s = time.monotonic()
        try:
            connection = await self._pool_of(origin).acquire(False, True, self._limits.connect_timeout_s)
            # Unsigned and refused by most, which is as good an answer as any: somebody is there and speaks HTTP.
            response = await connection.start(
                b"HEAD / HTTP/1.1\r\nhost: %b\r\nuser-agent: s3d-probe\r\n\r\n" % host, head_only=True
            )
        except RemoteError as error:
            self.health.failed(error, True)
            return
        response.discard()
        self.health.latency_s = time.monotonic() - began_s
        self.health.succeeded()


def upload_flows(upload: Upload | None) -> bool:
    """Whether the body of a request goes up with it, as opposed to being verified as empty beforehand."""
    return upload is not None and upload.forward_length > 0


def repeatable(request: Request) -> bool:
    """Whether carrying ``request`` out twice is the same as once: nothing else is sent again once it was sent.

    Idempotent by RFC 9110 are PUT and DELETE, too, but not to their clients: the second DELETE of a bucket answers 404,
    in a versioned one it makes a second delete marker.
    """
    return request.method in (b"GET", b"HEAD") and request.body is None


def resendable(request: Request, error: RemoteError) -> bool:
    """Whether ``request`` can be sent again after ``error`` without being carried out twice, or half."""
    if error.answered or (request.body is not None and request.body.connected):
        return False
    if error.failure == RemoteFailure.CONNECT:
        return True
    return error.failure == RemoteFailure.DISCONNECTED and repeatable(request)


def _is_s3(response: Response, error: ErrorBody | None, head_only: bool) -> bool:
    """Whether ``response`` comes from an S3: it has an error document or a request id.

    HEAD has no document, and some stores send no id; what they do not send is a page.
    """
    if error is not None or any(response.header(name) for name in _REQUEST_IDS):
        return True
    if response.status not in (302, 404):
        return True
    return head_only and response.status == 404 and b"html" not in (response.header(b"content-type") or b"")


async def read_beginning(response: Response, limit: int) -> tuple[bytes, bool]:
    """How the body of ``response`` begins, and whether that is all of it.

    A body over ``limit`` bytes is left in ``response`` to be sent on, its beginning included.
    """
    body = response.body
    if body is None or isinstance(body, bytes):
        return body or b"", True
    seen: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    beginning = Beginning(limit, partial(_fulfil, seen))
    chain(body, beginning)
    response.body = beginning
    try:
        return await seen, beginning.whole
    except asyncio.CancelledError:
        beginning.discard()
        raise


async def read_body(response: Response, limit: int) -> bytes:
    """The whole body of ``response``; `S3Error` (ServiceUnavailable) if it is larger than ``limit`` bytes."""
    body = response.body
    if body is None or isinstance(body, bytes):
        return body or b""
    try:
        return await _collected(limit, body)
    except Fault as fault:
        raise S3Error(
            "ServiceUnavailable", f"The remote's answer is larger than {limit} bytes.", cause=fault
        ) from fault


async def verified(request: Request, upload: Upload | None) -> None:
    """Take in a body whose content is empty (aws-chunked framing only) and check what was said about it."""
    assert request.body is not None and upload is not None
    await _collected(0, request.body, upload)


async def _collected(limit: int, *stages: Any) -> bytes:
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    collector = Collector(limit, partial(_fulfil, done))
    chain(*stages, collector)
    try:
        return await done
    except asyncio.CancelledError:
        collector.abandon(asyncio.CancelledError())
        raise


def _fulfil(future: asyncio.Future[bytes], data: bytes | None, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(data or b"")
