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

from s3d._core.remote import RemoteConnection, RemoteError, RemoteFailure
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
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
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
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if parts.scheme == "https" else 80),
        ssl=tls if parts.scheme == "https" else None, limit=_MAX_PROXY_HEAD_SIZE,
    )  # fmt: skip
    try:
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        head = f"CONNECT {host}:{origin.port} HTTP/1.1\r\nHost: {host}:{origin.port}\r\n"
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        writer.write((head + "\r\n").encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        status = answer.split(b"\r\n", 1)[0]
        if not status.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")):
            raise OSError(f"the proxy {parts.hostname} refused: {status.decode('latin-1')}")
        protocol = make()
        transport: asyncio.BaseTransport = writer.transport
        if context is not None:
            upgraded = await loop.start_tls(writer.transport, cast(Any, protocol), context, server_hostname=origin.host)
            if upgraded is None:
                raise OSError("the connection ended during the TLS handshake")
            transport = upgraded
        else:
            writer.transport.set_protocol(cast(Any, protocol))
        if not protocol.attached:
            protocol.connection_made(cast(asyncio.Transport, transport))
    except BaseException:
        writer.transport.abort()
        raise
    return protocol
