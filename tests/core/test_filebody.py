"""Bodies from data files over real sockets: every byte, for every kind of socket and reader."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3d._core.collect import Collector, chain
from s3d._core.filebody import extents_of_range
from s3d._core.request import Request
from s3d._core.response import Response
from servers.bodies import GET, KINDS, MIB, Files, answer_of, everything, run, serving, until

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()

SIZES = [0, 1, 4095, 4096, 16384, 65535, 65536, 65537, 131073, MIB, MIB + 1, MIB + 65537, 5 * MIB + 3, 23 * MIB]


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
            for client in clients[:6]:  # more would take long through so small a buffer
                received, _ = await everything(loop, client)
                assert received.partition(b"\r\n\r\n")[2] == files.contents[number]
            for client in clients:
                client.close()
            writer.close()
            await until(lambda: files.ended == 31)

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
