"""Bodies whose bytes have to be proved: none goes out before it is, over any socket, and nobody waits on the loop."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop

from s3d._core.collect import Collector, chain
from s3d._core.filebody import FileBody
from s3d._core.response import Response
from servers.bodies import GET, KINDS, MIB, Files, answer_of, everything, run, serving, until

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()


class Prover:
    """Proves blocks of 1 MiB, but for those in ``bad``; remembers what it was asked."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        self.bad = bad
        self.proved: dict[int, set[int]] = {}
        self.asked: list[tuple[int, int]] = []
        self.threads: set[threading.Thread] = set()
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def verified(self, number: int, offset: int) -> int:
        end = offset
        while end // MIB in self.proved.get(number, ()):
            end = (end // MIB + 1) * MIB
        return end

    def verify(self, number: int, fd: int, offset: int, size: int) -> int:
        self.threads.add(threading.current_thread())
        self.asked.append((offset, size))
        self.inside.set()
        assert self.go_on.wait(20)
        os.fstat(fd)
        end = offset
        while end < offset + size:
            if end // MIB in self.bad:
                raise OSError(5, "it was not written like this")
            self.proved.setdefault(number, set()).add(end // MIB)
            end = (end // MIB + 1) * MIB
        return end


def response(files: Files, extents: list[tuple[int, int, int]], prover: Prover) -> Response:
    body = FileBody(extents, files.open, files.end, asyncio.get_running_loop(), files.executor, prover)
    return Response(200, [], body, body.size_bytes)


@KINDS
def test_what_is_proved_arrives_whole(files: Files, certificate: Path, kind: str) -> None:
    number, other = files.add(23 * MIB + 5), files.add(70_001)

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            reader, writer = await site.connect()
            for extents in (
                [(number, 0, 23 * MIB + 5)],
                [(number, MIB - 1, 2), (other, 5, 10), (number, 3 * MIB + 7, 2 * MIB), (other, 0, 70_001)],
            ):
                prover = Prover()
                site.answer = lambda request, extents=extents, prover=prover: response(files, extents, prover)
                writer.write(GET)
                assert await answer_of(reader) == (200, files.bytes_of(extents))
            writer.close()

    run(main())
    files.assert_closed()


@KINDS
def test_bytes_that_are_wrong_at_the_start_are_an_error_of_its_own(files: Files, certificate: Path, kind: str) -> None:
    number = files.add(3 * MIB)

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            reader, writer = await site.connect()
            site.answer = lambda request: response(files, [(number, 10, 2 * MIB)], Prover((0,)))
            writer.write(GET)
            assert await answer_of(reader) == (500, b"refused")
            writer.close()

    run(main())
    files.assert_closed()


@KINDS
def test_bytes_that_are_wrong_further_on_break_the_connection_before_them(
    files: Files, certificate: Path, kind: str
) -> None:
    number = files.add(12 * MIB)

    async def main() -> None:
        async with serving(files, kind, certificate) as site:
            reader, writer = await site.connect()
            site.answer = lambda request: response(files, [(number, 0, 12 * MIB)], Prover((5,)))
            writer.write(GET)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head
            received = bytearray()
            try:
                while data := await reader.read(MIB):
                    received += data
            except ConnectionError:
                pass
            assert len(received) <= 5 * MIB
            assert received == files.contents[number][: len(received)]
            writer.close()
            await until(lambda: files.ended == 1)

    run(main())
    files.assert_closed()


def test_proving_happens_in_threads_and_once_for_what_is_known(files: Files) -> None:
    number = files.add(9 * MIB)
    prover = Prover()

    async def main() -> None:
        async with serving(files) as site:
            reader, writer = await site.connect()
            site.answer = lambda request: response(files, [(number, 0, 9 * MIB)], prover)
            for _ in range(2):
                writer.write(GET)
                assert (await answer_of(reader))[1] == files.contents[number]
            writer.close()

    run(main())
    assert threading.main_thread() not in prover.threads
    assert [offset // MIB for offset, _ in prover.asked] == [0, 1, 3, 7]


def test_a_body_without_verifier_asks_nobody(files: Files) -> None:
    number = files.add(2 * MIB)

    async def main() -> None:
        async with serving(files) as site:
            reader, writer = await site.connect()
            site.answer = lambda request: files.response([(number, 0, 2 * MIB)])
            writer.write(GET)
            assert (await answer_of(reader))[1] == files.contents[number]
            writer.close()

    run(main())
    assert files.executor.submitted == 0


def test_others_are_answered_while_bytes_are_being_proved(files: Files) -> None:
    number = files.add(2 * MIB)
    prover = Prover()
    prover.go_on.clear()

    async def main() -> None:
        async with serving(files) as site:
            reader, writer = await site.connect()
            other_reader, other_writer = await site.connect()
            site.answer = lambda request: response(files, [(number, 0, 2 * MIB)], prover)
            writer.write(GET)
            await until(prover.inside.is_set)
            site.answer = lambda request: Response(200, [], b"alive")
            other_writer.write(GET)
            assert await answer_of(other_reader) == (200, b"alive")
            prover.go_on.set()
            assert await answer_of(reader) == (200, files.contents[number])
            writer.close()
            other_writer.close()

    run(main())


def test_a_client_that_vanishes_while_bytes_are_being_proved_leaves_no_descriptor(files: Files) -> None:
    number = files.add(3 * MIB)
    prover = Prover()
    prover.go_on.clear()

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: response(files, [(number, 0, 3 * MIB)], prover)
            client = await site.connect_slowly()
            client.send(GET)
            await until(prover.inside.is_set)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            await until(lambda: site.service.open_connections == 0)
            prover.go_on.set()
            await until(lambda: files.ended == 1)

    run(main())
    assert len(files.opened) == 1
    files.assert_closed()


def test_a_slow_reader_gets_every_byte_of_what_is_proved(files: Files) -> None:
    number = files.add(5 * MIB)

    async def main() -> None:
        async with serving(files) as site:
            site.answer = lambda request: response(files, [(number, 0, 5 * MIB)], Prover())
            client = await site.connect_slowly()
            client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            received, _ = await everything(asyncio.get_running_loop(), client)
            assert received.partition(b"\r\n\r\n")[2] == files.contents[number]
            client.close()

    run(main())
    files.assert_closed()


def test_a_verifier_that_proves_nothing_fails_the_body(files: Files) -> None:
    number = files.add(10)

    class Idle(Prover):
        def verify(self, number: int, fd: int, offset: int, size: int) -> int:
            return offset

    async def main() -> None:
        ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        body = FileBody([(number, 0, 10)], files.open, files.end, asyncio.get_running_loop(), files.executor, Idle())
        chain(body, Collector(100, lambda data, error: ended.set_result(error)))
        with pytest.raises(RuntimeError, match="proved nothing"):
            raise await ended

    run(main())
    files.assert_closed()
