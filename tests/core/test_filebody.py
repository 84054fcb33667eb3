"""Bodies from data files over real sockets: every byte, for every kind of socket, reader and end."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3d._core.collect import Collector, chain
from s3d._core.filebody import FileBody, extents_of_range, open_to_read
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.server import Service
from servers.certificates import self_signed

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()

MIB = 1024 * 1024
SIZES = [0, 1, 4095, 4096, 16384, 65535, 65536, 65537, 131073, MIB, MIB + 1, MIB + 65537, 5 * MIB + 3, 23 * MIB]
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


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


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    files.executor.shutdown()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


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


KINDS = pytest.mark.parametrize("kind", ["tcp", "unix", "tls"])


# Every byte.


@KINDS
def test_bodies_of_all_sizes_arrive_whole_on_one_connection(files: Files, certificate: Path, kind: str) -> None:
    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            reader, writer = await site.connect()
            for size in SIZES:
                extents = [(files.add(size), 0, size)]
                site.answer = lambda request, extents=extents: files.response(extents)
                writer.write(GET)
                assert await answer_of(reader) == (200, files.bytes_of(extents)), size
            writer.close()
            assert files.ended == len(SIZES)

    run(main())
    files.assert_closed()


@KINDS
def test_pipelined_requests_are_answered_in_order_after_file_bodies(files: Files, certificate: Path, kind: str) -> None:
    numbers = [files.add(size) for size in (10, 3 * MIB, 0, 70_000, 2 * MIB, 1)]

    def answer(request: Request) -> Response:
        number = numbers[int(request.target[1:])]
        return files.response([(number, 0, len(files.contents[number]))])

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            site.answer = answer
            reader, writer = await site.connect()
            asked = [random.Random(1).randrange(len(numbers)) for _ in range(40)]
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % each for each in asked))
            for each in asked:
                assert await answer_of(reader) == (200, files.contents[numbers[each]])
            writer.close()
            assert files.ended == len(asked)

    run(main())
    files.assert_closed()


EXTENT = st.tuples(st.integers(0, 3), st.integers(0, 400_000), st.integers(0, 300_000))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(EXTENT, max_size=8), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_any_range_of_any_extents_is_exact(
    files: Files, pieces: list[tuple[int, int, int]], ends: tuple[float, float]
) -> None:
    if not files.contents:
        for _ in range(4):
            files.add(700_001)
    numbers = list(files.contents)
    extents = [(numbers[index], offset, size) for index, offset, size in pieces]
    whole = files.bytes_of(extents)
    start, end = sorted(int(end * len(whole)) for end in ends)
    wanted = extents_of_range(extents, start, end - start)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response(wanted)
            reader, writer = await site.connect()
            writer.write(GET)
            assert await answer_of(reader) == (200, whole[start:end])
            writer.close()

    run(main())
    files.assert_closed()
    files.opened.clear()


def test_a_range_that_the_extents_do_not_have_is_refused() -> None:
    for start, size in [(0, 31), (30, 1), (31, 0), (-1, 2), (0, -1)]:
        if (start, size) == (31, 0):
            continue
        with pytest.raises(ValueError, match="range"):
            extents_of_range([(1, 5, 10), (2, 0, 20)], start, size)
    assert extents_of_range([(1, 5, 10), (2, 0, 20)], 30, 0) == []


def test_successive_extents_of_one_file_open_it_once(files: Files) -> None:
    number, other = files.add(300_000), files.add(10)
    extents = [(number, 0, 100_000), (number, 200_000, 100_000), (number, 5, 5), (other, 0, 10), (number, 0, 1)]

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response(extents)
            reader, writer = await site.connect()
            writer.write(GET)
            assert (await answer_of(reader))[1] == files.bytes_of(extents)
            writer.close()

    run(main())
    assert len(files.opened) == 3


def test_a_head_request_opens_nothing_and_ends_the_body(files: Files) -> None:
    number = files.add(100)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response([(number, 0, 100)])
            reader, writer = await site.connect()
            writer.write(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"Content-Length: 100\r\n" in head
            assert await answer_of(reader) == (200, files.contents[number])
            assert len(files.opened) == 1  # for the GET
            assert files.ended == 2
            writer.close()

    run(main())


def test_an_answer_of_unknown_length_is_chunked(files: Files) -> None:
    number = files.add(200_000)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: Response(200, [], files.body([(number, 0, 200_000)]), -1)
            reader, writer = await site.connect()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            received = b""
            while size := int(await reader.readline(), 16):
                received += await reader.readexactly(size)
                await reader.readexactly(2)
            assert received == files.contents[number]
            writer.close()

    run(main())


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_an_answer_of_unknown_length_to_an_old_client_ends_with_the_connection(
    files: Files, certificate: Path, kind: str
) -> None:
    number = files.add(3 * MIB)

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            site.answer = lambda request: Response(200, [], files.body([(number, 0, 3 * MIB)]), -1)
            reader, writer = await site.connect()
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.read(-1) == files.contents[number]
            writer.close()

    run(main())
    assert files.ended == 1


def test_a_body_flows_into_any_chain(files: Files) -> None:
    number = files.add(3 * MIB)

    async def main() -> None:
        collected: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        body = files.body([(number, 1, 2 * MIB), (number, 0, 1)])
        chain(body, Collector(4 * MIB, lambda data, error: collected.set_result(data)))
        assert await collected == files.contents[number][1 : 2 * MIB + 1] + files.contents[number][:1]
        assert body.left_bytes == 0
        assert body.ended

    run(main())
    assert files.ended == 1
    files.assert_closed()


# Readers.


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_slow_readers_hold_no_thread_and_get_every_byte(files: Files, kind: str) -> None:
    number = files.add(9 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files, kind) as site:
            site.answer = lambda request: files.response([(number, 0, 9 * MIB)])
            clients = [await site.connect_slowly() for _ in range(30)]
            for client in clients:
                await loop.sock_sendall(client, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await until(lambda: site.service.active_requests == 30 and len(files.opened) == 30)
            await asyncio.sleep(0.1)
            assert files.ended == 0
            assert files.executor.submitted == 0
            reader, writer = await site.connect()
            site.answer = lambda request: files.response([(number, 0, 200_000)])
            writer.write(GET)
            assert (await answer_of(reader))[1] == files.contents[number][:200_000]
            for client in clients:
                received, _ = await everything(loop, client)
                assert received.partition(b"\r\n\r\n")[2] == files.contents[number]
                client.close()
            writer.close()
            assert files.ended == 31

    run(main())
    files.assert_closed()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_reader_that_stops_is_cut_after_the_time_limit(files: Files, kind: str) -> None:
    number = files.add(9 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files, kind, body_timeout_s=0.3) as site:
            site.answer = lambda request: files.response([(number, 0, 9 * MIB)])
            client = await site.connect_slowly()
            await loop.sock_sendall(client, GET)
            await until(lambda: files.ended == 1)
            assert site.service.open_connections == 0
            received, _ = await everything(loop, client)
            assert len(received) < 9 * MIB
            client.close()

    run(main())
    files.assert_closed()


def test_a_reader_that_is_slow_but_steady_outlives_the_time_limit(files: Files) -> None:
    number = files.add(9 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files, body_timeout_s=0.6) as site:
            site.answer = lambda request: files.response([(number, 0, 9 * MIB)])
            client = await site.connect_slowly()
            await loop.sock_sendall(client, GET)
            received = bytearray()
            ends = loop.time() + 2
            while loop.time() < ends:
                received += await loop.sock_recv(client, 16384)
                await asyncio.sleep(0.05)
            assert files.ended == 0
            while len(received.partition(b"\r\n\r\n")[2]) < 9 * MIB:
                received += await loop.sock_recv(client, MIB)
            assert received.partition(b"\r\n\r\n")[2] == files.contents[number]
            client.close()

    run(main())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("way", ["close", "reset", "close after half", "half-close and close"])
def test_a_client_that_vanishes_frees_the_body_once(files: Files, kind: str, way: str) -> None:
    number = files.add(9 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files, kind) as site:
            site.answer = lambda request: files.response([(number, 0, 9 * MIB)])
            client = await site.connect_slowly()
            await loop.sock_sendall(client, GET * 3)
            await until(lambda: len(files.opened) == 1)
            if way == "close after half":
                received = 0
                while received < 4 * MIB:
                    received += len(await loop.sock_recv(client, MIB))
            elif way == "half-close and close":
                client.shutdown(socket.SHUT_WR)
                await asyncio.sleep(0.05)
                assert files.ended == 0
            elif way == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await until(lambda: site.service.open_connections == 0)
            assert files.ended == 1

    run(main())
    files.assert_closed()


def test_a_client_that_half_closes_gets_the_whole_body(files: Files) -> None:
    number = files.add(9 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files) as site:
            site.answer = lambda request: files.response([(number, 0, 9 * MIB)])
            client = await site.connect_slowly()
            await loop.sock_sendall(client, GET)
            client.shutdown(socket.SHUT_WR)
            received, reset = await everything(loop, client)
            assert not reset
            assert received.partition(b"\r\n\r\n")[2] == files.contents[number]
            client.close()

    run(main())
    assert files.ended == 1


def test_one_body_does_not_keep_the_loop_for_itself(files: Files) -> None:
    """A reader as fast as the server: others are answered while it is still being served."""
    number = files.add(64 * MIB)

    async def main() -> None:
        async with serving(files, "unix") as site:
            site.answer = lambda request: (
                files.response([(number, 0, 64 * MIB)]) if request.target == b"/" else Response(200, [], b"ok")
            )
            received = 0
            client = socket.socket(socket.AF_UNIX)
            client.connect(site.socket_path)

            def drain() -> None:
                nonlocal received
                while data := client.recv(MIB):
                    received += len(data)

            thread = threading.Thread(target=drain)
            thread.start()
            reader, writer = await site.connect()
            client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await until(lambda: bool(files.opened))
            answered = 0
            while not files.ended:
                writer.write(GET.replace(b"/ ", b"/other ", 1))
                assert await answer_of(reader) == (200, b"ok")
                answered += 1
            assert answered >= 3
            await asyncio.to_thread(thread.join)
            client.close()
            assert received > 64 * MIB
            writer.close()

    run(main())


# The disk.


@KINDS
def test_cold_files_are_read_by_a_thread_first(files: Files, certificate: Path, kind: str) -> None:
    numbers = [files.add(size) for size in (1, 70_000, 6 * MIB)]

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            reader, writer = await site.connect()
            for number in numbers:
                site.answer = lambda request, number=number: files.response([(number, 0, len(files.contents[number]))])
                before = files.executor.submitted
                if not files.evict(number):
                    pytest.skip("the kernel does not let go of these pages")
                writer.write(GET)
                assert await answer_of(reader) == (200, files.contents[number])
                if kind != "tls" and len(files.contents[number]) > MIB:
                    # A small read starts the disk and, where that is fast, finds the bytes there.
                    assert files.executor.submitted > before
            writer.close()
            assert files.ended == len(numbers)

    run(main())
    files.assert_closed()


def test_a_client_that_vanishes_while_a_thread_works_frees_the_body_when_that_returns(files: Files) -> None:
    number = files.add(100)
    inside, go_on = threading.Event(), threading.Event()

    def opener(number: int) -> int:
        if threading.current_thread() is threading.main_thread():
            raise BlockingIOError
        inside.set()
        go_on.wait(20)
        return files.open(number)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response([(number, 0, 100)], opener)
            client = await site.connect_slowly()
            client.send(GET)
            await asyncio.to_thread(inside.wait, 20)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await until(lambda: site.service.open_connections == 0)
            assert files.ended == 0
            go_on.set()
            await until(lambda: files.ended == 1)

    run(main())
    files.assert_closed()


def test_an_opener_that_would_wait_is_called_again_by_a_thread(files: Files) -> None:
    numbers = [files.add(100), files.add(MIB)]
    extents = [(number, 0, len(files.contents[number])) for number in numbers]

    def opener(number: int) -> int:
        if threading.current_thread() is threading.main_thread():
            raise BlockingIOError
        return files.open(number)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response(extents, opener)
            reader, writer = await site.connect()
            writer.write(GET)
            assert await answer_of(reader) == (200, files.bytes_of(extents))
            assert files.executor.submitted == 2
            writer.close()

    run(main())
    files.assert_closed()


@KINDS
def test_a_file_that_cannot_be_opened_is_an_error_answer_and_the_connection_stays(
    files: Files, certificate: Path, kind: str
) -> None:
    number = files.add(100)
    files.path(number).unlink()

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            site.answer = lambda request: files.response([(number, 0, 100)])
            reader, writer = await site.connect()
            for _ in range(2):
                writer.write(GET)
                assert await answer_of(reader) == (500, b"refused")
            writer.close()
            assert files.ended == 2

    run(main())


def test_a_thread_that_cannot_open_the_file_ends_in_an_error_answer(files: Files) -> None:
    def opener(number: int) -> int:
        raise BlockingIOError

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response([(1, 0, 100)], opener)
            reader, writer = await site.connect()
            writer.write(GET + GET)
            assert (await answer_of(reader))[0] == 500
            assert (await answer_of(reader))[0] == 500
            writer.close()

    run(main())
    assert files.ended == 2


@pytest.mark.parametrize("kind", ["tcp", "tls"])
@pytest.mark.parametrize("sizes", [(100, 100), (5 * MIB, 10), (10, 5 * MIB)])
def test_a_later_file_that_is_missing_breaks_the_connection(
    files: Files, certificate: Path, kind: str, sizes: tuple[int, int]
) -> None:
    first, second = files.add(sizes[0]), files.add(sizes[1])
    files.path(second).unlink()

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            site.answer = lambda request: files.response([(first, 0, sizes[0]), (second, 0, sizes[1])])
            reader, writer = await site.connect()
            writer.write(GET + GET)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await answer_of(reader)
            writer.close()
            await until(lambda: files.ended == 1)

    run(main())
    files.assert_closed()


@KINDS
@pytest.mark.parametrize(("size", "missing"), [(100, 1), (65536, 60000), (5 * MIB, 1), (5 * MIB, 4 * MIB)])
def test_a_file_shorter_than_announced_never_ends_as_a_whole_answer(
    files: Files, certificate: Path, kind: str, size: int, missing: int
) -> None:
    number = files.add(size)
    os.truncate(files.path(number), size - missing)

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            site.answer = lambda request: files.response([(number, 0, size)])
            reader, writer = await site.connect()
            writer.write(GET + GET)
            try:
                status, _ = await answer_of(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                status = 0
            assert status != 200
            writer.close()
            await until(lambda: files.ended >= 1)

    run(main())
    files.assert_closed()


def test_a_file_that_shrinks_while_it_is_sent_breaks_the_connection(files: Files) -> None:
    number = files.add(20 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files) as site:
            site.answer = lambda request: files.response([(number, 0, 20 * MIB)])
            client = await site.connect_slowly()
            await loop.sock_sendall(client, GET)
            await until(lambda: len(files.opened) == 1)
            os.truncate(files.path(number), 12 * MIB)
            received, _ = await everything(loop, client)
            body = received.partition(b"\r\n\r\n")[2]
            assert len(body) < 20 * MIB
            assert files.contents[number].startswith(body[: 12 * MIB])
            assert not body[12 * MIB :]
            client.close()
            assert files.ended == 1

    run(main())
    files.assert_closed()


def test_a_file_that_is_replaced_and_deleted_while_it_is_sent_is_sent_as_it_was(files: Files) -> None:
    number = files.add(20 * MIB)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(files) as site:
            site.answer = lambda request: files.response([(number, 0, 20 * MIB)])
            client = await site.connect_slowly()
            await loop.sock_sendall(client, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await until(lambda: len(files.opened) == 1)
            files.path(number).unlink()
            received, _ = await everything(loop, client)
            assert received.partition(b"\r\n\r\n")[2] == files.contents[number]
            client.close()

    run(main())


def test_an_announced_length_that_is_not_the_bodys_is_an_error_answer(files: Files) -> None:
    number = files.add(100)

    async def main() -> None:
        async with serving(files) as site:
            for announced in (99, 101):
                site.answer = lambda request, announced=announced: Response(
                    200, [], files.body([(number, 0, 100)]), announced
                )
                reader, writer = await site.connect()
                writer.write(GET)
                assert (await answer_of(reader))[0] == 500
                writer.close()

    run(main())
    assert files.ended == 2


def test_a_file_is_opened_only_if_that_does_not_wait_for_the_disk(files: Files) -> None:
    number = files.add(10)
    for may_wait in (True, False):  # what was just written is at hand
        fd = open_to_read(files.path(number), may_wait)
        assert os.read(fd, 20) == files.contents[number]
        assert not os.get_inheritable(fd)
        os.close(fd)
        with pytest.raises(FileNotFoundError):
            open_to_read(str(files.path(number)) + "x", may_wait)


# Ends without a reader.


def test_discarding_a_body_ends_it_once(files: Files) -> None:
    async def main() -> None:
        body = files.body([(1, 0, 100)])
        body.discard()
        body.discard()
        assert files.ended == 1
        del body

    run(main())
    assert files.ended == 1


def test_a_body_that_nobody_takes_ends_with_its_last_reference(files: Files) -> None:
    async def main() -> None:
        body = files.body([(1, 0, 100)])
        assert not body.ended

    run(main())
    assert files.ended == 1


def test_a_body_whose_loop_closes_while_a_thread_works_ends_when_that_returns(files: Files) -> None:
    number = files.add(100)
    inside, go_on = threading.Event(), threading.Event()

    def opener(number: int) -> int:
        if threading.current_thread() is threading.main_thread():
            raise BlockingIOError
        inside.set()
        go_on.wait(20)
        return files.open(number)

    async def main() -> None:
        chain(files.body([(number, 0, 100)], opener), Collector(100, lambda data, error: None))
        await asyncio.to_thread(inside.wait, 20)

    run(main())
    assert files.ended == 0
    go_on.set()
    files.executor.shutdown()
    gc.collect()
    assert files.ended == 1
    files.assert_closed()


def test_a_done_that_raises_does_not_break_the_answer(files: Files) -> None:
    number = files.add(100)

    def done() -> None:
        files.ended += 1
        raise RuntimeError("the store is confused")

    def answer(request: Request) -> Response:
        body = FileBody([(number, 0, 100)], files.open, done, asyncio.get_running_loop(), files.executor)
        return Response(200, [], body, 100)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = answer
            reader, writer = await site.connect()
            writer.write(GET)
            assert (await answer_of(reader))[0] == 200
            writer.close()

    run(main())
    assert files.ended == 1


def test_an_executor_that_is_shut_down_ends_in_an_error_answer(files: Files) -> None:
    def opener(number: int) -> int:
        raise BlockingIOError

    files.executor.shutdown()

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: files.response([(1, 0, 100)], opener)
            reader, writer = await site.connect()
            writer.write(GET)
            assert (await answer_of(reader))[0] == 500
            writer.close()

    run(main())
    assert files.ended == 1


@pytest.mark.parametrize(
    "extents", [[(1, -1, 5)], [(1, 0, -5)], [(1, 0)], [[1, 0, 5]], [(1, "0", 5)], [(1, 0, 1 << 64)]]
)
def test_extents_that_are_none_are_refused_and_the_body_is_not_taken_over(files: Files, extents: Any) -> None:
    async def main() -> None:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            files.body(extents)

    run(main())
    assert files.ended == 0
