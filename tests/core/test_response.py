"""Responses whose head was built before, and bodies in memory, over a real connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from s3d._core.request import Request
from s3d._core.response import Response, head_block
from s3d._core.server import Service

# libuv opens a pipe for the whole process with its first loop: here, so that no test seems to leave it behind.
uvloop.new_event_loop().close()

FIELDS = [(b"Content-Type", b"text/plain"), (b"ETag", b'"abc"'), (b"x-amz-meta-a", b"\xc3\xbc, 2")]


async def exchange(answer: Callable[[Request], Response], sent: bytes) -> bytes:
    """What comes back to ``sent`` until the server closes."""
    loop = asyncio.get_running_loop()

    def refuse(request: Request | None, error: BaseException) -> Response:
        return Response(500, [], repr(error).encode())

    service = Service(answer, refuse, loop=loop, operations=1)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    await loop.create_connection(service.connection, sock=ours)
    await loop.sock_sendall(theirs, sent)
    received = bytearray()
    while data := await loop.sock_recv(theirs, 1 << 20):
        received += data
    theirs.close()
    await service.close()
    return bytes(received)


def run(main: Coroutine[Any, Any, bytes]) -> bytes:
    return uvloop.run(asyncio.wait_for(main, 30))


def request(method: str = "GET", version: str = "1.1") -> bytes:
    return f"{method} / HTTP/{version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def undated(answer: bytes) -> bytes:
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.startswith(b"Date: "))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("status", [200, 206, 404, 299])
@pytest.mark.parametrize("size", [0, 5, 40_000, 3_000_000])
def test_a_prebuilt_head_is_sent_as_its_fields_would_be(method: str, version: str, status: int, size: int) -> None:
    body = bytes(size)
    block = head_block(FIELDS)
    made = run(exchange(lambda _: Response(status, list(FIELDS), body), request(method, version)))
    prebuilt = run(exchange(lambda _: Response.prebuilt(status, block, body), request(method, version)))
    assert undated(prebuilt) == undated(made)
    assert prebuilt.count(b"Date: ") == 1
    assert len(prebuilt.partition(b"\r\n\r\n")[2]) == (size if method == "GET" else 0)


def test_a_prebuilt_head_takes_fields_of_one_answer() -> None:
    block = head_block(FIELDS)
    answer = run(exchange(lambda _: Response.prebuilt(200, block, b"x", headers=[(b"x-id", b"7")]), request()))
    assert b'ETag: "abc"\r\n' in answer
    assert b"x-id: 7\r\n" in answer


def test_a_prebuilt_head_tells_its_fields() -> None:
    response = Response.prebuilt(304, head_block(FIELDS), headers=[(b"x-id", b"7")])
    assert response.header(b"etag") == b'"abc"'
    assert response.headers == [*FIELDS, (b"x-id", b"7")]
    response.headers.append((b"b", b"c"))
    assert response.header(b"B") == b"c"


def test_a_prebuilt_head_can_announce_a_length_without_a_body() -> None:
    answer = run(exchange(lambda _: Response.prebuilt(200, head_block(FIELDS), None, 1234), request("HEAD")))
    assert b"Content-Length: 1234\r\n" in answer


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\0"])
def test_a_value_that_breaks_out_of_its_line_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        head_block([(b"a", value)])


def test_a_body_of_another_type_is_refused() -> None:
    body: Any = "text"
    with pytest.raises(TypeError, match="bytes"):
        Response.prebuilt(200, b"", body)


def test_a_slow_reader_of_bytes_in_memory_gets_them_whole() -> None:
    body = bytes(range(251)) * 40_000
    answer = run(exchange(lambda _: Response(200, [], body), request()))
    assert answer.partition(b"\r\n\r\n")[2] == body
