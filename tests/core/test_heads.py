"""The short way through simple heads says what llhttp says: of every head that it takes, and of bytes next to one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from s3d._core.collect import Collector, chain
from s3d._core.failure import RemoteError
from s3d._core.remote import RemoteConnection
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.server import Service
from s3d._core.stage import Stage


class Wire:
    """A transport that carries nothing; a socket of its own is what it lacks, so bytes come to `write`."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    def get_extra_info(self, name: str) -> Any:
        return {"ssl_object": self}.get(name)

    def set_write_buffer_limits(self, high: int, low: int) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True


def feed(protocol: Any, data: bytes) -> None:
    while data:
        buffer = protocol.get_buffer(-1)
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


Seen = tuple[Any, ...]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def requests_in(loop: asyncio.AbstractEventLoop, pieces: list[bytes]) -> list[Seen]:
    """What a server's connection makes of ``pieces``, up to the first refusal."""
    seen: list[Seen] = []

    def dispatch(request: Request) -> Response:
        seen.append(
            (request.method, request.target, request.headers, request.host, request.content_length, request.http_1_0,
             request.keep_alive, request.expects_continue)
        )  # fmt: skip
        return Response(200, [], b"")

    def refuse(request: Request | None, error: BaseException) -> Response:
        seen.append((str(error),))
        return Response(400, [], b"")

    service = Service(dispatch, refuse, loop=loop, operations=0, max_head_size=2048)
    connection = service.connection()
    wire = Wire()
    connection.connection_made(wire)
    for piece in pieces:
        if not wire.ended:
            feed(connection, piece)
    connection.connection_lost(None)
    loop.run_until_complete(service.close())
    return seen


METHODS = st.sampled_from([b"GET", b"PUT", b"HEAD", b"POST", b"DELETE", b"OPTIONS", b"PATCH", b"get"])
TARGETS = st.one_of(
    st.sampled_from([b"/", b"/b/k", b"/b/k?acl", b"*", b"http://h/b", b"/b/k#f", b"/b/\x7f", b"/b/\xc3\xbc", b"b"]),
    st.binary(max_size=12).map(lambda tail: b"/" + tail),
)
VALUES = st.one_of(
    st.sampled_from(
        [b"", b" x", b"x \t", b"a b", b"\xc3\xbc", b"a\tb", b"a\x01b", b"a\x7fb", b"a\x00", b"a\rb", b"a\r\n b"]
    ),
    st.binary(max_size=8),
)
FIELDS = st.one_of(
    st.tuples(
        st.sampled_from([b"x-amz-date", b"Range", b"X_y", b"te", b"x y", b"", b"Keep-Alive", b"Proxy-X", b"Trailer"]),
        VALUES,
    ),
    st.sampled_from(
        [(b"Host", b"h"), (b"host", b"other"), (b"Content-Length", b"0"), (b"content-length", b"3"),
         (b"Content-Length", b"+3"), (b"Content-Length", b"3 "), (b"Content-Length", b"03"),
         (b"Content-Length", b"99999999999999999999"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"close"),
         (b"Connection", b"keep-alive"), (b"Upgrade", b"h2c"), (b"Expect", b"100-continue"), (b"Date", b"now")]
    ),
)  # fmt: skip
COLONS = st.sampled_from([b": ", b":", b":\t", b" : "])
ENDS = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\r"])


@st.composite
def heads(draw: st.DrawFn, start: st.SearchStrategy[bytes], always: list[tuple[bytes, bytes]]) -> bytes:
    fields = [*always, *draw(st.lists(FIELDS, max_size=5))]
    lines = [name + draw(COLONS) + value + draw(ENDS) for name, value in draw(st.permutations(fields))]
    return draw(start) + draw(ENDS) + b"".join(lines) + draw(ENDS)


REQUEST_LINES = st.builds(
    lambda method, target, version: b" ".join((method, target, version)),
    METHODS, TARGETS, st.sampled_from([b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"HTTP/2.0", b""]),
)  # fmt: skip


@given(heads(REQUEST_LINES, [(b"Host", b"localhost")]), st.sampled_from([b"", b"abc", b"GET / HTTP/1.1\r\n"]))
@example(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", b"abcGET /b HTTP/1.1\r\nHost: h\r\n\r\n")
def test_a_request_in_one_piece_is_what_it_is_byte_by_byte(
    loop: asyncio.AbstractEventLoop, head: bytes, rest: bytes
) -> None:
    # What is wrong with a chunked body is noticed before or after its request is answered, as the bytes come.
    assume(not rest or b"chunked" not in head)
    data = head + rest
    assert requests_in(loop, [data]) == requests_in(loop, [data[i : i + 1] for i in range(len(data))])


class Pool:
    def __init__(self) -> None:
        self.free = False

    def released(self, connection: RemoteConnection) -> None:
        self.free = True

    def lost(self, connection: RemoteConnection, error: BaseException | None) -> None: ...


def answer_in(pieces: list[bytes], head_only: bool) -> Seen:
    """What a connection to the remote makes of ``pieces``: head, body, and whether it can be used again."""
    pool = Pool()
    connection = RemoteConnection(pool, 60, 60)
    wire = Wire()
    connection.connection_made(wire)
    seen: list[Any] = []

    def take(response: Response) -> Response:
        seen.append((response.status, response.content_length, response.headers))
        if isinstance(response.body, Stage):
            chain(
                response.body, Collector(1 << 20, lambda body, error: seen.append(body if error is None else "broken"))
            )
        return response

    promise = connection.start(b"GET / HTTP/1.1\r\n\r\n", head_only=head_only).then(take)
    for piece in pieces:
        if not wire.ended:
            feed(connection, piece)
    usable = pool.free and not wire.ended
    connection.connection_lost(None)
    if promise.done:
        try:
            promise.result()
        except RemoteError:
            seen.append("failed")
    return (*seen, usable)


STATUS_LINES = st.builds(
    lambda version, status, reason: version + b" " + status + reason,
    st.sampled_from([b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"http/1.1"]),
    st.sampled_from([b"200", b"204", b"206", b"304", b"404", b"500", b"100", b"101", b"999", b"20", b"2000"]),
    st.sampled_from([b" OK", b" ", b"", b" Not Found", b" \xff", b" a\x01"]),
)


@given(
    heads(STATUS_LINES, []), st.sampled_from([b"", b"abc", b"abcd", b"3\r\nabc\r\n0\r\n\r\n"]), st.booleans()
)  # fmt: skip
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"abc", False)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"", True)
@example(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", b"", False)
def test_an_answer_in_one_piece_is_what_it_is_when_its_first_byte_comes_alone(
    head: bytes, body: bytes, head_only: bool
) -> None:
    data = head + body
    assert answer_in([data], head_only) == answer_in([data[:1], data[1:]], head_only)
