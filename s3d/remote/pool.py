"""Connections to one origin: reused last in, first out, bounded, with a line for those who wait."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time

from s3d._core.failure import RemoteError, RemoteFailure
from s3d._core.relay import Idle
from s3d._core.remote import RemoteConnection
from s3d.remote.connect import connect
from s3d.remote.endpoint import Origin
from s3d.s3.errors import S3Error

_log = logging.getLogger("s3d.remote")

_IDLE_S = 50.0
"""How long an unused connection is kept. Servers close after 5 to 75 s; whoever closes first, nothing is lost."""
_CLOSED_S = 1.0


class Pool(Idle):
    """The connections to ``origin``; at most ``limit`` at once, counting those being opened."""

    def __init__(
        self,
        origin: Origin,
        tls: ssl.SSLContext,
        *,
        limit: int,
        connect_timeout_s: float,
        first_byte_timeout_s: float,
        stall_timeout_s: float,
        total_timeout_s: float | None,
    ) -> None:
        self.origin = origin
        self._tls = tls
        self._limit = limit
        self._connect_timeout_s = connect_timeout_s
        self._first_byte_timeout_s = first_byte_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._total_timeout_s = total_timeout_s
        self._open: set[RemoteConnection] = set()
        self._opening = 0
        # Connecting took its whole time limit: until it works again only one at a time tries, once a second, and the
        # others fail at once instead of waiting for nothing.
        self._trouble: RemoteError | None = None
        self._closed_until_s = 0.0
        self._trying = False

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return len(self._open) + self._opening

    async def acquire(self, sure: bool, fresh: bool, timeout_s: float) -> RemoteConnection:
        """A connection, waiting for one or opening it, within ``timeout_s``. ``fresh``: none that was used before.

        Raises `RemoteError` (CONNECT), or `S3Error` (SlowDown) when all stay in use. The caller must start on the
        connection before it awaits anything else.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            connection = None if fresh else self.take(sure)
            if connection is not None:
                return connection
            if self.open < self._limit:
                return await self._connect(max(0.001, deadline_s - time.monotonic()))
            if self.idle:
                # All are open and idle, but none is of the wanted kind: make room for a new one.
                self._drop(self.idle.pop(0))
                continue
            connection = await self._turn(deadline_s)
            if connection is None or not connection.usable:
                continue
            if not fresh:
                return connection
            self._drop(connection)

    async def _turn(self, deadline_s: float) -> RemoteConnection | None:
        """Wait in line for a connection that becomes free, or None when one may be opened."""
        waiter: asyncio.Future[RemoteConnection | None] = asyncio.get_running_loop().create_future()
        self.waiting.append(waiter)
        try:
            async with asyncio.timeout(max(0.001, deadline_s - time.monotonic())):
                return await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            if waiter.done() and not waiter.cancelled():
                # It was our turn just now, and we leave: the next in line must not wait for ever.
                connection = waiter.result()
                if connection is not None and connection.usable:
                    self.released(connection)
                else:
                    self._wake()
            if isinstance(error, TimeoutError):
                raise S3Error("SlowDown", f"All {self._limit} connections to the remote are in use.") from None
            raise

    async def _connect(self, timeout_s: float) -> RemoteConnection:
        began_s = time.monotonic()
        suspect = self._trouble is not None
        if suspect:
            if self._trying or began_s < self._closed_until_s:
                raise RemoteError(RemoteFailure.CONNECT, str(self._trouble))
            self._trying = True
        self._opening += 1
        timeout_s = min(timeout_s, self._connect_timeout_s)
        try:
            connection = await connect(self.origin, self._make, self._tls, timeout_s)
        except RemoteError as error:
            if time.monotonic() - began_s >= 0.9 * self._connect_timeout_s:
                self._trouble = error
                self._closed_until_s = time.monotonic() + _CLOSED_S
            raise
        finally:
            self._opening -= 1
            if suspect:
                self._trying = False
            self._wake()
        self._trouble = None
        if not connection.usable:
            # Accepted and closed before we came to it: `lost` has been and gone.
            raise RemoteError(RemoteFailure.CONNECT, f"the remote {self.origin} closes connections at once")
        self._open.add(connection)
        return connection

    def _drop(self, connection: RemoteConnection) -> None:
        self._open.discard(connection)
        connection.abandon()

    def _make(self) -> RemoteConnection:
        return RemoteConnection(self, self._first_byte_timeout_s, self._stall_timeout_s, self._total_timeout_s or 0.0)

    # What connections tell their owner.

    def lost(self, connection: RemoteConnection, error: BaseException | None) -> None:
        """``connection`` is closed."""
        self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._wake()

    def _wake(self) -> None:
        while self.waiting:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def sweep(self, now_s: float) -> None:
        """Enforce the connections' time limits and close those that idle too long; ``now_s`` is monotonic."""
        while self.idle and now_s - self.idle[0].idle_since_s > _IDLE_S:
            self._drop(self.idle.pop(0))
        for connection in list(self._open):
            try:
                connection.check(now_s)
            except Exception:  # noqa: BLE001 - the other connections have limits, too
                _log.exception("checking the time limits of a connection to the remote failed; it is closed")
                connection.abandon()

    def close(self) -> None:
        """Close every connection, also those in use."""
        self.idle.clear()
        for connection in list(self._open):
            connection.abandon()
