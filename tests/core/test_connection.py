"""The server's connection over a real socket: any split of the bytes gives the same requests, answers in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3d._core.collect import Collector, Source, chain
from s3d._core.fault import Fault, FaultCode
from s3d._core.meter import Meter
from s3d._core.promise import Promise
from s3d._core.request import Request
from s3d._core.response import Response
from s3d._core.server import Service

OPERATIONS = 3


def refuse(request: Request | None, error: BaseException) -> Response:
    text = error.code.name if isinstance(error, Fault) else type(error).__name__
    return Response(400, [(b"x-error", text.encode())], b"refused")


async def body_of(request: Request) -> bytes:
    if request.body is None:
        return b""
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def settle(data: bytes | None, error: BaseException | None) -> None:
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(data or b"")

    chain(request.body, Collector(10_000_000, settle))
    return await done


def described(request: Request, body: bytes) -> bytes:
    headers = b"|".join(name + b"=" + value for name, value in request.headers)
    return b"%b %b [%b] %b" % (request.method, request.target, headers, body)


async def slow_echo(request: Request) -> Response:
    return Response(200, [], described(request, await body_of(request)))


def echo(request: Request) -> Any:
    """Answers at once, by a promise or by a coroutine: all three ways in turn."""
    way = len(request.target) % 3
    if request.body is not None or way == 2:
        return slow_echo(request)
    response = Response(200, [], described(request, b""))
    if way == 1:
        return response
    promise = Promise()
    asyncio.get_running_loop().call_soon(promise.resolve, response)
    return promise


class Server:
    """One `Service` on a loop of its own; `exchange` is one connection's life."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.dispatch: Callable[[Request], Any] = echo
        self.service = Service(self._dispatch, refuse, loop=self.loop, operations=OPERATIONS, max_head_size=4096)

    def _dispatch(self, request: Request) -> Any:
        # Looked up for each request: tests replace it.
        return self.dispatch(request)

    def exchange(self, pieces: list[bytes]) -> bytes:
        """Everything that comes back when the client sends ``pieces`` one by one and then half-closes."""
        return self.loop.run_until_complete(asyncio.wait_for(self._exchange(pieces), 30))

    async def _exchange(self, pieces: list[bytes]) -> bytes:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        ours.setblocking(False)
        await self.loop.create_connection(self.service.connection, sock=ours)
        answers = asyncio.ensure_future(self._read(theirs))
        try:
            for piece in pieces:
                try:
                    await self.loop.sock_sendall(theirs, piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
                await asyncio.sleep(0)
            else:
                theirs.shutdown(socket.SHUT_WR)
            return await answers
        finally:
            answers.cancel()
            theirs.close()
            while self.service.open_connections:
                await asyncio.sleep(0)

    async def _read(self, client: socket.socket) -> bytes:
        received = b""
        while True:
            try:
                data = await self.loop.sock_recv(client, 262144)
            except ConnectionResetError:
                return received
            if not data:
                return received
            received += data

    def close(self) -> None:
        self.loop.run_until_complete(asyncio.wait_for(self.service.close(), 10))
        self.loop.close()


@pytest.fixture(scope="module")
def _server() -> Iterator[Server]:
    server = Server()
    # What the loop opens for itself when it is first used stays open until its end.
    server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    yield server
    server.close()


@pytest.fixture
def server(_server: Server) -> Iterator[Server]:
    yield _server
    _server.dispatch = echo


def comparable(data: bytes) -> bytes:
    """Without the time, and without what depends on whether the client had half-closed by then."""
    return b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith((b"Date: ", b"Connection: close")))


