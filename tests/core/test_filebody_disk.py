"""Bodies from data files that are cold, short, missing or let go of: no wrong byte, and one end."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop

from s3d._core.collect import Collector, chain
from s3d._core.filebody import FileBody, open_to_read
from s3d._core.request import Request
from s3d._core.response import Response
from servers.bodies import GET, KINDS, MIB, Files, answer_of, everything, run, serving, until

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()


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
