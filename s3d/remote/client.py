"""The remote as the rest of s3d sees it: a request goes in, a promise of its answer comes out.

On the hot path (target known, an idle connection at hand) `Remote.forward` signs and sends within the call. Everything
else is a coroutine behind the same promise: resolving an address, opening a connection, waiting for one, following a
bucket to its region, sending again what can be sent again.

A request is sent again only when nothing of its body has been read and its connection broke before the first byte of
an answer; conditional and POST requests never, since they may have been carried out. Error answers of the remote are
the client's to retry: two layers of retries multiply.

Tasks: one sweeper (time limits of all connections, four times a second), one probe while the remote is offline, and
one task for each request off the hot path. All state is touched on the event loop's thread only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, Literal
from weakref import WeakValueDictionary

import botocore.session
import msgspec

from s3d._core.collect import Collector, chain
from s3d._core.exchange import Exchange
from s3d._core.fault import Fault
from s3d._core.forward import Target, forward_head
from s3d._core.promise import Promise
from s3d._core.remote import RemoteConnection, RemoteError, RemoteFailure
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.sigv4 import Credentials
from s3d._core.upload import Upload
from s3d.remote.credentials import CredentialSource
from s3d.remote.endpoint import EndpointError, Endpoints, Origin
from s3d.remote.health import Health
from s3d.remote.pool import Pool
from s3d.s3.errors import MAX_ERROR_BYTES, S3Error, parse_error

_log = logging.getLogger("s3d.remote")

_EMPTY_SHA256 = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_SWEEP_INTERVAL_S = 0.25
_PROBE_INTERVAL_S = 1.0
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
        if target is not None and not self.health.refusing and (request.body is None or upload_flows(upload)):
            pool = target.pool or self._pool(target)
            connection = pool.take(request.body is not None)
            if connection is not None:
                exchange = Exchange(self, self.health, request, upload, connection)
                return self._start(connection, target, request, upload, exchange)
        return self._spawn(self._send(request, upload))

    def _start(
        self,
        connection: RemoteConnection,
        target: Target,
        request: Request,
        upload: Upload | None,
        promise: Promise | None = None,
    ) -> Promise:
        now_s = int(time.time())
        head_only = request.method == b"HEAD"
        if upload is None:
            head = forward_head(request, target, _EMPTY_SHA256, -1, None, False, now_s)
            return connection.start(head, head_only=head_only, promise=promise)
        length = upload.forward_length
        expect = request.expects_continue and length > 0
        head = forward_head(request, target, upload.payload_hash, length, upload.changes, expect, now_s)
        if length == 0:
            return connection.start(head, head_only=head_only, promise=promise)
        return connection.start(
            head, head_only=head_only, source=request.body, stage=upload, length=length, expect=expect, promise=promise
        )

    # What exchanges on the hot path ask.

    def answered(self, exchange: Exchange, response: Response) -> Response | Promise:
        """An answer that may be more than an answer; see `Exchange`."""
        return self._answered(exchange.request, exchange.upload, response)

    def failed(self, exchange: Exchange, error: BaseException) -> Promise:
        """No answer. A reused connection may have been closing just as the request was sent on it: try another."""
        if isinstance(error, RemoteError):
            if exchange.connection.exchanges > 1 and self._limits.retries > 0 and resendable(exchange.request, error):
                return self._spawn(self._send(exchange.request, exchange.upload, fresh=True))
            self.health.failed(error)
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

    async def _send(self, request: Request, upload: Upload | None, fresh: bool = False, hops: int = 0) -> Response:
        """Send ``request`` with all patience that the limits allow. ``fresh``: on a new connection.

        ``hops`` counts the regions that the request was sent on to.
        """
        if request.body is not None and not upload_flows(upload):
            await verified(request, upload)
        deadline_s = time.monotonic() + self._limits.connect_timeout_s
        attempt = 0
        while True:
            target = self._target(request.bucket)
            if self.health.refusing:
                raise RemoteError(RemoteFailure.CONNECT, f"the remote is offline: {self.health.last_error}")
            try:
                connection = await self._pool(target).acquire(
                    request.body is not None, fresh, deadline_s - time.monotonic()
                )
                # No await between here and the start: the connection is ours only by not letting others run.
                response = await self._start(connection, target, request, upload)
            except RemoteError as error:
                attempt += 1
                delay_s = random.uniform(0.5, 1.0) * 0.05 * 2**attempt
                if (
                    attempt > self._limits.retries
                    or not resendable(request, error)
                    or time.monotonic() + delay_s >= deadline_s
                ):
                    self._failed_for_good(error, deadline_s)
                    raise
                fresh = True
                await asyncio.sleep(delay_s)
                continue
            answer = self._answered(request, upload, response, hops)
            return await answer if isinstance(answer, Promise) else answer

    def _failed_for_good(self, error: RemoteError, deadline_s: float) -> None:
        self.health.failed(error)
        if error.failure == RemoteFailure.CONNECT and time.monotonic() >= deadline_s - 0.1:
            self.health.refuse_at_once()

    def _answered(
        self, request: Request, upload: Upload | None, response: Response, hops: int = 0
    ) -> Response | Promise:
        self.health.succeeded()
        status = response.status
        if status < 300 or status not in (301, 307, 400):
            if status == 204 and request.method == b"DELETE" and not request.key and not request.query:
                self.endpoints.forget(request.bucket)
            return response
        if not request.bucket or hops >= _MAX_HOPS:
            return response
        return self._spawn(self._redirected(request, upload, response, hops))

    async def _redirected(self, request: Request, upload: Upload | None, response: Response, hops: int) -> Response:
        """The remote may have said that the bucket lives in another region: follow it there, or relay the answer."""
        body = await read_body(response, MAX_ERROR_BYTES)
        error = parse_error(body)
        header = response.header(b"x-amz-bucket-region")
        region = header.decode("ascii", "replace") if header else error.region if error is not None else ""
        moved = response.status in (301, 307) or (error is not None and error.code == "AuthorizationHeaderMalformed")
        if request.method == b"HEAD" and response.status == 400 and header:
            moved = True  # the error's code would stand in a body that HEAD does not have
        if not region or not moved or not self.endpoints.learn_region(request.bucket, region):
            if request.method != b"HEAD":
                response.body, response.content_length = body, len(body)
            return response
        if request.body is not None and request.body.connected:
            raise S3Error(
                "ServiceUnavailable",
                f"The bucket is in the region {region}, which s3d has only learnt now. Please send the request again.",
            )
        return await self._send(request, upload, hops=hops + 1)

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
        """Ask for a first sign of life, then again and again while the remote is offline."""
        while True:
            if self.health.state in ("unknown", "offline"):
                with contextlib.suppress(S3Error):
                    await self._probe_once()
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
            self.health.failed(error)
            return
        response.discard()
        self.health.latency_s = time.monotonic() - began_s
        self.health.succeeded()


def upload_flows(upload: Upload | None) -> bool:
    """Whether the body of a request goes up with it, as opposed to being verified as empty beforehand."""
    return upload is not None and upload.forward_length > 0


def resendable(request: Request, error: RemoteError) -> bool:
    """Whether ``request`` can be sent again after ``error`` without being carried out twice, or half."""
    if error.answered or (request.body is not None and request.body.connected):
        return False
    if error.failure == RemoteFailure.CONNECT:
        return True
    if error.failure != RemoteFailure.DISCONNECTED or request.method == b"POST":
        return False
    return request.method in (b"GET", b"HEAD") or not (request.header(b"if-match") or request.header(b"if-none-match"))


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

    def settle(data: bytes | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(data or b"")

    collector = Collector(limit, settle)
    chain(*stages, collector)
    try:
        return await done
    except asyncio.CancelledError:
        collector.abandon(asyncio.CancelledError())
        raise