TOKEN = st.text("abcXYZ019-_", min_size=1, max_size=12).map(str.encode)
VALUE = st.text("abc XYZ;,=/\t\"'%&\u00fc", max_size=20).map(lambda text: text.strip().encode())


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One well-formed request."""
    method = draw(st.sampled_from([b"GET", b"PUT", b"POST", b"DELETE"]))
    target = b"/" + draw(st.text("ab/%2f?&=+~", max_size=20)).encode()
    headers = [b"Host: localhost"]
    names = draw(st.lists(TOKEN, max_size=3))
    headers += [b"x-" + name + b":" + b" " * draw(st.integers(0, 2)) + draw(VALUE) for name in names]
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    body = b""
    if framing == "length":
        body = draw(st.binary(max_size=300)) * draw(st.sampled_from([1, 1, 1, 300]))
        headers.append(b"Content-Length: %d" % len(body))
    elif framing == "chunked":
        headers.append(b"Transfer-Encoding: chunked")
        for chunk in draw(st.lists(st.binary(min_size=1, max_size=300), max_size=4)):
            body += b"%x%b\r\n%b\r\n" % (len(chunk), draw(st.sampled_from([b"", b";a=b", b";c"])), chunk)
        body += b"0\r\n" + draw(st.sampled_from([b"", b"x-trailer: a\r\n"])) + b"\r\n"
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, target, b"\r\n".join(headers), body)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks) if start < end]


CUTS = st.lists(st.integers(min_value=0, max_value=1 << 30), max_size=30)
PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@PROPERTY
@given(st.lists(requests(), min_size=1, max_size=5), CUTS)
def test_any_split_of_requests_gives_the_same_answers(server: Server, messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(messages)
    together = server.exchange(split(data, cuts))
    alone = b"".join(server.exchange([message]) for message in messages)
    assert comparable(together) == comparable(alone)
    assert together.count(b"HTTP/1.1 200 OK\r\n") == len(messages)


@PROPERTY
@given(requests(), CUTS)
def test_a_request_arrives_as_it_was_sent(server: Server, message: bytes, cuts: list[int]) -> None:
    head, _, _ = message.partition(b"\r\n\r\n")
    line = head.split(b"\r\n")[0]
    answer = server.exchange(split(message, cuts))
    assert answer.partition(b"\r\n\r\n")[2].startswith(line.rsplit(b" ", 1)[0] + b" [host=localhost")


@PROPERTY
@given(st.lists(requests(), min_size=1, max_size=3), st.integers(min_value=0), st.binary(max_size=6), CUTS)
def test_damaged_requests_are_answered_alike_in_any_split(
    server: Server, messages: list[bytes], where: int, damage: bytes, cuts: list[int]
) -> None:
    data = b"".join(messages)
    where %= len(data)
    data = data[:where] + damage + data[where + len(damage) :]
    first = server.exchange([data])
    second = server.exchange(split(data, cuts))
    # Wherever the damage lies, both readers see the same requests, and nobody answers more than was asked.
    assert statuses(first) == statuses(second)


def statuses(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@PROPERTY
@given(st.binary(max_size=3000), CUTS)
def test_arbitrary_bytes_end_in_a_refusal_or_a_close(server: Server, data: bytes, cuts: list[int]) -> None:
    answer = server.exchange(split(data, cuts))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")


# What an answer looks like on the wire.


def head_of(answer: bytes) -> dict[bytes, bytes]:
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}


def answered(server: Server, response: Response, request: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") -> bytes:
    server.dispatch = lambda _: response
    return server.exchange([request])


def test_an_answer_of_bytes_carries_their_length_and_a_date(server: Server) -> None:
    answer = answered(server, Response(200, [(b"X-A", b"b")], b"hello"))
    head = head_of(answer)
    assert (head[b"content-length"], head[b"x-a"]) == (b"5", b"b")
    assert head[b"date"].endswith(b" GMT")
    assert answer.endswith(b"\r\n\r\nhello")


def test_a_date_of_the_answer_is_kept(server: Server) -> None:
    head = answered(server, Response(200, [(b"Date", b"then")], b"")).partition(b"\r\n\r\n")[0]
    assert head.count(b"Date: ") == 1
    assert b"Date: then" in head


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_length(server: Server, status: int) -> None:
    head = head_of(answered(server, Response(status, [])))
    assert b"content-length" not in head
    assert b"transfer-encoding" not in head


def test_an_answer_without_body_says_so(server: Server) -> None:
    assert head_of(answered(server, Response(200, [])))[b"content-length"] == b"0"


def test_an_answer_to_head_announces_what_get_would_bring(server: Server) -> None:
    answer = answered(server, Response(200, [], b"hello"), b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head_of(answer)[b"content-length"] == b"5"
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [200, 404, 503, 599, 299])
def test_the_status_line_is_whole_for_any_status(server: Server, status: int) -> None:
    line = answered(server, Response(status, [], b"")).split(b"\r\n")[0]
    assert line.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"a\nX-Evil: 1", b"a\rb", b"a\0b"])
def test_a_header_that_would_split_the_answer_is_never_sent(server: Server, value: bytes) -> None:
    answer = answered(server, Response(200, [(b"X-A", value)], b"hello"))
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"X-Evil" not in answer


@pytest.mark.parametrize("body", [5, "text", bytearray(b"a"), memoryview(b"a")])
def test_a_body_is_bytes_or_a_stage(body: object) -> None:
    with pytest.raises(TypeError):
        Response(200, [], body)  # type: ignore[arg-type]


def feeding(server: Server, pieces: list[bytes], length: int, *, fails: bool = False) -> Callable[[Request], Response]:
    """A dispatcher whose answer is fed piece by piece."""

    def dispatch(_: Request) -> Response:
        source = Source()

        def feed() -> None:
            with contextlib.suppress(ConnectionError):  # the refusal of a body that is too long
                for piece in pieces:
                    source.feed(piece)
            if fails:
                source.abort(ConnectionError("broke off"))
            else:
                source.end()

        server.loop.call_soon(feed)
        return Response(200, [], source, length)

    return dispatch


def test_a_body_of_unknown_length_is_chunked(server: Server) -> None:
    server.dispatch = feeding(server, [b"hello", b"", b"x" * 300], -1)
    answer = server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert answer.partition(b"\r\n\r\n")[2] == b"5\r\nhello\r\n12c\r\n" + b"x" * 300 + b"\r\n0\r\n\r\n"


def test_a_body_of_known_length_is_not(server: Server) -> None:
    server.dispatch = feeding(server, [b"hello", b" world"], 11)
    answer = server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    assert answer.endswith(b"\r\n\r\nhello world")
    assert b"chunked" not in answer


@pytest.mark.parametrize("pieces", [[b"hello"], [b"hello", b"hello", b"hello"], [b"hello, world"]])
def test_a_body_of_another_length_than_announced_cuts_the_connection(server: Server, pieces: list[bytes]) -> None:
    second = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    try:
        server.dispatch = feeding(server, pieces, 11)
        answer = server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + second])
    except ConnectionError:
        answer = b""
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert len(answer.partition(b"\r\n\r\n")[2]) != 11


def test_a_chunked_body_that_breaks_off_has_no_last_chunk(server: Server) -> None:
    server.dispatch = feeding(server, [b"hello"], -1, fails=True)
    assert not server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("answer", [None, 5, "text", object()])
def test_an_answer_that_is_none_is_refused(server: Server, answer: object) -> None:
    server.dispatch = lambda _: answer
    assert server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("kind", ["raised", "promise", "coroutine"])
def test_an_error_is_answered_however_it_comes(server: Server, kind: str) -> None:
    fault = Fault(FaultCode.ACCESS_DENIED, "no")

    async def fail() -> Response:
        raise fault

    def dispatch(_: Request) -> Any:
        if kind == "raised":
            raise fault
        if kind == "coroutine":
            return fail()
        promise = Promise()
        promise.reject(fault)
        return promise

    server.dispatch = dispatch
    answer = server.exchange([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2])
    assert answer.count(b"x-error: ACCESS_DENIED") == 2


# Counters.


def test_latency_buckets_grow_by_a_quarter_of_a_doubling() -> None:
    limits = Meter.bucket_limits_s()
    assert len(limits) == 96
    assert limits[0] == pytest.approx(16e-6)
    assert all(later == pytest.approx(earlier * 2**0.25) for earlier, later in itertools.pairwise(limits[:-1]))
    assert limits[-1] == float("inf")


@pytest.mark.parametrize("operation", [-1, OPERATIONS + 1, 1000])
def test_counts_of_an_operation_that_does_not_exist_cannot_be_read(operation: int) -> None:
    with pytest.raises(IndexError):
        Meter(OPERATIONS).read(operation)


def test_a_meter_counts_by_operation_status_and_bytes(server: Server) -> None:
    before = [server.service.meter.read(operation) for operation in range(OPERATIONS + 1)]

    async def dispatch(request: Request) -> Response:
        await body_of(request)
        request.operation = {b"/0": 0, b"/2": 2}.get(request.target, 99)
        return Response({b"/0": 200, b"/2": 404}.get(request.target, 503), [], b"12345")

    server.dispatch = dispatch
    for target in (b"/0", b"/0", b"/2", b"/other"):
        server.exchange([b"PUT " + target + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n1234567"])
    after = [server.service.meter.read(operation) for operation in range(OPERATIONS + 1)]

    def grown(field: str) -> list[int]:
        return [now[field] - then[field] for now, then in zip(after, before, strict=True)]

    assert grown("requests") == [2, 0, 1, 1]
    assert grown("client_errors") == [0, 0, 1, 0]
    assert grown("server_errors") == [0, 0, 0, 1]
    assert grown("received_bytes") == [14, 0, 7, 7]
    assert grown("aborted") == [0, 0, 0, 0]
    assert all(sum(row["latency"]) == row["requests"] for row in after)
    assert all(sent > 5 * count for sent, count in zip(grown("sent_bytes"), grown("requests"), strict=True) if count)
