"""The load generator against a server that behaves, and one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from s3d._core.loadgen import Load

Handler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes | None]]
# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server that hands each request head to `handler` and sends what it returns; None closes the connection."""
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                answer = await handler(head, reader, writer)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone
        finally:
            open_writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in list(open_writers):
            writer.close()
        await server.wait_closed()
        await asyncio.sleep(0)


@asynccontextmanager
async def loading(port: int, heads: list[bytes], **options: Any) -> AsyncIterator[Load]:
    load = Load(asyncio.get_running_loop(), "127.0.0.1", port, heads, **options)
    await load.open()
    try:
        yield load
    finally:
        load.close()
        await asyncio.sleep(0.01)


def run(main: Coroutine[Any, Any, None]) -> None:
    uvloop.run(asyncio.wait_for(main, 30))


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode()


async def fine(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    return OK


def test_run_once_sends_each_head_once_and_in_order() -> None:
    heads = [get(f"/{number}") for number in range(50)]
    received = []

    async def record(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        received.append(head)
        return OK

    async def main() -> None:
        async with serving(record) as port, loading(port, heads) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.errors, tally.bytes_in) == (50, 0, 100)
            assert tally.latency.count == 50

    run(main())
    assert received == heads


def test_several_connections_share_the_requests_of_one_run() -> None:
    async def main() -> None:
        async with serving(fine) as port, loading(port, [get("/")] * 100, connections=7) as load:
            assert (await load.run_once()).requests == 100

    run(main())


def test_a_run_counts_from_zero_and_ends_with_every_answer_in() -> None:
    async def main() -> None:
        async with serving(fine) as port, loading(port, [get("/")], connections=4, expected_bytes=2) as load:
            for _ in range(2):
                load.begin()
                await asyncio.sleep(0.05)
                tally = await load.end()
                assert tally.requests == tally.latency.count > 0
                assert tally.errors == 0
                assert tally.ended_ns > tally.started_ns

    run(main())


@pytest.mark.parametrize("size", [1, 1000, 65536, 3_000_001])
def test_a_body_is_the_buffer_over_and_over_even_to_a_slow_reader(size: int) -> None:
    buffer = bytes(range(251)) * 100
    bodies = []

    async def slow(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.05)
        bodies.append(await reader.readexactly(size))
        return OK

    async def main() -> None:
        head = b"PUT /k HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size
        async with serving(slow) as port, loading(port, [head, head], body=buffer, body_size=size) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.errors, tally.bytes_out) == (2, 0, 2 * size)

    run(main())
    expected = (buffer * (size // len(buffer) + 1))[:size]
    assert [body == expected for body in bodies] == [True, True]


def test_an_unexpected_status_is_an_error_and_its_beginning_is_kept() -> None:
    async def refuse(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nAccessDenied"

    async def main() -> None:
        async with serving(refuse) as port, loading(port, [get("/")] * 3) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.wrong_status, tally.errors, tally.latency.count) == (0, 3, 3, 0)
            assert tally.sample.startswith(b"HTTP/1.1 403 Forbidden")
            assert tally.sample.endswith(b"AccessDenied")

    run(main())


def test_a_body_of_another_length_is_an_error() -> None:
    async def main() -> None:
        async with serving(fine) as port, loading(port, [get("/")], expected_bytes=3) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.wrong_length) == (0, 1)

    run(main())


def test_an_answer_that_is_not_http_is_an_error_and_the_connection_is_replaced() -> None:
    answers = iter([b"what?\r\n\r\n", OK])

    async def odd(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        return next(answers)

    async def main() -> None:
        async with serving(odd) as port, loading(port, [get("/")] * 2) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.malformed, tally.errors) == (1, 1, 1)

    run(main())


def test_an_answer_before_the_body_was_sent_is_an_error_and_does_not_hang() -> None:
    over = asyncio.Event()

    async def early(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await over.wait()

    async def main() -> None:
        head = b"PUT / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n"
        async with serving(early) as port, loading(port, [head], body=bytes(65536), body_size=10**9) as load:
            tally = await load.run_once()
            over.set()
            assert (tally.requests, tally.malformed) == (0, 1)

    run(main())


def test_a_connection_lost_before_the_answer_is_an_error_and_is_replaced() -> None:
    answers = iter([None, OK])

    async def leave(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        return next(answers)

    async def main() -> None:
        async with serving(leave) as port, loading(port, [get("/")] * 2) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.disconnects, tally.errors) == (1, 1, 1)

    run(main())


def test_an_answer_that_announces_the_close_is_no_error() -> None:
    async def closing(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        return None

    async def main() -> None:
        async with serving(closing) as port, loading(port, [get("/")] * 5, connections=2) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.errors) == (5, 0)

    run(main())


def test_a_request_that_moves_no_byte_for_the_time_limit_is_given_up() -> None:
    async def stall(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client leaves

    async def main() -> None:
        async with serving(stall) as port, loading(port, [get("/")], timeout_s=0.2) as load:
            tally = await load.run_once()
            assert (tally.requests, tally.timeouts, tally.errors) == (0, 1, 1)

    run(main())


def test_in_an_open_loop_a_stall_shows_in_every_request_that_was_due_during_it() -> None:
    stalled = asyncio.Event()

    async def stall_once(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        if not stalled.is_set():
            stalled.set()
            await asyncio.sleep(0.4)
        return OK

    async def main() -> None:
        async with serving(stall_once) as port, loading(port, [get("/")], rate=100.0) as load:
            load.begin()
            await asyncio.sleep(0.8)
            tally = await load.end()
            # A closed loop would have recorded the stall once; here 20 requests were due in its first 0.2 s.
            delayed = sum(count for low_ns, _, count in tally.latency.buckets() if low_ns > 190_000_000)
            assert delayed >= 20

    run(main())


def test_an_open_loop_sends_no_more_than_its_rate() -> None:
    async def main() -> None:
        async with serving(fine) as port, loading(port, [get("/")], connections=4, rate=200.0) as load:
            load.begin()
            await asyncio.sleep(0.3)
            tally = await load.end()
            assert 1 <= tally.requests <= tally.elapsed_s * 200 + 1

    run(main())


def test_requests_due_and_never_sent_are_counted() -> None:
    async def slow(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.3)
        return OK

    async def main() -> None:
        async with serving(slow) as port, loading(port, [get("/")], rate=1000.0) as load:
            load.begin()
            await asyncio.sleep(0.2)
            tally = await load.end()
            assert tally.requests == 1
            assert tally.backlog >= 190

    run(main())


def test_replaced_heads_are_sent_from_the_next_request_on() -> None:
    received = []

    async def record(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        received.append(head)
        return OK

    async def main() -> None:
        async with serving(record) as port, loading(port, [get("/old")]) as load:
            await load.run_once()
            load.replace([get("/new")])
            await load.run_once()

    run(main())
    assert received == [get("/old"), get("/new")]


def test_opening_fails_when_nothing_listens() -> None:
    async def main() -> None:
        async with serving(fine) as port:
            pass
        load = Load(asyncio.get_running_loop(), "127.0.0.1", port, [get("/")])
        with pytest.raises(OSError, match=r"\[Errno"):
            await load.open()

    run(main())


def test_a_run_of_each_head_once_ends_when_the_server_has_gone() -> None:
    async def leave(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        return None

    async def main() -> None:
        async with serving(leave) as port:
            load = Load(asyncio.get_running_loop(), "127.0.0.1", port, [get("/")] * 10)
            await load.open()
        tally = await load.run_once()
        load.close()
        assert tally.requests == 0
        assert tally.connect_failures >= 1

    run(main())


def test_a_load_closes_twice_and_then_refuses_to_begin() -> None:
    async def main() -> None:
        async with serving(fine) as port, loading(port, [get("/")]) as load:
            load.close()
            load.close()
            with pytest.raises(RuntimeError, match="closed"):
                load.begin()

    run(main())


@pytest.mark.parametrize(
    ("heads", "options"),
    [
        ([], {}),
        ([b"GET / HTTP/1.1\r\n"], {}),
        ([get("/")], {"connections": 0}),
        ([get("/")], {"body_size": 5}),
        ([get("/")], {"body_size": 5, "body": b""}),
        ([get("/")], {"rate": -1.0}),
        ([get("/")], {"timeout_s": 0.0}),
    ],
)
def test_a_load_that_could_not_work_is_refused(heads: list[bytes], options: dict[str, Any]) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=r"."):
            Load(asyncio.get_running_loop(), "127.0.0.1", 1, heads, **options)

    run(main())
