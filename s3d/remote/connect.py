"""Opening connections to the remote: TCP, TLS, proxies."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from s3d._core.failure import RemoteError, RemoteFailure
from s3d._core.remote import RemoteConnection
from s3d.remote.endpoint import Origin

_MAX_PROXY_HEAD_SIZE = 16_384


def tls_context(ca_bundle: Path | None, verify: bool) -> ssl.SSLContext:
    """The TLS settings for the remote: system certificates, or those of ``ca_bundle``."""
    context = ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def proxy_for(origin: Origin) -> str | None:
    """The proxy that ``HTTP_PROXY``/``HTTPS_PROXY``/``NO_PROXY`` name for ``origin``, as a URL, or None."""
    proxy = getproxies().get(origin.scheme)
    if not proxy or proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    return proxy if "//" in proxy else f"http://{proxy}"


async def connect(
    origin: Origin, make: Callable[[], RemoteConnection], tls: ssl.SSLContext, timeout_s: float
) -> RemoteConnection:
    """Open a connection to ``origin``, through its proxy if it has one.

    Raises `RemoteError` (CONNECT) for whatever goes wrong, the time limit included; cancelled, it leaves nothing open.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _connect(origin, make, tls)
    except TimeoutError:
        raise RemoteError(
            RemoteFailure.CONNECT, f"the remote {origin} could not be connected within {timeout_s:g} s"
        ) from None
    except (OSError, ssl.SSLError, ValueError) as error:  # ValueError: a name that cannot be a host's
        raise RemoteError(RemoteFailure.CONNECT, f"the remote {origin} cannot be connected: {error}") from error


async def _connect(origin: Origin, make: Callable[[], RemoteConnection], tls: ssl.SSLContext) -> RemoteConnection:
    loop = asyncio.get_running_loop()
    context = tls if origin.scheme == "https" else None
    proxy = proxy_for(origin)
    if proxy is None:
        _, connection = await loop.create_connection(
            cast(Any, make), origin.host, origin.port, ssl=context, server_hostname=origin.host if context else None
        )
        return cast(RemoteConnection, connection)
    # CONNECT for both schemes: the requests then are the same as without a proxy, signature and all.
    parts = urlsplit(proxy)
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    head = f"CONNECT {host}:{origin.port} HTTP/1.1\r\nHost: {host}:{origin.port}\r\n"
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    secure = parts.scheme == "https"
    transport, tunnel = await loop.create_connection(
        lambda: _Tunnel(head + "\r\n", loop),
        parts.hostname or "",
        parts.port or (443 if secure else 80),
        ssl=tls if secure else None,
    )
    try:
        status = await tunnel.status
        if not status.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
            raise OSError(f"the proxy {parts.hostname} refused: {status.decode('latin-1')}")
        connection = make()
        if context is None:
            # uvloop chooses how to read when it starts to: start again for the new protocol.
            transport.pause_reading()
            transport.set_protocol(cast(Any, connection))
            connection.connection_made(transport)
            transport.resume_reading()
        else:
            upgraded = await loop.start_tls(transport, cast(Any, connection), context, server_hostname=origin.host)
            if upgraded is None:
                raise OSError("the connection ended during the TLS handshake")
            if not connection.attached:
                connection.connection_made(upgraded)
    except BaseException:
        transport.abort()
        raise
    return connection


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a tunnel; ``status`` brings the status line of its answer. The tunnel is silent until used."""

    def __init__(self, head: str, loop: asyncio.AbstractEventLoop) -> None:
        self.status: asyncio.Future[bytes] = loop.create_future()
        self._head = head.encode()
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._head)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self.status.done():
            return
        if b"\r\n\r\n" in self._answer:
            self.status.set_result(self._answer.split(b"\r\n", 1)[0])
        elif len(self._answer) > _MAX_PROXY_HEAD_SIZE:
            self.status.set_exception(OSError("the proxy's answer is too large"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(OSError("the proxy closed the connection"))
