"""The sockets that s3d listens on: TCP, TLS, unix."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3d._core.server import Service

_BACKLOG = 1024


class ListenError(Exception):
    """An address cannot be listened on; the message names it and says why."""


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS settings for our own clients. Raises `ListenError` for a certificate or key that cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ListenError(f"the certificate {certificate} with key {key} cannot be used: {error}") from error
    return context


async def listen_tcp(
    service: Service, url: str, host: str, port: int, tls: ssl.SSLContext | None
) -> asyncio.AbstractServer:
    """Listen on every address of ``host`` (all interfaces for ""). Raises `ListenError`."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            _factory(service, tls is not None), host or None, port, ssl=tls, backlog=_BACKLOG, reuse_address=True
        )
    except OSError as error:
        raise ListenError(f"cannot listen on {url}: {_reason(error)}") from error


async def listen_unix(service: Service, path: str) -> asyncio.AbstractServer:
    """Listen on a unix socket; a socket file that nobody listens on any more is replaced. Raises `ListenError`."""
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)
                else:
                    raise ListenError(f"cannot listen on unix://{path}: another process listens there")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ListenError(f"cannot listen on unix://{path}: {_reason(error)}") from error
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_unix_server(_factory(service, False), path, backlog=_BACKLOG)
    except OSError as error:
        raise ListenError(f"cannot listen on unix://{path}: {_reason(error)}") from error


def remove_socket(path: str) -> None:
    """Remove the file of a unix socket that is listened on no more."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _factory(service: Service, secure: bool) -> Callable[[], Any]:
    return lambda: service.connection(secure)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; stop the other process or choose another S3D_ENDPOINT"
    if error.errno == errno.EACCES:
        return "this user may not; ports below 1024 take root or CAP_NET_BIND_SERVICE"
    return os.strerror(error.errno) if error.errno and not isinstance(error, socket.gaierror) else str(error)
