"""Connections to one origin: reused last in, first out, bounded, with a line for those who wait."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque

from s3d._core.remote import RemoteConnection, RemoteError, RemoteFailure
from s3d.remote.connect import connect
from s3d.remote.endpoint import Origin
from s3d.s3.errors import S3Error

_IDLE_S = 50.0
"""How long an unused connection is kept. Servers close after 5 to 75 s; whoever closes first, nothing is lost."""
_SURE_S = 4.0
"""How recently a connection must have been used to carry a body that cannot be sent again. S3 and the servers like it
keep idle connections for 5 s and more; a body that meets a connection being closed would be lost with it."""


class Pool:
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
        self._idle: list[RemoteConnection] = []
        self._open: set[RemoteConnection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return len(self._open) + self._opening

    def take(self, sure: bool) -> RemoteConnection | None:
        """An idle connection, now; with ``sure`` only one that was used a moment ago. The caller must start on it."""
        idle = self._idle
        while idle:
            if sure and time.monotonic() - idle[-1].idle_since_s > _SURE_S:
                return None
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

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
            if self._idle:
                # All are open and idle, but none is of the wanted kind: make room for a new one.
                self._idle.pop(0).abandon()
                await asyncio.sleep(0)
                continue
            await self._turn(deadline_s)

    async def _turn(self, deadline_s: float) -> None:
        """Wait until a connection may have become free; whoever is woken looks again, and others may be faster."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(max(0.001, deadline_s - time.monotonic())):
                await waiter
        except TimeoutError:
            raise S3Error("SlowDown", f"All {self._limit} connections to the remote are in use.") from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake()  # it was our turn, and we leave: the next in line must not wait for ever
            raise

    async def _connect(self, timeout_s: float) -> RemoteConnection:
        self._opening += 1
        try:
            connection = await connect(self.origin, self._make, self._tls, min(timeout_s, self._connect_timeout_s))
        except BaseException:
            self._opening -= 1
            self._wake()
            raise
        self._opening -= 1
        if not connection.usable:
            # Accepted and closed before we came to it: `lost` has been and gone.
            self._wake()
            raise RemoteError(RemoteFailure.CONNECT, f"the remote {self.origin} closes connections at once")
        self._open.add(connection)
        return connection

    def _make(self) -> RemoteConnection:
        return RemoteConnection(self, self._first_byte_timeout_s, self._stall_timeout_s, self._total_timeout_s or 0.0)

    # What connections tell their owner.

    def released(self, connection: RemoteConnection) -> None:
        """``connection`` is free again; it idles, and the next in line may take it."""
        self._idle.append(connection)
        self._wake()

    def lost(self, connection: RemoteConnection, error: BaseException | None) -> None:
        """``connection`` is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    def sweep(self, now_s: float) -> None:
        """Enforce the connections' time limits and close those that idle too long; ``now_s`` is monotonic."""
        while self._idle and now_s - self._idle[0].idle_since_s > _IDLE_S:
            self._idle.pop(0).abandon()
        for connection in list(self._open):
            connection.check(now_s)

    def close(self) -> None:
        """Close every connection, also those in use."""
        self._idle.clear()
        for connection in list(self._open):
            connection.abandon()
