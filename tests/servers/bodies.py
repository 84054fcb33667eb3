"""Bodies from data files, and a server that sends them over any kind of socket."""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from s3d._core.filebody import FileBody
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.server import Service

MIB = 1024 * 1024
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
KINDS = pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])


def cached_pages(fd: int) -> int:
    """How many pages of a file are in the page cache (cachestat(2), Linux 6.5; else -1). Asking reads none of them."""
    counts = (ctypes.c_uint64 * 5)()
    every = (ctypes.c_uint64 * 2)(0, 0)
    return -1 if ctypes.CDLL(None).syscall(451, fd, every, counts, 0) else counts[0]


class CountingExecutor(ThreadPoolExecutor):
    """Counts what it is given to do."""

    def __init__(self) -> None:
        super().__init__(2)
        self.submitted = 0

    def submit(self, /, work: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        self.submitted += 1
        return super().submit(work, *args, **options)


class Files:
    """Numbered data files in a directory, and what became of the bodies made of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.contents: dict[int, bytes] = {}
        self.opened: list[int] = []
        self.ended = 0
        self.executor = CountingExecutor()

    def add(self, size: int) -> int:
        number = 7 << 40 | len(self.contents)
        self.contents[number] = random.Random(size).randbytes(size)
        self.path(number).write_bytes(self.contents[number])
        return number

    def path(self, number: int) -> Path:
        return self.directory / f"{number:016x}"

    def open(self, number: int) -> int:
        fd = os.open(self.path(number), os.O_RDONLY | os.O_CLOEXEC)
        self.opened.append(fd)
        return fd

    def end(self) -> None:
        self.ended += 1

    def body(self, extents: list[tuple[int, int, int]], opener: Callable[[int], int] | None = None) -> FileBody:
        return FileBody(extents, opener or self.open, self.end, asyncio.get_running_loop(), self.executor)

    def bytes_of(self, extents: list[tuple[int, int, int]]) -> bytes:
        return b"".join(self.contents[number][offset : offset + size] for number, offset, size in extents)

    def response(self, extents: list[tuple[int, int, int]], opener: Callable[[int], int] | None = None) -> Response:
        body = self.body(extents, opener)
        return Response(200, [], body, body.size_bytes)

    def evict(self, number: int) -> bool:
        """Drop a file from the page cache; whether the kernel did."""
        fd = os.open(self.path(number), os.O_RDONLY)
        try:
            os.fsync(fd)
            for _ in range(100):  # pages that a core still has in hand stay for now
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                if cached_pages(fd) == 0:
                    return True
                time.sleep(0.01)
            return False
        finally:
            os.close(fd)

    def assert_closed(self) -> None:
        """All descriptors are closed, and only those: none was closed twice."""
        for fd in self.opened:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)


def refuse(request: Request | None, error: BaseException) -> Response:
    return Response(500, [(b"x-error", type(error).__name__.encode())], b"refused")


class Site:
    """A server whose dispatcher is ``answer``, and connections to it."""

    def __init__(self, kind: str, directory: Path, certificate: Path | None, **limits: float) -> None:
        self.kind = kind
        self.answer: Callable[[Request], Any] = lambda request: Response(200, [], b"ok")
        self.socket_path = str(directory / "socket")
        self.certificate = certificate
        self.service = Service(self._dispatch, refuse, loop=asyncio.get_running_loop(), operations=1, **limits)

    def _dispatch(self, request: Request) -> Any:
        # Looked up for each request: tests replace it.
        return self.answer(request)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self.kind == "unix":
            self.server: Any = await loop.create_unix_server(self.service.connection, self.socket_path)
            return
        context = None
        if self.kind == "tls":
            assert self.certificate is not None
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
        self.server = await loop.create_server(
            lambda: self.service.connection(secure=context is not None), "127.0.0.1", 0, ssl=context
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.kind == "unix":
            return await asyncio.open_unix_connection(self.socket_path)
        context = ssl.create_default_context(cafile=self.certificate) if self.kind == "tls" else None
        return await asyncio.open_connection("localhost" if context else "127.0.0.1", self.port, ssl=context)

    async def connect_slowly(self) -> socket.socket:
        """A socket with a small buffer, from which nothing is read but by the test."""
        client = socket.socket(socket.AF_UNIX if self.kind == "unix" else socket.AF_INET)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.setblocking(False)
        address: Any = self.socket_path if self.kind == "unix" else ("127.0.0.1", self.port)
        await asyncio.get_running_loop().sock_connect(client, address)
        return client


@asynccontextmanager
async def serving(
    files: Files, kind: str = "tcp", certificate: Path | None = None, **limits: float
) -> AsyncIterator[Site]:
    site = Site(kind, files.directory, certificate, **limits)
    await site.start()
    try:
        yield site
    finally:
        site.server.close()
        site.service.abort()
        while site.service.open_connections:
            await asyncio.sleep(0.001)
        await asyncio.wait_for(site.service.close(), 5)


def run(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(main, 60))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: "))
    return int(head.split(b" ")[1]), await reader.readexactly(length)


async def everything(loop: asyncio.AbstractEventLoop, client: socket.socket) -> tuple[bytes, bool]:
    """What comes until the end, and whether that was a reset."""
    received = bytearray()
    while True:
        try:
            data = await loop.sock_recv(client, MIB)
        except ConnectionResetError:
            return bytes(received), True
        if not data:
            return bytes(received), False
        received += data
